//! The state of another master: whatever it says, it is refused or becomes a pool that is in
//! order, which can be written and read again.

use std::num::NonZeroU32;
use std::time::Duration;

use einhorn_protocol::limit;

use super::{RECORDED_STATES, message, owned};
use crate::handover::{capture_pool, merge, restore_living};
use crate::moment::{Moment, WallTime};
use crate::options::{self, Invocation, Launch};
use crate::pool::invariants::{check_census, check_settled};
use crate::pool::{Action, Event, Pool};
use crate::state::{
    AckTimer, Child, ClientConnection, Config, Note, OurClient, OurFile, OurListener, OurPreloader,
    OurUpgrade, OurVersion, OurWorker, Ours, Rules, Snapshot, WorkerChild,
};
use crate::sys::children::ChildState;

const NOW: Moment = Moment {
    monotonic: Duration::from_secs(1_000_000),
    wall: WallTime { nanoseconds: 1_800_000_000_000_000_000 },
};
/// Most notes about one state, and one about how many more there were.
const NOTES_MAX: usize = 201;
/// Actions after which a pool must have come to an end.
const ACTIONS_MAX: usize = 16 * limit::WORKERS_MAX as usize;

pub(super) fn run(data: &[u8]) {
    let (snapshot, notes) = match Snapshot::from_yaml(data) {
        Ok(read) => read,
        Err(error) => return check_error(&error.to_string()),
    };
    assert!(notes.len() <= NOTES_MAX);
    for note in &notes {
        message::check(&note.to_string());
    }
    check_crossing(&snapshot);
    assert!(!snapshot.state_text().is_empty());
    check_pool(&snapshot);
}

fn check_error(text: &str) {
    assert!(!text.is_empty() && text.len() < 1000, "{} bytes: {text}", text.len());
}

/// What was read is written so that it reads the same.
fn check_crossing(snapshot: &Snapshot) {
    let text = snapshot.to_yaml();
    let (again, notes) = Snapshot::from_yaml(text.as_bytes()).expect(&text);
    assert_eq!(&again, snapshot, "{text}");
    // Lists that belong together need not be of one length in what was read.
    let is_old = |note: &Note| matches!(note, Note::Unaligned { .. });
    assert!(notes.iter().all(is_old), "{notes:?}");
}

fn launch() -> Launch {
    let bare = options::parse(vec!["program".into()], NonZeroU32::MIN);
    let Ok(Invocation::Run(launch)) = bare else { panic!("{bare:?}") };
    *launch
}

fn check_pool(snapshot: &Snapshot) {
    let launch = merge(launch(), snapshot);
    assert!((1..=limit::WORKERS_MAX).contains(&launch.settings.number));
    assert_eq!(launch.settings.check_together(), Ok(()));
    // Every third pid has ended, every third is a stranger's.
    let look = |pid: i32| match pid % 3 {
        0 => Ok(ChildState::Ended),
        1 => Ok(ChildState::Living),
        _ => Ok(ChildState::Unknown),
    };
    let mut pool = restore_living(snapshot, &launch, NOW, look);
    check_census(&pool);
    pool.handle(NOW, Event::Adopted);
    let mut actions = 0;
    while let Some(action) = pool.poll_action() {
        actions += 1;
        assert!(actions <= ACTIONS_MAX, "it does not come to an end");
        if let Action::Signal { pid, .. } = action {
            assert!(pid > 0, "a signal for more than one process");
        }
    }
    // What no course of events leads to is not taken from a state either.
    check_census(&pool);
    check_settled(&pool);
    check_written(&pool, &launch);
}

