//! What makes a worker stale, so that another one is to take its place: its age, its memory,
//! its silence, or an operator.
//!
//! Does not replace anybody: `recycle` does. Invariant: without a rule there is no deadline.

use std::fmt;
use std::time::Duration;

use super::report::{Report, Seconds};
use super::worker::{SpawnId, Worker};
use super::{Action, Pool, Why};
use crate::moment::Moment;
use crate::settings::{RecycleRules, Size};

/// Workers may be replaced this part of their age early, so that those that were started
/// together are not replaced together.
const JITTER: f64 = 0.1;

/// The fractional part of the golden ratio. Its multiples modulo 1 are spread evenly, however
/// many there are.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// A master that is later than this was not running (suspended, stopped, starved): what its
/// workers said meanwhile is still unread, and nobody has been silent.
const LATE: Duration = Duration::from_secs(1);

/// What makes a worker stale; what is worst for those who wait for answers comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stale {
    /// It pinged once, and then no more.
    Silent,
    /// It has too much memory.
    Memory,
    /// An operator's command.
    Requested,
    /// It is too old.
    Age,
}

impl Stale {
    const ALL: [Self; 4] = [Self::Silent, Self::Memory, Self::Requested, Self::Age];

    /// Its name, for programs and for the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Memory => "memory",
            Self::Requested => "requested",
            Self::Age => "age",
        }
    }

    /// The inverse of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stale| stale.name() == name)
    }
}

/// The same with its numbers, for the log.
#[expect(missing_docs, reason = "the fields are the words of the line, in Display below")]
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    Silent { silent: Duration, request_id: Option<String> },
    Memory { resident: u64, limit: u64, age: Duration },
    Requested,
    Age { age: Duration },
}

impl Cause {
    pub(super) fn stale(&self) -> Stale {
        match self {
            Self::Silent { .. } => Stale::Silent,
            Self::Memory { .. } => Stale::Memory,
            Self::Requested => Stale::Requested,
            Self::Age { .. } => Stale::Age,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { silent, request_id } => {
                write!(f, "it has not pinged for {}", Seconds(*silent))?;
                match request_id {
                    Some(id) => write!(f, "; its last request id is {id:?}"),
                    None => f.write_str("; it never told a request id"),
                }
            }
            Self::Memory { resident, limit, age } => write!(
                f,
                "it has {}K of memory, more than {} (--max-rss), {} after its start",
                resident / 1024,
                Size(*limit),
                Seconds(*age)
            ),
            Self::Requested => f.write_str("as requested"),
            Self::Age { age } => write!(f, "it is {} old (--max-age)", Seconds(*age)),
        }
    }
}

/// When a rule makes `worker` stale if nothing happens before.
pub(super) fn deadline_of(
    worker: &Worker,
    rules: &RecycleRules,
    listening_since: Duration,
) -> Option<Duration> {
    [aged_at(worker, rules), silent_at(worker, rules, listening_since)].into_iter().flatten().min()
}

fn aged_at(worker: &Worker, rules: &RecycleRules) -> Option<Duration> {
    if worker.stale.is_some() {
        return None;
    }
    let age = rules.max_age?.mul_f64(1.0 - JITTER * spread(worker.index));
    Some(worker.spinup_time.monotonic.saturating_add(age))
}

/// Parts of 1, far from one another for indexes that are near.
fn spread(index: u32) -> f64 {
    (f64::from(index) * GOLDEN).fract()
}

/// A worker that never pinged is not silent. One that is stale may fall silent beside.
fn silent_at(worker: &Worker, rules: &RecycleRules, listening_since: Duration) -> Option<Duration> {
    if worker.silent {
        return None;
    }
    let heard = worker.pinged_at?.monotonic.max(listening_since);
    Some(heard.saturating_add(rules.ping_timeout?))
}

impl Pool {
    /// A rule's time has come for a worker that serves.
    pub(super) fn meet_rules(&mut self, now: Moment, id: SpawnId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let rules = self.settings.recycle;
        let is_due = |at: &Duration| *at <= now.monotonic;
        match silent_at(worker, &rules, self.listening_since).filter(is_due) {
            Some(at) if now.monotonic.saturating_sub(at) > LATE => self.listen_anew(now),
            Some(_) => self.note_silence(now, id),
            // Its deadline was one of the two.
            None => {
                let age = now.since(worker.spinup_time);
                self.mark_stale(id, &Cause::Age { age });
            }
        }
    }

    /// Silence counts from now on at the earliest.
    pub(super) fn listen_anew(&mut self, now: Moment) {
        self.listening_since = now.monotonic;
        self.refresh_deadlines();
    }

    fn note_silence(&mut self, now: Moment, id: SpawnId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let silent = worker.pinged_at.map(|at| now.since(at)).unwrap_or_default();
        let request_id = worker.request_shown();
        let (name, pid) = (worker.to_string(), worker.pid);
        self.change(id, |worker| {
            worker.silent = true;
            worker.stale.get_or_insert(Stale::Silent);
        });
        let cause = Cause::Silent { silent, request_id };
        self.report(Report::Stale { worker: name, cause });
        let Some(pid) = pid else { return };
        self.actions.push_back(Action::Inspect { id, pid });
        if let Some(signal) = self.settings.recycle.ping_signal {
            // It is to say where it hangs, not to stop.
            self.actions.push_back(Action::Signal { id, pid, signal });
            let (worker, why) = (self.name(id), Why::Silent);
            self.report(Report::Signaled { worker, signal, why });
        }
    }

    /// It was no hang after all, only slow. Unless there is another reason it may stay; a
    /// replacement that has begun is one too many then, and goes. In a balanced pool it has the
    /// slot already, and so the replacement goes on.
    pub(super) fn note_sound(&mut self, id: SpawnId) {
        let Some(worker) = self.workers.get(&id) else { return };
        if !worker.silent || worker.is_stopping() {
            return;
        }
        let may_stay = !self.is_replaced_in_its_slot(id);
        self.change(id, |worker| {
            worker.silent = false;
            if may_stay && worker.stale == Some(Stale::Silent) {
                worker.stale = None;
                worker.recycling = false;
            }
        });
        self.report(Report::Heard { worker: self.name(id) });
    }

    /// With other rules, those that wait for their turn by a rule are judged anew.
    pub(super) fn change_rules(&mut self, now: Moment) {
        let by_rule = |worker: &&Worker| {
            matches!(worker.stale, Some(Stale::Age | Stale::Memory | Stale::Silent))
                && !worker.recycling
        };
        let ids: Vec<SpawnId> = self.workers().filter(by_rule).map(|worker| worker.id).collect();
        for id in ids {
            self.change(id, |worker| {
                worker.stale = None;
                worker.silent = false;
            });
        }
        self.listen_anew(now);
    }
}
