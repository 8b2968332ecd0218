#!/bin/sh
#
# The whole environment of a CGI program: what it knows of the request.

echo 'Content-Type: text/plain'
echo
env | sort
