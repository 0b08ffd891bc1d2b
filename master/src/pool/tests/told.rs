//! What the pool tells of its workers: to `status`, to balancers, to the log.

use std::num::NonZeroU32;
use std::time::Duration;

use super::script::{four, moment, pid_of};
use crate::pool::{Action, Due, Event, Exit, Phase, Pool, Report, SpawnId, Stale, UpgradeMode};
use crate::psych::Value;
use crate::settings::{RecycleRules, Settings, UpgradeRules};

const FIRST: SpawnId = SpawnId(0);
const SECOND: SpawnId = SpawnId(1);

fn two() -> Settings {
    Settings { number: 2, max_unacked: NonZeroU32::new(5).unwrap(), ..four() }
}

/// Two workers that run, of which the first is up.
fn pool(settings: Settings, balanced: bool) -> Pool {
    let mut pool = Pool::new(settings).balanced(balanced);
    play(&mut pool, 0.0, Event::Start);
    play(&mut pool, 0.0, Event::Acknowledged { id: FIRST });
    pool
}

/// What is said of it; starts succeed.
pub(super) fn play(pool: &mut Pool, seconds: f64, event: Event) -> Vec<Report> {
    let now = moment(seconds);
    pool.handle(now, event);
    let mut reports = Vec::new();
    while let Some(action) = pool.poll_action() {
        match action {
            Action::Spawn { id, .. } => pool.handle(now, Event::Spawned { id, pid: pid_of(id) }),
            Action::Report(report) => reports.push(report),
            _ => {}
        }
    }
    reports
}

#[test]
fn a_status_is_kept_until_it_is_taken_back() {
    let mut pool = pool(two(), false);
    for (text, kept) in [("busy", Some("busy")), ("idle", Some("idle")), ("", None)] {
        play(&mut pool, 1.0, Event::StatusSaid { id: FIRST, text: text.to_string() });
        assert_eq!(pool.worker(FIRST).unwrap().status.as_deref(), kept);
    }
}

#[test]
fn who_serves_may_retire_and_who_starts_may_not() {
    let mut pool = pool(two(), false);
    for (id, counts) in [(FIRST, true), (SECOND, false)] {
        let reports = play(&mut pool, 1.0, Event::Retiring { id });
        let retires = |report: &Report| matches!(report, Report::Retiring { counts: told, .. } if *told == counts);
        assert!(reports.iter().any(retires), "{reports:?}");
        let worker = pool.worker(id).unwrap();
        assert_eq!(worker.is_stopping(), counts);
        assert_eq!(worker.last_signaled_at, counts.then(|| moment(1.0)));
    }
    // Its time runs from the first word on.
    play(&mut pool, 2.0, Event::Retiring { id: FIRST });
    assert_eq!(pool.worker(FIRST).unwrap().last_signaled_at, Some(moment(1.0)));
}

#[test]
fn the_request_that_was_pinged_is_shown_if_it_is_one_word() {
    let mut pool = pool(two(), false);
    for (value, shown) in [
        (None, None),
        (Some(Value::Null), None),
        (Some(Value::String("GET /".to_string())), Some("GET /")),
        (Some(Value::Integer(7)), Some("7")),
        (Some(Value::Bool(true)), Some("true")),
        (Some(Value::Sequence(Vec::new())), None),
    ] {
        play(&mut pool, 1.0, Event::Pinged { id: FIRST, request_id: value });
        assert_eq!(pool.worker(FIRST).unwrap().request_shown().as_deref(), shown);
    }
}

#[test]
fn an_acknowledgement_that_changes_nothing_says_why() {
    let mut pool = pool(two(), false);
    let ignored = |reports: Vec<Report>| {
        reports.into_iter().find_map(|report| match report {
            Report::AcknowledgementIgnored { reason, .. } => Some(reason),
            _ => None,
        })
    };
    let again = play(&mut pool, 1.0, Event::Acknowledged { id: FIRST });
    assert_eq!(ignored(again), Some("it is up already"));
    play(&mut pool, 1.0, Event::SettingsChanged(Settings { number: 1, ..two() }));
    let stopping = play(&mut pool, 1.0, Event::Acknowledged { id: SECOND });
    assert_eq!(ignored(stopping), Some("it is stopping"));
}

