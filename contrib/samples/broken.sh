#!/bin/sh
#
# Fails, to show what an error looks like.
#
# The page has a reason and a request id; the log line with the same id has
# what was said on stderr.

echo "broken.sh: cannot open the database: it is only a sample" >&2
exit 3
