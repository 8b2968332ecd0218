/*
 * The status page, its counters and its table of scripts, of a gateway that
 * holds what a test put there.
 */
#include "gateway/status_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/process.h"
#include "launcher/protocol.h"

/* All that a script's name or a client's words may try. */
static char hostile[] = "</td><script>alert('\"&\\')\n\x01\x7f\xc3\xa9";

struct fixture {
	struct config_pool pool;
	struct gateway *gateway;
	struct request request;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->pool.name = hostile;
	f->pool.gateways = 2;
	f->gateway = calloc(1, sizeof(*f->gateway));
	f->gateway->pool = &f->pool;
	f->gateway->usage = calloc(1, sizeof(struct usage_table));
	TAILQ_INIT(&f->gateway->requests);
	TAILQ_INIT(&f->gateway->servers);
	f->request.gateway = f->gateway;
	*state = f;
	return counters_open(f->gateway, -1);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	servers_free(f->gateway);
	counters_close(f->gateway);
	free(f->gateway->usage);
	free(f->gateway);
	free(f);
	return 0;
}

/* What a launcher would say of its fork server `number`. */
static void
tell_server(struct link *link, uint32_t number, enum protocol_server state,
    const char *what, const char *why)
{
	const struct protocol_message m = {.type = PROTOCOL_SERVER,
	    .code = (int32_t)state,
	    .number = number,
	    .pid = 100 + (int32_t)number,
	    .start = START_PERL,
	    .requests = 7,
	    .peak_memory = 2,
	    .started_at = INT64_MIN,
	    .text = what,
	    .data = why,
	    .data_length = strlen(why)};

	servers_told(link, &m);
}

/* A request of `script` that took `ms` and failed for `why`. */
static void
end_request(struct fixture *f, const char *script, int64_t ms, enum reason why)
{
	char copy[512];

	snprintf(copy, sizeof(copy), "%s", script);
	f->request.script = copy;
	f->request.reason = why;
	f->request.status = why == REASON_NONE ? 200 : 502;
	f->request.accepted_at = 1;
	f->request.user_time = 1000;
	f->request.peak_memory = ms;
	counters_note_end(&f->request, 1 + ms * 1000);
	usage_note_end(f->gateway->usage, &f->request, 1 + ms * 1000);
	f->request.script = NULL;
}

static void
write_form(struct fixture *f, void (*form)(struct status_page *p),
    struct status_page *p)
{
	memset(p, 0, sizeof(*p));
	p->gateway = f->gateway;
	p->has_servers = true;
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		p->values[i] = counter_sum(f->gateway, i);
	p->failures = counter_failures(f->gateway);
	p->script_count =
	    usage_sort(f->gateway->usage, USAGE_BY_REQUESTS, p->scripts);
	form(p);
	assert_false(p->failed);
	assert_int_equal(buffer_append(&p->body, "", 1), 0);
}

static void
test_every_request_is_in_one_bucket(void **state)
{
	struct fixture *f = *state;
	uint64_t all = 0;

	end_request(f, "/a", 0, REASON_NONE);
	end_request(f, "/a", 1, REASON_NONE);
	end_request(f, "/a", 2, REASON_EXIT_STATUS);
	end_request(f, "/a", 300001, REASON_EXIT_STATUS);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		all += counter_sum(f->gateway, COUNTER_LATENCY + i);
	assert_int_equal(all, 4);
	assert_int_equal(counter_sum(f->gateway, COUNTER_LATENCY), 2);
	assert_int_equal(counter_sum(f->gateway, COUNTER_LATENCY_END), 1);
	assert_int_equal(counter_failures(f->gateway), 2);
	assert_int_equal(counter_sum(f->gateway, COUNTER_CLASS + 2), 2);
	assert_int_equal(counter_sum(f->gateway, COUNTER_REQUESTS), 4);
}

