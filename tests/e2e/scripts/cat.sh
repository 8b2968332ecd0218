#!/bin/sh
# The request's body, back again.
printf 'Content-Type: application/octet-stream\n\n'
exec cat
