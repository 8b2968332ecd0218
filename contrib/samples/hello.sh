#!/bin/sh
#
# The smallest useful CGI program: a header, an empty line, a page.

echo 'Content-Type: text/plain'
echo
echo "Hello from $SCRIPT_NAME, run by $(id -un) in $(pwd)."
echo "The query is '$QUERY_STRING', the rest of the path '${PATH_INFO-}'."
