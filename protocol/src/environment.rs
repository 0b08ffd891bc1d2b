//! Environment variables between the master and its workers (`protocol.md §2`).

/// Prefix of every variable that belongs to the protocol.
pub const PREFIX: &str = "EINHORN_";
/// The master's pid in decimal; a process whose parent has another pid is not a worker.
pub const MASTER_PID: &str = "EINHORN_MASTER_PID";
/// Absolute path of the command socket.
pub const SOCK_PATH: &str = "EINHORN_SOCK_PATH";
/// Number of a descriptor that is connected to the command socket; only set with `-g`.
pub const SOCK_FD: &str = "EINHORN_SOCK_FD";
/// How many listening sockets the worker inherits; `0` if none.
pub const FD_COUNT: &str = "EINHORN_FD_COUNT";
/// Followed by an index: the descriptor number of that listening socket.
pub const FD_PREFIX: &str = "EINHORN_FD_";
/// Followed by an index: `AF_INET`, `AF_INET6` or `AF_UNIX`.
pub const FD_FAMILY_PREFIX: &str = "EINHORN_FD_FAMILY_";
/// All descriptor numbers separated by blanks, for worker libraries from before 2015.
pub const FDS: &str = "EINHORN_FDS";
/// The smallest index that no living worker had when this one was started.
pub const CHILD_INDEX: &str = "EINHORN_CHILD_INDEX";
/// Path of a datagram socket that takes `sd_notify(3)` of workers; only set with `-m notify`.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// Pid of the worker that a check is about; only a check of `-m exec:` finds it.
pub const WORKER_PID: &str = "EINHORN_WORKER_PID";
/// Number of a descriptor on which a newline says that the worker is ready; only set with
/// `-m fd`.
pub const READY_FD: &str = "EINHORN_READY_FD";
/// Descriptor on which a program that runs as `--upgrade-check` says what it is (`§8`).
pub const UPGRADE_CHECK_FD: &str = "EINHORN_UPGRADE_CHECK_FD";

/// Descriptor on which a preloader speaks with its master; only a preloader finds it.
pub const PRELOAD_FD: &str = "EINHORN_PRELOAD_FD";
/// Set to `1` for a preloader that is to collect garbage before it forks.
pub const PRELOAD_GC: &str = "EINHORN_PRELOAD_GC";

/// By the convention of systemd's socket activation: how many sockets there are, from
/// descriptor [`LISTEN_FDS_START`] on.
pub const LISTEN_FDS: &str = "LISTEN_FDS";
/// The pid of the process that the sockets are for.
pub const LISTEN_PID: &str = "LISTEN_PID";
/// The names of the sockets, separated by colons.
pub const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";
/// All variables of the convention; they are for the process that they name and nobody else.
pub const LISTEN: [&str; 4] = [LISTEN_FDS, LISTEN_PID, "LISTEN_PIDFDID", LISTEN_FDNAMES];
/// The descriptor of the first socket.
pub const LISTEN_FDS_START: i32 = 3;
/// What a socket without a name is called in [`LISTEN_FDNAMES`].
pub const LISTEN_FD_UNNAMED: &str = "unknown";

/// Variables of a service manager above the master; they are the master's own and never
/// reach a worker, who finds those of its own master if any.
pub const SERVICE_MANAGER: [&str; 7] = [
    LISTEN_FDS,
    LISTEN_PID,
    "LISTEN_PIDFDID",
    LISTEN_FDNAMES,
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];
