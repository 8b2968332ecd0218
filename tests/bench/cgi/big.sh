#!/bin/sh
echo 'Content-Type: application/octet-stream'
echo
exec dd if=/dev/zero bs=128K count=8192 2>/dev/null
