#!/bin/sh
#
# Shows progress while it happens: a line a second.

echo 'Content-Type: text/plain'
echo
for step in 1 2 3; do
	echo "step $step of 3"
	sleep 1
done
echo 'done'
