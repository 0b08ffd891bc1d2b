//! System calls by name, and those that need no row.

/// The numbers under which this machine has a call: newer ones are made in place of older ones.
pub(crate) fn numbers(name: &str) -> Vec<i64> {
    let found: Vec<i64> =
        CALLS.iter().filter(|(of, _)| *of == name).map(|(_, number)| *number).collect();
    assert!(!found.is_empty(), "no number is known for {name}");
    found
}

#[rustfmt::skip]
const CALLS: &[(&str, i64)] = &[
    ("accept", libc::SYS_accept4),
    ("chmod", libc::SYS_fchmodat),
    #[cfg(target_arch = "x86_64")]
    ("chmod", libc::SYS_chmod),
    ("chown", libc::SYS_fchownat),
    #[cfg(target_arch = "x86_64")]
    ("chown", libc::SYS_chown),
    ("close_range", libc::SYS_close_range),
    ("bind", libc::SYS_bind),
    ("connect", libc::SYS_connect),
    ("dup2", libc::SYS_dup3),
    #[cfg(target_arch = "x86_64")]
    ("dup2", libc::SYS_dup2),
    ("epoll_create", libc::SYS_epoll_create1),
    ("epoll_ctl", libc::SYS_epoll_ctl),
    ("epoll_wait", libc::SYS_epoll_pwait),
    #[cfg(target_arch = "x86_64")]
    ("epoll_wait", libc::SYS_epoll_wait),
    ("execve", libc::SYS_execve),
    ("faccessat", libc::SYS_faccessat2),
    ("fchdir", libc::SYS_fchdir),
    ("fchmod", libc::SYS_fchmod),
    ("fcntl", libc::SYS_fcntl),
    ("flock", libc::SYS_flock),
    ("fork", libc::SYS_clone),
    #[cfg(target_arch = "x86_64")]
    ("fork", libc::SYS_fork),
    ("fstat", libc::SYS_fstat),
    ("getdents", libc::SYS_getdents64),
    ("getpeername", libc::SYS_getpeername),
    ("getpgid", libc::SYS_getpgid),
    ("getsockname", libc::SYS_getsockname),
    ("getsockopt", libc::SYS_getsockopt),
    ("kill", libc::SYS_kill),
    ("listen", libc::SYS_listen),
    ("lseek", libc::SYS_lseek),
    ("memfd_create", libc::SYS_memfd_create),
    ("mkdir", libc::SYS_mkdirat),
    #[cfg(target_arch = "x86_64")]
    ("mkdir", libc::SYS_mkdir),
    ("mmap", libc::SYS_mmap),
    ("mmap", libc::SYS_mremap),
    ("mmap", libc::SYS_brk),
    ("open", libc::SYS_openat),
    #[cfg(target_arch = "x86_64")]
    ("open", libc::SYS_open),
    ("pipe", libc::SYS_pipe2),
    ("poll", libc::SYS_ppoll),
    #[cfg(target_arch = "x86_64")]
    ("poll", libc::SYS_poll),
    ("prctl", libc::SYS_prctl),
    ("pread", libc::SYS_pread64),
    ("prlimit", libc::SYS_prlimit64),
    ("pwritev2", libc::SYS_pwritev2),
    ("read", libc::SYS_read),
    ("readlink", libc::SYS_readlinkat),
    #[cfg(target_arch = "x86_64")]
    ("readlink", libc::SYS_readlink),
    ("recv", libc::SYS_recvfrom),
    ("recvmsg", libc::SYS_recvmsg),
    ("rename", libc::SYS_renameat2),
    #[cfg(target_arch = "x86_64")]
    ("rename", libc::SYS_rename),
    ("rmdir", libc::SYS_unlinkat),
    #[cfg(target_arch = "x86_64")]
    ("rmdir", libc::SYS_rmdir),
    ("send", libc::SYS_sendto),
    ("sendmsg", libc::SYS_sendmsg),
    ("setpriority", libc::SYS_setpriority),
    ("setsockopt", libc::SYS_setsockopt),
    ("shutdown", libc::SYS_shutdown),
    ("sigaction", libc::SYS_rt_sigaction),
    ("signalfd", libc::SYS_signalfd4),
    ("sigprocmask", libc::SYS_rt_sigprocmask),
    ("socket", libc::SYS_socket),
    ("socketpair", libc::SYS_socketpair),
    ("stat", libc::SYS_statx),
    ("unlink", libc::SYS_unlinkat),
    #[cfg(target_arch = "x86_64")]
    ("unlink", libc::SYS_unlink),
    ("wait", libc::SYS_wait4),
    ("waitid", libc::SYS_waitid),
    ("write", libc::SYS_write),
];

/// Calls that a master makes and that cannot fail, or whose failure nobody could act upon.
pub(crate) fn unfailing() -> impl Iterator<Item = i64> {
    UNFAILING.iter().copied()
}

#[rustfmt::skip]
const UNFAILING: &[i64] = &[
    // Ends the descriptor whatever it returns.
    libc::SYS_close,
    // Of memory that is there.
    libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_madvise,
    // Of the loader and the runtime, before anything of the master's own.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    libc::SYS_set_tid_address, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_sigaltstack,
    libc::SYS_newfstatat, libc::SYS_gettid, libc::SYS_getrandom,
    // How many processors there are: one, where it cannot be told.
    libc::SYS_sched_getaffinity,
    // The child does the same, and one of the two is first.
    libc::SYS_setpgid,
    // Cannot fail, by what they are asked.
    libc::SYS_getpid, libc::SYS_getppid, libc::SYS_geteuid, libc::SYS_getegid,
    libc::SYS_clock_gettime, libc::SYS_exit_group, libc::SYS_restart_syscall,
];
