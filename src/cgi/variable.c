/*
 * cgi/variable: the table of names that not everybody may set.
 *
 * Everything that is not in it passes from a front end to a script, so what
 * makes a loader, a shell or an interpreter run or read something else has to
 * be here.  The table is sorted (by bytes), as it is searched by halves.
 */
#include "cgi/variable.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cgi/environment.h"

#define COMPUTED (CGI_VARIABLE_COMPUTED | CGI_VARIABLE_REPLACED)
#define REFUSED	 CGI_VARIABLE_REFUSED
#define OPTIONAL CGI_VARIABLE_NOT_EMPTY
#define SECRET	 CGI_VARIABLE_SECRET
/* It describes the request, so that a constant would be a lie. */
#define REQUESTED CGI_VARIABLE_COMPUTED

struct rule {
	const char *name;
	size_t prefix; /* bytes that have to match; 0: all, exactly */
	unsigned rules;
};

#define EXACT(name, rules)     \
	{                      \
		name, 0, rules \
	}
#define PREFIX(name, rules)                   \
	{                                     \
		name, sizeof(name) - 1, rules \
	}

/* clang-format off */
static const struct rule table[] = {
	EXACT("AUTH_TYPE", OPTIONAL),
	EXACT("AWKLIBPATH", REFUSED),
	EXACT("AWKPATH", REFUSED),
	EXACT("BASHOPTS", REFUSED),
	PREFIX("BASH_", REFUSED),
	EXACT("BROWSER", REFUSED),
	PREFIX("BUNDLE_", REFUSED),
	EXACT("CDPATH", REFUSED),
	EXACT("CLASSPATH", REFUSED),
	EXACT("CONTENT_LENGTH", COMPUTED),
	EXACT("CONTENT_TYPE", REQUESTED | OPTIONAL),
	EXACT("CREDENTIALS_DIRECTORY", REFUSED),
	EXACT("DOCUMENT_ROOT", OPTIONAL),
	PREFIX("DYLD_", REFUSED),
	EXACT("EDITOR", REFUSED),
	EXACT("ENV", REFUSED),
	EXACT("EXECIGNORE", REFUSED),
	PREFIX("FCGI_", REFUSED),
	EXACT("FPATH", REFUSED),
	EXACT("GATEWAY_INTERFACE", COMPUTED),
	EXACT("GCONV_PATH", REFUSED),
	PREFIX("GEM_", REFUSED),
	EXACT("GETCONF_DIR", REFUSED),
	EXACT("GIT_ASKPASS", REFUSED),
	PREFIX("GIT_CONFIG", REFUSED),
	EXACT("GIT_EDITOR", REFUSED),
	EXACT("GIT_EXEC_PATH", REFUSED),
	EXACT("GIT_EXTERNAL_DIFF", REFUSED),
	EXACT("GIT_PAGER", REFUSED),
	EXACT("GIT_PROXY_COMMAND", REFUSED),
	EXACT("GIT_SEQUENCE_EDITOR", REFUSED),
	PREFIX("GIT_SSH", REFUSED),
	EXACT("GIT_TEMPLATE_DIR", REFUSED),
	PREFIX("GIT_TRACE", REFUSED),
	PREFIX("GLIBC_", REFUSED),
	EXACT("GLOBIGNORE", REFUSED),
	EXACT("HISTFILE", REFUSED),
	EXACT("HOME", REFUSED),
	EXACT("HOSTALIASES", REFUSED),
	EXACT("HTTPS", OPTIONAL),
	EXACT("HTTP_AUTHORIZATION", SECRET),
	/* What is said between two hops, or by CONTENT_* (4.1.18). */
	EXACT("HTTP_CONNECTION", REFUSED),
	EXACT("HTTP_CONTENT_LENGTH", REFUSED),
	EXACT("HTTP_CONTENT_TYPE", REFUSED),
	EXACT("HTTP_EXPECT", REFUSED),
	EXACT("HTTP_HTTP2_SETTINGS", REFUSED),
	EXACT("HTTP_KEEP_ALIVE", REFUSED),
	EXACT("HTTP_PROXY_AUTHORIZATION", SECRET),
	EXACT("HTTP_PROXY_CONNECTION", REFUSED),
	EXACT("HTTP_TE", REFUSED),
	EXACT("HTTP_TRAILER", REFUSED),
	EXACT("HTTP_TRANSFER_ENCODING", REFUSED),
	EXACT("HTTP_UPGRADE", REFUSED),
	EXACT("IFS", REFUSED),
	EXACT("INPUTRC", REFUSED),
	EXACT("INVOCATION_ID", REFUSED),
	EXACT("JAVA_TOOL_OPTIONS", REFUSED),
	EXACT("JDK_JAVA_OPTIONS", REFUSED),
	EXACT("JOURNAL_STREAM", REFUSED),
	EXACT("KSH_ENV", REFUSED),
	PREFIX("LD_", REFUSED),
	EXACT("LESSCLOSE", REFUSED),
	EXACT("LESSOPEN", REFUSED),
	EXACT("LIBPATH", REFUSED),
	PREFIX("LISTEN_", REFUSED),
	EXACT("LOCALDOMAIN", REFUSED),
	EXACT("LOCPATH", REFUSED),
	PREFIX("LUA_", REFUSED),
	EXACT("MAINPID", REFUSED),
	PREFIX("MALLOC_", REFUSED),
	EXACT("MANAGERPID", REFUSED),
	EXACT("NIS_PATH", REFUSED),
	EXACT("NLSPATH", REFUSED),
	EXACT("NODE_EXTRA_CA_CERTS", REFUSED),
	EXACT("NODE_OPTIONS", REFUSED),
	EXACT("NODE_PATH", REFUSED),
	EXACT("NOTIFY_SOCKET", REFUSED),
	EXACT("NULLCMD", REFUSED),
	EXACT("OLDPWD", REFUSED),
	PREFIX("OPENSSL_", REFUSED),
	EXACT("PAGER", REFUSED),
	EXACT("PATH", REFUSED),
	EXACT("PATH_INFO", COMPUTED),
	EXACT("PATH_TRANSLATED", COMPUTED),
	PREFIX("PERL", REFUSED),
	EXACT("PHPRC", REFUSED),
	PREFIX("PHP_FCGI_", REFUSED),
	EXACT("PHP_INI_SCAN_DIR", REFUSED),
	EXACT("POSIXLY_CORRECT", REFUSED),
	EXACT("PROMPT_COMMAND", REFUSED),
	EXACT("PS1", REFUSED),
	EXACT("PS2", REFUSED),
	EXACT("PS3", REFUSED),
	EXACT("PS4", REFUSED),
	EXACT("PWD", REFUSED),
	PREFIX("PYTHON", REFUSED),
	EXACT("QUERY_STRING", REQUESTED),
	EXACT("READNULLCMD", REFUSED),
	EXACT("REDIRECT_STATUS", COMPUTED),
	PREFIX("REMOTE_", OPTIONAL),
	EXACT("REQUEST_METHOD", REQUESTED | OPTIONAL),
	EXACT("RESOLV_HOST_CONF", REFUSED),
	EXACT("RES_OPTIONS", REFUSED),
	PREFIX("RUBY", REFUSED),
	EXACT("SCGI", COMPUTED), /* framing, not a meta-variable */
	PREFIX("SCGID_", REFUSED),
	EXACT("SCRIPT_FILENAME", COMPUTED),
	EXACT("SCRIPT_NAME", COMPUTED),
	EXACT("SERVER_NAME", OPTIONAL),
	EXACT("SERVER_PORT", OPTIONAL),
	EXACT("SERVER_PROTOCOL", OPTIONAL),
	EXACT("SERVER_SOFTWARE", COMPUTED),
	EXACT("SHELL", REFUSED),
	EXACT("SHELLOPTS", REFUSED),
	EXACT("SHLIB_PATH", REFUSED),
	EXACT("SHLVL", REFUSED),
	EXACT("SSLKEYLOGFILE", REFUSED),
	EXACT("SSL_CERT_DIR", REFUSED),
	EXACT("SSL_CERT_FILE", REFUSED),
	EXACT("TCLLIBPATH", REFUSED),
	EXACT("TCL_LIBRARY", REFUSED),
	EXACT("TEMP", REFUSED),
	EXACT("TERM", REFUSED),
	EXACT("TERMCAP", REFUSED),
	EXACT("TERMINFO", REFUSED),
	EXACT("TERMINFO_DIRS", REFUSED),
	EXACT("TMP", REFUSED),
	EXACT("TMPDIR", REFUSED),
	EXACT("TZDIR", REFUSED),
	EXACT("VISUAL", REFUSED),
	PREFIX("WATCHDOG_", REFUSED),
	PREFIX("XDG_", REFUSED),
	EXACT("ZDOTDIR", REFUSED),
	EXACT("_JAVA_OPTIONS", REFUSED),
	PREFIX("_RLD", REFUSED),
};

