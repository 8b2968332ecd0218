#!/usr/bin/env perl
#
# A cookie that counts your visits.

use strict;
use warnings;

my ($count) = ($ENV{HTTP_COOKIE} // '') =~ /\bvisits=([0-9]{1,9})\b/;
$count = ($count // 0) + 1;

print "Set-Cookie: visits=$count; Path=/; HttpOnly; SameSite=Lax\n";
print "Content-Type: text/plain\n\n";
print $count == 1 ? "Your first visit.\n" : "Visit number $count.\n";
