//! When a worker counts as up, and what happens to one that does not come up in time.

use std::time::Duration;

use einhorn_protocol::{default, limit};

use super::report::{Report, Why};
use super::stale;
use super::stop;
use super::worker::{Pid, SpawnId, Worker};
use super::{Action, Pool};
use crate::moment::Moment;
use crate::psych::Value;
use crate::settings::{AckTimeout, Settings};
use crate::signal::Signal;

/// How long a worker that did not come up in time, or fell silent, has to stop where `-t` says
/// nothing. It hangs already, so without an end to it its place would never be filled.
pub(super) const FAILED_GRACE: Duration = Duration::from_secs(10);

/// What becomes of a worker at its deadline, if nothing happens to it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is up.
    Up,
    /// It was not up in time and has failed.
    Failed,
    /// It has soaked and counts.
    Counts,
    /// It is asked to stop, whoever still waits in its queue.
    Stopped,
    /// It has served too long, or has not pinged, and is to be replaced.
    Stale,
    /// It did not stop in time and is killed.
    Killed,
}

impl Due {
    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Failed => "failed",
            Self::Counts => "counts",
            Self::Stopped => "stopped",
            Self::Stale => "stale",
            Self::Killed => "killed",
        }
    }
}

/// The one deadline that `worker` has: to be up, to count, to have failed, to be stale, to be
/// asked to stop after it drained, to be killed, or to be told of since nothing kills it.
/// `soak` is what the upgrade in progress wants of its newcomers.
pub(super) fn deadline_of(
    worker: &Worker,
    settings: &Settings,
    soak: Duration,
    listening_since: Duration,
) -> Option<Duration> {
    worker.pid?;
    if worker.is_stopping() {
        return stop::deadline_of(worker, settings);
    }
    if let Some(draining) = worker.draining {
        let wait = Duration::from_secs(limit::DRAIN_SECONDS_MAX);
        return Some(draining.since.monotonic.saturating_add(wait));
    }
    if worker.counts {
        return stale::deadline_of(worker, &settings.recycle, listening_since);
    }
    if worker.acked {
        return Some(worker.acked_at?.monotonic.saturating_add(soak));
    }
    let wait = settings.ack_mode.timer().or_else(|| ack_timeout(worker, settings));
    wait.map(|wait| worker.spinup_time.monotonic.saturating_add(wait))
}

fn ack_timeout(worker: &Worker, settings: &Settings) -> Option<Duration> {
    match settings.ack_timeout {
        AckTimeout::Never => None,
        AckTimeout::After(time) => Some(time),
        AckTimeout::Default => {
            worker.newcomer.then_some(Duration::from_secs_f64(default::UPGRADE_ACK_TIMEOUT_SECONDS))
        }
    }
}

impl Pool {
    /// What becomes of `worker` if nothing happens to it, and when by the monotonic clock.
    pub fn due(&self, worker: &Worker) -> Option<(Due, Duration)> {
        let what = match self.settings.ack_mode.timer() {
            _ if worker.is_stopping() && !stop::is_ended(worker, &self.settings) => return None,
            _ if worker.is_stopping() => Due::Killed,
            _ if worker.draining.is_some() => Due::Stopped,
            _ if worker.counts => Due::Stale,
            _ if worker.acked => Due::Counts,
            Some(_) => Due::Up,
            None => Due::Failed,
        };
        Some((what, worker.deadline?))
    }

    pub(super) fn note_spawned(&mut self, now: Moment, id: SpawnId, pid: Pid) {
        let Some(worker) = self.workers.get(&id) else { return };
        let version = worker.version;
        let due: Vec<Signal> = worker.signaled.iter().copied().collect();
        self.by_pid.insert(pid, id);
        self.pace_of(id).note_start();
        self.change(id, |worker| {
            worker.pid = Some(pid);
            worker.spinup_time = now;
        });
        self.report_start(Report::Started { worker: self.name(id), version }, false);
        for signal in due {
            self.actions.push_back(Action::Signal { id, pid, signal });
        }
    }

    /// A worker says that it is up, by whatever means its mode has.
    pub(super) fn take_acknowledgement(&mut self, now: Moment, id: SpawnId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let reason = match self.settings.ack_mode.timer() {
            Some(_) => "workers count as up after a time (--ack-mode)",
            None if worker.is_stopping() => "it is stopping",
            None if worker.acked => "it is up already",
            None => return self.acknowledge(now, id),
        };
        self.report(Report::AcknowledgementIgnored { worker: self.name(id), reason });
    }

    pub(super) fn note_ping(&mut self, now: Moment, id: SpawnId, request_id: Option<Value>) {
        self.change(id, |worker| {
            worker.pinged_at = Some(now);
            worker.pinged_request_id = request_id;
        });
        self.note_sound(id);
        self.report(Report::Pinged { worker: self.name(id) });
    }

    pub(super) fn note_status(&mut self, id: SpawnId, text: String) {
        self.change(id, |worker| worker.status = Some(text).filter(|text| !text.is_empty()));
    }

    /// The time is over: with a timer the worker is up, without one it has failed.
    pub(super) fn acknowledgement_deadline(&mut self, now: Moment, id: SpawnId) {
        let Some(worker) = self.workers.get(&id) else { return };
        match self.settings.ack_mode.timer() {
            _ if worker.acked => self.let_count(id),
            Some(_) => self.acknowledge(now, id),
            None => {
                let waited = ack_timeout(worker, &self.settings)
                    .unwrap_or_else(|| now.since(worker.spinup_time));
                let why = Why::NotAcknowledged(waited);
                self.pace_of(id).note_death();
                self.change(id, |worker| worker.failed = true);
                let signal = self.settings.stop_signal();
                self.record_signal(now, id, signal);
                let worker = self.name(id);
                self.report_start(Report::Signaled { worker, signal, why }, true);
                self.note_failure(id, &why.to_string());
            }
        }
    }

    fn acknowledge(&mut self, now: Moment, id: SpawnId) {
        self.pace_of(id).note_success();
        let soak = self.soak();
        self.change(id, |worker| {
            worker.acked = true;
            worker.acked_at = Some(now);
        });
        if soak.is_zero() || self.workers.get(&id).is_some_and(|worker| !worker.newcomer) {
            self.let_count(id);
        }
        let target = self.target();
        // Those that are being replaced serve on, beside replacements that are up already.
        let acked = (self.census.acked() + self.census.recycling()).min(target);
        self.report(Report::Acknowledged { worker: self.name(id), acked, target });
    }

    /// From now on it is one of those that serve. Only an upgrade goes on to call it new.
    fn let_count(&mut self, id: SpawnId) {
        self.note_replacement_up();
        let is_upgrading = self.upgrade.is_some();
        self.change(id, |worker| {
            worker.counts = true;
            worker.newcomer &= is_upgrading;
        });
    }

    /// How long newcomers must live after they are up.
    pub(super) fn soak(&self) -> Duration {
        self.upgrade.as_ref().map_or(self.settings.upgrade.soak, |upgrade| upgrade.rules.soak)
    }

    pub(super) fn note_fleet_up(&mut self) {
        let serving = self.census.counted() + self.census.recycling();
        if !self.fleet_was_up && serving >= self.target() {
            self.fleet_was_up = true;
            self.report(Report::FleetUp { target: self.target() });
        }
    }
}
