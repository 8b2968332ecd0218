#!/bin/sh
# The request's body is the whole output, header block and all.
exec cat
