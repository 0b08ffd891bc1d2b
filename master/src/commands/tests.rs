//! Each command by its line: what is answered and what is done.

use std::num::NonZeroU32;
use std::time::Duration;

use einhorn_protocol::error_code;

use super::*;
use crate::moment::WallTime;
use crate::pool::{Action, SpawnId, UpgradeMode};
use crate::psych::Value;
use crate::settings::{AckMode, Settings, UpgradeRules};
use crate::signal::Signal;

mod recycle;
mod status;

const NOW: Moment =
    Moment { monotonic: Duration::from_secs(100), wall: WallTime { nanoseconds: 0 } };

/// Two workers, pids 500 and 501, not acknowledged.
fn pool() -> Pool {
    let mut pool = Pool::new(Settings {
        number: 2,
        ack_mode: AckMode::Manual,
        ..Settings::default_for(NonZeroU32::MIN)
    });
    pool.handle(NOW, Event::Start);
    let mut pid = 500;
    while let Some(action) = pool.poll_action() {
        if let Action::Spawn { id, .. } = action {
            pool.handle(NOW, Event::Spawned { id, pid });
            pid += 1;
        }
    }
    pool
}

fn ask_of(pool: &Pool, line: &str) -> Outcome {
    ask_from(None, pool, line)
}

fn ask_from(caller_group: Option<Pid>, pool: &Pool, line: &str) -> Outcome {
    ask_with(Rights::All, 777, caller_group, pool, line)
}

fn ask_with(
    rights: Rights,
    caller: Pid,
    caller_group: Option<Pid>,
    pool: &Pool,
    line: &str,
) -> Outcome {
    let request = Request::parse(line.as_bytes()).expect("a request");
    let listeners = [ListenerFacts {
        name: Some("web".into()),
        address: "127.0.0.1:8080".into(),
        port: Some(8080),
        descriptor: 7,
        balanced: pool.is_balanced(),
    }];
    let context = Context {
        pool,
        now: NOW.after(Duration::from_secs(65)),
        pid: 42,
        title: "shop",
        introduction: &introduction(42, "shop"),
        generation: 3,
        verbosity: 1,
        check_until: Some(NOW.after(Duration::from_secs(90)).monotonic),
        listeners: &listeners,
        rights,
        caller,
        caller_group: &|| caller_group,
        snapshot: &|| panic!("not asked for"),
    };
    run(&context, &request)
}

fn ask(line: &str) -> Outcome {
    ask_of(&pool(), line)
}

fn reply(outcome: &Outcome) -> &Reply {
    outcome.reply.as_ref().expect("a reply")
}

#[track_caller]
fn refused(line: &str, code: &str, words: &str) {
    let outcome = ask(line);
    assert_eq!(reply(&outcome).error, Some(code), "{line}");
    assert!(reply(&outcome).message.contains(words), "{}", reply(&outcome).message);
    assert_eq!(outcome.effects, [], "{line}");
}

