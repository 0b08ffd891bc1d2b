//! The world around one pool: it hands events in, carries actions out, and looks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use super::callers::Callers;
use super::clock::Clock;
use super::invariants::Before;
use super::kernel::{Forks, Kernel};
use super::reached::Reached;
use crate::options::Launch;
use crate::pool::{
    Action, Cause, Event, Pid, Pool, Reload, Report, SpawnId, UpgradeEnd, Version, Why,
};
use crate::settings::Settings;

pub(super) struct World {
    pub(super) pool: Pool,
    pub(super) launch: Launch,
    pub(super) clock: Clock,
    pub(super) kernel: Kernel,
    pub(super) callers: Callers,
    /// A check for a reload is running.
    pub(super) check: bool,
    /// Pids that said that they are up, on their way.
    pub(super) mail: VecDeque<Pid>,
    /// Versions that can be started, and whether the next one can.
    pub(super) versions: BTreeSet<Version>,
    pub(super) prepared: bool,
    /// A rollback has begun since each slot last had one worker.
    pub(super) may_be_crowded: bool,
    /// Workers that counted and were leaving before a reload, which forgets that they were; none
    /// once the next image is at work.
    pub(super) leaving_before_reload: usize,
    pub(super) last_starts: BTreeMap<Version, Duration>,
    /// The exit status with which the master left.
    pub(super) left: Option<u8>,
    pub(super) reached: Reached,
    /// Pids that were given once.
    pub(super) given: BTreeSet<Pid>,
    /// What happened, in lines, where somebody wants to read it.
    pub(super) transcript: Option<String>,
}

