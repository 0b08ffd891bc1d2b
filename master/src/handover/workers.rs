//! The workers of a [`Snapshot`], looked at one by one, as a [`Pool`] again.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use einhorn_protocol::{error_code, limit};

use crate::moment::{Moment, WallTime};
use crate::options::Launch;
use crate::pool::{
    Failure, PendingReload, Pid, Pool, RequestNumber, Restored, Rollback, SpawnId, Stale, Upgrade,
    UpgradeEnd, UpgradeMode, Worker,
};
use crate::settings::UpgradeRules;
use crate::signal::Signal;
use crate::state::{self, Child, OurUpgrade, Ours, Snapshot, WorkerChild};
use crate::sys::children::{self, ChildState};
use crate::sys::reason;

/// Largest index that is believed: far more than can ever be taken.
const INDEX_MAX: u32 = 16 * limit::WORKERS_MAX;
/// The number of a request that another master took.
pub(super) const FOREIGN_REQUEST: RequestNumber = 1;

/// The pool that `snapshot` tells of, without the workers that are no more.
pub(super) fn restore(snapshot: &Snapshot, launch: &Launch, now: Moment) -> Pool {
    restore_living(snapshot, launch, now, children::state_of)
}

/// As [`restore`], with `look` in the place of the kernel's word on each pid.
pub(crate) fn restore_living(
    snapshot: &Snapshot,
    launch: &Launch,
    now: Moment,
    look: impl Fn(Pid) -> io::Result<ChildState>,
) -> Pool {
    let ours = snapshot.ours.clone().unwrap_or_default();
    let is_foreign = snapshot.ours.is_none();
    let living: Vec<(Pid, &WorkerChild)> = living(snapshot, look).collect();
    let taken: BTreeSet<u32> = living.iter().filter_map(|(_, child)| index_of(child)).collect();
    let mut free = (0..).filter(|index| !taken.contains(index));
    let indexed = |(pid, child): (Pid, &WorkerChild)| {
        let index = index_of(child).or_else(|| free.next()).unwrap_or_default();
        let mut worker = worker(snapshot, &ours, pid, child, now);
        worker.index = index;
        worker
    };
    let workers: Vec<Worker> = living.into_iter().map(indexed).collect();
    let last_request = if is_foreign { FOREIGN_REQUEST } else { ours.last_request };
    let mode = |smooth: bool| if smooth { UpgradeMode::Smooth } else { UpgradeMode::Fleet };
    let last_mode = mode(snapshot.smooth_upgrade);
    let begun = snapshot.last_upgraded.map_or(now, |wall| moment_of(wall, now));
    let agrees = versions_agree(snapshot, &ours);
    let committed = if agrees { ours.committed_version } else { committed(snapshot, &workers) };
    let upgrade = snapshot.upgrading.then(|| {
        if let Some(known) = ours.upgrade.as_ref().filter(|_| agrees) {
            return our_upgrade(known, begun, now);
        }
        // Callers of a Ruby master are not told apart: all follow the newest upgrade.
        let request = if snapshot.reloading_for_upgrade { 0 } else { FOREIGN_REQUEST };
        let rules = launch.settings.upgrade;
        let mut upgrade = Upgrade::begin(last_mode, rules, request, snapshot.version, begun);
        // There is no upgrade from a version to itself. It was a rollback of ours, of which
        // another master knew nothing: whoever serves still does so until others do.
        if committed == snapshot.version {
            upgrade.rollback = Some(Rollback::new(UpgradeEnd::Aborted));
        }
        upgrade
    });
    Pool::restore(Restored {
        settings: launch.settings.clone(),
        balanced: ours.listeners.iter().any(|listener| listener.slot_fds.is_some()),
        version: snapshot.version,
        committed,
        deaths_before_ack: snapshot.consecutive_deaths_before_ack,
        last_spinup: snapshot
            .last_spinup
            .map(|wall| on_clock(moment_of(wall, now), ours.last_spinup_monotonic, now)),
        old_deaths_before_ack: ours.old_deaths_before_ack,
        old_last_spinup: ours
            .old_last_spinup_monotonic
            .map(|monotonic| on_clock(now, Some(monotonic), now)),
        last_upgraded: snapshot.last_upgraded.map(|wall| moment_of(wall, now)),
        last_mode,
        upgrade,
        pending_reload: snapshot.reloading_for_upgrade.then_some(PendingReload::Upgrade {
            mode: last_mode,
            rules: ours.next_rules.map_or(launch.settings.upgrade, rules_of),
            request: last_request,
            superseding: ours.superseding,
        }),
        last_request,
        stopping: !snapshot.respawn,
        fleet_was_up: is_foreign || ours.fleet_was_up,
        workers,
    })
}

