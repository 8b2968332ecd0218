/*
 * cgi/environment and cgi/variable: what a worker's environment holds.
 */
#include "cgi/environment.h"
#include "cgi/variable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "scgi/request.h"

#define MINIMAL            \
	"CONTENT_LENGTH\0" \
	"0\0"              \
	"SCGI\0"           \
	"1\0"

/* The environment of `text`, a parameter block; `...` assigns to `in`. */
#define BUILD(env, text, ...)                                                \
	do {                                                                 \
		struct cgi_environment_input in = {.params = (text),         \
		    .params_length = sizeof(text) - 1,                       \
		    .script_name = "/cgi-bin/x",                             \
		    .document_root = "/srv/cgi",                             \
		    .script_filename = "/srv/cgi/x"};                        \
		__VA_ARGS__;                                                 \
		assert_true(scgi_check_params(in.params, in.params_length)); \
		assert_int_equal(cgi_environment_build(&(env), &in), 0);     \
		assert_unique(&(env));                                       \
	} while (0)

static const char *
get(const struct cgi_environment *e, const char *name)
{
	size_t i, length = strlen(name);

	for (i = 0; e->envp[i] != NULL; i++)
		if (strncmp(e->envp[i], name, length) == 0 &&
		    e->envp[i][length] == '=')
			return e->envp[i] + length + 1;
	return NULL;
}

/* Item 32, in every test that builds one. */
static void
assert_unique(const struct cgi_environment *e)
{
	size_t i, j, length;

	for (i = 0; e->envp[i] != NULL; i++) {
		length = strcspn(e->envp[i], "=");
		assert_true(length > 0 && e->envp[i][length] == '=');
		for (j = 0; j < i; j++)
			assert_false(
			    strncmp(e->envp[i], e->envp[j], length + 1) == 0);
	}
}

static void
assert_variable(
    const struct cgi_environment *e, const char *name, const char *value)
{
	const char *found = get(e, name);

	if (value == NULL) {
		assert_null(found);
		return;
	}
	assert_non_null(found);
	assert_string_equal(found, value);
}

static void
assert_content_length(const char *params, size_t length, const char *wanted)
{
	const struct cgi_environment_input in = {
	    .params = params, .params_length = length, .script_name = ""};
	struct cgi_environment e;

	assert_int_equal(cgi_environment_build(&e, &in), 0);
	assert_variable(&e, "CONTENT_LENGTH", wanted);
	cgi_environment_fini(&e);
}

static void
test_item_12_content_length(void **state)
{
#define LENGTH(text, wanted) \
	assert_content_length(text, sizeof(text) - 1, wanted)
	(void)state;
	LENGTH("CONTENT_LENGTH\0"
	       "0\0"
	       "REQUEST_METHOD\0GET\0",
	    NULL);
	LENGTH("CONTENT_LENGTH\0"
	       "0\0"
	       "REQUEST_METHOD\0DELETE\0",
	    NULL);
	LENGTH("CONTENT_LENGTH\0"
	       "0\0",
	    NULL);
	LENGTH("CONTENT_LENGTH\0"
	       "0\0"
	       "REQUEST_METHOD\0POST\0",
	    "0");
	LENGTH("CONTENT_LENGTH\0"
	       "0\0"
	       "REQUEST_METHOD\0PUT\0",
	    "0");
	LENGTH("CONTENT_LENGTH\0"
	       "27\0"
	       "REQUEST_METHOD\0POST\0",
	    "27");
	LENGTH("CONTENT_LENGTH\0"
	       "27\0"
	       "REQUEST_METHOD\0GET\0",
	    "27");
	LENGTH("CONTENT_LENGTH\0"
	       "0027\0",
	    "27");
	/* A second one is not the framing. */
	LENGTH("CONTENT_LENGTH\0"
	       "5\0"
	       "CONTENT_LENGTH\0"
	       "7\0",
	    "5");
	LENGTH("CONTENT_LENGTH\0"
	       "5\0"
	       "CONTENT_LENGTH\0\0",
	    "5");
	LENGTH("CONTENT_LENGTH\0"
	       "0\0"
	       "CONTENT_LENGTH\0"
	       "7\0",
	    NULL);
#undef LENGTH
}

