/*
 * filter.c: a seccomp filter, written by hand.
 *
 * It is a list of what is forbidden, and forbidden calls fail: a C library
 * that does something new meets an error it can handle and report, not a
 * signal.
 */
#include "base/filter.h"

#include "base/system.h"

#if defined(HAVE_SECCOMP)
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#endif
#endif

#ifdef ARCHITECTURE

/* The calls of x32 on x86-64, another set with other arguments. */
#define X32_CALLS 0x40000000

/* Each failing with EPERM, whatever the arguments. */
static const int forbidden[] = {
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_bind,
    SYS_listen,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_capset,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_quotactl,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    SYS_setpriority,
    SYS_ioprio_set,
    SYS_sched_setscheduler,
    SYS_sched_setparam,
    SYS_sched_setattr,
    SYS_sched_setaffinity,
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_personality,
    SYS_linkat,
    SYS_symlinkat,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_fchown,
    SYS_truncate,
    SYS_chdir,
    SYS_fchdir,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_inotify_init1,
    SYS_syslog,
    SYS_acct,
    SYS_vhangup,
    SYS_mq_open,
    SYS_shmget,
    SYS_semget,
    SYS_msgget,
    SYS_setsid,
    SYS_setpgid,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_renameat2
    SYS_renameat2,
#endif
#ifdef SYS_userfaultfd
    SYS_userfaultfd,
#endif
#ifdef SYS_pidfd_open
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
#endif
#ifdef SYS_pidfd_getfd
    SYS_pidfd_getfd,
#endif
#ifdef SYS_openat2
    SYS_openat2,
#endif
#ifdef SYS_process_madvise
    SYS_process_madvise,
#endif
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
#ifdef SYS_fork /* the calls that newer machines are without */
    SYS_fork,
    SYS_vfork,
    SYS_creat,
    SYS_link,
    SYS_symlink,
    SYS_mkdir,
    SYS_rmdir,
    SYS_mknod,
    SYS_rename,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_uselib,
    SYS_inotify_init,
#endif
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};

#define FORBIDDEN (sizeof(forbidden) / sizeof(forbidden[0]))

struct program {
	struct sock_filter code[2 * FORBIDDEN + 120];
	unsigned short length;
	unsigned short block; /* where the jump over this block is */
};

#define FAIL(error) (SECCOMP_RET_ERRNO | (error))
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (size_t)(n))

static void
emit(struct program *p, int code, unsigned k, int if_true, int if_false)
{
	p->code[p->length++] = (struct sock_filter){
	    (uint16_t)code, (uint8_t)if_true, (uint8_t)if_false, k};
}

static void
emit_load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

static void
emit_return(struct program *p, unsigned what)
{
	emit(p, BPF_RET | BPF_K, what, 0, 0);
}

/* If what is loaded is, or is not, `value`: end with `what`. */
static void
emit_if(struct program *p, unsigned value, unsigned what)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	emit_return(p, what);
}

static void
emit_unless(struct program *p, unsigned value, unsigned what)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
	emit_return(p, what);
}

/* If any of `bits` is set in what is loaded: end with `what`. */
static void
emit_if_any(struct program *p, unsigned bits, unsigned what)
{
	emit(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	emit_return(p, what);
}

/* A block is for one call, and ends with what becomes of it. */
static void
block_begin(struct program *p, int call)
{
	p->block = p->length;
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 0);
}

static void
block_end(struct program *p, unsigned what)
{
	emit_return(p, what);
	p->code[p->block].jf = (uint8_t)(p->length - p->block - 1);
}

/* Whom: nobody but ourselves. */
static void
rule_own_pid(struct program *p, int call)
{
	block_begin(p, call);
	emit_load(p, ARGUMENT(0));
	emit_unless(p, (unsigned)getpid(), FAIL(EPERM));
	block_end(p, SECCOMP_RET_ALLOW);
}

static void
rule_signals(struct program *p)
{
	rule_own_pid(p, SYS_kill);
	rule_own_pid(p, SYS_tgkill);
	rule_own_pid(p, SYS_tkill);
	block_begin(p, SYS_prlimit64);
	emit_load(p, ARGUMENT(0));
	emit_if(p, 0, SECCOMP_RET_ALLOW);
	emit_unless(p, (unsigned)getpid(), FAIL(EPERM));
	block_end(p, SECCOMP_RET_ALLOW);
}