impl World {
    pub(super) fn new(launch: &Launch, settings: Settings, balanced: bool) -> Self {
        Self {
            pool: Pool::new(settings).balanced(balanced),
            launch: launch.clone(),
            clock: Clock::new(),
            kernel: Kernel::new(),
            callers: Callers::default(),
            check: false,
            mail: VecDeque::new(),
            versions: [0].into(),
            prepared: false,
            may_be_crowded: false,
            leaving_before_reload: 0,
            last_starts: BTreeMap::new(),
            left: None,
            reached: Reached::default(),
            given: BTreeSet::new(),
            transcript: None,
        }
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            let _ = writeln!(transcript, "{}", line());
        }
    }

    /// Something happens to the master, unless it has left.
    pub(super) fn handle(&mut self, event: Event) {
        if self.left.is_some() {
            return;
        }
        let before = Before::of(self, &event);
        self.pool.handle(self.clock.now(), event);
        before.check_capacity(&self.pool);
        before.check_recycling(&self.pool);
        while let Some(action) = self.pool.poll_action() {
            self.perform(action, &before);
        }
        self.check();
    }

    fn perform(&mut self, action: Action, before: &Before) {
        match action {
            Action::Spawn { id, index, version } => {
                self.say(|| format!("        start w{} (index {index}, version {version})", id.0));
                self.check_start(id, index, version, before);
                self.last_starts.insert(version, self.clock.now().monotonic);
                match self.kernel.forks {
                    Forks::Work => self.fork(id),
                    Forks::Fail => self.fail_to_fork(id),
                    Forks::Wait => self.kernel.waiting.push(id),
                }
            }
            Action::Signal { id, pid, signal } => {
                self.say(|| format!("        {signal} to w{} (pid {pid})", id.0));
                self.kernel.send(pid, id, signal);
            }
            Action::Reload(reload) => {
                self.say(|| format!("        reload: {reload:?}"));
                assert_eq!(self.check, reload == Reload::Cancel, "one check at a time");
                self.check = reload == Reload::Begin;
            }
            Action::Measure { id, pid } => {
                assert!(self.pool.settings().recycle.max_rss.is_some(), "no rule asks for it");
                if let Some(resident) = self.kernel.resident(pid) {
                    self.pool.handle(self.clock.now(), Event::Measured { id, resident });
                }
            }
            Action::Inspect { .. } => {}
            Action::Report(report) => self.publish(&report),
            Action::Finish(status) => {
                self.say(|| format!("        leave with status {status}"));
                self.reached.note("left");
                self.left = Some(status);
            }
        }
    }

    pub(super) fn fork(&mut self, id: SpawnId) {
        let Some(pid) = self.kernel.fork(id) else { return self.fail_to_fork(id) };
        if !self.given.insert(pid) {
            self.reached.note("pid that comes again");
        }
        self.say(|| format!("        w{} has pid {pid}", id.0));
        self.pool.handle(self.clock.now(), Event::Spawned { id, pid });
    }

    pub(super) fn fail_to_fork(&mut self, id: SpawnId) {
        self.reached.note("start that failed");
        self.say(|| format!("        w{} cannot be started", id.0));
        let reason = "out of processes".to_string();
        self.pool.handle(self.clock.now(), Event::SpawnFailed { id, reason });
    }

    fn publish(&mut self, report: &Report) {
        self.say(|| format!("        \"{report}\""));
        match report {
            Report::UpgradeBegun { to, .. } => {
                self.reached.note("upgrade begun");
                assert!(self.prepared, "an upgrade begins that nobody asked for");
                self.prepared = false;
                self.versions.insert(*to);
                // The number may have been another attempt's.
                self.last_starts.remove(to);
            }
            Report::UpgradeEnded { end, callers, .. } => {
                let keep = [self.pool.committed(), self.pool.version()];
                self.versions.retain(|version| keep.contains(version));
                self.callers.tell(end, *callers);
                self.reached.note(match end {
                    UpgradeEnd::Committed => "upgrade committed",
                    UpgradeEnd::RolledBack { .. } => "upgrade rolled back",
                    UpgradeEnd::ReloadFailed(_) => "upgrade that could not reload",
                    UpgradeEnd::Superseded => "upgrade superseded",
                    UpgradeEnd::Aborted => "upgrade aborted",
                    UpgradeEnd::ShuttingDown => "upgrade ended by a stop",
                });
            }
            Report::RollbackBegun { .. } => self.may_be_crowded = true,
            Report::DiedEarly { .. } => self.reached.note("death before acknowledgement"),
            Report::Signaled { why: Why::StillAlive(_), .. } => self.reached.note("kill after -t"),
            Report::Signaled { why: Why::Recycled, .. } => {
                self.reached.note("replacement of a stale worker");
            }
            Report::Signaled { why: Why::NotAcknowledged(_), .. } => {
                self.reached.note("not acknowledged in time");
            }
            Report::Stale { cause, .. } => self.reached.note(match cause {
                Cause::Silent { .. } => "worker that falls silent",
                Cause::Memory { .. } => "worker with too much memory",
                Cause::Requested => "worker to be replaced as asked",
                Cause::Age { .. } => "worker that is too old",
            }),
            Report::Heard { .. } => self.reached.note("silent worker that pings again"),
            Report::ReplacementFailed { .. } => self.reached.note("replacement that failed"),
            Report::Retiring { counts: true, .. } => self.reached.note("worker that retires"),
            Report::NotDrained { .. } => self.reached.note("slot that drains for too long"),
            Report::Lingering { .. } => self.reached.note("worker that does not stop"),
            Report::Kept { .. } => self.reached.note("draining worker that is kept"),
            _ => {}
        }
    }

    pub(super) fn reap(&mut self) {
        while let Some((pid, id, exit)) = self.kernel.reap_next() {
            self.say(|| format!("    pid {pid} (w{}): {exit}", id.0));
            self.handle(Event::Exited { id, exit });
        }
    }

    /// The event loop's own turn: what is due is done, and then nothing is.
    pub(super) fn meet_deadlines(&mut self) {
        let most = 10 * (self.pool.census().alive() + self.pool.settings().number as usize) + 50;
        for _ in 0..most {
            let now = self.clock.now().monotonic;
            if self.left.is_some() || self.pool.next_deadline().is_none_or(|at| at > now) {
                self.check_deadlines();
                return;
            }
            self.handle(Event::DeadlineReached);
        }
        panic!("it spins: still due after {most} turns at one instant");
    }
}