static void
test_item_13_content_type(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e, MINIMAL "CONTENT_TYPE\0text/plain\0", in.path_info = NULL);
	assert_variable(&e, "CONTENT_TYPE", "text/plain");
	cgi_environment_fini(&e);
	BUILD(e, MINIMAL "CONTENT_TYPE\0\0", in.path_info = NULL);
	assert_variable(&e, "CONTENT_TYPE", NULL);
	cgi_environment_fini(&e);
}

static void
test_items_14_15_23_25_always_set(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e, MINIMAL, in.path_info = NULL);
	assert_variable(&e, "GATEWAY_INTERFACE", "CGI/1.1");
	assert_variable(&e, "QUERY_STRING", "");
	assert_variable(&e, "REQUEST_METHOD", "GET");
	assert_variable(&e, "REMOTE_ADDR", "0.0.0.0");
	assert_variable(&e, "SERVER_NAME", "localhost");
	assert_variable(&e, "SERVER_PORT", "80");
	assert_variable(&e, "SERVER_PROTOCOL", "HTTP/1.0");
	assert_memory_equal(get(&e, "SERVER_SOFTWARE"), "scgid", 5);
	cgi_environment_fini(&e);

	BUILD(e,
	    MINIMAL "GATEWAY_INTERFACE\0x\0QUERY_STRING\0a=%41&b\0"
		    "REMOTE_ADDR\0::1\0SERVER_NAME\0n\0SERVER_PORT\0"
		    "81\0"
		    "SERVER_PROTOCOL\0HTTP/2.0\0SERVER_SOFTWARE\0nginx\0",
	    in.path_info = NULL);
	assert_variable(&e, "GATEWAY_INTERFACE", "CGI/1.1");
	assert_variable(&e, "QUERY_STRING", "a=%41&b");
	assert_variable(&e, "REMOTE_ADDR", "::1");
	assert_variable(&e, "SERVER_NAME", "n");
	assert_variable(&e, "SERVER_PORT", "81");
	assert_variable(&e, "SERVER_PROTOCOL", "HTTP/2.0");
	assert_memory_equal(get(&e, "SERVER_SOFTWARE"), "scgid", 5);
	cgi_environment_fini(&e);
}

static void
test_item_16_method(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e, MINIMAL "REQUEST_METHOD\0m-SEARCH\0", in.path_info = NULL);
	assert_variable(&e, "REQUEST_METHOD", "m-SEARCH");
	cgi_environment_fini(&e);
}

static void
test_items_17_18_19_paths(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e,
	    MINIMAL "SCRIPT_NAME\0/evil\0PATH_INFO\0/evil\0"
		    "PATH_TRANSLATED\0/etc/passwd\0SCRIPT_FILENAME\0/bin/sh\0",
	    in.script_name = "");
	assert_variable(&e, "SCRIPT_NAME", "");
	assert_variable(&e, "PATH_INFO", NULL);
	assert_variable(&e, "PATH_TRANSLATED", NULL);
	assert_variable(&e, "SCRIPT_FILENAME", "/srv/cgi/x");
	cgi_environment_fini(&e);

	BUILD(e, MINIMAL, in.path_info = "/");
	assert_variable(&e, "SCRIPT_NAME", "/cgi-bin/x");
	assert_variable(&e, "PATH_INFO", "/");
	assert_variable(&e, "PATH_TRANSLATED", "/srv/cgi/");
	cgi_environment_fini(&e);

	BUILD(e, MINIMAL, in.path_info = "/Ab %c", in.document_root = "/srv//");
	assert_variable(&e, "PATH_INFO", "/Ab %c");
	assert_variable(&e, "PATH_TRANSLATED", "/srv/Ab %c");
	cgi_environment_fini(&e);
}

static void
test_item_24_remote_host(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e,
	    MINIMAL "REMOTE_ADDR\0"
		    "10.1.2.3\0REMOTE_HOST\0\0",
	    in.path_info = NULL);
	assert_variable(&e, "REMOTE_HOST", "10.1.2.3");
	cgi_environment_fini(&e);
	BUILD(e,
	    MINIMAL "REMOTE_ADDR\0"
		    "10.1.2.3\0REMOTE_HOST\0h\0",
	    in.path_info = NULL);
	assert_variable(&e, "REMOTE_HOST", "h");
	cgi_environment_fini(&e);
}

