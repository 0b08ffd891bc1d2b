//! Random histories: whatever happens in whatever order, the invariants hold after every
//! step, and when the world turns kind the pool settles at its target.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::script::{moment, pid_of};
use crate::pool::{Action, Event, Exit, Pool, Reload, SpawnId, Standing, UpgradeMode, standing};
use crate::settings::{AckMode, AckTimeout, RecycleRules, Settings, UpgradeRules};
use crate::signal::Signal;

#[derive(Clone, Debug)]
enum Step {
    Wait(u16),
    Ack(u8),
    Die(u8),
    Obey(u8),
    Target(u8),
    Upgrade(bool),
    Reload(bool),
    Abort,
    ForkFails(bool),
    Recycle(u8),
    Ping(u8),
    Has(u8, u8),
    RecycleAll,
    Drained(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5000_u16).prop_map(Step::Wait),
        6 => any::<u8>().prop_map(Step::Ack),
        2 => any::<u8>().prop_map(Step::Die),
        4 => any::<u8>().prop_map(Step::Obey),
        1 => (1..8_u8).prop_map(Step::Target),
        1 => any::<bool>().prop_map(Step::Upgrade),
        2 => any::<bool>().prop_map(Step::Reload),
        1 => Just(Step::Abort),
        1 => any::<bool>().prop_map(Step::ForkFails),
        1 => any::<u8>().prop_map(Step::Recycle),
        3 => any::<u8>().prop_map(Step::Ping),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(worker, size)| Step::Has(worker, size)),
        1 => Just(Step::RecycleAll),
        3 => (0..8_u8).prop_map(Step::Drained),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let ack_mode = prop_oneof![
        Just(AckMode::Manual),
        (0..3000_u64).prop_map(|ms| AckMode::Timer(Duration::from_millis(ms))),
    ];
    let ack_timeout = prop_oneof![
        Just(AckTimeout::Default),
        Just(AckTimeout::Never),
        (1..20_u64).prop_map(|s| AckTimeout::After(Duration::from_secs(s))),
    ];
    let signal_timeout = proptest::option::of((0..20_u64).prop_map(Duration::from_secs));
    let rules = (
        proptest::option::of(0..4_u32),
        prop_oneof![Just(0), 0..5000_u64],
        0..4_u32,
        proptest::option::of(1..60_u64),
    )
        .prop_map(|(canary, soak, attempts, timeout)| UpgradeRules {
            canary,
            soak: Duration::from_millis(soak),
            attempts,
            timeout: timeout.map(Duration::from_secs),
        });
    let span = || proptest::option::of((1..30_u64).prop_map(Duration::from_secs));
    let recycle = (span(), proptest::option::of(1..256_u64), span(), any::<bool>()).prop_map(
        |(max_age, megabytes, ping_timeout, dumps)| RecycleRules {
            max_age,
            max_rss: megabytes.map(|number| number << 20),
            ping_timeout,
            ping_signal: dumps.then_some(Signal::QUIT),
        },
    );
    let timeouts = (ack_timeout, signal_timeout, recycle);
    let additional = proptest::option::of(1..4_u32);
    (1..8_u32, 1..5_u32, additional, ack_mode, timeouts, rules, 1..200_u32).prop_map(
        |(number, unacked, additional, ack_mode, timeouts, upgrade, tenths)| Settings {
            number,
            max_unacked: NonZeroU32::new(unacked).unwrap(),
            max_upgrade_additional: additional.and_then(NonZeroU32::new),
            ack_mode,
            ack_timeout: timeouts.0,
            signal_timeout: timeouts.1,
            recycle: timeouts.2,
            upgrade,
            seconds: f64::from(tenths) / 10.0,
            ..Settings::default_for(NonZeroU32::MIN)
        },
    )
}

/// The world outside: time, forks, and processes that obey or don't.
struct World {
    pool: Pool,
    milliseconds: u64,
    fork_fails: bool,
    reload_waits: bool,
    fleet: bool,
}

