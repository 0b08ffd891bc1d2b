//! Whom `recycle` takes and what it answers.

use super::*;

fn recycled(pool: &Pool, typed: &str) -> (String, Vec<SpawnId>) {
    let outcome = ask_of(pool, &format!(r#"{{"command":"recycle","args":["{typed}"]}}"#));
    let ids = match &outcome.effects[..] {
        [] => Vec::new(),
        [Effect::Pool(Event::RecycleRequested(ids))] => ids.clone(),
        other => panic!("{other:?}"),
    };
    (reply(&outcome).message.clone(), ids)
}

#[test]
fn recycle_takes_a_pid_an_index_or_all() {
    let pool = pool();
    for (typed, ids) in [
        ("500", vec![SpawnId(0)]),
        ("pid=501", vec![SpawnId(1)]),
        ("0", vec![SpawnId(0)]),
        ("index=1", vec![SpawnId(1)]),
        ("all", vec![SpawnId(0), SpawnId(1)]),
    ] {
        assert_eq!(recycled(&pool, typed).1, ids, "{typed}");
    }
}

#[test]
fn recycle_refuses_whom_it_does_not_know() {
    let line = |typed: &str| format!(r#"{{"command":"recycle","args":["{typed}"]}}"#);
    for (typed, words) in [
        ("2", "no worker has pid or index 2"),
        ("pid=1", "no worker has pid 1"),
        ("index=500", "no worker has index 500"),
        ("99999999999999999999", "no worker has pid or index"),
    ] {
        refused(&line(typed), error_code::UNKNOWN_WORKER, words);
    }
    for typed in ["", "-1", "+1", "ALL", "pid=", "slot=1", "500 501", "index=all"] {
        refused(&line(typed), error_code::BAD_ARGUMENTS, "pid or index");
    }
    refused(r#"{"command":"recycle"}"#, error_code::BAD_ARGUMENTS, "pid or index");
}

#[test]
fn recycle_does_not_guess_between_a_pid_and_an_index() {
    let mut pool = Pool::new(Settings { number: 2, ..Settings::default_for(NonZeroU32::MIN) });
    pool.handle(NOW, Event::Start);
    for (number, pid) in [(0, 1), (1, 7)] {
        pool.handle(NOW, Event::Spawned { id: SpawnId(number), pid });
    }
    let outcome = ask_of(&pool, r#"{"command":"recycle","args":["1"]}"#);
    assert_eq!(reply(&outcome).error, Some(error_code::BAD_ARGUMENTS));
    assert!(reply(&outcome).message.contains("pid=1 or index=1"));
    assert_eq!(recycled(&pool, "pid=1").1, [SpawnId(0)]);
    assert_eq!(recycled(&pool, "index=1").1, [SpawnId(1)]);
}

#[test]
fn recycle_says_what_comes_of_it() {
    let mut pool = pool();
    assert!(recycled(&pool, "500").0.contains("not up yet"));
    for number in 0..2 {
        pool.handle(NOW, Event::Acknowledged { id: SpawnId(number) });
    }
    assert!(recycled(&pool, "500").0.starts_with("Replacing worker 500 (index 0)"));
    assert!(recycled(&pool, "all").0.starts_with("Replacing 2 workers"));
    pool.handle(NOW, Event::RecycleRequested(vec![SpawnId(0), SpawnId(1)]));
    let (message, ids) = recycled(&pool, "500");
    assert!(message.contains("being replaced already") && ids.is_empty(), "{message}");
    let (message, ids) = recycled(&pool, "501");
    assert!(message.contains("waits already") && ids.is_empty(), "{message}");
    pool.handle(NOW, Event::StopRequested(Signal::TERM));
    let outcome = ask_of(&pool, r#"{"command":"recycle","args":["all"]}"#);
    assert_eq!(reply(&outcome).error, Some(error_code::SHUTTING_DOWN));
}