fn our_upgrade(known: &OurUpgrade, begun: Moment, now: Moment) -> Upgrade {
    let mode = if known.smooth { UpgradeMode::Smooth } else { UpgradeMode::Fleet };
    let begun = on_clock(begun, known.begun_monotonic, now);
    let mut upgrade = Upgrade::begin(mode, rules_of(known.rules), known.request, known.to, begun);
    upgrade.canary_passed = known.canary_passed;
    upgrade.failures = known.failures;
    upgrade.first_failure = known.failed_reason.clone().map(|reason| Failure {
        pid: known.failed_pid,
        index: known.failed_index,
        reason,
    });
    let end = known.rollback.as_deref().map(|code| match code {
        error_code::ABORTED => UpgradeEnd::Aborted,
        _ => UpgradeEnd::RolledBack {
            why: known.rollback_why.clone().unwrap_or_default(),
            failure: upgrade.first_failure.clone(),
        },
    });
    upgrade.rollback = end.map(Rollback::new);
    upgrade
}

/// Rules that crossed; what makes no sense in them is the default.
pub(super) fn rules_of(known: state::Rules) -> UpgradeRules {
    let span = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    let default = UpgradeRules::default();
    UpgradeRules {
        canary: known.canary,
        soak: span(known.soak).unwrap_or(default.soak),
        attempts: known.attempts.unwrap_or(default.attempts),
        timeout: known.timeout.and_then(span),
    }
}

/// Children that this process really has. One that has ended is taken too: its end is reaped
/// as if it had ended now.
fn living(
    snapshot: &Snapshot,
    look: impl Fn(Pid) -> io::Result<ChildState>,
) -> impl Iterator<Item = (Pid, &WorkerChild)> {
    snapshot.children.iter().filter_map(move |(&pid, child)| match child {
        Child::StatePasser => None,
        Child::Worker(worker) => match look(pid) {
            Ok(ChildState::Living | ChildState::Ended) => Some((pid, worker)),
            Ok(ChildState::Unknown) => {
                ::log::warn!("worker {pid} of the state is no more");
                None
            }
            Err(error) => {
                ::log::error!("worker {pid} of the state cannot be looked at: {}", reason(&error));
                None
            }
        },
    })
}

/// The index that a worker was told, if it was told one that can be believed: what lies below
/// it is kept as free.
fn index_of(child: &WorkerChild) -> Option<u32> {
    child.index.filter(|index| *index <= INDEX_MAX)
}

/// Where its start is missing, a worker was started when its timer was.
fn start_of(snapshot: &Snapshot, pid: Pid, child: &WorkerChild) -> Option<WallTime> {
    let timer = || snapshot.ack_timers.iter().find(|timer| timer.pid == pid);
    child.spinup_time.or_else(|| timer().map(|timer| timer.start))
}

