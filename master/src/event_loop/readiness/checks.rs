//! `-m exec:CMD`: a command is run for each worker that is not up yet, again and again until it
//! ends with status 0.
//!
//! Invariant: a worker has one check at a time, each has an end, and none outlives its worker
//! or this image. Whatever a check has started in its process group ends with it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use einhorn_protocol::limit::{
    READY_CHECK_INTERVAL_MILLISECONDS, READY_CHECK_SECONDS_MAX, READY_CHECKS_AT_ONCE_MAX,
};

use super::super::Master;
use crate::pool::{Event, Exit, Pid, SpawnId, Worker};
use crate::settings::AckMode;
use crate::signal::Signal;
use crate::spawn::Checked;
use crate::sys::children::{self, ChildState, ExitStatus};
use crate::sys::{clock, reason, signals};

const INTERVAL: Duration = Duration::from_millis(READY_CHECK_INTERVAL_MILLISECONDS);
const RUN_MAX: Duration = Duration::from_secs(READY_CHECK_SECONDS_MAX);

/// The check of one worker.
#[derive(Debug, Default)]
struct Checking {
    /// When it is started, or has run for too long.
    due: Option<Duration>,
    process: Option<Pid>,
    /// What the log has said of it last.
    said: String,
}

/// All checks.
#[derive(Debug, Default)]
pub(in super::super) struct Checks {
    by_worker: BTreeMap<SpawnId, Checking>,
    due: BTreeSet<(Duration, SpawnId)>,
    running: HashMap<Pid, SpawnId>,
    /// Ended by this master, and not yet reaped.
    dismissed: HashSet<Pid>,
}

impl Checks {
    /// A worker is to be checked, from now on.
    fn want(&mut self, id: SpawnId, now: Duration) {
        if let Entry::Vacant(place) = self.by_worker.entry(id) {
            place.insert(Checking::default());
            self.set_due(id, Some(now));
        }
    }

    fn set_due(&mut self, id: SpawnId, at: Option<Duration>) {
        let Some(checking) = self.by_worker.get_mut(&id) else { return };
        if let Some(before) = checking.due {
            self.due.remove(&(before, id));
        }
        checking.due = at;
        self.due.extend(at.map(|at| (at, id)));
    }

    /// Nobody waits for this worker any more.
    pub(in super::super) fn forget(&mut self, id: SpawnId) {
        self.set_due(id, None);
        let process = self.by_worker.remove(&id).and_then(|checking| checking.process);
        if let Some(pid) = process {
            self.dismiss(pid);
        }
    }

    fn dismiss(&mut self, pid: Pid) {
        end_group(pid);
        self.running.remove(&pid);
        self.dismissed.insert(pid);
    }

    /// None goes on; those that are still wanted begin anew.
    pub(in super::super) fn stop_all(&mut self) {
        let running: Vec<(Pid, SpawnId)> = self.running.drain().collect();
        for (pid, id) in running {
            end_group(pid);
            self.dismissed.insert(pid);
            if let Some(checking) = self.by_worker.get_mut(&id) {
                checking.process = None;
            }
            self.set_due(id, Some(Duration::ZERO));
        }
    }

    /// No process of a check is there.
    pub(in super::super) fn are_gone(&self) -> bool {
        self.running.is_empty() && self.dismissed.is_empty()
    }

    pub(in super::super) fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What has ended takes its group with it, as long as nobody else can lead one of that
    /// number.
    pub(in super::super) fn end_groups(&self) {
        for pid in self.running.keys() {
            if matches!(children::state_of(*pid), Ok(ChildState::Ended)) {
                end_group(*pid);
            }
        }
    }
}

fn end_group(leader: Pid) {
    if let Err(error) = signals::send_to_group(leader, Signal::KILL) {
        ::log::debug!("cannot end the check of a worker, pid {leader}: {}", reason(&error));
    }
}

impl Master {
    /// Whether a check is to say of this worker that it is up.
    fn is_to_be_checked(&self, worker: &Worker) -> bool {
        matches!(self.pool.settings().ack_mode, AckMode::Exec(_))
            && worker.pid.is_some()
            && !worker.acked
            && !worker.is_stopping()
    }