/* The second gateway of a pool sees what the first has counted. */
static void
test_gateways_share(void **state)
{
	struct fixture *f = *state;
	int fd = fd_shared_memory(counters_size(2));
	struct gateway *other;

	if (fd == -1)
		skip();
	other = calloc(1, sizeof(*other));
	counters_close(f->gateway);
	assert_int_equal(counters_open(f->gateway, fd), 0);
	other->pool = &f->pool;
	other->number = 1;
	assert_int_equal(counters_open(other, fd), 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	end_request(f, "/a", 1, REASON_NONE);
	assert_int_equal(counter_sum(other, COUNTER_REQUESTS), 1);
	counter_add(other, COUNTER_REQUESTS, 2);
	assert_int_equal(counter_sum(f->gateway, COUNTER_REQUESTS), 3);
	/* A gateway that is started again goes on where it was. */
	counters_close(other);
	assert_int_equal(counters_open(other, fd), 0);
	assert_int_equal(counter_sum(f->gateway, COUNTER_REQUESTS), 3);
	counters_close(other);
	free(other);
	fd_close(&fd);
}

/* A request that ends while it is read is not a failure, nor 2^64 of them. */
static void
test_read_while_it_counts(void **state)
{
	struct fixture *f = *state;
	int fd = fd_shared_memory(counters_size(2));
	uint64_t served = 0, failed = 0;

	if (fd == -1)
		skip();
	counters_close(f->gateway);
	assert_int_equal(counters_open(f->gateway, fd), 0);
	counter_set(f->gateway, COUNTER_REQUESTS, 5);
	counter_set(f->gateway, COUNTER_REASON + REASON_NONE, 6);
	counters_read(fd, 2, &served, &failed);
	assert_int_equal(served, 6);
	assert_int_equal(failed, 0);
	fd_close(&fd);
}

static void
test_the_least_used_script_gives_its_place(void **state)
{
	struct fixture *f = *state;
	const struct usage *sorted[USAGE_SCRIPTS];
	char name[32];

	for (int i = 0; i < USAGE_SCRIPTS; i++) {
		snprintf(name, sizeof(name), "/%d", i);
		end_request(f, name, i, REASON_NONE);
		if (i != 7)
			end_request(f, name, i, REASON_NONE);
	}
	assert_int_equal(f->gateway->usage->replaced, 0);
	end_request(f, "/new", 1, REASON_NO_HEADER);
	assert_int_equal(f->gateway->usage->replaced, 1);
	assert_int_equal(
	    usage_sort(f->gateway->usage, USAGE_BY_REQUESTS, sorted),
	    USAGE_SCRIPTS);
	for (size_t i = 0; i < USAGE_SCRIPTS; i++)
		assert_string_not_equal(sorted[i]->script, "/7");
	assert_string_equal(sorted[USAGE_SCRIPTS - 1]->script, "/new");
	usage_sort(f->gateway->usage, USAGE_BY_FAILURES, sorted);
	assert_string_equal(sorted[0]->script, "/new");
	assert_int_equal(sorted[0]->reasons[REASON_NO_HEADER], 1);
	usage_sort(f->gateway->usage, USAGE_BY_MEMORY, sorted);
	assert_string_equal(sorted[0]->script, "/63");
}

/* Names that are longer than their place are one script, as they look it. */
static void
test_long_names_are_cut(void **state)
{
	struct fixture *f = *state;
	char name[400];

	memset(name, 'x', sizeof(name));
	name[399] = '\0';
	end_request(f, name, 1, REASON_NONE);
	end_request(f, name, 1, REASON_NONE);
	name[398] = 'y';
	end_request(f, name, 1, REASON_NONE);
	assert_int_equal(f->gateway->usage->count, 1);
	assert_int_equal(f->gateway->usage->entries[0].requests, 3);
	name[0] = 'y';
	end_request(f, name, 1, REASON_NONE);
	assert_int_equal(f->gateway->usage->count, 2);
	assert_int_equal(
	    strlen(f->gateway->usage->entries[0].script), USAGE_NAME - 1);
}

/* What a form makes of `hostile` as a script, and of the client's words. */
static const struct {
	void (*write)(struct status_page *p);
	const char *script;
	const char *client;
} forms[] = {
    {status_write_html,
	"&#60;/td&#62;&#60;script&#62;alert(&#39;&#34;&#38;\\\\&#39;)"
	"\\x0a\\x01\\x7f\\xc3\\xa9",
	"&#60;script&#62;&#34;\\\\"},
    {status_write_json,
	"\"script\":\"</td><script>alert('\\\"&\\\\')"
	"\\u000a\\u0001\\u007f\\u00c3\\u00a9\"",
	"\"client\":\"<script>\\\"\\\\\""},
    {status_write_metrics,
	"script=\"</td><script>alert('\\\"&\\\\')\\n"
	"\\\\x01\\\\x7f\\\\xc3\\\\xa9\"}",
	""},
    {status_write_text,
	"</td><script>alert('\\\"&\\\\')\\x0a\\x01\\x7f\\xc3\\xa9",
	"<script>\\\"\\\\"},
};

/* No byte from outside is one of ours, in any form. */
static void
test_what_comes_from_outside_is_escaped(void **state)
{
	static const char words[] = "REMOTE_ADDR\0<script>\"\\";
	struct fixture *f = *state;
	struct link link = {.gateway = f->gateway};
	struct status_page p;

	end_request(f, hostile, 5, REASON_EXIT_STATUS);
	tell_server(&link, 1, PROTOCOL_SERVER_READY, hostile, "");
	tell_server(&link, 0, PROTOCOL_SERVER_REFUSED, hostile, hostile);
	f->request.script = hostile;
	f->request.path.data = hostile;
	scgi_find_params(words, sizeof(words), &f->request.header.found);
	TAILQ_INSERT_TAIL(&f->gateway->requests, &f->request, entry);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		write_form(f, forms[i].write, &p);
		for (size_t j = 0; j + 1 < p.body.length; j++)
			assert_true(p.body.data[j] == '\n' ||
			    (p.body.data[j] >= ' ' && p.body.data[j] < 0x7f));
		assert_non_null(strstr(p.body.data, forms[i].script));
		assert_non_null(strstr(p.body.data, forms[i].client));
		if (i == 0)
			assert_null(strstr(p.body.data, "<script"));
		buffer_fini(&p.body);
	}
	TAILQ_REMOVE(&f->gateway->requests, &f->request, entry);
}