impl World {
    fn handle(&mut self, event: Event) {
        #[expect(clippy::cast_precision_loss, reason = "a few days at most")]
        let now = moment(self.milliseconds as f64 / 1000.0);
        let lost = usize::from(self.is_loss(&event));
        let served = self.serving();
        let was_hopeless = self.is_hopeless();
        self.pool.handle(now, event);
        let target = self.pool.settings().number as usize;
        if !was_hopeless {
            let least = served.saturating_sub(lost).min(target);
            assert!(self.serving() >= least, "{} serve, {least} could", self.serving());
        }
        let mut killed = Vec::new();
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Spawn { id, .. } if self.fork_fails => {
                    self.pool.handle(now, Event::SpawnFailed { id, reason: String::new() });
                }
                Action::Spawn { id, .. } => {
                    self.check_budget(id);
                    self.pool.handle(now, Event::Spawned { id, pid: pid_of(id) });
                }
                Action::Signal { id, signal: Signal::KILL, .. } => killed.push(id),
                Action::Signal { id, pid, .. } => assert_eq!(pid, pid_of(id)),
                Action::Reload(reload) => self.reload_waits = reload == Reload::Begin,
                Action::Measure { .. } | Action::Inspect { .. } | Action::Report(_) => {}
                Action::Finish(_) => panic!("nobody asked it to leave"),
            }
        }
        self.check();
        for id in killed {
            self.handle(Event::Exited { id, exit: Exit::Signal(Signal::KILL) });
        }
    }

    /// Workers that count and that nobody asked to stop, of whatever version. Those that are to
    /// go once their queue is empty are taken for gone.
    fn serving(&self) -> usize {
        let census = self.pool.census();
        let serving = [Standing::ModernServing, Standing::ModernRecycling, Standing::OldServing]
            .into_iter()
            .flat_map(|standing| census.of(standing));
        let drains = |id: &SpawnId| self.pool.worker(*id).is_some_and(|w| w.draining.is_some());
        serving.filter(|id| !drains(id)).count()
    }

    fn is_loss(&self, event: &Event) -> bool {
        matches!(event, Event::Exited { id, .. }
            if self.pool.worker(*id)
                .is_some_and(|w| w.counts && !w.is_stopping() && w.draining.is_none()))
    }

    /// The old version cannot be brought back: then, and only then, capacity may be lost.
    fn is_hopeless(&self) -> bool {
        let rollback = self.pool.upgrade().and_then(|upgrade| upgrade.rollback.as_ref());
        rollback.is_some_and(|rollback| rollback.failures >= 4)
    }

    /// Gradual starts stay within target + `max_upgrade_additional`.
    fn check_budget(&self, id: SpawnId) {
        let settings = self.pool.settings();
        let first = self.pool.worker(id).is_some_and(|w| w.version == 0);
        if let Some(additional) = settings.max_upgrade_additional.filter(|_| !first && !self.fleet)
        {
            let budget = (settings.number + additional.get()) as usize;
            assert!(
                self.pool.census().alive() <= budget,
                "{} > {budget}",
                self.pool.census().alive()
            );
        }
    }

    /// A slot has at most one worker that goes on of each version, and one that drains is the
    /// last of its slot.
    fn check_slots(&self) {
        let mut held = std::collections::BTreeMap::new();
        for worker in self.pool.workers() {
            assert_eq!(worker.slot.is_some(), self.pool.is_balanced(), "{worker}");
            let Some(slot) = worker.slot.filter(|_| !worker.is_stopping()) else { continue };
            // A rollback in the middle of a replacement leaves the stale one and its replacement.
            if worker.version == self.pool.version() && worker.stale.is_none() {
                let other = held.insert(slot, worker.id);
                assert!(other.is_none(), "{worker} and {other:?} in slot {slot}");
            }
            let others = || self.pool.workers().filter(|w| w.id != worker.id && !w.is_stopping());
            assert!(
                worker.draining.is_none() || others().all(|other| other.slot != Some(slot)),
                "{worker} drains, and is not the last in slot {slot}"
            );
        }
    }

    fn check(&self) {
        let pool = &self.pool;
        let census = pool.census();
        let mut indexes: Vec<u32> = pool.workers().map(|worker| worker.index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        assert_eq!(indexes.len(), pool.workers().count(), "indexes are unique");
        assert_eq!(census.alive(), pool.workers().count());
        self.check_slots();
        for worker in pool.workers() {
            let filed = standing(worker, pool.version());
            assert!(census.of(filed).any(|id| id == worker.id), "{worker} is filed as {filed:?}");
        }
        let target = pool.settings().number as usize;
        let draining = pool.draining_slots().count();
        if pool.is_balanced() {
            let kept = census.counted().saturating_sub(draining);
            assert!(kept <= target, "the excess drains at once");
        } else {
            assert_eq!(draining, 0);
            assert!(census.modern_unsignaled() <= target, "the excess is retired at once");
        }
        if pool.upgrade().is_none() {
            assert!(census.old() <= draining, "old workers are retired outside an upgrade");
        } else {
            assert_eq!(census.recycling(), 0, "an upgrade replaces them itself");
        }
        let most = pool.settings().max_unacked.get() as usize;
        let begun = census.recycling() + census.recycled_stopping();
        assert!(begun <= most, "{begun} are being recycled, of {most} at a time");
        for worker in pool.workers().filter(|worker| worker.recycling) {
            assert!(worker.stale.is_some() && worker.counts, "{worker} is replaced for a reason");
        }
        let waiting = |worker: &&crate::pool::Worker| {
            worker.stale.is_some() && !worker.recycling && !worker.is_stopping()
        };
        assert_eq!(pool.waiting_to_be_recycled(), pool.workers().filter(waiting).count());
        if let Some(first) = pool.next_deadline() {
            assert!(first > Duration::ZERO);
        }
    }

    fn pick(&self, number: u8, wanted: impl Fn(&crate::pool::Worker) -> bool) -> Option<SpawnId> {
        let candidates: Vec<SpawnId> =
            self.pool.workers().filter(|worker| wanted(worker)).map(|worker| worker.id).collect();
        candidates.get(usize::from(number) % candidates.len().max(1)).copied()
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Wait(milliseconds) => {
                self.milliseconds += u64::from(milliseconds);
                self.handle(Event::DeadlineReached);
            }
            Step::Ack(number) => {
                if let Some(id) = self.pick(number, |worker| !worker.acked) {
                    self.handle(Event::Acknowledged { id });
                }
            }
            Step::Die(number) => {
                if let Some(id) = self.pick(number, |_| true) {
                    self.handle(Event::Exited { id, exit: Exit::Status(1) });
                }
            }
            Step::Obey(number) => {
                if let Some(id) = self.pick(number, crate::pool::Worker::is_stopping) {
                    self.handle(Event::Exited { id, exit: Exit::Status(0) });
                }
            }
            Step::Target(number) => {
                let settings =
                    Settings { number: u32::from(number), ..self.pool.settings().clone() };
                self.handle(Event::SettingsChanged(settings));
            }
            Step::Upgrade(fleet) => {
                let mode = if fleet { UpgradeMode::Fleet } else { UpgradeMode::Smooth };
                let request = self.pool.next_request();
                // Fleet starts are outside the budget, and what they left behind is too.
                self.fleet |= fleet;
                let rules = self.pool.settings().upgrade;
                self.handle(Event::UpgradeRequested { mode, rules, request });
            }
            Step::Reload(works) if self.reload_waits => {
                self.reload_waits = false;
                if works {
                    // Ids are given anew, and so are the pids that stand for them here.
                    let mut restored = self.pool.to_restored();
                    restored.workers.sort_by_key(|w| (w.spinup_time.monotonic, w.id));
                    for (number, worker) in (0..).zip(&mut restored.workers) {
                        worker.pid = Some(pid_of(SpawnId(number)));
                    }
                    self.pool = Pool::restore(restored);
                    self.handle(Event::Adopted);
                } else {
                    self.handle(Event::ReloadFailed { reason: String::new() });
                }
            }
            Step::Reload(_) => {}
            Step::Abort => self.handle(Event::AbortRequested),
            Step::Drained(slot) => self.handle(Event::Drained { slot: slot.into() }),
            Step::ForkFails(fails) => self.fork_fails = fails,
            Step::Recycle(number) => {
                if let Some(id) = self.pick(number, |_| true) {
                    self.handle(Event::RecycleRequested(vec![id]));
                }
            }
            Step::Ping(number) => {
                if let Some(id) = self.pick(number, |_| true) {
                    self.handle(Event::Pinged { id, request_id: None });
                }
            }
            Step::Has(number, size) => {
                if let Some(id) = self.pick(number, |_| true) {
                    self.handle(Event::Measured { id, resident: u64::from(size) << 20 });
                }
            }
            Step::RecycleAll => {
                let all = self.pool.workers().map(|worker| worker.id).collect();
                self.handle(Event::RecycleRequested(all));
            }
        }
    }

    /// From here on everybody behaves; how long until all is well?
    fn settle(&mut self) {
        self.fork_fails = false;
        // A rule goes on for ever; what it has begun must come to an end.
        let recycle = RecycleRules::default();
        let settings = Settings { recycle, ..self.pool.settings().clone() };
        self.handle(Event::SettingsChanged(settings));
        for _ in 0..400 {
            self.play(&Step::Reload(true));
            while let Some(id) = self.pick(0, crate::pool::Worker::is_stopping) {
                self.handle(Event::Exited { id, exit: Exit::Status(0) });
            }
            let drained: Vec<u32> = self.pool.draining_slots().collect();
            for slot in drained {
                self.handle(Event::Drained { slot });
            }
            let unacked: Vec<SpawnId> =
                self.pool.workers().filter(|w| !w.acked).map(|w| w.id).collect();
            if matches!(self.pool.settings().ack_mode, AckMode::Manual) {
                for id in unacked {
                    self.handle(Event::Acknowledged { id });
                }
            }
            if let Some(next) = self.pool.next_deadline() {
                let next = next.saturating_sub(moment(0.0).monotonic).as_millis();
                self.milliseconds = self.milliseconds.max(u64::try_from(next).unwrap() + 1);
            }
            self.handle(Event::DeadlineReached);
        }
        let census = self.pool.census();
        let target = self.pool.settings().number as usize;
        assert_eq!(census.acked(), target, "it settles at its target");
        assert_eq!(census.alive(), target, "and nobody else is left");
        if self.pool.is_balanced() {
            let open: Vec<usize> = self.pool.open_slots().map(|slot| slot as usize).collect();
            assert_eq!(open, (0..target).collect::<Vec<_>>(), "each slot has its worker");
        }
        assert!(self.pool.upgrade().is_none(), "no upgrade is left over");
        assert_eq!(census.recycling(), 0, "everyone stale is replaced");
        assert_eq!(self.pool.waiting_to_be_recycled(), 0, "and nobody waits for it");
        assert_eq!(self.pool.next_deadline(), None, "nothing wakes it without cause");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_and_the_pool_settles(
        settings in settings(),
        steps in proptest::collection::vec(step(), 0..120),
        balanced in any::<bool>(),
    ) {
        let mut world = World {
            pool: Pool::new(settings).balanced(balanced),
            milliseconds: 0,
            fork_fails: false,
            reload_waits: false,
            fleet: false,
        };
        world.handle(Event::Start);
        for step in steps {
            world.play(&step);
        }
        world.settle();
    }
}
