/*
 * sandbox: what a process that reads strangers' bytes gives up.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

/* What is in force, as bits of what sandbox_gateway returns. */
enum sandbox_part {
	SANDBOX_NO_NEW_PRIVILEGES = 1,
	SANDBOX_FILES = 2, /* Landlock */
	SANDBOX_CALLS = 4  /* seccomp */
};

/*
 * sandbox_gateway: from here on this process can open nothing, but make
 * temporary files in `spool_dir`; start no program and no process; make no
 * socket (but for a syslog it logs to); signal and look into nobody else;
 * change no user, mount or limit.  What is forbidden fails with EPERM or
 * EACCES.  What is open stays open, and descriptors may still be received.
 *
 * On Linux, as far as the kernel can; elsewhere it does nothing.  Under a
 * sanitizer, which reads files and starts a process to find leaks, those two
 * stay possible.  Returns the sandbox_parts in force.
 */
int sandbox_gateway(const char *spool_dir);

#endif
