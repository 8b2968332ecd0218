/*
 * supervisor/service: the conventions of service managers: what we tell them,
 * the sockets that they pass.  Without one, or built without libsystemd,
 * nothing is told and nothing was passed.
 */
#ifndef SUPERVISOR_SERVICE_H
#define SUPERVISOR_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/listener.h"

/*
 * service_begin: take what was passed, once, before this process forks or
 * opens anything.  service_end: close it.
 */
void service_begin(void);
void service_end(void);

/* service_watchdog: as microseconds; 0: there is none. */
int64_t service_watchdog(void);

/* service_listens: whether anybody would hear service_notify. */
bool service_listens(void);

/* service_notify: "READY=1", "STATUS=..." and so on; sd_notify(3). */
void
service_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* service_reloading: a reload begins; "READY=1" says that it is over. */
void service_reloading(void);

/*
 * service_check: whether every `listen = systemd` of `config` has its sockets,
 * and that they are fit to listen on; sockets that nobody asks for are warned
 * about.  0, or -1, logged.
 */
int service_check(const struct config *config);

/* service_socket_count: how many sockets were passed. */
size_t service_socket_count(void);

/*
 * service_open: fill `listening`, which has room for service_socket_count,
 * with the sockets that `listener` stands for, as descriptors of its own: it
 * can be closed and opened again, as in a reload.  Returns how many, or -1,
 * logged, with none open.
 */
int service_open(const struct config *config,
    const struct config_listener *listener, struct listening *listening);

#endif