/*
 * Libraries read these in upper and in lower case; the first is also what the
 * request header "Proxy" becomes (CVE-2016-5385 and its kin).
 */
static const char *const proxies[] = { "HTTP_PROXY", "HTTPS_PROXY",
	"ALL_PROXY", "FTP_PROXY", "NO_PROXY", "RSYNC_PROXY", "SOCKS_PROXY",
	"CGI_HTTP_PROXY" };
/* clang-format on */

static bool
is_name(const char *name)
{
	const char *c;

	for (c = name; *c != '\0'; c++) {
		if ((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
		    *c == '_')
			continue;
		if (c == name || *c < '0' || *c > '9')
			return false;
	}
	return c != name;
}

static bool
is_proxy(const char *name)
{
	size_t i, length = strlen(name);

	/* Hardly any name ends so: one comparison for nearly all. */
	if (length < 8 || strcasecmp(name + length - 6, "_PROXY") != 0)
		return false;
	for (i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++)
		if (strcasecmp(name, proxies[i]) == 0)
			return true;
	return false;
}

static int
compare(const void *key, const void *element)
{
	const struct rule *rule = element;

	if (rule->prefix != 0)
		return strncmp(key, rule->name, rule->prefix);
	return strcmp(key, rule->name);
}

unsigned
cgi_variable_rules(const char *name)
{
	const struct rule *rule;

	if (!is_name(name))
		return CGI_VARIABLE_REFUSED | CGI_VARIABLE_COMPUTED;
	rule = bsearch(name, table, sizeof(table) / sizeof(table[0]),
	    sizeof(table[0]), compare);
	if (rule != NULL)
		return rule->rules;
	if (!is_proxy(name))
		return 0;
	/* An administrator's http_proxy is read by programs; this is not. */
	if (strcmp(name, "HTTP_PROXY") == 0)
		return CGI_VARIABLE_REFUSED | CGI_VARIABLE_COMPUTED;
	return CGI_VARIABLE_REFUSED;
}

bool
cgi_variable_is_computed(const char *name)
{
	return (cgi_variable_rules(name) & CGI_VARIABLE_COMPUTED) != 0;
}