static void
assert_server_name(const char *host, const char *wanted)
{
	struct cgi_environment_input in = {.script_name = ""};
	struct buffer params = {0};
	struct cgi_environment e;

	assert_int_equal(scgi_write_param(&params, "HTTP_HOST", host), 0);
	in.params = params.data;
	in.params_length = params.length;
	assert_int_equal(cgi_environment_build(&e, &in), 0);
	assert_variable(&e, "SERVER_NAME", wanted);
	assert_variable(&e, "HTTP_HOST", host);
	cgi_environment_fini(&e);
	buffer_fini(&params);
}

static void
test_item_25_server_name_of_host(void **state)
{
	(void)state;
	assert_server_name("Example.org", "Example.org");
	assert_server_name("example.org:8080", "example.org");
	assert_server_name("127.0.0.1:80", "127.0.0.1");
	assert_server_name("[::1]:8080", "[::1]");
	assert_server_name("[fe80::1]", "[fe80::1]");
	assert_server_name("[::1", "localhost");
	assert_server_name("[::1]x", "localhost");
	assert_server_name("", "localhost");
	assert_server_name(":80", "localhost");
	assert_server_name("a<script>", "localhost");
	assert_server_name("a/b", "localhost");
}

static void
assert_port(const char *name, const char *value, const char *wanted)
{
	struct cgi_environment_input in = {.script_name = ""};
	struct buffer params = {0};
	struct cgi_environment e;

	assert_int_equal(scgi_write_param(&params, name, value), 0);
	in.params = params.data;
	in.params_length = params.length;
	assert_int_equal(cgi_environment_build(&e, &in), 0);
	assert_variable(&e, "SERVER_PORT", wanted);
	cgi_environment_fini(&e);
	buffer_fini(&params);
}

static void
test_item_25_server_port(void **state)
{
	(void)state;
	assert_port("HTTPS", "on", "443");
	assert_port("HTTPS", "off", "80");
	assert_port("HTTPS", "", "80");
	assert_port("REQUEST_SCHEME", "https", "443");
	assert_port("REQUEST_SCHEME", "http", "80");
	assert_port("SERVER_PORT", "8443", "8443");
	assert_port("SERVER_PORT", "", "80");
}

static void
test_item_26_remote_user(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e,
	    MINIMAL "HTTP_REMOTE_USER\0root\0HTTP_AUTH_TYPE\0Basic\0"
		    "REMOTE_USER\0\0AUTH_TYPE\0\0REMOTE_IDENT\0\0"
		    "REMOTE_PORT\0\0",
	    in.path_info = NULL);
	assert_variable(&e, "REMOTE_USER", NULL);
	assert_variable(&e, "REMOTE_IDENT", NULL);
	assert_variable(&e, "REMOTE_PORT", NULL);
	assert_variable(&e, "AUTH_TYPE", NULL);
	assert_variable(&e, "HTTP_REMOTE_USER", "root");
	cgi_environment_fini(&e);
	BUILD(e, MINIMAL "REMOTE_USER\0eva\0AUTH_TYPE\0Basic\0",
	    in.path_info = NULL);
	assert_variable(&e, "REMOTE_USER", "eva");
	assert_variable(&e, "AUTH_TYPE", "Basic");
	cgi_environment_fini(&e);
}

#define CREDENTIALS                                \
	MINIMAL "HTTP_AUTHORIZATION\0Basic eDp5\0" \
		"HTTP_PROXY_AUTHORIZATION\0Basic ejp6\0"

static void
test_item_27_authorization(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e, CREDENTIALS, in.pass_authorization = false);
	assert_variable(&e, "HTTP_AUTHORIZATION", NULL);
	assert_variable(&e, "HTTP_PROXY_AUTHORIZATION", NULL);
	cgi_environment_fini(&e);
	BUILD(e, CREDENTIALS, in.pass_authorization = true);
	assert_variable(&e, "HTTP_AUTHORIZATION", "Basic eDp5");
	assert_variable(&e, "HTTP_PROXY_AUTHORIZATION", "Basic ejp6");
	cgi_environment_fini(&e);
}

