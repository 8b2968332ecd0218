/*
 * listener: addresses to listen on.  They are numbers, never names: a
 * configuration must not change with what a name server says.
 */
#include "config/options.h"

#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>

static int
parse_unix(struct config_listener *l, const char *path, char *why)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)&l->address;
	size_t length = strlen(path);

	if (length >= sizeof(sun->sun_path))
		return option_fail(why,
		    "the path '%s' is %zu bytes long, a Unix socket's has at "
		    "most %zu",
		    path, length, sizeof(sun->sun_path) - 1);
	if (path[length - 1] == '/')
		return option_fail(why, "'%s' names a directory", path);
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, length + 1);
	l->address_length = (socklen_t)sizeof(*sun);
	return 0;
}

/* parse_port: 1-65535 in digits, or 0. */
static in_port_t
parse_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	long port;

	if (digits == 0 || digits > 5 || text[digits] != '\0')
		return 0;
	port = strtol(text, NULL, 10);
	return port <= 65535 ? (in_port_t)port : 0;
}

bool
listener_is_local(const struct config_listener *listener)
{
	const struct sockaddr_in *sin = (const void *)&listener->address;
	const struct sockaddr_in6 *sin6 = (const void *)&listener->address;

	if (listener->address.ss_family == AF_INET)
		return ntohl(sin->sin_addr.s_addr) >> 24 == 127;
	if (listener->address.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
	return listener->address.ss_family == AF_UNIX;
}

/* set_address: fill in `host` and `port`; -1 if `host` is no number. */
static int
set_address(struct config_listener *l, const char *host, in_port_t port)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&l->address;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&l->address;
	size_t length = strlen(host);
	char number[INET6_ADDRSTRLEN];

	if (inet_pton(AF_INET, host, &sin->sin_addr) == 1) {
		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		l->address_length = (socklen_t)sizeof(*sin);
		return 0;
	}
	if (length < 4 || length - 2 >= sizeof(number) || host[0] != '[' ||
	    host[length - 1] != ']')
		return -1;
	memcpy(number, host + 1, length - 2);
	number[length - 2] = '\0';
	if (inet_pton(AF_INET6, number, &sin6->sin6_addr) != 1)
		return -1;
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(port);
	l->address_length = (socklen_t)sizeof(*sin6);
	return 0;
}

static int
parse_address(struct config_listener *l, const char *text, char *why)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t length = colon != NULL ? (size_t)(colon - text) : 0;
	in_port_t port;

	if (colon == NULL || length >= sizeof(host))
		return option_fail(why,
		    "'%s' is no address: write /path, 127.0.0.1:PORT or "
		    "[::1]:PORT",
		    text);
	if ((port = parse_port(colon + 1)) == 0)
		return option_fail(
		    why, "'%s' is not a port, 1-65535", colon + 1);
	memcpy(host, text, length);
	host[length] = '\0';
	if (set_address(l, host, port) == -1)
		return option_fail(why,
		    "'%s' is not a numeric address: write 127.0.0.1:%u or "
		    "[::1]:%u",
		    host, (unsigned)port, (unsigned)port);
	return 0;
}

/* The rule for names is that of systemd's FileDescriptorName. */
static int
check_name(const char *name, char *why)
{
	size_t length = strlen(name);

	if (length == 0 || length > 255)
		return option_fail(why,
		    "write systemd, or systemd:NAME with the "
		    "FileDescriptorName "
		    "of a socket unit");
	for (; *name != '\0'; name++)
		if (*name <= 0x20 || *name >= 0x7f || *name == ':')
			return option_fail(
			    why, "a socket's name has no blanks and no ':'");
	return 0;
}

int
listener_parse(struct config_listener *listener, const char *text,
    char why[OPTION_WHY_SIZE])
{
	int result;

	memset(listener, 0, sizeof(*listener));
	if (text[0] == '/')
		result = parse_unix(listener, text, why);
	else if (strncmp(text, "unix:/", 6) == 0)
		result = parse_unix(listener, text + 5, why);
	else if (strncmp(text, "unix:", 5) == 0)
		result =
		    option_fail(why, "'%s' is not an absolute path", text + 5);
	else if (strcmp(text, "systemd") == 0)
		result = 0;
	else if (strncmp(text, "systemd:", 8) == 0)
		result = check_name(text + 8, why);
	else
		result = parse_address(listener, text, why);
	if (result == -1)
		return -1;
	if ((listener->text = strdup(text)) == NULL)
		return option_fail(why, "out of memory");
	if (strncmp(text, "systemd", 7) == 0)
		listener->passed = listener->text + (text[7] == ':' ? 8 : 7);
	return 0;
}