/* syslog(3) connects again when the other end was restarted. */
static void
rule_sockets(struct program *p, bool to_syslog)
{
	block_begin(p, SYS_connect);
	block_end(p, to_syslog ? SECCOMP_RET_ALLOW : FAIL(EPERM));
	block_begin(p, SYS_socket);
	emit_load(p, ARGUMENT(0));
	emit_unless(p, AF_UNIX, FAIL(EPERM));
	emit_load(p, ARGUMENT(1));
	emit(p, BPF_ALU | BPF_AND | BPF_K, 15, 0, 0);
	emit_unless(p, SOCK_DGRAM, FAIL(EPERM));
	block_end(p, to_syslog ? SECCOMP_RET_ALLOW : FAIL(EPERM));
}

#ifdef SCGID_SANITIZED

static void
rule_files_and_processes(struct program *p)
{
	(void)p;
}

#else

/* New files only; and see sandbox.c. */
static void
rule_open(struct program *p, int call, int flags)
{
	block_begin(p, call);
	for (int i = 0; i < 2; i++) {
		unsigned bits = i == 0 ? O_TMPFILE : O_CREAT | O_EXCL;

		emit_load(p, ARGUMENT(flags));
		emit(p, BPF_ALU | BPF_AND | BPF_K, bits, 0, 0);
		emit_if(p, bits, SECCOMP_RET_ALLOW);
	}
	block_end(p, FAIL(EPERM));
}

static void
rule_no_new_code(struct program *p, int call)
{
	block_begin(p, call);
	emit_load(p, ARGUMENT(2));
	emit_if_any(p, PROT_EXEC, FAIL(EPERM));
	block_end(p, SECCOMP_RET_ALLOW);
}

static void
rule_files_and_processes(struct program *p)
{
	rule_open(p, SYS_openat, 2);
#ifdef SYS_open
	rule_open(p, SYS_open, 1);
#endif
	rule_no_new_code(p, SYS_mmap);
	rule_no_new_code(p, SYS_mprotect);
	block_begin(p, SYS_clone);
	emit_load(p, ARGUMENT(0));
	emit_if_any(p, CLONE_THREAD, SECCOMP_RET_ALLOW);
	block_end(p, FAIL(EPERM));
#ifdef SYS_clone3
	/* Its arguments cannot be seen: the C library then takes clone. */
	block_begin(p, SYS_clone3);
	block_end(p, FAIL(ENOSYS));
#endif
	block_begin(p, SYS_prctl);
	emit_load(p, ARGUMENT(0));
	emit_if(p, PR_SET_DUMPABLE, FAIL(EPERM));
	block_end(p, SECCOMP_RET_ALLOW);
}

#endif

static bool
is_needed_by_sanitizer(int call)
{
#ifdef SCGID_SANITIZED
	return call == SYS_ptrace || call == SYS_personality;
#else
	(void)call;
	return false;
#endif
}

bool
filter_calls(bool to_syslog)
{
	struct program p = {.length = 0};
	struct sock_fprog filter = {.filter = p.code};
	long n;

	emit_load(&p, offsetof(struct seccomp_data, arch));
	emit_unless(&p, ARCHITECTURE, FAIL(EPERM));
	emit_load(&p, offsetof(struct seccomp_data, nr));
	emit_if_any(&p, X32_CALLS, FAIL(EPERM));
	rule_signals(&p);
	rule_sockets(&p, to_syslog);
	rule_files_and_processes(&p);
	for (size_t i = 0; i < FORBIDDEN; i++)
		if (!is_needed_by_sanitizer(forbidden[i]))
			emit_if(&p, (unsigned)forbidden[i], FAIL(EPERM));
	emit_return(&p, SECCOMP_RET_ALLOW);
	filter.len = p.length;
	/* There are no secrets of others here that could be guessed. */
	n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter);
	if (n == -1 && errno == EINVAL)
		n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
	return n == 0;
}

#else

bool
filter_calls(bool to_syslog)
{
	(void)to_syslog;
	return false;
}

#endif