static void
test_items_28_29_30_31_headers(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e,
	    MINIMAL "HTTP_CONTENT_LENGTH\0"
		    "5\0HTTP_CONTENT_TYPE\0a\0"
		    "HTTP_CONNECTION\0close\0HTTP_TRANSFER_ENCODING\0chunked\0"
		    "HTTP_KEEP_ALIVE\0"
		    "5\0HTTP_TE\0trailers\0"
		    "HTTP_PROXY\0evil\0http_proxy\0evil\0Http_Proxy\0evil\0"
		    "HTTP_X_FOO\0bar\0HTTP_X_PROXY\0p\0HTTP_COOKIE\0\0"
		    "HTTP_X_ESC\0a\x1b\xc3\xa9\0",
	    in.path_info = NULL);
	assert_variable(&e, "HTTP_CONTENT_LENGTH", NULL);
	assert_variable(&e, "HTTP_CONTENT_TYPE", NULL);
	assert_variable(&e, "HTTP_CONNECTION", NULL);
	assert_variable(&e, "HTTP_TRANSFER_ENCODING", NULL);
	assert_variable(&e, "HTTP_KEEP_ALIVE", NULL);
	assert_variable(&e, "HTTP_TE", NULL);
	assert_variable(&e, "HTTP_PROXY", NULL);
	assert_variable(&e, "http_proxy", NULL);
	assert_variable(&e, "Http_Proxy", NULL);
	assert_variable(&e, "HTTP_X_FOO", "bar");
	assert_variable(&e, "HTTP_X_PROXY", "p");
	assert_variable(&e, "HTTP_COOKIE", "");
	assert_variable(&e, "HTTP_X_ESC", "a\x1b\xc3\xa9");
	cgi_environment_fini(&e);
}

static void
test_item_30_proxy_of_the_configuration(void **state)
{
	const struct cgi_pair extra[] = {
	    {"HTTP_PROXY", "p"}, {"http_proxy", "q"}};
	struct cgi_environment e;

	(void)state;
	BUILD(e, MINIMAL "http_proxy\0evil\0", in.extra = extra,
	    in.extra_count = 2);
	assert_variable(&e, "HTTP_PROXY", NULL);
	assert_variable(&e, "http_proxy", "q");
	cgi_environment_fini(&e);
}

static void
test_items_7_32_first_wins(void **state)
{
	const struct cgi_pair extra[] = {{"X", "config"}, {"Y", "first"},
	    {"Y", "second"}, {"SCRIPT_NAME", "/evil"},
	    {"REMOTE_ADDR", "1.1.1.1"}, {"", "z"}, {"A=B", "z"}};
	struct cgi_environment e;

	(void)state;
	BUILD(e, MINIMAL "X\0one\0XX\0three\0X\0two\0HTTPS\0\0HTTPS\0on\0",
	    in.extra = extra, in.extra_count = 7);
	assert_variable(&e, "X", "one");
	assert_variable(&e, "XX", "three");
	assert_variable(&e, "Y", "first");
	assert_variable(&e, "HTTPS", "on");
	assert_variable(&e, "SCRIPT_NAME", "/cgi-bin/x");
	assert_variable(&e, "REMOTE_ADDR", "1.1.1.1");
	assert_variable(&e, "REMOTE_HOST", "1.1.1.1");
	assert_variable(&e, "A", NULL);
	cgi_environment_fini(&e);
}

static void
test_items_6_8_names(void **state)
{
	struct cgi_environment e;
	size_t i;

	(void)state;
	BUILD(e,
	    MINIMAL "A=B\0x\0A-B\0x\0A B\0x\0"
		    "1A\0x\0BASH_FUNC_a%%\0() {\0"
		    "\xc3\xa9\0x\0A\n\0x\0_a1\0ok\0",
	    in.path_info = NULL);
	assert_variable(&e, "SCGI", NULL);
	assert_variable(&e, "_a1", "ok");
	for (i = 0; e.envp[i] != NULL; i++)
		assert_true(strcmp(strchr(e.envp[i], '='), "=x") != 0);
	cgi_environment_fini(&e);
}

