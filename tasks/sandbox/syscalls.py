"""Numbers of the system calls that the filter names, per processor.

Source: the kernel's ``arch/x86/entry/syscalls/syscall_64.tbl`` and
``include/uapi/asm-generic/unistd.h`` (used by 64-bit ARM). Numbers never change once released.
"""

from typing import NamedTuple


class Machine(NamedTuple):
    """One processor family: its audit number (``linux/audit.h``) and its call numbers."""

    audit: int
    newest: int  # highest number the tables know; anything above is ENOSYS
    calls: dict[str, int]


# fmt: off
_X86_64 = {
    "access": 21, "alarm": 37, "arch_prctl": 158, "brk": 12, "capget": 125, "capset": 126,
    "chdir": 80, "clock_getres": 229, "clock_gettime": 228, "clock_nanosleep": 230, "clone": 56,
    "clone3": 435, "close": 3, "close_range": 436, "copy_file_range": 326, "creat": 85, "dup":
    32, "dup2": 33, "dup3": 292, "epoll_create": 213, "epoll_create1": 291, "epoll_ctl": 233,
    "epoll_pwait": 281, "epoll_pwait2": 441, "epoll_wait": 232, "eventfd": 284, "eventfd2": 290,
    "exit": 60, "exit_group": 231, "faccessat": 269, "faccessat2": 439, "fadvise64": 221,
    "fallocate": 285, "fchdir": 81, "fcntl": 72, "fdatasync": 75, "flock": 73, "fstat": 5,
    "fstatfs": 138, "fsync": 74, "ftruncate": 77, "futex": 202, "futex_waitv": 449,
    "get_mempolicy": 239, "get_robust_list": 274, "getcpu": 309, "getcwd": 79, "getdents": 78,
    "getdents64": 217, "getegid": 108, "geteuid": 107, "getgid": 104, "getgroups": 115,
    "getitimer": 36, "getpgid": 121, "getpgrp": 111, "getpid": 39, "getppid": 110,
    "getpriority": 140, "getrandom": 318, "getresgid": 120, "getresuid": 118, "getrlimit": 97,
    "getrusage": 98, "getsid": 124, "gettid": 186, "gettimeofday": 96, "getuid": 102, "ioctl":
    16, "kill": 62, "landlock_add_rule": 445, "landlock_create_ruleset": 444,
    "landlock_restrict_self": 446, "link": 86, "linkat": 265, "lseek": 8, "lstat": 6, "madvise":
    28, "membarrier": 324, "mincore": 27, "mkdir": 83, "mkdirat": 258, "mlock": 149, "mmap": 9,
    "mprotect": 10, "mremap": 25, "msync": 26, "munlock": 150, "munmap": 11, "nanosleep": 35,
    "newfstatat": 262, "open": 2, "openat": 257, "openat2": 437, "pause": 34, "pipe": 22,
    "pipe2": 293, "poll": 7, "ppoll": 271, "prctl": 157, "pread64": 17, "preadv": 295,
    "preadv2": 327, "prlimit64": 302, "process_vm_readv": 310, "pselect6": 270, "ptrace": 101,
    "pwrite64": 18, "pwritev": 296, "pwritev2": 328, "read": 0, "readlink": 89, "readlinkat":
    267, "readv": 19, "rename": 82, "renameat": 264, "renameat2": 316, "restart_syscall": 219,
    "rmdir": 84, "rseq": 334, "rt_sigaction": 13, "rt_sigpending": 127, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "rt_sigsuspend": 130, "rt_sigtimedwait": 128, "sched_get_priority_max":
    146, "sched_get_priority_min": 147, "sched_getaffinity": 204, "sched_getparam": 143,
    "sched_getscheduler": 145, "sched_rr_get_interval": 148, "sched_setaffinity": 203,
    "sched_yield": 24, "seccomp": 317, "select": 23, "sendfile": 40, "set_robust_list": 273,
    "set_tid_address": 218, "setitimer": 38, "sigaltstack": 131, "splice": 275, "stat": 4,
    "statfs": 137, "statx": 332, "symlink": 88, "symlinkat": 266, "sync_file_range": 277,
    "sysinfo": 99, "tee": 276, "tgkill": 234, "time": 201, "timer_create": 222, "timer_delete":
    226, "timer_getoverrun": 225, "timer_gettime": 224, "timer_settime": 223, "timerfd_create":
    283, "timerfd_gettime": 287, "timerfd_settime": 286, "times": 100, "umask": 95, "uname": 63,
    "unlink": 87, "unlinkat": 263, "unshare": 272, "wait4": 61, "waitid": 247, "write": 1,
    "writev": 20,
}
_AARCH64 = {
    "brk": 214, "capget": 90, "capset": 91, "chdir": 49, "clock_getres": 114, "clock_gettime":
    113, "clock_nanosleep": 115, "clone": 220, "clone3": 435, "close": 57, "close_range": 436,
    "copy_file_range": 285, "dup": 23, "dup3": 24, "epoll_create1": 20, "epoll_ctl": 21,
    "epoll_pwait": 22, "epoll_pwait2": 441, "eventfd2": 19, "exit": 93, "exit_group": 94,
    "faccessat": 48, "faccessat2": 439, "fadvise64": 223, "fallocate": 47, "fchdir": 50,
    "fcntl": 25, "fdatasync": 83, "flock": 32, "fstat": 80, "fstatfs": 44, "fsync": 82,
    "ftruncate": 46, "futex": 98, "futex_waitv": 449, "get_mempolicy": 236, "get_robust_list":
    100, "getcpu": 168, "getcwd": 17, "getdents64": 61, "getegid": 177, "geteuid": 175,
    "getgid": 176, "getgroups": 158, "getitimer": 102, "getpgid": 155, "getpid": 172, "getppid":
    173, "getpriority": 141, "getrandom": 278, "getresgid": 150, "getresuid": 148, "getrlimit":
    163, "getrusage": 165, "getsid": 156, "gettid": 178, "gettimeofday": 169, "getuid": 174,
    "ioctl": 29, "kill": 129, "landlock_add_rule": 445, "landlock_create_ruleset": 444,
    "landlock_restrict_self": 446, "linkat": 37, "lseek": 62, "madvise": 233, "membarrier": 283,
    "mincore": 232, "mkdirat": 34, "mlock": 228, "mmap": 222, "mprotect": 226, "mremap": 216,
    "msync": 227, "munlock": 229, "munmap": 215, "nanosleep": 101, "openat": 56, "openat2": 437,
    "pipe2": 59, "ppoll": 73, "prctl": 167, "pread64": 67, "preadv": 69, "preadv2": 286,
    "prlimit64": 261, "process_vm_readv": 270, "pselect6": 72, "ptrace": 117, "pwrite64": 68,
    "pwritev": 70, "pwritev2": 287, "read": 63, "readlinkat": 78, "readv": 65, "renameat": 38,
    "renameat2": 276, "restart_syscall": 128, "rseq": 293, "rt_sigaction": 134, "rt_sigpending":
    136, "rt_sigprocmask": 135, "rt_sigreturn": 139, "rt_sigsuspend": 133, "rt_sigtimedwait":
    137, "sched_get_priority_max": 125, "sched_get_priority_min": 126, "sched_getaffinity": 123,
    "sched_getparam": 121, "sched_getscheduler": 120, "sched_rr_get_interval": 127,
    "sched_setaffinity": 122, "sched_yield": 124, "seccomp": 277, "sendfile": 71,
    "set_robust_list": 99, "set_tid_address": 96, "setitimer": 103, "sigaltstack": 132,
    "splice": 76, "statfs": 43, "statx": 291, "symlinkat": 36, "sync_file_range": 84, "sysinfo":
    179, "tee": 77, "tgkill": 131, "timer_create": 107, "timer_delete": 111, "timer_getoverrun":
    109, "timer_gettime": 108, "timer_settime": 110, "timerfd_create": 85, "timerfd_gettime":
    87, "timerfd_settime": 86, "times": 153, "umask": 166, "uname": 160, "unlinkat": 35,
    "unshare": 97, "wait4": 260, "waitid": 95, "write": 64, "writev": 66,
}
# fmt: on

