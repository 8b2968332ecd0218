/*
 * cgi/reason: the table behind the error page, the failure's log line and the
 * manual.  Its invariant: every enum value has a complete entry; a sentence
 * tells a visitor nothing about the machine.
 */
#include "cgi/reason.h"

#include <stddef.h>

static const struct reason_text texts[REASON_COUNT] = {
    [REASON_NONE] = {"none", 200, "The request was answered.", "nothing to do"},
    [REASON_BAD_REQUEST] = {"bad-request", 400,
	"The request could not be understood.",
	"see detail for the rule that was broken; check that the front end "
	"speaks SCGI to this socket (scgi_pass, not fastcgi_pass or "
	"proxy_pass)"},
    [REASON_REQUEST_HEADER_TOO_LARGE] = {"request-header-too-large", 431,
	"The header of the request is too large.",
	"raise max_header of the pool, or find the client that sends huge "
	"cookies"},
    [REASON_HEADER_TIMEOUT] = {"header-timeout", 408,
	"The request did not arrive in time.",
	"the front end connected and did not send a whole header; look at "
	"its load, or raise header_timeout of the pool"},
    [REASON_BODY_TOO_LARGE] = {"body-too-large", 413,
	"The request's content is larger than this service accepts.",
	"raise max_body of the pool (and the front end's own limit, such "
	"as client_max_body_size)"},
    [REASON_BODY_TIMEOUT] = {"body-timeout", 408,
	"The request's content did not arrive in time.",
	"the front end announced more content than it sent: do not use "
	"scgi_pass_request_body off without CONTENT_LENGTH 0, nor "
	"scgi_request_buffering off; else raise body_timeout"},
    [REASON_CLIENT_ABORTED] = {"client-aborted", 499,
	"The client closed the connection before the answer was complete.",
	"none, unless it is frequent: then the script is slower than its "
	"visitors or the front end's read timeout"},
    [REASON_NO_MAP] = {"no-map", 404, "There is nothing at this address.",
	"no map of the pool covers this path and host; add a section "
	"[POOL /prefix], or check with scgid --explain URL"},
    [REASON_QUEUE_FULL] = {"queue-full", 503,
	"The service is busy. Please try again in a moment.",
	"every worker is taken and the queue is full: make the script "
	"faster, or raise workers or queue of the pool"},
    [REASON_QUEUE_TIMEOUT] = {"queue-timeout", 503,
	"The service is busy. Please try again in a moment.",
	"no worker became free within queue_timeout: look for slow "
	"requests in the access log, or raise workers of the pool"},
    [REASON_SCRIPT_NOT_FOUND] = {"script-not-found", 404,
	"There is no such program.",
	"detail names the missing component; check root of the map and "
	"the spelling, or install the script"},
    [REASON_SCRIPT_NOT_EXECUTABLE] = {"script-not-executable", 403,
	"The program at this address may not be run.",
	"chmod +x the script, or name an interpreter for its extension "
	"with handler.EXT"},
    [REASON_NAME_NOT_ALLOWED] = {"name-not-allowed", 403,
	"The file at this address may not be run.",
	"the name matches no pattern of allow_names; add one, such as "
	"*.cgi, or rename the script"},
    [REASON_PERMISSION_DENIED] = {"permission-denied", 403,
	"Access to this address is denied.",
	"detail names the component and the user: chmod o+x the directory, "
	"chmod +rx the script, or add the user to its group"},
    [REASON_OUTSIDE_ROOT] = {"outside-root", 403,
	"Access to this address is denied.",
	"a symbolic link or the path leads out of the map's root; move "
	"the target below it, or set symlinks = owner or any"},
    [REASON_UNSAFE_PERMISSIONS] = {"unsafe-permissions", 403,
	"The program at this address may not be run.",
	"anyone can write to the script, or to a directory between the "
	"root and it: chmod o-w what detail names"},
    [REASON_NOT_A_FILE] = {"not-a-file", 403,
	"The address does not name a program.",
	"it is a directory without an index, or a device, pipe or socket; "
	"set index of the map, or point the URL at a script"},
    [REASON_INTERPRETER_NOT_FOUND] = {"interpreter-not-found", 500,
	"The program could not be started.",
	"correct the first line of the script (\"#!/usr/bin/perl\") or "
	"install the interpreter that detail names"},
    [REASON_CRLF_SHEBANG] = {"crlf-shebang", 500,
	"The program could not be started.",
	"the script has Windows line ends: sed -i 's/\\r$//' SCRIPT"},
    [REASON_BAD_EXECUTABLE] = {"bad-executable", 500,
	"The program could not be started.",
	"the file is neither a binary for this machine nor a script: "
	"begin it with a line such as #!/bin/sh, or compile it for this "
	"machine"},
    [REASON_NOEXEC_MOUNT] = {"noexec-mount", 500,
	"The program could not be started.",
	"the file system is mounted noexec: mount -o remount,exec it, or "
	"move the script"},
    [REASON_SCRIPT_BUSY] = {"script-busy", 503,
	"The program is being updated. Please try again in a moment.",
	"the file was open for writing; deploy by writing a new file and "
	"renaming it over the old one"},
    [REASON_ENVIRONMENT_TOO_LARGE] = {"environment-too-large", 431,
	"The header of the request is too large.",
	"the kernel refused the environment (E2BIG): lower max_header of "
	"the pool, or find the client that sends huge headers"},
    [REASON_NO_HEADER] = {"no-header", 502,
	"The program gave an answer that could not be understood.",
	"the script must first print \"Content-Type: text/html\" and an "
	"empty line; detail shows what it printed"},
    [REASON_BAD_HEADER] = {"bad-header", 502,
	"The program gave an answer that could not be understood.",
	"correct the header line that detail quotes: \"Name: value\", no "
	"space before the colon, no control characters"},
    [REASON_HEADER_TOO_LARGE] = {"header-too-large", 502,
	"The program gave an answer that could not be understood.",
	"the script printed no empty line within max_response_header "
	"bytes; print one after the header, or raise the limit"},
    [REASON_EMPTY_OUTPUT] = {"empty-output", 502, "The program gave no answer.",
	"the script ended without printing anything; run it by hand as "
	"the pool's user and read its error output"},
    [REASON_TRUNCATED_BODY] = {"truncated-body", 502,
	"The program's answer was incomplete.",
	"the script announced a Content-Length and printed fewer bytes; "
	"count bytes, not characters, or do not send the field"},
    [REASON_EXIT_STATUS] = {"exit-status", 502, "The program failed.",
	"the script exited with an error before its header was complete; "
	"see stderr in the same log line"},
    [REASON_KILLED_BY_SIGNAL] = {"killed-by-signal", 502, "The program failed.",
	"the script crashed or was killed; detail names the signal (11: a "
	"crash, 24: a CPU limit, 25: a file size limit)"},
    [REASON_OUT_OF_MEMORY] = {"out-of-memory", 502, "The program failed.",
	"the kernel killed the worker for want of memory (see its log), or "
	"scgid itself got none; lower workers, or give the machine or the "
	"service (MemoryMax) more"},
    [REASON_FIRST_BYTE_TIMEOUT] = {"first-byte-timeout", 504,
	"The program did not answer in time.",
	"the script printed nothing within idle_timeout; make it faster "
	"or raise the limit (and the front end's read timeout)"},
    [REASON_IDLE_TIMEOUT] = {"idle-timeout", 504,
	"The program did not answer in time.",
	"the script stopped printing for idle_timeout; make it faster or "
	"raise the limit (and the front end's read timeout)"},
    [REASON_SCRIPT_TIMEOUT] = {"script-timeout", 504,
	"The program did not answer in time.",
	"the script ran longer than script_timeout; look for an endless "
	"loop, or raise the limit"},
    [REASON_REDIRECT_LOOP] = {"redirect-loop", 502,
	"The program redirects in a circle.",
	"scripts answered \"Location: /path\" for each other more than 5 "
	"times; send an absolute URL, or a Status, to redirect the client"},
    [REASON_FORK_FAILED] = {"fork-failed", 503,
	"The service is busy. Please try again in a moment.",
	"the system refused a new process; raise the pool user's process "
	"limit (TasksMax, ulimit -u) or lower workers"},
    [REASON_NO_DESCRIPTORS] = {"no-descriptors", 503,
	"The service is busy. Please try again in a moment.",
	"raise the descriptor limit (LimitNOFILE, ulimit -n, or the "
	"system's fs.file-max), or lower workers and queue"},
    [REASON_SPOOL_FAILED] = {"spool-failed", 503,
	"The service could not take the request. Please try again later.",
	"the request's content could not be stored: make space in, or "
	"make writable, spool_dir of the pool"},
    [REASON_LAUNCHER_LOST] = {"launcher-lost", 503,
	"The service was interrupted. Please try again in a moment.",
	"the pool's launcher died and was restarted; the log says why; "
	"a script of the pool may have killed it"},
    [REASON_SHUTDOWN] = {"shutdown", 503,
	"The service is restarting. Please try again in a moment.",
	"none: scgid was told to stop while the request was open"},
};

const struct reason_text *
reason_text(enum reason reason)
{
	if ((int)reason < 0 || reason >= REASON_COUNT)
		return &texts[REASON_NONE];
	return &texts[reason];
}
