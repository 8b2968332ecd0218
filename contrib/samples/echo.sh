#!/bin/sh
#
# Sends the body back as it came, of any size and any bytes.
#
#     curl --data-binary @file http://127.0.0.1:8080/echo.sh

printf 'Content-Type: %s\n' "${CONTENT_TYPE:-application/octet-stream}"
[ -z "${CONTENT_LENGTH-}" ] || echo "Content-Length: $CONTENT_LENGTH"
echo
exec cat
