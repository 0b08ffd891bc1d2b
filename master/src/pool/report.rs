//! Everything that the policy has to say, typed: how loud, to whom. How it is worded is in
//! `wording`.

#[cfg(test)]
mod tests;
mod wording;

use std::time::Duration;

use einhorn_protocol::error_code;
use log::Level;

use super::event::{RequestNumber, UpgradeMode};
use super::stale::Cause;
use super::upgrade::Failure;
use super::worker::{Exit, Pid, Version};
use crate::signal::Signal;

pub use wording::{Count, Seconds};

/// Why a worker gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An upgrade has a newcomer in its place.
    Replaced,
    /// It is of a version that is not wanted.
    OldVersion,
    /// There are more than the target.
    AboveTarget,
    /// It was not up in time.
    NotAcknowledged(Duration),
    /// The master stops.
    Stopping,
    /// It was asked to stop that long ago.
    StillAlive(Duration),
    /// An operator's command.
    Requested,
    /// It was stale and its replacement is up.
    Recycled,
    /// It has not pinged, and is to say where it hangs.
    Silent,
}

/// How an upgrade ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeEnd {
    /// All workers are of the new version.
    Committed,
    /// New workers failed, or it took too long; the old version is back.
    RolledBack {
        /// What was too much.
        why: String,
        /// The first new worker that failed.
        failure: Option<Failure>,
    },
    /// The master could not re-execute itself.
    ReloadFailed(String),
    /// A newer request took its place.
    Superseded,
    /// Somebody gave it up.
    Aborted,
    /// The master stops.
    ShuttingDown,
}

impl UpgradeEnd {
    /// Its name, for programs: `committed`, or the error code.
    pub fn name(&self) -> &'static str {
        self.error().unwrap_or("committed")
    }

    /// Whether the version from before serves on.
    pub fn is_back(&self) -> bool {
        match self {
            Self::RolledBack { .. } | Self::ReloadFailed(_) | Self::Aborted => true,
            Self::Committed | Self::Superseded | Self::ShuttingDown => false,
        }
    }

    /// The stable code for the last reply; none for success.
    pub fn error(&self) -> Option<&'static str> {
        match self {
            Self::Committed => None,
            Self::RolledBack { .. } => Some(error_code::ROLLED_BACK),
            Self::ReloadFailed(_) => Some(error_code::RELOAD_FAILED),
            Self::Superseded => Some(error_code::SUPERSEDED),
            Self::Aborted => Some(error_code::ABORTED),
            Self::ShuttingDown => Some(error_code::SHUTTING_DOWN),
        }
    }
}

/// Which callers an upgrade's end is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// All whose request is not newer than this one.
    UpTo(RequestNumber),
    /// All whose request is newer than this one.
    After(RequestNumber),
}

/// A worker's name for people, as it was when the report was made.
type Name = String;

/// Something worth a line.
#[expect(missing_docs, reason = "the fields are the words of the line, in Display below")]
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A worker is running.
    Started { worker: Name, version: Version },
    /// A worker could not be started.
    NotStarted { index: u32, reason: String, next: Duration },
    /// A worker was not wanted any more before it was started.
    Withdrawn { index: u32 },
    /// A worker counts as up.
    Acknowledged { worker: Name, acked: usize, target: usize },
    /// An acknowledgement that changes nothing.
    AcknowledgementIgnored { worker: Name, reason: &'static str },
    /// A worker ends of its own accord.
    Retiring { worker: Name, counts: bool },
    /// A worker pinged.
    Pinged { worker: Name },
    /// A worker that nobody asked to stop was gone before it was up.
    DiedEarly { worker: Name, exit: Exit, next: Duration },
    /// A worker that nobody asked to stop was gone before it had soaked.
    DiedSoaking { worker: Name, exit: Exit, next: Duration },
    /// A worker that nobody asked to stop is gone.
    Died { worker: Name, exit: Exit },
    /// A worker that was asked to stop is gone.
    Stopped { worker: Name, exit: Exit },
    /// A worker that was to stop lives, and nothing ends it.
    Lingering { worker: Name, pid: Pid, waited: Duration },
    /// A worker gets a signal.
    Signaled { worker: Name, signal: Signal, why: Why },
    /// A worker serves its queue to the end before it goes.
    Draining { worker: Name },
    /// That took too long.
    NotDrained { worker: Name },
    /// It need not go any more.
    Kept { worker: Name },
    /// Everyone gets a signal.
    SignaledAll { count: usize, signal: Signal, why: Why },
    /// A worker is to be replaced.
    Stale { worker: Name, cause: Cause },
    /// A worker that was silent has pinged.
    Heard { worker: Name },
    /// Replacements do not come up, and the stale workers stay.
    ReplacementFailed { kept: Name, others: usize },
    /// What was said before, about another attempt.
    Again(Box<Report>),
    /// The target is reached for the first time.
    FleetUp { target: usize },
    /// An upgrade begins.
    UpgradeBegun { mode: UpgradeMode, from: Version, to: Version, target: usize },
    /// Where an upgrade stands.
    UpgradeProgress {
        acked: usize,
        target: usize,
        soaking: usize,
        old: usize,
        retiring: usize,
        waiting_for: Vec<Name>,
        again: bool,
    },
    /// The first newcomers count.
    CanariesPassed { count: usize },
    /// An upgrade is given up; the old version comes back.
    RollbackBegun { from: Version, to: Version, end: UpgradeEnd },
    /// An upgrade ended.
    UpgradeEnded {
        end: UpgradeEnd,
        callers: Callers,
        from: Version,
        to: Version,
        took: Option<Duration>,
    },
    /// A re-exec that was no part of an upgrade failed.
    ReloadFailed { reason: String },
    /// All workers are gone.
    AllGone,
}

