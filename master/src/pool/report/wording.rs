//! The words of each report, on one line without a final stop. Nowhere else is any wording of
//! the policy's.

use std::fmt;
use std::time::Duration;

use einhorn_protocol::limit;

use super::{Report, UpgradeEnd, Why};
use crate::pool::event::UpgradeMode;
use crate::pool::upgrade::Failure;

/// Seconds as people write them: `1.5 s`, `300 s`.
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0.as_secs_f64());
        let text = text.trim_end_matches('0').trim_end_matches('.');
        write!(f, "{text} s")
    }
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
            Self::Lingering { worker, pid, waited } => write!(
                f,
                "worker {worker} was to stop {} ago and still lives, and nothing ends it: give \
                 --signal-timeout (config signal_timeout does so at once), or kill -KILL {pid}",
                Seconds(*waited)
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
#[derive(Clone, Copy, Debug)]
pub struct Count(pub usize, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}
