/*
 * supervisor/pulse: what a gateway may say, and what a lying one may not.  The
 * gateway here is a child that sleeps, so that its end can be seen.
 */
#include "supervisor/pulse.h"

#include "supervisor/generation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/role.h"

static struct config_pool config = {.name = (char[]){"www"}};
static struct pool_state pool = {.pool = &config};
static struct team team;
static int gateway; /* its end of the control socket */

static int
begin(void **state)
{
	int ends[2];

	(void)state;
	memset(&team, 0, sizeof(team));
	/* Before there is a socket, so that it has no copy of either end. */
	if ((team.gateway.pid = fork()) == 0)
		for (;;)
			pause();
	if (team.gateway.pid == -1 || fd_message_pair(ends) == -1)
		return -1;
	team.pool = &pool;
	team.control = ends[0];
	gateway = ends[1];
	return 0;
}

static int
end(void **state)
{
	(void)state;
	if (team.gateway.pid > 1) {
		kill(team.gateway.pid, SIGKILL);
		waitpid(team.gateway.pid, NULL, 0);
	}
	fd_close(&team.control);
	fd_close(&gateway);
	return 0;
}

static void
say(const void *data, size_t length, const int *fds, size_t fd_count)
{
	struct iovec part = {(void *)(uintptr_t)data, length};

	assert_int_equal(
	    fd_send_message(gateway, &part, 1, fds, fd_count, false), 0);
	pulse_receive(&team);
}

/* It is dead by our hand, and its socket closed. */
static void
assert_killed(void)
{
	int status;

	assert_int_equal(team.control, -1);
	assert_int_equal(
	    waitpid(team.gateway.pid, &status, 0), team.gateway.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	team.gateway.pid = -1;
}

static void
test_hello_then_answers(void **state)
{
	struct gateway_pulse pulse = {.slots = 4};

	(void)state;
	/* Asked before its launchers live, it can answer, but is not live. */
	team.pulse.is_asked = true;
	say(&pulse, sizeof(pulse), NULL, 0);
	assert_false(team.pulse.is_live);
	assert_false(team.pulse.is_asked);
	/* A hello is no answer, even when they cross. */
	team.pulse.is_asked = true;
	pulse.is_live = 1;
	say(&pulse, sizeof(pulse), NULL, 0);
	assert_true(team.pulse.is_live);
	assert_true(team.pulse.is_asked);
	pulse.open = 3;
	pulse.waiting = 3;
	pulse.workers = 4;
	say(&pulse, sizeof(pulse), NULL, 0);
	assert_false(team.pulse.is_asked);
	assert_int_equal(team.pulse.last.open, 3);
	assert_int_not_equal(team.control, -1);
	pulse_end(&team);
	assert_false(team.pulse.is_live);
	assert_int_equal(team.pulse.last.open, 0);
}

static void
test_unasked(void **state)
{
	struct gateway_pulse pulse = {.is_live = 1};

	(void)state;
	say(&pulse, sizeof(pulse), NULL, 0);
	say(&pulse, sizeof(pulse), NULL, 0);
	assert_killed();
}

static void
test_wrong_sizes(void **state)
{
	char bytes[sizeof(struct gateway_pulse) + 1] = {0};

	for (size_t n = 1; n <= sizeof(bytes); n++) {
		if (n == sizeof(struct gateway_pulse))
			continue;
		team.pulse.is_asked = true;
		say(bytes, n, NULL, 0);
		assert_killed();
		end(state);
		assert_int_equal(begin(state), 0);
	}
}

static void
test_impossible_numbers(void **state)
{
	static const struct gateway_pulse lies[] = {
	    {.is_live = 2},
	    {.slots = 65537},
	    {.workers = 1},
	    {.open = 1, .waiting = 2},
	    {.is_live = UINT32_MAX, .slots = UINT32_MAX},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		team.pulse.is_asked = true;
		say(&lies[i], sizeof(lies[i]), NULL, 0);
		assert_killed();
		end(state);
		assert_int_equal(begin(state), 0);
	}
}

static void
test_descriptors(void **state)
{
	struct gateway_pulse pulse = {0};
	int fd = open("/dev/null", O_RDWR), next;

	(void)state;
	team.pulse.is_asked = true;
	next = dup(fd);
	close(next);
	say(&pulse, sizeof(pulse), &fd, 1);
	assert_killed();
	/* What it passed is closed again: the number is free, or the control's.
	 */
	assert_int_equal(fcntl(next, F_GETFD), -1);
	close(fd);
}

static void
test_end(void **state)
{
	struct pollfd control = {team.control, POLLIN, 0};

	(void)state;
	fd_close(&gateway);
	/* The child has a copy, at first. */
	assert_int_equal(poll(&control, 1, 5000), 1);
	pulse_receive(&team);
	assert_killed();
}

static void
test_nothing(void **state)
{
	(void)state;
	pulse_receive(&team);
	assert_int_not_equal(team.control, -1);
	assert_int_equal(kill(team.gateway.pid, 0), 0);
}

/* One pool that dies does not end the others; if all do, that is the end. */
static void
test_judge_start(void **state)
{
	struct team teams[2];
	struct pool_state two = {
	    .pool = &config, .teams = teams, .team_count = 2};
	struct generation g = {.pools = &two, .pool_count = 1};

	(void)state;
	memset(teams, 0, sizeof(teams));
	assert_int_equal(pulse_judge_start(&g), PULSE_STARTING);
	teams[0].pulse.has_failed = true;
	assert_int_equal(pulse_judge_start(&g), PULSE_STARTING);
	teams[1].pulse.has_failed = true;
	assert_int_equal(pulse_judge_start(&g), PULSE_DEAD);
	teams[1].pulse.is_live = true;
	assert_int_equal(pulse_judge_start(&g), PULSE_STARTED);
	teams[0].pulse.is_live = true;
	assert_int_equal(pulse_judge_start(&g), PULSE_STARTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_hello_then_answers),
	    TEST(test_unasked),
	    TEST(test_wrong_sizes),
	    TEST(test_impossible_numbers),
	    TEST(test_descriptors),
	    TEST(test_end),
	    TEST(test_nothing),
	    TEST(test_judge_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
