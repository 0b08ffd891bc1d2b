//! Everything that the policy has to say, typed; the wording stands here and nowhere else.

use std::fmt;
use std::time::Duration;

use einhorn_protocol::{error_code, limit};
use log::Level;

use super::event::{RequestNumber, UpgradeMode};
use super::stale::Cause;
use super::upgrade::Failure;
use super::worker::{Exit, Version};
use crate::signal::Signal;

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

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced => f.write_str("a newer worker took its place"),
            Self::OldVersion => f.write_str("its version is not the current one"),
            Self::AboveTarget => f.write_str("there are more workers than the target"),
            Self::NotAcknowledged(after) => {
                write!(f, "no acknowledgement within {}", Seconds(*after))
            }
            Self::Stopping => f.write_str("the master is stopping"),
            Self::StillAlive(after) => {
                write!(f, "it was asked to stop {} ago and is still alive", Seconds(*after))
            }
            Self::Requested => f.write_str("as requested"),
            Self::Recycled => f.write_str("its replacement is up"),
            Self::Silent => f.write_str("it is to say where it hangs (--ping-signal)"),
        }
    }
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

/// Why it ended so, as the tail of a line; nothing where there is no more to say.
impl fmt::Display for UpgradeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolledBack { why, failure: None } | Self::ReloadFailed(why) => {
                write!(f, ": {why}")
            }
            Self::RolledBack { why, failure: Some(failure) } => {
                write!(f, ": {why}, first worker {failure}")
            }
            Self::Aborted => f.write_str(" as asked"),
            Self::Committed | Self::Superseded | Self::ShuttingDown => Ok(()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "{pid} (index {}): {}", self.index, self.reason),
            None => write!(f, "(index {}): {}", self.index, self.reason),
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

/// Seconds as people write them: `1.5 s`, `300 s`.
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0.as_secs_f64());
        let text = text.trim_end_matches('0').trim_end_matches('.');
        write!(f, "{text} s")
    }
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { worker, version } => {
                write!(f, "worker {worker} started, version {version}")
            }
            Self::Withdrawn { index } => {
                write!(f, "a worker (index {index}) is not started: it is not wanted any more")
            }
            Self::NotStarted { index, reason, next } => write!(
                f,
                "cannot start a worker (index {index}): {reason}; next start in {}",
                Seconds(*next)
            ),
            Self::Acknowledged { worker, acked, target } => {
                write!(f, "worker {worker} is up ({acked}/{target} acknowledged)")
            }
            Self::AcknowledgementIgnored { worker, reason } => {
                write!(f, "acknowledgement for worker {worker} ignored: {reason}")
            }
            Self::Retiring { worker, counts: true } => {
                write!(f, "worker {worker} is stopping of its own accord")
            }
            Self::Retiring { worker, counts: false } => {
                write!(f, "worker {worker} is stopping of its own accord, before it has served")
            }
            Self::Pinged { worker } => write!(f, "worker {worker} pinged"),
            Self::DiedEarly { worker, exit, next } => write!(
                f,
                "worker {worker} exited before it was acknowledged: {exit}; next start in {}",
                Seconds(*next)
            ),
            Self::DiedSoaking { worker, exit, next } => write!(
                f,
                "worker {worker} exited before it had soaked: {exit}; next start in {}",
                Seconds(*next)
            ),
            Self::Died { worker, exit } => {
                write!(f, "worker {worker} exited: {exit}; nobody asked it to")
            }
            Self::Stopped { worker, exit } => write!(f, "worker {worker} stopped: {exit}"),
            Self::Signaled { worker, signal, why } => {
                write!(f, "sent {signal} to worker {worker}: {why}")
            }
            Self::Draining { worker } => {
                write!(f, "worker {worker} is to stop once nobody waits in its queue")
            }
            Self::NotDrained { worker } => write!(
                f,
                "the queue of worker {worker} is not empty after {} s; it is asked to stop anyway",
                limit::DRAIN_SECONDS_MAX
            ),
            Self::Kept { worker } => write!(f, "worker {worker} goes on: it is needed"),
            Self::SignaledAll { count, signal, why } => {
                write!(f, "sent {signal} to {}: {why}", Count(*count, "worker"))
            }
            Self::Stale { .. } | Self::Heard { .. } | Self::ReplacementFailed { .. } => {
                self.fmt_recycling(f)
            }
            Self::Again(report) => report.fmt(f),
            Self::FleetUp { target } => write!(f, "{} up", Count(*target, "worker")),
            Self::ReloadFailed { reason } => {
                write!(f, "reload failed, everything is as it was: {reason}")
            }
            Self::AllGone => f.write_str("all workers are gone"),
            Self::UpgradeBegun { .. }
            | Self::UpgradeProgress { .. }
            | Self::CanariesPassed { .. }
            | Self::RollbackBegun { .. }
            | Self::UpgradeEnded { .. } => self.fmt_upgrade(f),
        }
    }
}

