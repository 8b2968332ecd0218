#!/bin/sh
#
# Lists the programs of this directory, with the comment at their head.

echo 'Content-Type: text/html; charset=utf-8'
echo
echo '<!DOCTYPE html><title>scgid samples</title><h1>Samples</h1><dl>'
for program in *.*; do
	[ -x "$program" ] || continue
	about=$(sed -n '2,6{/^#$/d;s/^# //p;s/^"""\(.*\)"""$/\1/p;}' "$program" |
		sed -n 1p | sed 's/&/\&amp;/g; s/</\&lt;/g')
	echo "<dt><a href=\"$program\">$program</a><dd>$about"
done
echo '</dl>'
