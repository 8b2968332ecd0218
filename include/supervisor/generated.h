/*
 * supervisor/generated: configurations for the modes that read no file.
 */
#ifndef SUPERVISOR_GENERATED_H
#define SUPERVISOR_GENERATED_H

#include "base/buffer.h"

/*
 * generated_inetd: append the configuration for one connection on standard
 * input: a pool with one map at "/", to the directory or the script `target`
 * (with `args`, NULL-terminated).  `log` is "stderr" or "syslog"; `user` may
 * be NULL.  0, or -1 with errno if `target` cannot be used.
 */
int generated_inetd(struct buffer *text, const char *target, char **args,
    const char *user, const char *log);

/*
 * generated_serve: append the configuration for trying the scripts of
 * `directory`, listening on the Unix socket `socket_path`.  Started as root
 * its user is `user`, or the owner of the directory, or nobody if that is
 * root.  0, or -1 with errno.
 */
int generated_serve(struct buffer *text, const char *directory,
    const char *socket_path, const char *user);

#endif