/// Another reload straight away takes everything over as it is.
fn check_written(pool: &Pool, launch: &Launch) {
    let before = pool.to_restored();
    let snapshot = capture_pool(&before);
    let text = snapshot.to_yaml();
    let (read, notes) = Snapshot::from_yaml(text.as_bytes()).expect(&text);
    assert_eq!(notes, [], "{text}");
    assert_eq!(read, snapshot, "{text}");
    let merged = merge(launch.clone(), &read);
    assert_eq!(merged.settings, before.settings, "{text}");
    let after = restore_living(&read, &merged, NOW, |_| Ok(ChildState::Living)).to_restored();
    assert_eq!(after.workers.len(), before.workers.len(), "{text}");
    assert_eq!((after.version, after.committed), (before.version, before.committed), "{text}");
    assert_eq!(after.upgrade.is_some(), before.upgrade.is_some(), "{text}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = owned(&RECORDED_STATES);
    let whole = RECORDED_STATES.iter().filter_map(|text| {
        let mut snapshot = Snapshot::from_yaml(text.as_bytes()).ok()?.0;
        let pool = restore_living(&snapshot, &launch(), NOW, |_| Ok(ChildState::Living));
        snapshot.ours = capture_pool(&pool.to_restored()).ours;
        Some(snapshot.to_yaml().into_bytes())
    });
    seeds.extend(whole);
    seeds.push(Snapshot::default().to_yaml().into_bytes());
    seeds.push(everything().to_yaml().into_bytes());
    seeds
}

/// A state with a word for each key that is written only where there is something to say.
fn everything() -> Snapshot {
    let word = || b"word".to_vec();
    let worker = WorkerChild {
        acked: true,
        signaled: ["USR2".to_owned()].into(),
        last_signaled_at: Some(NOW.wall),
        index: Some(1),
        spinup_time: Some(NOW.wall),
        pinged_at: Some(NOW.wall),
        pinged_request_id: Some("id".into()),
        ..WorkerChild::default()
    };
    Snapshot {
        children: [(4, Child::Worker(worker)), (7, Child::StatePasser)].into(),
        config: Config {
            max_unacked: Some(2),
            max_upgrade_additional: Some(3),
            ..Config::default()
        },
        reexec_commandline: Some(vec![word()]),
        connections: vec![ClientConnection {
            socket: 8,
            read_buffer: word(),
            write_buffer: word(),
            upgrade_subscription: Some("id".into()),
        }],
        ack_timers: vec![AckTimer { time: 1.0, start: NOW.wall, pid: 4 }],
        ours: Some(our_everything()),
        ..Snapshot::default()
    }
}

fn our_everything() -> Ours {
    let word = || b"word".to_vec();
    let rules = Rules { canary: Some(1), soak: 0.5, attempts: Some(3), timeout: Some(60.0) };
    let worker = OurWorker {
        spinup_monotonic: Some(1),
        signaled_monotonic: Some(2),
        acked_monotonic: Some(3),
        stale: Some("age".to_owned()),
        slot: Some(0),
        status: Some("well".to_owned()),
        ready_fd: Some(9),
        pinged_monotonic: Some(4),
        ..OurWorker::default()
    };
    let upgrade = OurUpgrade {
        begun_monotonic: Some(5),
        failed_pid: Some(4),
        failed_reason: Some("exit status 1".to_owned()),
        rollback: Some("aborted".to_owned()),
        rollback_why: Some("asked for".to_owned()),
        ..OurUpgrade::default()
    };
    let version = OurVersion {
        command: vec![word()],
        environment: Some(vec![b"NAME=value".to_vec()]),
        folder: Some(word()),
        folder_fd: Some(10),
        files: vec![OurFile { real: word(), ..OurFile::default() }],
        ..OurVersion::default()
    };
    let preloader =
        OurPreloader { pid: Some(13), channel: Some(11), version: Some(0), words: vec![word()] };
    let listener = OurListener {
        name: Some("web".to_owned()),
        typed: b"web=127.0.0.1:0,balance".to_vec(),
        unix_file: Some((1, 2)),
        slot_fds: Some(vec![12]),
    };
    Ours {
        ack_timeout: Some(20.0),
        ack_mode: Some("notify".to_owned()),
        notify_fd: Some(5),
        stop_signal: Some("TERM".to_owned()),
        max_age: Some(3600.0),
        max_rss: Some(1 << 30),
        ping_timeout: Some(60.0),
        ping_signal: Some("QUIT".to_owned()),
        fd_base: Some(0),
        chdir: Some(word()),
        versions: vec![version],
        preload_timeout: Some(5.0),
        preloaders: vec![preloader],
        listeners: vec![listener],
        command_socket_file: Some((1, 2)),
        clients: [(8, OurClient::default())].into(),
        workers: [(4, worker)].into(),
        next_rules: Some(rules),
        upgrade: Some(upgrade),
        last_spinup_monotonic: Some(6),
        old_last_spinup_monotonic: Some(7),
        ..Ours::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::invariants::staying_old;

    /// A state of version 1 in which the only worker is of version 0, changed by `edit`.
    fn with_an_old_one(edit: impl FnOnce(&mut WorkerChild, &mut OurWorker)) -> Snapshot {
        let mut child = WorkerChild { acked: true, ..WorkerChild::default() };
        let mut worker = OurWorker::default();
        edit(&mut child, &mut worker);
        let ours = Ours { committed_version: 1, workers: [(4, worker)].into(), ..Ours::default() };
        Snapshot {
            version: 1,
            children: [(4, Child::Worker(child))].into(),
            ours: Some(ours),
            ..Snapshot::default()
        }
    }

    /// Who stays in the pool that it becomes, before and after that has settled.
    fn stay(snapshot: &Snapshot) -> (usize, usize) {
        let mut pool = restore_living(snapshot, &launch(), NOW, |_| Ok(ChildState::Living));
        assert_eq!((pool.version(), pool.workers().count()), (1, 1));
        let before = staying_old(&pool).count();
        assert_eq!(before, pool.census().old(), "nobody drains yet");
        pool.handle(NOW, Event::Adopted);
        (before, staying_old(&pool).count())
    }

    #[test]
    fn an_old_worker_stays_until_it_is_asked_to_stop_or_says_that_it_does() {
        assert_eq!(stay(&with_an_old_one(|_, _| ())), (1, 0));
        let asked = with_an_old_one(|child, _| child.signaled = ["USR2".to_owned()].into());
        assert_eq!(stay(&asked), (0, 0));
        let retires = with_an_old_one(|_, worker| worker.retiring = true);
        assert_eq!(stay(&retires), (0, 0));
        for snapshot in [asked, retires] {
            run(snapshot.to_yaml().as_bytes());
        }
    }
}
