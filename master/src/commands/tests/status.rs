//! What `status` shows, to people and as JSON.

use super::*;

#[test]
fn status_is_a_table_that_a_person_can_read() {
    let outcome = ask(r#"{"command":"status"}"#);
    let lines: Vec<&str> = reply(&outcome).message.lines().collect();
    assert_eq!(
        lines,
        [
            &format!("einhorn {}, pid 42: shop", env!("CARGO_PKG_VERSION")),
            "0 of 2 up, 2 starting, 0 stopping; version 0",
            "acknowledgement: manual; stop signal: USR2",
            "socket 0 (web): 127.0.0.1:8080, descriptor 7",
            "",
            "PID  INDEX  VERSION  STAGE     UPTIME  DUE  SIGNALS  LAST PING",
            "500  0      0        starting  1m05s   -    -        -",
            "501  1      0        starting  1m05s   -    -        -",
        ]
    );
}

#[test]
fn status_of_a_balanced_pool_shows_slots_and_who_drains() {
    let settings = Settings {
        number: 2,
        ack_mode: crate::settings::AckMode::Manual,
        ..Settings::default_for(NonZeroU32::MIN)
    };
    let mut pool = Pool::new(settings.clone()).balanced(true);
    pool.handle(NOW, Event::Start);
    let ids: Vec<_> = pool.workers().map(|worker| worker.id).collect();
    for (pid, id) in (500..).zip(ids) {
        pool.handle(NOW, Event::Spawned { id, pid });
        pool.handle(NOW, Event::Acknowledged { id });
    }
    pool.handle(
        NOW.after(Duration::from_secs(60)),
        Event::SettingsChanged(Settings { number: 1, ..settings }),
    );
    let outcome = ask_of(&pool, r#"{"command":"status"}"#);
    let lines: Vec<&str> = reply(&outcome).message.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "socket 0 (web): 127.0.0.1:8080, descriptor 7, balanced",
            "",
            "PID  INDEX  SLOT  VERSION  STAGE     UPTIME  DUE            SIGNALS  LAST PING",
            "500  0      0     0        up        1m05s   -              -        -",
            "501  1      1     0        draining  1m05s   stopped in 5s  -        -",
        ]
    );
    let status = status_of(&pool);
    assert_eq!(status["workers"][1]["slot"], 1);
    assert_eq!(status["workers"][1]["stage"], "draining");
    assert_eq!(status["listeners"][0]["balanced"], true);
}

fn status_of(pool: &Pool) -> serde_json::Value {
    let outcome = ask_of(pool, r#"{"command":"status","args":["json"]}"#);
    serde_json::from_str(&reply(&outcome).message).unwrap()
}

/// One waits for its acknowledgement, one soaks, one is to stop: each has its time left, and
/// so has the upgrade.
#[test]
fn status_says_what_is_due_and_when() {
    let mut pool = pool();
    let mut settings =
        Settings { signal_timeout: Some(Duration::from_secs(70)), ..pool.settings().clone() };
    settings.ack_timeout = crate::settings::AckTimeout::After(Duration::from_secs(100));
    settings.max_unacked = NonZeroU32::new(9).unwrap();
    settings.seconds = 0.0;
    pool.handle(NOW, Event::SettingsChanged(settings));
    let rules = UpgradeRules {
        canary: Some(0),
        soak: Duration::from_millis(79_500),
        timeout: Some(Duration::from_secs(300)),
        ..pool.settings().upgrade
    };
    for id in pool.workers().map(|worker| worker.id).collect::<Vec<_>>() {
        pool.handle(NOW, Event::Acknowledged { id });
    }
    pool.handle(NOW, Event::UpgradeRequested { mode: UpgradeMode::Fleet, rules, request: 1 });
    let checking = ask_of(&pool, r#"{"command":"status"}"#);
    let checking = &reply(&checking).message;
    assert!(
        checking.contains("checking that the new code can start, given up in 25s"),
        "{checking}"
    );
    assert_eq!(status_of(&pool)["check_seconds_left"], 25.0);
    pool.handle(NOW, Event::Adopted);
    let mut pid = 600;
    while let Some(action) = pool.poll_action() {
        if let Action::Spawn { id, .. } = action {
            pool.handle(NOW, Event::Spawned { id, pid });
            pid += 1;
        }
    }
    pool.handle(NOW, Event::Acknowledged { id: SpawnId(2) });
    let status = status_of(&pool);
    let due = |place: usize| status["workers"][place]["due"].clone();
    assert_eq!(due(0), serde_json::Value::Null);
    assert_eq!(due(2), serde_json::json!({"what": "counts", "seconds": 14.5}));
    assert_eq!(due(3), serde_json::json!({"what": "failed", "seconds": 35.0}));
    assert_eq!(status["upgrade"]["seconds_left"], 235.0);
    let table = ask_of(&pool, r#"{"command":"status"}"#);
    let table = reply(&table).message.clone();
    for words in ["given up in 3m55s", " counts in 15s ", " failed in 35s "] {
        assert!(table.contains(words), "{words} in {table}");
    }
    pool.handle(NOW, Event::AbortRequested);
    let status = status_of(&pool);
    assert_eq!(status["workers"][3]["due"], serde_json::json!({"what": "killed", "seconds": 5.0}));
    assert_eq!(status["upgrade"]["phase"], "rollback");
    // Newcomers have five seconds before the end is told without them.
    assert_eq!(status["upgrade"]["seconds_left"], 0.0);
    let table = ask_of(&pool, r#"{"command":"status"}"#);
    let table = &reply(&table).message;
    assert!(table.contains(", over in 0s") && table.contains(" killed in 5s "), "{table}");
}

/// Without a limit nothing is due of it, so it is shown since when.
#[test]
fn status_says_since_when_a_worker_is_to_stop() {
    let mut pool = pool();
    let settings = Settings { number: 1, ..pool.settings().clone() };
    pool.handle(NOW, Event::SettingsChanged(settings));
    let status = status_of(&pool);
    assert_eq!(status["workers"][0]["stopping_seconds"], serde_json::Value::Null);
    assert_eq!(status["workers"][1]["stopping_seconds"], 65.0);
    assert_eq!(status["workers"][1]["due"], serde_json::Value::Null);
    let table = ask_of(&pool, r#"{"command":"status"}"#);
    let table = &reply(&table).message;
    assert!(table.contains("stopping  1m05s   -    USR2 1m05s ago  -"), "{table}");
}

#[test]
fn status_as_json_has_the_same() {
    let outcome = ask(r#"{"command":"status","args":["json"]}"#);
    let status: serde_json::Value = serde_json::from_str(&reply(&outcome).message).unwrap();
    assert_eq!(status["target"], 2);
    assert_eq!(status["upgrade"], serde_json::Value::Null);
    assert_eq!(status["listeners"][0]["port"], 8080);
    assert_eq!(status["workers"][1]["pid"], 501);
    assert_eq!(status["workers"][1]["acked"], false);
    refused(r#"{"command":"status","args":["xml"]}"#, error_code::BAD_ARGUMENTS, "xml");
}
