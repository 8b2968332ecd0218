#!/usr/bin/python3
import datetime
import email.message
import html
import json
import urllib.parse

print("Content-Type: text/plain\n\nhello")