impl Report {
    fn fmt_recycling(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { worker, cause } => {
                write!(f, "worker {worker} is to be replaced: {cause}")
            }
            Self::Heard { worker } => {
                write!(f, "worker {worker} pinged again: it was slow and does not hang")
            }
            Self::ReplacementFailed { kept, others: 0 } => write!(
                f,
                "the replacement of worker {kept} did not come up; it stays until one does, and \
                 that is tried in silence"
            ),
            Self::ReplacementFailed { kept, others } => write!(
                f,
                "the replacements of worker {kept} and {others} more did not come up; they stay \
                 until some do, and that is tried in silence"
            ),
            _ => Ok(()),
        }
    }

    fn fmt_upgrade(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpgradeBegun { mode, from, to, target } => {
                let how = match mode {
                    UpgradeMode::Smooth => "smooth",
                    UpgradeMode::Fleet => "fleet",
                };
                write!(
                    f,
                    "{how} upgrade from version {from} to {to} begins, {}",
                    Count(*target, "worker")
                )
            }
            Self::UpgradeProgress {
                acked, target, soaking, old, retiring, waiting_for, ..
            } => {
                write!(f, "{acked}/{target} acknowledged")?;
                if *soaking > 0 {
                    write!(f, ", {soaking} of them soaking")?;
                }
                write!(f, ", {old} old serving, {retiring} old retiring")?;
                if !waiting_for.is_empty() {
                    write!(f, "; waiting for worker {}", waiting_for.join(", "))?;
                }
                Ok(())
            }
            Self::CanariesPassed { count } => {
                let canaries = if *count == 1 { "canary" } else { "canaries" };
                write!(f, "{count} {canaries} up, starting the others")
            }
            Self::RollbackBegun { from, to, end } => {
                write!(f, "giving version {from} up{end}, going back to version {to}")
            }
            Self::UpgradeEnded { end, from, to, took, .. } => {
                match end {
                    UpgradeEnd::Committed => {
                        write!(f, "upgrade done: version {from} -> {to} committed")?;
                    }
                    UpgradeEnd::RolledBack { .. } => write!(
                        f,
                        "upgrade to version {to} rolled back, version {from} serves on{end}"
                    )?,
                    UpgradeEnd::ReloadFailed(_) => {
                        write!(f, "upgrade failed, version {from} serves on{end}")?;
                    }
                    UpgradeEnd::Superseded => {
                        write!(f, "upgrade superseded by a newer one, to version {to}")?;
                    }
                    UpgradeEnd::Aborted => {
                        write!(f, "upgrade to version {to} aborted, version {from} serves on")?;
                    }
                    UpgradeEnd::ShuttingDown => {
                        f.write_str("upgrade ended: the master is shutting down")?;
                    }
                }
                match took {
                    Some(took) => write!(f, ", after {}", Seconds(*took)),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// A number and a noun.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}