#[test]
fn what_is_due_of_a_worker() {
    let recycle =
        RecycleRules { max_age: Some(Duration::from_secs(100)), ..RecycleRules::default() };
    let mut pool = pool(Settings { recycle, ..two() }, false);
    let due = |pool: &Pool, id| pool.due(pool.worker(id).unwrap()).map(|(due, _)| due);
    assert_eq!(due(&pool, FIRST), Some(Due::Stale));
    assert_eq!(due(&pool, SECOND), None);
    let signal_timeout = Some(Duration::from_secs(5));
    let settings = Settings { number: 1, signal_timeout, ..two() };
    play(&mut pool, 1.0, Event::SettingsChanged(settings));
    assert_eq!(due(&pool, SECOND), Some(Due::Killed));
}

#[test]
fn a_reason_to_be_stale_has_a_name_and_back() {
    for (stale, name) in [
        (Stale::Silent, "silent"),
        (Stale::Memory, "memory"),
        (Stale::Requested, "requested"),
        (Stale::Age, "age"),
    ] {
        assert_eq!(stale.name(), name);
        assert_eq!(Stale::from_name(name), Some(stale));
    }
    assert_eq!(Stale::from_name("old"), None);
}

#[test]
fn the_phases_of_an_upgrade() {
    let soak = Duration::from_secs(5);
    let upgrade = UpgradeRules { canary: Some(1), soak, ..UpgradeRules::default() };
    let mut pool = pool(Settings { upgrade, ..two() }, false);
    play(&mut pool, 0.0, Event::Acknowledged { id: SECOND });
    assert_eq!(pool.phase(), None);
    let (mode, rules, request) = (UpgradeMode::Fleet, upgrade, pool.next_request());
    play(&mut pool, 2.0, Event::UpgradeRequested { mode, rules, request });
    play(&mut pool, 2.0, Event::Adopted);
    assert_eq!(pool.phase(), Some(Phase::Canary));
    play(&mut pool, 3.0, Event::Acknowledged { id: SpawnId(2) });
    play(&mut pool, 8.0, Event::DeadlineReached);
    assert_eq!(pool.phase(), Some(Phase::Roll));
    play(&mut pool, 9.0, Event::Acknowledged { id: SpawnId(3) });
    assert_eq!(pool.phase(), Some(Phase::Soak));
    play(&mut pool, 9.0, Event::AbortRequested);
    assert_eq!(pool.phase(), Some(Phase::Rollback));
}

#[test]
fn slots_are_open_while_somebody_serves_there_and_goes_on() {
    let mut pool = pool(two(), true);
    let open = |pool: &Pool| pool.open_slots().collect::<Vec<_>>();
    assert_eq!(open(&pool), [0], "the second is not up yet");
    let before = pool.slots_revision();
    play(&mut pool, 0.0, Event::Acknowledged { id: SECOND });
    assert_eq!(open(&pool), [0, 1]);
    assert_ne!(pool.slots_revision(), before, "who follows looks again");
    play(&mut pool, 1.0, Event::SettingsChanged(Settings { number: 1, ..two() }));
    assert_eq!(open(&pool), [0], "the second drains");
    assert_eq!(pool.draining_slots().collect::<Vec<_>>(), [1]);
    assert_eq!(Pool::new(two()).slots_revision(), None);
}

fn acknowledged(reports: Vec<Report>) -> Option<(usize, usize)> {
    reports.into_iter().find_map(|report| match report {
        Report::Acknowledged { acked, target, .. } => Some((acked, target)),
        _ => None,
    })
}

