#!/bin/sh
#
# The smallest useful CGI program: a header, an empty line, a page.

echo 'Content-Type: text/plain'
echo
# printf, as the echo of some shells would make a line end of the client's "\n".
printf '%s\n' "Hello from $SCRIPT_NAME, run by $(id -un) in $(pwd)."
printf '%s\n' "The query is '$QUERY_STRING', the rest of the path '${PATH_INFO-}'."
