/*
 * support: where the files are that programs are started with: the library of
 * fork servers, the runner scripts, the WSGI module.
 */
#ifndef BASE_SUPPORT_H
#define BASE_SUPPORT_H

/*
 * support_init: call early in main, while /proc is at hand.  A program that
 * was not installed has its files beside it, in "forkserver".
 */
void support_init(void);

/* support_directory: an absolute path, without a slash at its end. */
const char *support_directory(void);

#endif
