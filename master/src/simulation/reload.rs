//! A reload: through the state as it is really written and read, into the next image's pool.

use std::time::Duration;

use super::step::{Exec, How};
use super::world::World;
use crate::handover::{capture_pool, merge, restore_living};
use crate::moment::{Moment, WallTime};
use crate::pool::{Event, Exit, PendingReload, Pool, Restored, SpawnId, Worker};
use crate::state::{OurListener, Snapshot};
use crate::sys::children::ChildState;

/// The request that callers of another master are taken to have made.
const FOREIGN_REQUEST: u64 = 1;

/// The check has passed: this image becomes the next one.
pub(super) fn cross(world: &mut World, exec: Exec) {
    world.reap();
    if !world.check || world.left.is_some() {
        return;
    }
    world.check = false;
    let before = world.pool.to_restored();
    // Another master knows nothing of one that stops of its own accord.
    let is_forgotten = exec.how == How::ByAnother;
    let leaves = |worker: &&Worker| {
        worker.counts && (worker.draining.is_some() || is_forgotten && worker.retiring)
    };
    world.leaving_before_reload = before.workers.iter().filter(leaves).count();
    let mut snapshot = written_and_read(&before);
    if exec.how == How::ByAnother {
        world.reached.note("reload by way of another master");
        snapshot.ours = None;
        world.callers.merge_into(FOREIGN_REQUEST);
        world.last_starts.clear();
    } else {
        world.reached.note("reload into ours");
    }
    if before.upgrade.is_some() {
        world.reached.note("reload in an upgrade");
    }
    world.clock.advance(Duration::from_millis(u64::from(exec.milliseconds)));
    world.clock.set_calendar(exec.calendar);
    if let Some(pid) = exec.dies.and_then(|number| world.kernel.pick(number, |_| true)) {
        world.kernel.end(pid, Exit::Status(1));
    }
    adopt(world, &snapshot);
    if exec.how == How::ByAnother {
        world.versions = [world.pool.version(), world.pool.committed()].into();
    } else {
        compare(&before, &world.pool.to_restored());
    }
    start(world, exec.how);
}

fn written_and_read(restored: &Restored) -> Snapshot {
    let mut snapshot = capture_pool(restored);
    if let Some(ours) = snapshot.ours.as_mut().filter(|_| restored.balanced) {
        let listener = OurListener { slot_fds: Some(Vec::new()), ..OurListener::default() };
        ours.listeners.push(listener);
    }
    let text = snapshot.to_yaml();
    let (read, notes) = Snapshot::from_yaml(text.as_bytes()).expect("a state that we wrote");
    assert_eq!(notes, [], "nothing is strange in a state that we wrote");
    assert_eq!(read, snapshot, "a state reads as it was written");
    read
}

fn adopt(world: &mut World, snapshot: &Snapshot) {
    // Starts that waited were held back for the re-exec; the next image makes its own.
    world.kernel.waiting.clear();
    let launch = merge(world.launch.clone(), snapshot);
    let now = world.clock.now();
    let kernel = &world.kernel;
    world.pool = restore_living(snapshot, &launch, now, |pid| Ok(kernel.state_of(pid)));
    let pool = &world.pool;
    world.kernel.rename(|pid| pool.find(pid).expect("no child is forgotten").id);
    for worker in world.pool.workers() {
        let pid = worker.pid.expect("only who runs crosses");
        assert_ne!(world.kernel.state_of(pid), ChildState::Unknown, "a stranger is taken over");
    }
}

/// What crossed is what was there: nothing is lost, added, or moved on the clock.
fn compare(before: &Restored, after: &Restored) {
    let upgrade_of = |restored: &Restored| {
        let upgrade = restored.upgrade.as_ref()?;
        let end = upgrade.rollback.as_ref().map(|rollback| rollback.end.clone());
        let proof = (upgrade.canary_passed, upgrade.failures, upgrade.first_failure.clone());
        let what = (upgrade.mode, upgrade.rules, upgrade.request, upgrade.to);
        Some((what, proof, end, upgrade.begun.monotonic))
    };
    assert_eq!(before.settings, after.settings);
    assert_eq!((before.version, before.committed), (after.version, after.committed));
    assert_eq!(before.deaths_before_ack, after.deaths_before_ack);
    assert_eq!(upgrade_of(before), upgrade_of(after));
    let pending = before.pending_reload.filter(|pending| *pending != PendingReload::Plain);
    assert_eq!(pending, after.pending_reload);
    assert_eq!(before.last_request, after.last_request);
    assert_eq!((before.stopping, before.fleet_was_up), (after.stopping, after.fleet_was_up));
    assert_eq!(
        before.last_spinup.map(|at| at.monotonic),
        after.last_spinup.map(|at| at.monotonic),
        "the last start"
    );
    let old_pace = |restored: &Restored| {
        (restored.old_deaths_before_ack, restored.old_last_spinup.map(|at| at.monotonic))
    };
    assert_eq!(old_pace(before), old_pace(after), "the pace of the version before");
    assert_eq!(before.balanced, after.balanced);
    let mut workers: Vec<Worker> = before.workers.iter().map(essence).collect();
    let mut taken: Vec<Worker> = after.workers.iter().map(essence).collect();
    workers.sort_by_key(|worker| worker.pid);
    taken.sort_by_key(|worker| worker.pid);
    assert_eq!(workers, taken);
}

/// All of a worker that crosses. Its times are those of the monotonic clock; what it has in
/// memory is looked at anew, and whether it drains is decided anew.
fn essence(worker: &Worker) -> Worker {
    let on_one_clock = |at: Moment| Moment { wall: WallTime { nanoseconds: 0 }, ..at };
    let mut essence = Worker::new(SpawnId(0), on_one_clock(worker.spinup_time));
    essence.pid = worker.pid;
    essence.version = worker.version;
    essence.index = worker.index;
    essence.slot = worker.slot;
    essence.acked = worker.acked;
    essence.acked_at = worker.acked_at.map(on_one_clock);
    essence.counts = worker.counts;
    essence.newcomer = worker.newcomer;
    essence.signaled.clone_from(&worker.signaled);
    essence.last_signaled_at = worker.last_signaled_at.map(on_one_clock);
    essence.retiring = worker.retiring;
    essence.failed = worker.failed;
    essence.stale = worker.stale;
    essence.recycling = worker.recycling;
    essence.silent = worker.silent;
    essence.lingering = worker.lingering;
    essence.pinged_at = worker.pinged_at.map(on_one_clock);
    essence.pinged_request_id.clone_from(&worker.pinged_request_id);
    essence.status.clone_from(&worker.status);
    essence
}

/// The first turn of the next image's event loop.
fn start(world: &mut World, how: How) {
    if world.pool.pending_reload().is_some_and(PendingReload::is_for_upgrade) {
        if how == How::ProgramGone {
            let reason = "no such program".to_string();
            world.handle(Event::ReloadFailed { reason });
        } else {
            world.prepared = true;
        }
    }
    world.handle(Event::Adopted);
    world.leaving_before_reload = 0;
    if world.pool.upgrade().is_none() && world.pool.pending_reload().is_none() {
        world.callers.tell_idle();
    }
    world.reap();
}

/// The pool as data, for the line of a script.
pub(super) fn summary(pool: &Pool) -> String {
    let census = pool.census();
    format!(
        "version {} of {}, {} up, {} not up, {} old, {} stopping",
        pool.version(),
        pool.committed(),
        census.acked(),
        census.unacked(),
        census.old(),
        census.stopping()
    )
}