/// What there may be very many lines about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What goes wrong, and may do so again and again.
    Failure(&'static str),
    /// What is told of each worker when all goes well.
    OfEachWorker(&'static str),
}

impl Report {
    /// How loud it is.
    pub fn level(&self) -> Level {
        match self {
            // The lines about each worker say it already, but for a reminder.
            Self::Pinged { .. } | Self::UpgradeProgress { again: false, .. } | Self::Again(_) => {
                Level::Debug
            }
            Self::AcknowledgementIgnored { .. }
            | Self::DiedEarly { .. }
            | Self::DiedSoaking { .. }
            | Self::Died { .. }
            | Self::ReplacementFailed { .. }
            | Self::NotDrained { .. }
            | Self::Lingering { .. }
            | Self::Stale { cause: Cause::Silent { .. }, .. }
            | Self::Signaled { why: Why::NotAcknowledged(_) | Why::StillAlive(_), .. }
            | Self::RollbackBegun { .. } => Level::Warn,
            Self::NotStarted { .. }
            | Self::ReloadFailed { .. }
            | Self::UpgradeEnded {
                end: UpgradeEnd::ReloadFailed(_) | UpgradeEnd::RolledBack { .. },
                ..
            } => Level::Error,
            Self::Started { .. }
            | Self::Withdrawn { .. }
            | Self::Acknowledged { .. }
            | Self::Retiring { .. }
            | Self::Stopped { .. }
            | Self::Signaled { .. }
            | Self::Draining { .. }
            | Self::Kept { .. }
            | Self::SignaledAll { .. }
            | Self::Stale { .. }
            | Self::Heard { .. }
            | Self::FleetUp { .. }
            | Self::UpgradeBegun { .. }
            | Self::UpgradeProgress { .. }
            | Self::CanariesPassed { .. }
            | Self::UpgradeEnded { .. }
            | Self::AllGone => Level::Info,
        }
    }

    /// Of which kind it is, where there may be very many of it.
    pub fn repeats(&self) -> Option<Kind> {
        match self {
            Self::DiedEarly { .. } | Self::DiedSoaking { .. } | Self::Died { .. } => {
                Some(Kind::Failure("workers that nobody asked to end"))
            }
            Self::NotStarted { .. } => Some(Kind::Failure("workers that could not be started")),
            Self::AcknowledgementIgnored { .. } => {
                Some(Kind::Failure("acknowledgements that were ignored"))
            }
            Self::Started { .. } => Some(Kind::OfEachWorker("workers that were started")),
            Self::Acknowledged { .. } => Some(Kind::OfEachWorker("workers that were up")),
            Self::Stopped { .. } => Some(Kind::OfEachWorker("workers that stopped")),
            Self::Lingering { .. } => Some(Kind::OfEachWorker("workers that do not stop")),
            _ => None,
        }
    }

    /// Whether those who follow an upgrade hear of it while one is in progress. The end is
    /// told apart, as a last reply.
    pub fn is_progress(&self) -> bool {
        match self {
            Self::Started { .. }
            | Self::NotStarted { .. }
            | Self::Withdrawn { .. }
            | Self::Acknowledged { .. }
            | Self::DiedEarly { .. }
            | Self::DiedSoaking { .. }
            | Self::Died { .. }
            | Self::Stopped { .. }
            | Self::Signaled { .. }
            | Self::Draining { .. }
            | Self::NotDrained { .. }
            | Self::Lingering { .. }
            | Self::Kept { .. }
            | Self::UpgradeBegun { .. }
            | Self::UpgradeProgress { .. }
            | Self::CanariesPassed { .. }
            | Self::RollbackBegun { .. } => true,
            Self::AcknowledgementIgnored { .. }
            | Self::Retiring { .. }
            | Self::Pinged { .. }
            | Self::SignaledAll { .. }
            | Self::Stale { .. }
            | Self::Heard { .. }
            | Self::ReplacementFailed { .. }
            | Self::FleetUp { .. }
            | Self::UpgradeEnded { .. }
            | Self::ReloadFailed { .. }
            | Self::AllGone => false,
            Self::Again(report) => report.is_progress(),
        }
    }
}