static void
test_fork_servers(void **state)
{
	struct fixture *f = *state;
	struct link link = {.gateway = f->gateway}, other = link;
	const struct server *s = NULL;
	struct status_page p;
	unsigned count = 0;

	tell_server(&link, 1, PROTOCOL_SERVER_READY, "/bin/a", "");
	tell_server(&other, 1, PROTOCOL_SERVER_READY, "/bin/a", "");
	tell_server(&other, 2, PROTOCOL_SERVER_READY, "/bin/b", "");
	write_form(f, status_write_metrics, &p);
	assert_non_null(
	    strstr(p.body.data, "program=\"/bin/a\",start=\"perl\"} 2\n"));
	assert_non_null(
	    strstr(p.body.data, "program=\"/bin/a\",start=\"perl\"} 14\n"));
	assert_non_null(
	    strstr(p.body.data, "program=\"/bin/b\",start=\"perl\"} 2048\n"));
	buffer_fini(&p.body);
	servers_link_lost(&other);
	for (unsigned i = 0; i < 2 * SERVERS_ENDED; i++)
		tell_server(
		    &link, 0, PROTOCOL_SERVER_REFUSED, "/bin/c", "a\nb");
	assert_int_equal(status_next_server(&p, NULL)->number, 1);
	assert_null(status_next_server(&p, status_next_server(&p, NULL)));
	while ((s = status_next_ended(&p, s)) != NULL) {
		assert_string_equal(s->why, "a | b");
		assert_true(s->is_refused);
		count++;
	}
	assert_int_equal(count, SERVERS_ENDED);
}

static void
test_numbers_for_people(void **state)
{
	char out[STATUS_HUMAN_SIZE];

	(void)state;
	assert_string_equal(status_duration(out, -5), "0.0 ms");
	assert_string_equal(status_duration(out, 1250), "1.2 ms");
	assert_string_equal(status_duration(out, 250000), "250 ms");
	assert_string_equal(status_duration(out, 1500000), "1.5 s");
	assert_string_equal(status_duration(out, 125000000), "2 min 5 s");
	assert_string_equal(status_duration(out, 7260000000), "2 h 1 min");
	assert_string_equal(status_duration(out, 90000000000), "1 d 1 h");
	assert_string_equal(status_size(out, 1023), "1023 B");
	assert_string_equal(status_size(out, 1536), "1.5 KiB");
	assert_string_equal(status_size(out, UINT64_MAX), "16384 PiB");
	assert_string_equal(status_count(out, 99999), "99999");
	assert_string_equal(status_count(out, 123456), "123.5 k");
	assert_string_equal(status_bucket_name(out, 0), "1 ms");
	assert_string_equal(status_bucket_name(out, 9), "1 s");
	assert_string_equal(
	    status_bucket_name(out, LATENCY_BOUNDS), "over 300 s");
}

static void
test_percentiles(void **state)
{
	struct fixture *f = *state;
	struct status_page p;

	write_form(f, status_write_text, &p);
	assert_int_equal(status_percentile(&p, 50), LATENCY_BUCKETS);
	buffer_fini(&p.body);
	for (int i = 0; i < 99; i++)
		end_request(f, "/a", 1, REASON_NONE);
	end_request(f, "/a", 4, REASON_NONE);
	write_form(f, status_write_text, &p);
	assert_int_equal(status_percentile(&p, 50), 0);
	assert_int_equal(status_percentile(&p, 99), 0);
	assert_int_equal(status_percentile(&p, 100), 2);
	buffer_fini(&p.body);
}

/* Our own process, in room enough and in too little; and nobody's. */
static void
test_process_tree(void **state)
{
	char out[512], small[16], expected[64];

	(void)state;
	process_describe_tree(getpid(), out, sizeof(out));
	if (out[0] == '\0')
		skip();
	snprintf(
	    expected, sizeof(expected), "%ld test_status ", (long)getpid());
	assert_memory_equal(out, expected, strlen(expected));
	process_describe_tree(getpid(), small, sizeof(small));
	assert_true(strlen(small) < sizeof(small));
	assert_memory_equal(out, small, strlen(small));
	process_describe_tree(0x3ffffffe, out, sizeof(out));
	assert_string_equal(out, "1073741822 gone");
}

#define WITH_GATEWAY(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_GATEWAY(test_every_request_is_in_one_bucket),
	    WITH_GATEWAY(test_gateways_share),
	    WITH_GATEWAY(test_read_while_it_counts),
	    WITH_GATEWAY(test_the_least_used_script_gives_its_place),
	    WITH_GATEWAY(test_long_names_are_cut),
	    WITH_GATEWAY(test_what_comes_from_outside_is_escaped),
	    WITH_GATEWAY(test_percentiles),
	    WITH_GATEWAY(test_fork_servers),
	    cmocka_unit_test(test_numbers_for_people),
	    cmocka_unit_test(test_process_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
