/*
 * forkserver/call: system calls without the C library, as each page of it that
 * a new process touches costs that a fault.
 */
#ifndef FORKSERVER_CALL_H
#define FORKSERVER_CALL_H

#include <sys/syscall.h>

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

/* call: as syscall(2), but an error is the result, negated; errno stays. */
static inline long __attribute__((always_inline))
call(long number, long a, long b, long c, long d, long e)
{
	long result;

#if defined(__x86_64__) && defined(__LP64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;

	__asm__ volatile(
	    "syscall"
	    : "=a"(result)
	    : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
	    : "rcx", "r11", "memory");
#else
	int saved = errno;

	result = syscall(number, a, b, c, d, e);
	if (result == -1)
		result = -errno;
	errno = saved;
#endif
	return result;
}

/* POINTER: an argument of call. */
#define POINTER(p) ((long)(uintptr_t)(p))

#endif