fn worker(snapshot: &Snapshot, ours: &Ours, pid: Pid, child: &WorkerChild, now: Moment) -> Worker {
    let known = ours.workers.get(&pid).cloned().unwrap_or_default();
    let spinup_time = start_of(snapshot, pid, child).map_or(now, |wall| moment_of(wall, now));
    let signaled: BTreeSet<Signal> =
        child.signaled.iter().filter_map(|name| Signal::from_name(name)).collect();
    let last_signaled_at = child
        .last_signaled_at
        .map(|wall| on_clock(moment_of(wall, now), known.signaled_monotonic, now));
    let mut worker = Worker::new(SpawnId(u64::try_from(pid).unwrap_or(0)), now);
    worker.pid = Some(pid);
    worker.version = child.version;
    worker.acked = child.acked;
    worker.newcomer = match snapshot.ours {
        Some(_) => known.newcomer,
        None => snapshot.upgrading && child.version == snapshot.version,
    };
    worker.failed = known.failed;
    worker.stale = known.stale.as_deref().and_then(Stale::from_name);
    // Only what counts and is known to be stale can be in the middle of it.
    worker.recycling = known.recycling && worker.stale.is_some() && child.acked && !known.soaking;
    worker.slot = known.slot;
    worker.counts = child.acked && !known.soaking;
    worker.acked_at = child.acked.then(|| on_clock(now, known.acked_monotonic, now));
    worker.spinup_time = on_clock(spinup_time, known.spinup_monotonic, now);
    if !signaled.is_empty() {
        worker.last_signaled_at = last_signaled_at.or(Some(now));
    }
    if known.retiring {
        worker.retiring = true;
        worker.last_signaled_at = Some(on_clock(now, known.signaled_monotonic, now));
    }
    worker.status.clone_from(&known.status);
    worker.signaled = signaled;
    worker.silent = known.silent;
    worker.lingering = known.lingering;
    worker.pinged_at =
        child.pinged_at.map(|wall| on_clock(moment_of(wall, now), known.pinged_monotonic, now));
    worker.pinged_request_id.clone_from(&child.pinged_request_id);
    worker
}

/// Whether our own part tells of versions as the policy leaves them: the committed one runs, but
/// for an upgrade, which runs its own and newer one until it is rolled back. A master that kept
/// our part without knowing it, or whoever changed it, has the word of the workers taken instead.
fn versions_agree(snapshot: &Snapshot, ours: &Ours) -> bool {
    let (runs, committed) = (snapshot.version, ours.committed_version);
    match &ours.upgrade {
        Some(upgrade) if snapshot.upgrading && upgrade.rollback.is_none() => {
            upgrade.to == runs && committed < runs
        }
        Some(_) => committed == runs,
        None => !snapshot.upgrading && committed == runs,
    }
}

/// The version from before the upgrade in progress, as far as its workers still tell.
fn committed(snapshot: &Snapshot, workers: &[Worker]) -> u64 {
    if !snapshot.upgrading {
        return snapshot.version;
    }
    let before = |version: &u64| *version < snapshot.version;
    workers
        .iter()
        .map(|worker| worker.version)
        .filter(before)
        .max()
        .unwrap_or_else(|| snapshot.version.saturating_sub(1))
}

/// Where a time of the calendar lies on the monotonic clock, if the calendar was not changed
/// in between; never in the future.
fn moment_of(wall: WallTime, now: Moment) -> Moment {
    let ago = now.wall.nanoseconds.saturating_sub(wall.nanoseconds).max(0);
    let ago = Duration::from_nanos(u64::try_from(ago).unwrap_or(u64::MAX));
    Moment { monotonic: now.monotonic.saturating_sub(ago), wall }
}