/// Those that are being replaced serve on, and there are never more than wanted.
#[test]
fn how_many_are_up() {
    let settings = Settings { number: 3, ..two() };
    let mut pool = Pool::new(settings);
    play(&mut pool, 0.0, Event::Start);
    for (id, acked) in [(FIRST, 1), (SECOND, 2), (SpawnId(2), 3)] {
        let reports = play(&mut pool, 0.0, Event::Acknowledged { id });
        assert_eq!(acknowledged(reports), Some((acked, 3)));
    }
    play(&mut pool, 5.0, Event::RecycleRequested(vec![FIRST]));
    play(&mut pool, 6.0, Event::Exited { id: SECOND, exit: Exit::Status(0) });
    let replacement = play(&mut pool, 6.5, Event::Acknowledged { id: SpawnId(3) });
    assert_eq!(acknowledged(replacement), Some((3, 3)), "with the one that it replaces");
}

#[test]
fn how_many_are_stopping() {
    let mut pool = pool(two(), false);
    play(&mut pool, 0.0, Event::Acknowledged { id: SECOND });
    assert_eq!(pool.census().stopping(), 0);
    play(&mut pool, 5.0, Event::RecycleRequested(vec![FIRST]));
    play(&mut pool, 5.0, Event::Acknowledged { id: SpawnId(2) });
    assert_eq!(pool.census().stopping(), 1, "it has been replaced");
    play(&mut pool, 6.0, Event::Exited { id: FIRST, exit: Exit::Status(0) });
    play(&mut pool, 6.0, Event::SettingsChanged(Settings { number: 1, ..two() }));
    assert_eq!(pool.census().stopping(), 1, "it is too many");
    let (mode, rules, request) = (UpgradeMode::Smooth, two().upgrade, pool.next_request());
    play(&mut pool, 7.0, Event::UpgradeRequested { mode, rules, request });
    play(&mut pool, 7.0, Event::Adopted);
    play(&mut pool, 8.0, Event::Acknowledged { id: SpawnId(3) });
    assert_eq!(pool.census().stopping(), 2, "and the other one is old");
}

#[test]
fn only_who_was_silent_is_heard_again() {
    let ping_timeout = Some(Duration::from_secs(10));
    let recycle = RecycleRules { ping_timeout, ..RecycleRules::default() };
    let mut pool = pool(Settings { recycle, ..two() }, false);
    let is_heard =
        |reports: Vec<Report>| reports.iter().any(|report| matches!(report, Report::Heard { .. }));
    let ping = || Event::Pinged { id: FIRST, request_id: None };
    assert!(!is_heard(play(&mut pool, 1.0, ping())));
    play(&mut pool, 11.0, Event::DeadlineReached);
    assert!(is_heard(play(&mut pool, 11.5, ping())));
    assert!(!is_heard(play(&mut pool, 12.0, ping())));
}

#[test]
fn who_is_to_be_replaced_or_stops_anyway_is_not_called_stale_again() {
    let mut pool = pool(two(), false);
    let recycle = |pool: &mut Pool, id| {
        let reports = play(pool, 5.0, Event::RecycleRequested(vec![id]));
        reports.iter().filter(|report| matches!(report, Report::Stale { .. })).count()
    };
    assert_eq!(recycle(&mut pool, FIRST), 1);
    assert_eq!(recycle(&mut pool, FIRST), 0);
    play(&mut pool, 6.0, Event::SettingsChanged(Settings { number: 1, ..two() }));
    assert!(pool.worker(SpawnId(2)).unwrap().is_stopping(), "the replacement is too many");
    assert_eq!(recycle(&mut pool, SpawnId(2)), 0);
}

#[test]
fn a_failed_replacement_is_told_with_all_who_stay_for_it() {
    let mut pool = pool(two(), false);
    play(&mut pool, 0.0, Event::Acknowledged { id: SECOND });
    play(&mut pool, 5.0, Event::RecycleRequested(vec![FIRST, SECOND]));
    let reports = play(&mut pool, 5.5, Event::Exited { id: SpawnId(2), exit: Exit::Status(1) });
    let kept = reports.into_iter().find_map(|report| match report {
        Report::ReplacementFailed { kept, others } => Some((kept, others)),
        _ => None,
    });
    assert_eq!(kept, Some(("1000 (index 0)".to_string(), 1)));
}
