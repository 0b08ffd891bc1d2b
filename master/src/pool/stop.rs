//! Asking workers to stop, and seeing to it that they do.

use super::memory::Rounds;
use super::report::{Report, UpgradeEnd, Why};
use super::worker::SpawnId;
use super::{Action, PendingReload, Pool, Reload, Stage};
use crate::moment::Moment;
use crate::signal::Signal;

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

    /// It was asked, it had its time, it is still there.
    pub(super) fn kill(&mut self, now: Moment, id: SpawnId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let waited = worker.last_signaled_at.map(|at| now.since(at)).unwrap_or_default();
        self.ask_to_stop(now, id, Signal::KILL, Why::StillAlive(waited));
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
