//! What happens to the pool and what it wants done.

use super::report::Report;
use super::slots::Slot;
use super::worker::{Exit, Pid, SpawnId, Version};
use crate::psych::Value;
use crate::settings::{Settings, UpgradeRules};
use crate::signal::Signal;

/// How an upgrade replaces workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeMode {
    /// One after the other.
    Smooth,
    /// A whole new set beside the old one.
    Fleet,
}

/// Counts upgrade requests, so that a caller's reply is about their own upgrade.
pub type RequestNumber = u64;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The master is up for the first time.
    Start,
    /// The pool was restored after a re-exec.
    Adopted,
    /// A worker that the pool asked for is running.
    Spawned {
        /// Which one.
        id: SpawnId,
        /// As what.
        pid: Pid,
    },
    /// A worker that the pool asked for could not be started.
    SpawnFailed {
        /// Which one.
        id: SpawnId,
        /// Why, for the log.
        reason: String,
    },
    /// A worker is gone.
    Exited {
        /// Which one.
        id: SpawnId,
        /// How.
        exit: Exit,
    },
    /// A worker says that it is up.
    Acknowledged {
        /// Which one.
        id: SpawnId,
    },
    /// A worker says that it is alive.
    Pinged {
        /// Which one.
        id: SpawnId,
        /// Its id of what it is doing.
        request_id: Option<Value>,
    },
    /// A worker says that it is about to end of its own accord.
    Retiring {
        /// Which one.
        id: SpawnId,
    },
    /// A worker says how it is.
    StatusSaid {
        /// Which one.
        id: SpawnId,
        /// On one line; empty: nothing any more.
        text: String,
    },
    /// A worker's memory was looked at.
    Measured {
        /// Which one.
        id: SpawnId,
        /// What it has resident, in bytes.
        resident: u64,
    },
    /// The master is to re-execute itself, nothing else.
    ReloadRequested,
    /// The master is to re-execute itself and then replace the workers.
    UpgradeRequested {
        /// How.
        mode: UpgradeMode,
        /// What it must prove, and when it is given up.
        rules: UpgradeRules,
        /// Whose request it is.
        request: RequestNumber,
    },
    /// The re-exec did not happen; everything is as it was.
    ReloadFailed {
        /// Why, for the log and the callers.
        reason: String,
    },
    /// Nobody waits in the queue of a slot that drains.
    Drained {
        /// Which one.
        slot: Slot,
    },
    /// The upgrade in progress is to be given up.
    AbortRequested,
    /// These workers are to be replaced.
    RecycleRequested(Vec<SpawnId>),
    /// Settings are new; the target may be among them.
    SettingsChanged(Settings),
    /// All workers are to get a signal, which does not ask them to stop.
    SignalRequested(Signal),
    /// All workers are to stop, by this signal, and then the master.
    StopRequested(Signal),
    /// The master leaves at once and hands the signal on.
    QuitRequested(Signal),
    /// A deadline has come.
    DeadlineReached,
}

/// What the master does for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Check the new code and re-execute.
    Begin,
    /// Leave the check that is running; do not re-execute.
    Cancel,
}

/// Something to be done, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a worker and answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn {
        /// Its identity.
        id: SpawnId,
        /// Its index.
        index: u32,
        /// The version whose program it runs.
        version: Version,
    },
    /// Send a signal to a worker.
    Signal {
        /// Which one.
        id: SpawnId,
        /// Its pid.
        pid: Pid,
        /// What.
        signal: Signal,
    },
    /// Look at a worker's memory; the answer is [`Event::Measured`], unless it is gone.
    Measure {
        /// Which one.
        id: SpawnId,
        /// Its pid.
        pid: Pid,
    },
    /// Say in the log what a worker is waiting for.
    Inspect {
        /// Which one.
        id: SpawnId,
        /// Its pid.
        pid: Pid,
    },
    /// Begin or cancel a re-exec; the answer is [`Event::ReloadFailed`] or a new process.
    Reload(Reload),
    /// Say it in the log and to whoever follows an upgrade.
    Report(Report),
    /// Leave with this exit status.
    Finish(u8),
}
