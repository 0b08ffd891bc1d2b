//! Limits of the protocol. Each name ends in its unit where it has one.

/// Longest line on the command socket, newline included.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of a request.
pub const NESTING_MAX: usize = 64;
/// Longest id of a request, in bytes: it is kept with a worker or a subscription, and repeated.
pub const ID_BYTES_MAX: usize = 64 << 10;
/// Most workers that `set_workers` and `-n` take.
pub const WORKERS_MAX: u32 = 10_000;
/// Most listening sockets that a master opens.
pub const LISTENERS_MAX: usize = 1024;
/// Most bytes of log lines that wait for their reader; a line beyond them is dropped and counted.
pub const LOG_QUEUE_BYTES_MAX: usize = 256 << 10;
/// Most lines of one kind in the log within [`LOG_REPEATS_SECONDS`], where it is of those that
/// can come without end; the rest is counted. Of what is told of each worker, twice the number
/// of workers if that is more.
pub const LOG_REPEATS_MAX: usize = 50;
/// The span in which repeated lines are counted, in seconds.
pub const LOG_REPEATS_SECONDS: u64 = 30;
/// Most clients that are served at once.
pub const CLIENTS_MAX: usize = 4096;
/// Most clients of one uid that are served at once.
pub const CLIENTS_PER_UID_MAX: usize = 2048;
/// Most clients at once that are let in only as workers of another user: whoever may give
/// commands always finds room.
pub const WORKER_CLIENTS_MAX: usize = 1024;
/// Most clients that have not asked for anything yet; with one more, the one that has been
/// silent for the longest goes.
pub const SILENT_CLIENTS_MAX: usize = 1536;
/// Most unread output of one client; one that is further behind is cut off.
pub const CLIENT_OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Most bytes in all clients' buffers together.
pub const BUFFERS_BYTES_MAX: usize = 16 << 20;
/// Longest wait of a worker library for the master to take an acknowledgement, in seconds.
pub const ACK_WAIT_SECONDS: u64 = 30;
/// Longest back-off between two spawns, in seconds.
pub const SPAWN_INTERVAL_SECONDS_MAX: u64 = 30;
/// Longest run of the check whether a new master can start, in seconds.
pub const UPGRADE_CHECK_SECONDS_MAX: u64 = 60;
/// Longest wait for the queue of a slot that goes, in seconds.
pub const DRAIN_SECONDS_MAX: u64 = 10;
/// How long a worker that was asked to stop, and that nothing ends, may take for it until the log
/// says so, in seconds.
pub const LINGER_SECONDS_TOLD: u64 = 300;
/// Longest message between a master and a preloader.
pub const PRELOAD_MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Most descriptors in one message to a preloader: what Linux takes (`SCM_MAX_FD`, unix(7)).
pub const PRELOAD_DESCRIPTORS_MAX: usize = 253;
/// Longest wait for a preloader to fork one worker, in seconds.
pub const PRELOAD_FORK_SECONDS_MAX: u64 = 30;
/// Longest wait for the end of a preloader that has closed its channel, in seconds.
pub const PRELOAD_END_SECONDS_MAX: u64 = 2;
/// Longest message of a worker to the socket in `NOTIFY_SOCKET`.
pub const NOTIFY_BYTES_MAX: usize = 4096;
/// Longest status of a worker that is kept, in characters.
pub const NOTIFY_STATUS_CHARACTERS_MAX: usize = 200;
/// Longest run of a check of `-m exec:`, in seconds.
pub const READY_CHECK_SECONDS_MAX: u64 = 10;
/// Wait between two runs of a worker's check, in milliseconds.
pub const READY_CHECK_INTERVAL_MILLISECONDS: u64 = 500;
/// Most checks of `-m exec:` that run at once.
pub const READY_CHECKS_AT_ONCE_MAX: usize = 16;
/// Longest span that a setting takes, in seconds.
pub const SETTING_SECONDS_MAX: f64 = 1e9;
/// Least `--max-rss`, in bytes: below it no program runs.
pub const MAX_RSS_BYTES_MIN: u64 = 1 << 20;
/// Largest `--max-rss`, in bytes.
pub const MAX_RSS_BYTES_MAX: u64 = 1 << 50;
/// Longest path of a unix socket, without the NUL that ends it (unix(7)).
pub const UNIX_PATH_BYTES_MAX: usize = 107;
/// Most listening sockets that a worker library believes in; a larger `EINHORN_FD_COUNT` is
/// taken for a mistake.
pub const SOCKETS_MAX: usize = 65_536;
/// Most bytes of an answer to an acknowledgement that a worker library keeps for its error.
pub const ACK_ANSWER_BYTES_MAX: usize = 4096;
/// Most values in one request, keys included.
pub const REQUEST_VALUES_MAX: usize = 16_384;
/// Longest reply that a client of the command socket reads, newline included: the state of the
/// largest fleet.
pub const REPLY_BYTES_MAX: usize = 64 << 20;
/// Longest state that one master takes from another. Full buffers take at most four times
/// their size there.
pub const STATE_BYTES_MAX: usize = 128 << 20;
/// Longest wait for a state that another master still writes, in seconds.
pub const STATE_WAIT_SECONDS_MAX: u64 = 60;
/// Deepest nesting of a state: what a request may hold, in the state's own levels.
pub const STATE_NESTING_MAX: usize = NESTING_MAX + 16;
/// Most values in a state, keys and what aliases repeat included.
pub const STATE_VALUES_MAX: usize = 2_000_000;