/* At least one of each entry of the table that refuses. */
static const char *const refused[] = {"AWKLIBPATH", "AWKPATH", "BASHOPTS",
    "BASH_ENV", "BROWSER", "BUNDLE_GEMFILE", "CDPATH", "CLASSPATH",
    "CREDENTIALS_DIRECTORY", "DYLD_INSERT_LIBRARIES", "EDITOR", "ENV",
    "EXECIGNORE", "FCGI_ROLE", "FPATH", "GCONV_PATH", "GEM_PATH", "GETCONF_DIR",
    "GIT_ASKPASS", "GIT_CONFIG", "GIT_CONFIG_COUNT", "GIT_EDITOR",
    "GIT_EXEC_PATH", "GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_PROXY_COMMAND",
    "GIT_SEQUENCE_EDITOR", "GIT_SSH_COMMAND", "GIT_TEMPLATE_DIR", "GIT_TRACE",
    "GLIBC_TUNABLES", "GLOBIGNORE", "HISTFILE", "HOME", "HOSTALIASES",
    "HTTP_CONNECTION", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE",
    "HTTP_EXPECT", "HTTP_HTTP2_SETTINGS", "HTTP_KEEP_ALIVE",
    "HTTP_PROXY_CONNECTION", "HTTP_TE", "HTTP_TRAILER",
    "HTTP_TRANSFER_ENCODING", "HTTP_UPGRADE", "IFS", "INPUTRC", "INVOCATION_ID",
    "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "JOURNAL_STREAM", "KSH_ENV",
    "LD_PRELOAD", "LD_LIBRARY_PATH", "LESSCLOSE", "LESSOPEN", "LIBPATH",
    "LISTEN_FDS", "LOCALDOMAIN", "LOCPATH", "LUA_INIT", "MAINPID",
    "MALLOC_TRACE", "MANAGERPID", "NIS_PATH", "NLSPATH", "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS", "NODE_PATH", "NOTIFY_SOCKET", "NULLCMD", "OLDPWD",
    "OPENSSL_CONF", "PAGER", "PATH", "PERL5LIB", "PERL5OPT", "PERLLIB", "PHPRC",
    "PHP_FCGI_CHILDREN", "PHP_INI_SCAN_DIR", "POSIXLY_CORRECT",
    "PROMPT_COMMAND", "PS1", "PS2", "PS3", "PS4", "PWD", "PYTHONPATH",
    "READNULLCMD", "RESOLV_HOST_CONF", "RES_OPTIONS", "RUBYOPT", "SCGID_X",
    "SHELL", "SHELLOPTS", "SHLIB_PATH", "SHLVL", "SSLKEYLOGFILE",
    "SSL_CERT_DIR", "SSL_CERT_FILE", "TCLLIBPATH", "TCL_LIBRARY", "TEMP",
    "TERM", "TERMCAP", "TERMINFO", "TERMINFO_DIRS", "TMP", "TMPDIR", "TZDIR",
    "VISUAL", "WATCHDOG_USEC", "XDG_CONFIG_HOME", "ZDOTDIR", "_JAVA_OPTIONS",
    "_RLD_LIST", "HTTP_PROXY", "http_proxy", "Http_proxY", "https_proxy",
    "ALL_PROXY", "ftp_proxy", "no_proxy", "rsync_proxy", "socks_proxy",
    "CGI_HTTP_PROXY", "", "1", "A-B", "A=B", "A\xff"};

static const char *const passing[] = {"GIT_PROJECT_ROOT", "GIT_HTTP_EXPORT_ALL",
    "GITWEB_CONFIG", "REMOTE_USER", "REMOTE_PORT", "HTTPS", "HTTP_HOST",
    "HTTP_X_PROXY", "HTTP_ACCEPT", "SSL_PROTOCOL", "SSL_CLIENT_VERIFY",
    "SERVER_ADDR", "SERVER_ADMIN", "REQUEST_URI", "DOCUMENT_URI",
    "DOCUMENT_ROOT", "REQUEST_SCHEME", "LANG", "TZ", "UNIQUE_ID", "NODE_ENV",
    "PSQL", "TERMS", "PATHS", "BASH", "LD", "A", "_", "ENVIRONMENT", "IFSX",
    "ZZZ", "_ZZZ", "MY_PROXY", "PROXY"};

