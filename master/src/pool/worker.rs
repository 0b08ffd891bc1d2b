//! One worker as the policy sees it (`protocol.md §6`).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::slots::{Draining, Slot};
use super::stale::Stale;
use crate::log::shown;
use crate::moment::Moment;
use crate::psych::Value;
use crate::signal::Signal;
use crate::sys::children::ExitStatus;

/// A process id as the kernel counts.
pub type Pid = i32;

/// The upgrade generation that a worker belongs to.
pub type Version = u64;

/// Identifies a worker for good, unlike its pid, which the kernel gives to others later.
/// Ids grow, so their order is the order of starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpawnId(pub u64);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It called `exit` with this status.
    Status(i32),
    /// A signal ended it.
    Signal(Signal),
    /// It was gone when the master looked, and nobody knows how it went.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(126) => f.write_str("status 126, as of a program that cannot be run"),
            Self::Status(127) => f.write_str("status 127, as of a program that is missing"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Signal(signal) => write!(f, "killed by {signal}"),
            Self::Unknown => f.write_str("status unknown"),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Exited(status) => Self::Status(status),
            ExitStatus::Signaled { signal, .. } => {
                Signal::from_number(signal).map_or(Self::Unknown, Self::Signal)
            }
        }
    }
}

/// Everything that is known about a worker.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own in the state")]
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// Its identity.
    pub id: SpawnId,
    /// Its pid; absent between the decision to start it and its start.
    pub pid: Option<Pid>,
    /// The upgrade generation it belongs to.
    pub version: Version,
    /// Its `EINHORN_CHILD_INDEX`, unique among the living.
    pub index: u32,
    /// Its place in a balanced pool.
    pub slot: Option<Slot>,
    /// It goes when nobody waits in its slot's queue any more.
    pub draining: Option<Draining>,
    /// It is up: it has said so, or its time was over.
    pub acked: bool,
    /// When it was up.
    pub acked_at: Option<Moment>,
    /// It counts as one of those that serve: it is up, and where an upgrade wants newcomers
    /// to soak it has done so.
    pub counts: bool,
    /// It is a newcomer of an upgrade, or replaces a stale worker, so that the rules for
    /// newcomers hold for it.
    pub newcomer: bool,
    /// Signals by which it was asked to stop; empty while it should go on.
    pub signaled: BTreeSet<Signal>,
    /// It was up and has said that it ends of its own accord.
    pub retiring: bool,
    /// When it was first asked to stop, or has said that it does.
    pub last_signaled_at: Option<Moment>,
    /// It has been told of as one that does not stop.
    pub lingering: bool,
    /// It did not come up in time, which is why it was asked to stop.
    pub failed: bool,
    /// Why another one is to take its place.
    pub stale: Option<Stale>,
    /// Its replacement has begun.
    pub recycling: bool,
    /// It has pinged, and then not for too long.
    pub silent: bool,
    /// Its memory in bytes, when it was last looked at.
    pub resident: Option<u64>,
    /// When it was started.
    pub spinup_time: Moment,
    /// When it last pinged.
    pub pinged_at: Option<Moment>,
    /// What it said with its last ping.
    pub pinged_request_id: Option<Value>,
    /// How it is, in its own words.
    pub status: Option<String>,
    /// Its entry in the deadlines, kept here so that it can be taken out again.
    pub(super) deadline: Option<Duration>,
}

impl Worker {
    /// A worker that is to be started at `now`.
    pub fn new(id: SpawnId, now: Moment) -> Self {
        Self {
            id,
            pid: None,
            version: 0,
            index: 0,
            slot: None,
            draining: None,
            acked: false,
            acked_at: None,
            counts: false,
            newcomer: false,
            signaled: BTreeSet::new(),
            retiring: false,
            last_signaled_at: None,
            lingering: false,
            failed: false,
            stale: None,
            recycling: false,
            silent: false,
            resident: None,
            spinup_time: now,
            pinged_at: None,
            pinged_request_id: None,
            status: None,
            deadline: None,
        }
    }

    /// Somebody asked it to stop, or it does so of its own accord.
    pub fn is_stopping(&self) -> bool {
        self.retiring || !self.signaled.is_empty()
    }

    /// What it said with its last ping, on one bounded line.
    pub fn request_shown(&self) -> Option<String> {
        let text = match self.pinged_request_id.as_ref()? {
            Value::Null => return None,
            Value::Bool(flag) => flag.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::BigInteger(text) | Value::String(text) | Value::Symbol(text) => text.clone(),
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::Time(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Set(_) => {
                return None;
            }
        };
        Some(shown(&text))
    }

    /// It was sent SIGKILL; nothing more can be done.
    pub fn is_killed(&self) -> bool {
        self.signaled.contains(&Signal::KILL)
    }
}

/// For messages: `812 (index 2)`.
impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "{pid} (index {})", self.index),
            None => write!(f, "(index {}, not started yet)", self.index),
        }
    }
}
