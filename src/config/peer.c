/*
 * peer: the words of "allow": users, addresses and networks.
 */
#include "config/options.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

/* A host part that is not zero is a mistake: which network was meant? */
static bool
has_host_part(const struct config_peer *peer, unsigned all)
{
	for (unsigned bit = peer->bits; bit < all; bit++)
		if ((peer->address[bit / 8] & (0x80u >> (bit % 8))) != 0)
			return true;
	return false;
}

/* "ADDRESS" or "ADDRESS/BITS", of which `length` bytes are the address. */
static int
parse_network(
    struct config_peer *peer, const char *text, size_t length, char *why)
{
	char address[INET6_ADDRSTRLEN];
	const char *bits = text + length;
	unsigned all;

	if (length >= sizeof(address))
		return option_fail(why, "'%s' is not an address", text);
	memcpy(address, text, length);
	address[length] = '\0';
	peer->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(peer->family, address, peer->address) != 1)
		return option_fail(why, "'%s' is not an address", text);
	all = peer->family == AF_INET ? 32 : 128;
	peer->bits = all;
	if (*bits == '\0')
		return 0;
	if (bits[1] == '\0' || bits[strspn(bits + 1, "0123456789") + 1] != '\0')
		return option_fail(why, "'%s' is not a network", text);
	peer->bits =
	    strlen(bits) > 4 ? all + 1 : (unsigned)strtoul(bits + 1, NULL, 10);
	if (peer->bits > all)
		return option_fail(
		    why, "'%s': a prefix has at most %u bits", text, all);
	if (has_host_part(peer, all))
		return option_fail(why,
		    "'%s' has bits of its address set after the first %u", text,
		    peer->bits);
	return 0;
}

int
peer_parse(
    struct config_peer *peer, const char *text, char why[OPTION_WHY_SIZE])
{
	struct config_user user = {0};
	size_t length = strcspn(text, "/");

	memset(peer, 0, sizeof(*peer));
	if (text[length] == '/' || strchr(text, ':') != NULL ||
	    text[strspn(text, "0123456789.")] == '\0') {
		if (parse_network(peer, text, length, why) == -1)
			return -1;
	} else {
		if (account_find_user(&user, text, why) == -1)
			return -1;
		free(user.name);
		peer->family = AF_UNIX;
		peer->uid = user.uid;
	}
	if ((peer->text = strdup(text)) == NULL)
		return option_fail(why, "out of memory");
	return 0;
}
