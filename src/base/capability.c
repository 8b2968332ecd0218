/*
 * capability.c: Linux divides root's power in capabilities, which may be had
 * without being root; here they are given up.
 */
#include "base/process.h"

#if defined(__linux__)

#include <sys/prctl.h>
#include <sys/syscall.h>

#include <linux/capability.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

void
process_drop_bounding(void)
{
	for (unsigned long c = 0; c < 64; c++)
		if (prctl(PR_CAPBSET_READ, c, 0UL, 0UL, 0UL) == 1)
			prctl(PR_CAPBSET_DROP, c, 0UL, 0UL, 0UL);
}

int
process_drop_capabilities(void)
{
	struct __user_cap_header_struct header = {
	    _LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

#if defined(PR_CAP_AMBIENT)
	prctl(PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL,
	    0UL);
#endif
	memset(data, 0, sizeof(data));
	/* A sandbox may refuse the call to those who have none anyway. */
	syscall(SYS_capset, &header, data);
	if (syscall(SYS_capget, &header, data) == -1)
		return -1;
	for (int i = 0; i < 2; i++) {
		if ((data[i].effective | data[i].permitted |
			data[i].inheritable) != 0) {
			errno = EPERM;
			return -1;
		}
	}
	return 0;
}

#else

void
process_drop_bounding(void)
{
}

int
process_drop_capabilities(void)
{
	return 0;
}

#endif
