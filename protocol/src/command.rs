//! Names of the commands (`protocol.md §4`).

/// A worker says that it is up. Key `pid`.
pub const WORKER_ACK: &str = "worker:ack";
/// A worker says that it is alive. Keys `pid`, `request_id`.
pub const WORKER_PING: &str = "worker:ping";
/// Greeting. Key `user`.
pub const EHLO: &str = "ehlo";
/// The list of commands.
pub const HELP: &str = "help";
/// The whole state as YAML.
pub const STATE: &str = "state";
/// A table of workers and listeners, or the same as JSON.
pub const STATUS: &str = "status";
/// Re-executes the master and leaves the workers alone.
pub const RELOAD: &str = "reload";
/// Reloads, then replaces the workers one after the other.
pub const UPGRADE: &str = "upgrade";
/// Reloads, starts a whole new set of workers, then retires the old set.
pub const UPGRADE_FLEET: &str = "upgrade_fleet";
/// Gives the upgrade in progress up.
pub const ABORT: &str = "abort";
/// Replaces workers.
pub const RECYCLE: &str = "recycle";
/// One worker more.
pub const INC: &str = "inc";
/// One worker less.
pub const DEC: &str = "dec";
/// Sets the number of workers.
pub const SET_WORKERS: &str = "set_workers";
/// Sends signals to all workers.
pub const SIGNAL: &str = "signal";
/// Stops all workers, then the master.
pub const DIE: &str = "die";
/// One step less of logging.
pub const QUIETER: &str = "quieter";
/// One step more of logging.
pub const LOUDER: &str = "louder";
/// Changes settings.
pub const CONFIG: &str = "config";

/// What a person can ask for, in alphabetical order.
pub const FOR_PEOPLE: [&str; 17] = [
    ABORT,
    CONFIG,
    DEC,
    DIE,
    EHLO,
    HELP,
    INC,
    LOUDER,
    QUIETER,
    RECYCLE,
    RELOAD,
    SET_WORKERS,
    SIGNAL,
    STATE,
    STATUS,
    UPGRADE,
    UPGRADE_FLEET,
];