/// Our own state knows the monotonic clock's time exactly.
fn on_clock(moment: Moment, monotonic: Option<u64>, now: Moment) -> Moment {
    match monotonic.map(Duration::from_nanos) {
        Some(monotonic) if monotonic <= now.monotonic => Moment { monotonic, ..moment },
        Some(_) | None => moment,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::num::NonZeroU32;

    use super::*;
    use crate::handover::capture_pool;
    use crate::options::{self, Invocation};
    use crate::pool::{Action, Event, Exit};
    use crate::state::AckTimer;

    fn at(seconds: u64) -> Moment {
        Moment {
            monotonic: Duration::from_secs(seconds),
            wall: WallTime { nanoseconds: i128::from(seconds + 1_000_000) * 1_000_000_000 },
        }
    }

    #[test]
    fn an_upgrade_from_a_version_to_itself_ends_and_starts_what_is_missing() {
        let words = ["-n", "3", "-m", "manual", "x"].map(OsString::from).to_vec();
        let Ok(Invocation::Run(launch)) = options::parse(words, NonZeroU32::MIN) else { panic!() };
        let foreign = Snapshot { upgrading: true, ..Snapshot::default() };
        let ours = Snapshot { ours: Some(Ours::default()), ..foreign.clone() };
        for snapshot in [foreign, ours] {
            let mut pool = restore(&snapshot, &launch, at(100));
            pool.handle(at(100), Event::Adopted);
            let mut started = 0;
            while let Some(action) = pool.poll_action() {
                if let Action::Spawn { id, .. } = action {
                    started += 1;
                    pool.handle(at(100), Event::Spawned { id, pid: 10 + started });
                }
            }
            assert!((1..=3).contains(&started), "{started} are started");
        }
    }

    #[test]
    fn versions_that_no_upgrade_leaves_are_taken_from_the_workers() {
        let words = ["-n", "2", "-m", "manual", "x"].map(OsString::from).to_vec();
        let Ok(Invocation::Run(launch)) = options::parse(words, NonZeroU32::MIN) else { panic!() };
        let begun = |to, rollback: Option<&str>| {
            let rollback = rollback.map(str::to_owned);
            Some(OurUpgrade { to, rollback, smooth: true, ..OurUpgrade::default() })
        };
        // Version 2 runs, a worker of version 1 lives. What is told, and whether it is taken.
        for (committed_version, upgrade, is_taken) in [
            (1, begun(2, None), true),
            (0, begun(2, None), true),
            (1, begun(0, None), false),
            (2, begun(2, None), false),
            (3, begun(2, None), false),
            (2, begun(3, Some(error_code::ABORTED)), true),
            (1, begun(3, Some(error_code::ABORTED)), false),
            (1, None, false),
            (2, None, false),
        ] {
            let told = format!("{committed_version}, {upgrade:?}");
            let ours = Ours { committed_version, upgrade, ..Ours::default() };
            let old = WorkerChild { version: 1, acked: true, ..WorkerChild::default() };
            let snapshot = Snapshot {
                version: 2,
                upgrading: true,
                children: [(10, Child::Worker(old))].into(),
                ours: Some(ours.clone()),
                ..Snapshot::default()
            };
            assert_eq!(versions_agree(&snapshot, &ours), is_taken, "{told}");
            let pool = restore_living(&snapshot, &launch, at(100), |_| Ok(ChildState::Living));
            let upgrade = pool.upgrade().expect(&told);
            if is_taken {
                assert_eq!(pool.committed(), committed_version, "{told}");
            } else {
                assert_eq!((pool.committed(), upgrade.to), (1, 2), "{told}");
                assert!(upgrade.rollback.is_none(), "{told}");
            }
        }
        // Outside an upgrade there is one version.
        let ours = Ours { committed_version: 1, ..Ours::default() };
        let snapshot = Snapshot { version: 2, ours: Some(ours), ..Snapshot::default() };
        let pool = restore_living(&snapshot, &launch, at(100), |_| Ok(ChildState::Living));
        assert_eq!((pool.version(), pool.committed()), (2, 2));
    }

    /// The pool of two workers that were started at 100 s and one of which died at once.
    fn pool_that_waits() -> (Launch, Pool) {
        let words = ["-n", "2", "-m", "manual", "-s", "8", "x"].map(OsString::from).to_vec();
        let Ok(Invocation::Run(launch)) = options::parse(words, NonZeroU32::MIN) else { panic!() };
        let mut pool = Pool::new(launch.settings.clone());
        pool.handle(at(100), Event::Start);
        for pid in [10, 11] {
            let id = SpawnId(u64::from(pid == 11));
            pool.handle(at(100), Event::Spawned { id, pid });
        }
        pool.handle(at(100), Event::Acknowledged { id: SpawnId(0) });
        pool.handle(at(100), Event::Exited { id: SpawnId(1), exit: Exit::Status(1) });
        (*launch, pool)
    }

    #[test]
    fn the_next_start_stays_where_it_is_when_the_calendar_jumps_in_a_reload() {
        let (launch, pool) = pool_that_waits();
        let due = at(112).monotonic;
        assert_eq!(pool.next_deadline(), Some(due));
        let text = capture_pool(&pool.to_restored()).to_yaml();
        let (snapshot, _) = Snapshot::from_yaml(text.as_bytes()).unwrap();
        for jump in [-5000, 5000] {
            let wall = WallTime { nanoseconds: at(101).wall.nanoseconds + jump * 1_000_000_000 };
            let now = Moment { monotonic: at(101).monotonic, wall };
            let look = |_| Ok(ChildState::Living);
            let mut pool = restore_living(&snapshot, &launch, now, look);
            pool.handle(now, Event::Adopted);
            assert_eq!(pool.next_deadline(), Some(due), "after a jump of {jump} s");
        }
    }

    /// Another master tells of a rollback as of an upgrade to the version that comes back.
    #[test]
    fn who_serves_in_a_rollback_goes_on_until_others_do() {
        let (launch, _) = pool_that_waits();
        let newcomer = |index| {
            let child = WorkerChild { version: 1, acked: true, index, ..WorkerChild::default() };
            Child::Worker(child)
        };
        let snapshot = Snapshot {
            upgrading: true,
            children: [(20, newcomer(Some(0))), (21, newcomer(Some(1)))].into(),
            ..Snapshot::default()
        };
        let mut pool = restore_living(&snapshot, &launch, at(200), |_| Ok(ChildState::Living));
        let mut play = |seconds, event| {
            pool.handle(at(seconds), event);
            let actions = std::iter::from_fn(|| pool.poll_action());
            let told = actions.filter_map(|action| match action {
                Action::Spawn { id, version, .. } => Some(format!("start {} v{version}", id.0)),
                Action::Signal { pid, signal, .. } => Some(format!("{signal} to {pid}")),
                _ => None,
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(play(200, Event::Adopted), ["start 2 v0"]);
        assert_eq!(play(201, Event::Spawned { id: SpawnId(2), pid: 30 }), [""; 0]);
        assert_eq!(play(202, Event::Acknowledged { id: SpawnId(2) }), ["SIGUSR2 to 20"]);
    }

    #[test]
    fn an_index_that_nobody_can_have_is_not_believed() {
        let of = |index| index_of(&WorkerChild { index, ..WorkerChild::default() });
        assert_eq!(of(Some(INDEX_MAX)), Some(INDEX_MAX));
        assert_eq!(of(Some(INDEX_MAX + 1)), None);
        assert_eq!(of(Some(u32::MAX)), None);
        assert_eq!(of(None), None);
    }

    #[test]
    fn a_start_that_is_missing_is_that_of_the_timer() {
        let timer = AckTimer { time: 30.0, start: at(40).wall, pid: 7 };
        let snapshot = Snapshot { ack_timers: vec![timer], ..Snapshot::default() };
        let mut child = WorkerChild::default();
        assert_eq!(start_of(&snapshot, 7, &child), Some(at(40).wall));
        assert_eq!(start_of(&snapshot, 8, &child), None);
        child.spinup_time = Some(at(30).wall);
        assert_eq!(start_of(&snapshot, 7, &child), Some(at(30).wall));
    }

    #[test]
    fn a_time_of_the_calendar_is_found_on_the_monotonic_clock() {
        assert_eq!(moment_of(at(40).wall, at(100)), at(40));
    }

    #[test]
    fn what_lies_in_the_future_is_now_and_what_lies_before_the_start_is_the_start() {
        assert_eq!(moment_of(at(200).wall, at(100)).monotonic, at(100).monotonic);
        let long_ago = WallTime { nanoseconds: 0 };
        assert_eq!(moment_of(long_ago, at(100)).monotonic, Duration::ZERO);
    }

    #[test]
    fn our_own_clock_wins_over_a_calendar_that_jumped() {
        let jumped = moment_of(at(40).wall, at(100));
        assert_eq!(on_clock(jumped, Some(70_000_000_000), at(100)).monotonic, at(70).monotonic);
        assert_eq!(on_clock(jumped, Some(170_000_000_000), at(100)).monotonic, at(40).monotonic);
        assert_eq!(on_clock(jumped, None, at(100)).monotonic, at(40).monotonic);
    }
}