#[track_caller]
fn target(line: &str, expect: u32) {
    match &ask(line).effects[..] {
        [Effect::Pool(Event::SettingsChanged(settings))] => assert_eq!(settings.number, expect),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn unknown_commands_are_told_what_there_is() {
    refused(r#"{"command":"upgrad"}"#, error_code::UNKNOWN_COMMAND, "upgrade_fleet");
}

#[test]
fn too_many_arguments_are_named() {
    refused(r#"{"command":"inc","args":["2"]}"#, error_code::BAD_ARGUMENTS, "takes no arguments");
}

#[test]
fn a_workers_acknowledgement_is_silent_and_closes() {
    let outcome = ask(r#"{"command":"worker:ack","pid":501}"#);
    assert_eq!(outcome.reply, None);
    assert!(outcome.close);
    let expect = Effect::Pool(Event::Acknowledged { id: SpawnId(1) });
    assert_eq!(outcome.effects, [expect]);
}

#[test]
fn a_worker_of_another_user_speaks_for_itself_alone() {
    let pool = pool();
    for command in ["worker:ack", "worker:ping"] {
        let line = |pid| format!(r#"{{"command":"{command}","pid":{pid},"request_id":"x"}}"#);
        let counts = |caller, group, pid| {
            let outcome = ask_with(Rights::OfAWorker, caller, group, &pool, &line(pid));
            assert!(outcome.close && outcome.reply.is_none());
            matches!(outcome.effects[..], [Effect::Pool(_)])
        };
        assert!(counts(500, Some(500), 500) && counts(500, None, 500));
        assert!(counts(9, Some(501), 501), "a helper of it");
        assert!(!counts(500, Some(500), 501) && !counts(9, Some(501), 500));
        assert!(!counts(9, Some(9), 500) && !counts(9, None, 500));
    }
}

#[test]
fn a_workers_connection_takes_nothing_else() {
    let pool = pool();
    for rights in [Rights::OfAWorker, Rights::OfAGivenConnection] {
        for row in &TABLE {
            let line = format!(r#"{{"command":"{}","pid":500,"args":[]}}"#, row.name);
            let outcome = ask_with(rights, 500, Some(500), &pool, &line);
            if [command::WORKER_ACK, command::WORKER_PING].contains(&row.name) {
                assert_eq!(outcome.reply, None, "{}", row.name);
            } else {
                assert_eq!(reply(&outcome).error, Some(error_code::NOT_PERMITTED), "{}", row.name);
                assert_eq!(outcome.effects, []);
            }
        }
    }
}

#[test]
fn a_ping_keeps_its_request_id() {
    let outcome = ask(r#"{"command":"worker:ping","pid":500,"request_id":"a-1"}"#);
    assert!(outcome.close && outcome.reply.is_none());
    let request_id = Some(Value::String("a-1".into()));
    assert_eq!(outcome.effects, [Effect::Pool(Event::Pinged { id: SpawnId(0), request_id })]);
}

#[test]
fn acknowledgements_from_strangers_are_logged_and_ignored() {
    for line in [
        r#"{"command":"worker:ack","pid":7}"#,
        r#"{"command":"worker:ack","pid":"501"}"#,
        r#"{"command":"worker:ack"}"#,
        r#"{"command":"worker:ping","pid":-1}"#,
    ] {
        let outcome = ask(line);
        assert!(outcome.close && outcome.reply.is_none(), "{line}");
        assert!(matches!(outcome.effects[..], [Effect::Log(Level::Warn, _)]), "{line}");
    }
}

#[test]
fn ehlo_greets_by_name_and_tells_what_it_can() {
    let outcome = ask(r#"{"command":"ehlo","user":"ann"}"#);
    let reply = reply(&outcome);
    for words in ["ann", "42", "shop", env!("CARGO_PKG_VERSION")] {
        assert!(reply.message.contains(words), "{words}");
    }
    let facts = reply.fixed.unwrap().entries();
    assert!(facts.iter().any(|(key, value)| *key == "protocol" && *value == Value::Integer(1)));
}

#[test]
fn help_has_a_line_for_each_command() {
    let outcome = ask(r#"{"command":"help"}"#);
    let lines: Vec<&str> = reply(&outcome).message.lines().collect();
    assert_eq!(lines.len(), TABLE.len());
    for (row, line) in TABLE.iter().zip(lines) {
        assert!(line.starts_with(row.name) && line.contains(row.summary), "{line}");
    }
}

#[test]
fn the_shell_completes_every_command_that_people_type() {
    let typed: Vec<&str> =
        TABLE.iter().map(|row| row.name).filter(|name| !name.starts_with("worker:")).collect();
    let mut completed = einhorn_protocol::command::FOR_PEOPLE.to_vec();
    for name in &typed {
        assert!(completed.contains(name), "{name}");
    }
    completed.retain(|name| !typed.contains(name));
    assert_eq!(completed, [""; 0], "the shell knows commands that the master does not");
}

#[test]
fn the_target_stays_within_its_range() {
    target(r#"{"command":"inc"}"#, 3);
    target(r#"{"command":"dec"}"#, 1);
    target(r#"{"command":"set_workers","args":["1"]}"#, 1);
    target(r#"{"command":"set_workers","args":["10000"]}"#, 10_000);
    for number in ["0", "10001", "-1", "two", "", "1.5", "99999999999"] {
        let line = format!(r#"{{"command":"set_workers","args":["{number}"]}}"#);
        refused(&line, error_code::BAD_ARGUMENTS, "from 1 to 10000");
    }
    refused(r#"{"command":"set_workers"}"#, error_code::BAD_ARGUMENTS, "number of workers");
    let one = Pool::new(Settings::default_for(NonZeroU32::MIN));
    assert_eq!(reply(&ask_of(&one, r#"{"command":"dec"}"#)).error, Some(error_code::BAD_ARGUMENTS));
}

#[test]
fn signals_are_all_known_or_none_is_sent() {
    let outcome = ask(r#"{"command":"signal","args":["usr1","SIGCONT"]}"#);
    let signals = ["USR1", "CONT"].map(|name| Signal::from_name(name).unwrap());
    assert_eq!(outcome.effects, signals.map(|s| Effect::Pool(Event::SignalRequested(s))));
    let unknown = r#"{"command":"signal","args":["USR1","NOPE"]}"#;
    refused(unknown, error_code::UNKNOWN_SIGNAL, "NOPE");
    refused(r#"{"command":"signal"}"#, error_code::BAD_ARGUMENTS, "name of a signal");
}

#[test]
fn die_stops_with_usr2_unless_told_otherwise() {
    let stop = |signal| [Effect::Pool(Event::StopRequested(signal))];
    assert_eq!(ask(r#"{"command":"die"}"#).effects, stop(Signal::USR2));
    assert_eq!(ask(r#"{"command":"die","args":["int"]}"#).effects, stop(Signal::INT));
    refused(r#"{"command":"die","args":["x"]}"#, error_code::UNKNOWN_SIGNAL, "\"x\"");
}

#[test]
fn upgrades_are_followed_by_who_asked() {
    let outcome = ask(r#"{"command":"upgrade_fleet","args":["--canary","2","--soak=3"],"id":1}"#);
    assert_eq!(outcome.follow, Follow::Upgrade);
    assert!(reply(&outcome).wait);
    let event = Event::UpgradeRequested {
        mode: UpgradeMode::Fleet,
        rules: UpgradeRules {
            canary: Some(2),
            soak: Duration::from_secs(3),
            ..UpgradeRules::default()
        },
        request: 1,
    };
    assert_eq!(outcome.effects, [Effect::Pool(event)]);
}

#[test]
fn options_of_an_upgrade_are_checked() {
    let upgrade = |args: &str| format!(r#"{{"command":"upgrade","args":[{args}]}}"#);
    for (args, words) in [
        (r#""--soka","1""#, "unknown option \"--soka\""),
        (r#""--soak""#, "--soak cannot be"),
        (r#""--soak","-1""#, "from 0"),
        (r#""--attempts","1.5""#, "whole number"),
        (r#""now""#, "unknown option"),
    ] {
        refused(&upgrade(args), error_code::BAD_ARGUMENTS, words);
    }
}

#[test]
fn a_reload_is_answered_when_it_is_known_how_it_went() {
    let outcome = ask(r#"{"command":"reload","id":1}"#);
    assert_eq!((outcome.reply, outcome.follow), (None, Follow::Reload));
    assert_eq!(outcome.effects, [Effect::Pool(Event::ReloadRequested)]);
}

#[test]
fn nothing_to_abort_is_an_error() {
    refused(r#"{"command":"abort"}"#, error_code::NO_UPGRADE, "no upgrade in progress");
}

#[test]
fn a_stopping_master_takes_no_upgrade() {
    let mut stopping = pool();
    stopping.handle(NOW, Event::StopRequested(Signal::TERM));
    for command in ["upgrade", "upgrade_fleet", "reload", "abort"] {
        let outcome = ask_of(&stopping, &format!(r#"{{"command":"{command}","id":1}}"#));
        assert_eq!(reply(&outcome).error, Some(error_code::SHUTTING_DOWN), "{command}");
        assert_eq!((outcome.follow, outcome.effects.len()), (Follow::Nothing, 0), "{command}");
    }
}

#[test]
fn verbosity_is_answered_with_the_new_level() {
    let quieter = ask(r#"{"command":"quieter"}"#);
    assert_eq!(reply(&quieter).message, "2");
    assert_eq!(quieter.effects, [Effect::Verbosity(2)]);
    assert_eq!(reply(&ask(r#"{"command":"louder"}"#)).message, "0");
}

#[test]
fn config_changes_all_or_nothing() {
    let outcome = ask(r#"{"command":"config","args":["{signal_timeout:","5, backlog: 7}"]}"#);
    match &outcome.effects[..] {
        [Effect::Backlog(7), Effect::Pool(Event::SettingsChanged(settings))] => {
            assert_eq!(settings.signal_timeout, Some(Duration::from_secs(5)));
            assert_eq!(settings.backlog, 7);
        }
        other => panic!("{other:?}"),
    }
    for (mapping, words) in [
        ("{seconds: 2, nubmer: 3}", "nubmer"),
        ("{number: 0}", "number"),
        ("[1]", "mapping"),
        ("{", "{"),
        ("", "mapping"),
    ] {
        let line = format!(r#"{{"command":"config","args":["{mapping}"]}}"#);
        refused(&line, error_code::BAD_ARGUMENTS, words);
    }
}

#[test]
fn a_worker_or_its_helper_speaks_for_itself_and_for_nobody_else() {
    let pool = pool();
    let line = r#"{"command": "worker:ack", "pid": 500}"#;
    let acknowledged = |outcome: &Outcome| {
        matches!(outcome.effects[..], [Effect::Pool(Event::Acknowledged { .. })])
    };
    for group in [None, Some(500), Some(42), Some(7)] {
        let outcome = ask_from(group, &pool, line);
        assert!(acknowledged(&outcome) && outcome.close, "{group:?}");
    }
    let outcome = ask_from(Some(501), &pool, line);
    let [Effect::Log(Level::Warn, text)] = &outcome.effects[..] else { panic!("{outcome:?}") };
    assert!(text.contains("worker 501") && text.contains("worker 500"), "{text}");
    assert!(outcome.close && outcome.reply.is_none());
    let ping = ask_from(Some(501), &pool, r#"{"command": "worker:ping", "pid": 500}"#);
    assert!(matches!(ping.effects[..], [Effect::Pool(Event::Pinged { .. })]));
}