static bool
is_refused(const char *name)
{
	return (cgi_variable_rules(name) & CGI_VARIABLE_REFUSED) != 0;
}

static void
test_item_33_refused(void **state)
{
	struct buffer params = {0};
	struct cgi_environment_input in = {.script_name = ""};
	struct cgi_environment e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_true(is_refused(refused[i]));
		assert_int_equal(
		    scgi_write_param(&params, refused[i], "evil"), 0);
	}
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		assert_false(is_refused(passing[i]));
		assert_false(cgi_variable_is_computed(passing[i]));
		assert_int_equal(
		    scgi_write_param(&params, passing[i], "good"), 0);
	}
	in.params = params.data;
	in.params_length = params.length;
	assert_int_equal(cgi_environment_build(&e, &in), 0);
	assert_unique(&e);
	for (i = 0; e.envp[i] != NULL; i++)
		assert_null(strstr(e.envp[i], "=evil"));
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		assert_variable(&e, passing[i], "good");
	assert_variable(&e, "PATH", "/usr/local/bin:/usr/bin:/bin");
	cgi_environment_fini(&e);
	buffer_fini(&params);
}

/* Rules are remembered: those of another name must not be taken for them. */
static void
test_rules_again(void **state)
{
	struct buffer params = {0};
	struct cgi_environment_input in = {.script_name = ""};
	struct cgi_environment e;
	char name[64];

	(void)state;
	/* More names than are remembered, as long as they may be, and longer.
	 */
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "%s%0*d",
		    i % 2 == 0 ? "LD_" : "LE_", 1 + i % 40, i);
		assert_int_equal(scgi_write_param(&params, name,
				     i % 2 == 0 ? "evil" : "good"),
		    0);
	}
	assert_int_equal(scgi_write_param(&params, "", "evil"), 0);
	in.params = params.data;
	in.params_length = params.length;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(cgi_environment_build(&e, &in), 0);
		assert_in_range(e.count, 1000, 1024);
		for (size_t k = 0; k < e.count; k++)
			assert_null(strstr(e.envp[k], "=evil"));
		cgi_environment_fini(&e);
	}
	buffer_fini(&params);
}

static void
test_item_33_path_of_the_configuration(void **state)
{
	const struct cgi_pair extra[] = {
	    {"PATH", "/opt/bin"}, {"LD_LIBRARY_PATH", "/opt/lib"}};
	struct cgi_environment e;

	(void)state;
	BUILD(e, MINIMAL "PATH\0/evil\0", in.extra = extra, in.extra_count = 2);
	assert_variable(&e, "PATH", "/opt/bin");
	assert_variable(&e, "LD_LIBRARY_PATH", "/opt/lib");
	cgi_environment_fini(&e);
}

static void
test_item_34_php(void **state)
{
	struct cgi_environment e;

	(void)state;
	BUILD(e,
	    MINIMAL "SCRIPT_FILENAME\0proxy:scgi://127.0.0.1:4000/x\0"
		    "REDIRECT_STATUS\0"
		    "404\0DOCUMENT_ROOT\0/var/www\0",
	    in.path_info = NULL);
	assert_variable(&e, "REDIRECT_STATUS", "200");
	assert_variable(&e, "SCRIPT_FILENAME", "/srv/cgi/x");
	assert_variable(&e, "DOCUMENT_ROOT", "/var/www");
	cgi_environment_fini(&e);
	BUILD(e, MINIMAL "DOCUMENT_ROOT\0\0", in.path_info = NULL);
	assert_variable(&e, "DOCUMENT_ROOT", "/srv/cgi");
	cgi_environment_fini(&e);
}

