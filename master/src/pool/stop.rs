//! Asking workers to stop, and seeing to it that they do.

use std::time::Duration;

use einhorn_protocol::limit;

use super::acknowledge::FAILED_GRACE;
use super::memory::Rounds;
use super::report::{Report, UpgradeEnd, Why};
use super::worker::{SpawnId, Worker};
use super::{Action, PendingReload, Pool, Reload, Stage};
use crate::moment::Moment;
use crate::settings::Settings;
use crate::signal::Signal;

/// When a worker that stops is killed, or told of since nothing ends it.
pub(super) fn deadline_of(worker: &Worker, settings: &Settings) -> Option<Duration> {
    let span = match grace(worker, settings) {
        _ if worker.is_killed() => return None,
        Some(grace) => grace,
        None if worker.lingering => return None,
        None => Duration::from_secs(limit::LINGER_SECONDS_TOLD),
    };
    Some(worker.last_signaled_at?.monotonic.saturating_add(span))
}

/// Whether a worker that stops is killed after a time.
pub(super) fn is_ended(worker: &Worker, settings: &Settings) -> bool {
    grace(worker, settings).is_some()
}

/// How long it has.
fn grace(worker: &Worker, settings: &Settings) -> Option<Duration> {
    settings.signal_timeout.or((worker.failed || worker.silent).then_some(FAILED_GRACE))
}

impl Pool {
    /// Sends `signal` and records it, so that `-t` holds from the first time on.
    pub(super) fn ask_to_stop(&mut self, now: Moment, id: SpawnId, signal: Signal, why: Why) {
        self.record_signal(now, id, signal);
        self.report(Report::Signaled { worker: self.name(id), signal, why });
    }

    pub(super) fn record_signal(&mut self, now: Moment, id: SpawnId, signal: Signal) {
        self.change(id, |worker| {
            worker.draining = None;
            worker.signaled.insert(signal);
            worker.last_signaled_at.get_or_insert(now);
        });
        self.send(id, signal);
    }

    fn send(&mut self, id: SpawnId, signal: Signal) {
        if let Some(pid) = self.workers.get(&id).and_then(|worker| worker.pid) {
            self.actions.push_back(Action::Signal { id, pid, signal });
        }
    }

    /// It was asked, it had its time, it is still there: it is killed, or told of once.
    pub(super) fn note_not_stopped(&mut self, now: Moment, id: SpawnId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let waited = worker.last_signaled_at.map(|at| now.since(at)).unwrap_or_default();
        if is_ended(worker, &self.settings) {
            self.ask_to_stop(now, id, Signal::KILL, Why::StillAlive(waited));
            return;
        }
        let pid = worker.pid;
        self.change(id, |worker| worker.lingering = true);
        if let Some(pid) = pid {
            self.report(Report::Lingering { worker: self.name(id), pid, waited });
        }
    }

    /// A worker ends of its own accord. One that was never up has failed all the same, when it
    /// ends; one that was has not, and has as long for it as one that was asked.
    pub(super) fn note_retiring(&mut self, now: Moment, id: SpawnId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let counts = worker.counts;
        if counts && !worker.is_stopping() {
            self.change(id, |worker| {
                worker.draining = None;
                worker.retiring = true;
                worker.last_signaled_at = Some(now);
            });
        }
        self.report(Report::Retiring { worker: self.name(id), counts });
    }

    /// An operator's signal to everyone; nobody is thereby asked to stop.
    pub(super) fn signal_all(&mut self, signal: Signal) {
        let ids: Vec<SpawnId> = self.workers.keys().copied().collect();
        for &id in &ids {
            self.send(id, signal);
        }
        self.report(Report::SignaledAll { count: ids.len(), signal, why: Why::Requested });
    }

    /// Sees everyone off; said again, signals again.
    pub(super) fn stop(&mut self, now: Moment, signal: Signal) {
        if self.stage == Stage::Serving {
            self.stage = Stage::Stopping;
            self.replenish_at = None;
            self.looks = Rounds::default();
            self.leave_upgrade();
        }
        let ids: Vec<SpawnId> = self.workers.keys().copied().collect();
        for &id in &ids {
            self.record_signal(now, id, signal);
        }
        self.report(Report::SignaledAll { count: ids.len(), signal, why: Why::Stopping });
    }

    /// Hands the signal on and leaves without waiting.
    pub(super) fn quit(&mut self, signal: Signal) {
        self.leave_upgrade();
        let ids: Vec<SpawnId> = self.workers.keys().copied().collect();
        for &id in &ids {
            self.send(id, signal);
        }
        self.report(Report::SignaledAll { count: ids.len(), signal, why: Why::Stopping });
        self.finish(1);
    }

    pub(super) fn leave_upgrade(&mut self) {
        let reload = self.pending_reload.take();
        if reload.is_some() {
            self.actions.push_back(Action::Reload(Reload::Cancel));
        }
        if self.upgrade.is_some() || reload.is_some_and(PendingReload::is_for_upgrade) {
            self.report_upgrade_end(UpgradeEnd::ShuttingDown, self.last_request, None);
            self.upgrade = None;
        }
    }

    pub(super) fn refuse_while_stopping(&mut self) {
        self.report_upgrade_end(UpgradeEnd::ShuttingDown, self.last_request, None);
    }
}
