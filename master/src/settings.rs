//! What options and the `config` command can change.

use std::num::NonZeroU32;
use std::time::Duration;

use einhorn_protocol::default;

/// How a worker comes to count as up (`protocol.md §1`, `--ack-mode`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AckMode {
    /// It has lived that long.
    Timer(Duration),
    /// It says so itself.
    Manual,
}

/// When a worker that is not yet up has failed (`--ack-timeout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckTimeout {
    /// Nothing was said: 300 s for newcomers of an upgrade, none at first start.
    Default,
    /// Never.
    Never,
    /// That long after its start, whenever it was started.
    After(Duration),
}

/// The numbers that the policy goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Target number of workers, 1 to 10,000.
    pub number: u32,
    /// Listen backlog of the bound sockets.
    pub backlog: i32,
    /// Least interval between two gradual spawns, in seconds; more than 0, above 30 acts as 30.
    pub seconds: f64,
    /// Gradual spawning keeps at most this many unacknowledged newcomers.
    pub max_unacked: NonZeroU32,
    /// Gradual spawning keeps at most target + this many workers alive; no limit if absent.
    pub max_upgrade_additional: Option<NonZeroU32>,
    /// A worker that was asked to stop and lives this much longer is killed.
    pub signal_timeout: Option<Duration>,
    /// When a worker counts as up.
    pub ack_mode: AckMode,
    /// When a worker that is not up has failed.
    pub ack_timeout: AckTimeout,
}

impl Settings {
    /// The defaults of the command line on a machine with `processors` CPUs.
    pub fn default_for(processors: NonZeroU32) -> Self {
        Self {
            number: default::WORKERS,
            backlog: default::BACKLOG,
            seconds: default::SPAWN_SECONDS,
            max_unacked: processors,
            max_upgrade_additional: None,
            signal_timeout: None,
            ack_mode: AckMode::Timer(Duration::from_secs_f64(default::ACK_SECONDS)),
            ack_timeout: AckTimeout::Default,
        }
    }
}