MACHINES = {
    "x86_64": Machine(audit=0xC000003E, newest=462, calls=_X86_64),
    "aarch64": Machine(audit=0xC00000B7, newest=462, calls=_AARCH64),
}
"""By ``os.uname().machine``. Elsewhere the sandbox is level L1 at most, and says so."""

RULED = frozenset(
    {
        "clone", "clone3", "fcntl", "ioctl", "kill", "prctl", "prlimit64", "sched_setaffinity",
        "tgkill",
    }
)  # fmt: skip
"""Calls that the filter judges by their arguments."""

# fmt: off
_TOLD_ONLY = {
    "x86_64": {
        "add_key": 248, "bpf": 321, "chroot": 161, "execve": 59, "execveat": 322,
        "finit_module": 313, "fork": 57, "init_module": 175, "io_uring_setup": 425, "keyctl": 250,
        "mount": 165, "open_by_handle_at": 304, "perf_event_open": 298, "pivot_root": 155,
        "process_vm_writev": 311, "setns": 308, "setsid": 112, "socket": 41, "userfaultfd": 323,
        "vfork": 58,
    },
    "aarch64": {
        "add_key": 217, "bpf": 280, "chroot": 51, "execve": 221, "execveat": 281,
        "finit_module": 273, "init_module": 105, "io_uring_setup": 425, "keyctl": 219, "mount": 40,
        "open_by_handle_at": 265, "perf_event_open": 241, "pivot_root": 41,
        "process_vm_writev": 271, "setns": 268, "setsid": 157, "socket": 198,
        "userfaultfd": 282,
    },
}
# fmt: on
_TOLD_BUILT = ("clone", "kill", "process_vm_readv", "ptrace", "tgkill", "unshare")

TOLD = {
    name: {**numbers, **{call: MACHINES[name].calls[call] for call in _TOLD_BUILT}}
    for name, numbers in _TOLD_ONLY.items()
}
"""Refused calls that no computing needs and an attack makes: the parent hears of them.

Not among them: what libraries try and do without (``chmod``, ``sched_setscheduler``, ``mknod``,
pairs of sockets); of sockets, those to local daemons are left out as well.
"""

SET_UP = frozenset(
    {
        "capset", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
        "process_vm_readv", "ptrace", "seccomp", "unshare",
    }
)  # fmt: skip
"""Calls that build or probe the walls; behind the walls they are denied."""
