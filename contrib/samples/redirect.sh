#!/bin/sh
#
# Sends the client elsewhere.
#
# An absolute URL becomes "302 Found"; a path alone (Location: /hello.sh) would
# be answered right here, without the client noticing (RFC 3875, 6.2.2).

base=http://${HTTP_HOST:-$SERVER_NAME}${SCRIPT_NAME%/*}
printf 'Location: %s\n\n' "$base/hello.sh?from=redirect"