    /// Checks everyone who is not up yet.
    pub(in super::super) fn begin_checks(&mut self) {
        let workers = self.pool.workers().filter(|worker| self.is_to_be_checked(worker));
        let wanted: Vec<SpawnId> = workers.map(|worker| worker.id).collect();
        let now = clock::now().monotonic;
        for id in wanted {
            self.readiness.checks.want(id, now);
        }
    }

    pub(super) fn begin_check_of(&mut self, id: SpawnId) {
        if self.pool.worker(id).is_some_and(|worker| self.is_to_be_checked(worker)) {
            self.readiness.checks.want(id, clock::now().monotonic);
        }
    }

    /// Starts those whose time has come, and ends those whose time is over.
    pub(in super::super) fn meet_check_deadlines(&mut self, now: Duration) {
        // Before a re-exec none is begun that this image would not see the end of.
        if self.reexec_next.is_some() {
            return;
        }
        while let Some(&(at, id)) = self.readiness.checks.due.first() {
            if at > now {
                return;
            }
            let checks = &mut self.readiness.checks;
            let running = checks.by_worker.get(&id).and_then(|checking| checking.process);
            if let Some(pid) = running {
                checks.set_due(id, None);
                end_group(pid);
                let limit = READY_CHECK_SECONDS_MAX;
                self.say_of_check(id, format!("takes longer than {limit} s and is ended"));
            } else if checks.running.len() >= READY_CHECKS_AT_ONCE_MAX {
                checks.set_due(id, Some(now.saturating_add(INTERVAL)));
            } else {
                self.run_check(id, now);
            }
        }
    }

    fn run_check(&mut self, id: SpawnId, now: Duration) {
        match self.start_check(id) {
            Ok(pid) => {
                let checks = &mut self.readiness.checks;
                checks.running.insert(pid, id);
                if let Some(checking) = checks.by_worker.get_mut(&id) {
                    checking.process = Some(pid);
                }
                checks.set_due(id, Some(now.saturating_add(RUN_MAX)));
            }
            Err(reason) => {
                self.readiness.checks.set_due(id, Some(now.saturating_add(INTERVAL)));
                self.say_of_check(id, format!("cannot be run: {reason}"));
            }
        }
    }

    fn start_check(&self, id: SpawnId) -> Result<Pid, String> {
        let AckMode::Exec(command) = &self.pool.settings().ack_mode else {
            return Err("workers are not checked".to_string());
        };
        let worker = self.pool.worker(id).ok_or("its worker is gone")?;
        let pid = worker.pid.ok_or("its worker is not there")?;
        let listeners: Vec<BorrowedFd<'_>> =
            self.instance.listeners.iter().map(|listener| listener.descriptor.as_fd()).collect();
        let of = Checked { index: worker.index, pid, listeners: &listeners };
        self.versions.start_check(worker.version, command.words(), of)
    }

    /// Whether an ended child was a check.
    pub(in super::super) fn note_ready_check_ended(&mut self, ended: children::Exit) -> bool {
        let checks = &mut self.readiness.checks;
        if checks.dismissed.remove(&ended.pid) {
            return true;
        }
        let Some(id) = checks.running.remove(&ended.pid) else { return false };
        if let Some(checking) = checks.by_worker.get_mut(&id) {
            checking.process = None;
        }
        if ended.status == ExitStatus::Exited(0) {
            checks.forget(id);
            self.tell_pool(Event::Acknowledged { id });
            return true;
        }
        let was_overdue = checks.by_worker.get(&id).is_some_and(|checking| checking.due.is_none());
        checks.set_due(id, Some(clock::now().monotonic.saturating_add(INTERVAL)));
        if !was_overdue {
            self.say_of_check(id, format!("ends with {}", Exit::from(ended.status)));
        }
        true
    }

    /// Once for each thing that there is to be said.
    fn say_of_check(&mut self, id: SpawnId, what: String) {
        let Some(checking) = self.readiness.checks.by_worker.get_mut(&id) else { return };
        if checking.said == what {
            return;
        }
        if let Some(worker) = self.pool.worker(id) {
            ::log::info!("worker {worker} is not up yet: its check {what}");
        }
        checking.said = what;
    }
}