static void
test_computed(void **state)
{
	static const char *const names[] = {"GATEWAY_INTERFACE",
	    "SERVER_SOFTWARE", "SCRIPT_NAME", "PATH_INFO", "PATH_TRANSLATED",
	    "SCRIPT_FILENAME", "REDIRECT_STATUS", "CONTENT_LENGTH",
	    "CONTENT_TYPE", "QUERY_STRING", "REQUEST_METHOD", "SCGI",
	    "HTTP_PROXY", "", "A=B"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(cgi_variable_is_computed(names[i]));
	assert_false(cgi_variable_is_computed("PATH"));
	assert_false(cgi_variable_is_computed("LD_LIBRARY_PATH"));
	assert_false(cgi_variable_is_computed("http_proxy"));
}

static void
test_everything_absent(void **state)
{
	const struct cgi_environment_input in = {.params = ""};
	struct cgi_environment e;

	(void)state;
	assert_int_equal(cgi_environment_build(&e, &in), 0);
	assert_unique(&e);
	assert_variable(&e, "SCRIPT_NAME", "");
	assert_variable(&e, "SCRIPT_FILENAME", NULL);
	cgi_environment_fini(&e);
	cgi_environment_fini(&e);
}

/* As many variables as bytes can make: the shortest names, without values. */
static void
test_short_parameters(void **state)
{
	static const char names[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
				    "abcdefghijklmnopqrstuvwxyz";
	struct cgi_environment_input in = {.script_name = ""};
	char name[2] = "", *variable;
	struct buffer params = {0};
	struct cgi_environment e;
	size_t i, n;

	(void)state;
	for (n = 0; names[n] != '\0'; n++) {
		name[0] = names[n];
		assert_int_equal(scgi_write_param(&params, name, ""), 0);
	}
	in.params = params.data;
	in.params_length = params.length;
	assert_int_equal(cgi_environment_build(&e, &in), 0);
	assert_unique(&e);
	assert_in_range(e.count, n, n + 24);
	variable = e.text.data;
	for (i = 0; i < e.count; i++) {
		assert_ptr_equal(e.envp[i], variable);
		variable += strlen(variable) + 1;
	}
	assert_ptr_equal(variable, e.text.data + e.text.length);
	assert_null(e.envp[i]);
	cgi_environment_fini(&e);
	buffer_fini(&params);
}

/* 10,000 headers cost what 100 do, a hundred times; not 10,000 times. */
static void
test_many_parameters(void **state)
{
	struct cgi_environment_input in = {.script_name = ""};
	struct buffer params = {0};
	struct cgi_environment e;
	char name[32];
	clock_t start;
	size_t i;

	(void)state;
	for (i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "HTTP_X_%zu", i);
		assert_int_equal(scgi_write_param(&params, name, "v"), 0);
	}
	for (i = 0; i < 10000; i++)
		assert_int_equal(scgi_write_param(&params, "HTTP_X_7", "w"), 0);
	in.params = params.data;
	in.params_length = params.length;
	start = clock();
	assert_int_equal(cgi_environment_build(&e, &in), 0);
	assert_true(clock() - start < CLOCKS_PER_SEC / 4);
	assert_variable(&e, "HTTP_X_7", "v");
	assert_variable(&e, "HTTP_X_9999", "v");
	for (i = 0; e.envp[i] != NULL; i++)
		;
	assert_in_range(i, 10000, 10024);
	cgi_environment_fini(&e);
	buffer_fini(&params);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_item_12_content_length),
	    cmocka_unit_test(test_item_13_content_type),
	    cmocka_unit_test(test_items_14_15_23_25_always_set),
	    cmocka_unit_test(test_item_16_method),
	    cmocka_unit_test(test_items_17_18_19_paths),
	    cmocka_unit_test(test_item_24_remote_host),
	    cmocka_unit_test(test_item_25_server_name_of_host),
	    cmocka_unit_test(test_item_25_server_port),
	    cmocka_unit_test(test_item_26_remote_user),
	    cmocka_unit_test(test_item_27_authorization),
	    cmocka_unit_test(test_items_28_29_30_31_headers),
	    cmocka_unit_test(test_item_30_proxy_of_the_configuration),
	    cmocka_unit_test(test_items_7_32_first_wins),
	    cmocka_unit_test(test_items_6_8_names),
	    cmocka_unit_test(test_item_33_refused),
	    cmocka_unit_test(test_rules_again),
	    cmocka_unit_test(test_item_33_path_of_the_configuration),
	    cmocka_unit_test(test_item_34_php),
	    cmocka_unit_test(test_computed),
	    cmocka_unit_test(test_everything_absent),
	    cmocka_unit_test(test_short_parameters),
	    cmocka_unit_test(test_many_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
