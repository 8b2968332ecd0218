#!/usr/bin/python3
"""app.py as a CGI program, in the way that Python's library has for it."""

import wsgiref.handlers

from app import app

wsgiref.handlers.CGIHandler().run(app)
