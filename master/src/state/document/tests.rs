//! States of every origin: what is read, what is said about it, what is written.

use std::collections::{BTreeMap, BTreeSet};

use crate::moment::WallTime;
use crate::psych::{self, Limits, Value};
use crate::state::{
    AckMode, AckTimer, Bind, Child, ClientConnection, Config, Note, OurClient, OurListener,
    OurWorker, Ours, Snapshot, StateError, WorkerChild,
};

const MANUAL: &str = include_str!("../../../tests/vectors/state-manual.yaml");
const TIMER: &str = include_str!("../../../tests/vectors/state-timer.yaml");
const MID_UPGRADE: &str = include_str!("../../../tests/vectors/state-mid-upgrade.yaml");

fn read(text: &str) -> (Snapshot, Vec<String>) {
    let (snapshot, notes) = Snapshot::from_yaml(text.as_bytes()).expect(text);
    (snapshot, notes.iter().map(Note::to_string).collect())
}

fn error(text: &str) -> String {
    Snapshot::from_yaml(text.as_bytes()).expect_err(text).to_string()
}

/// A state with `lines` in place of the line of the key `key`.
fn with(text: &str, key: &str, lines: &str) -> String {
    let key = format!("{key}:");
    let mut found = false;
    let changed: Vec<&str> = text
        .lines()
        .map(|line| {
            let is_it = line.strip_prefix("  ").is_some_and(|line| line.starts_with(&key));
            found |= is_it;
            if is_it { lines } else { line }
        })
        .collect();
    assert!(found, "{key}");
    changed.join("\n") + "\n"
}

/// The time of day, with nanoseconds, on the day of the samples.
fn at(hour: i128, minute: i128, second: i128, nanoseconds: i128) -> WallTime {
    let midnight = 1_795_392_000;
    let seconds = midnight + hour * 3600 + minute * 60 + second;
    WallTime { nanoseconds: seconds * 1_000_000_000 + nanoseconds }
}

#[test]
fn the_samples_are_read_without_a_remark() {
    for text in [MANUAL, TIMER, MID_UPGRADE] {
        assert_eq!(read(text).1, Vec::<String>::new());
    }
}

#[test]
fn the_manual_sample() {
    let (state, _) = read(MANUAL);
    let Child::Worker(worker) = &state.children[&4566] else { panic!("a worker") };
    assert_eq!(state.children.keys().copied().collect::<Vec<_>>(), [4566, 4567, 4609]);
    assert_eq!(state.children[&4609], Child::StatePasser);
    assert_eq!(
        *worker,
        WorkerChild {
            version: 0,
            acked: true,
            signaled: BTreeSet::new(),
            last_signaled_at: None,
            index: Some(0),
            spinup_time: Some(at(10, 18, 47, 520_615_809)),
            pinged_at: Some(at(10, 18, 47, 591_490_674)),
            pinged_request_id: Some("req-1 50% done".into()),
        }
    );
    assert_eq!(state.last_spinup, Some(at(10, 18, 47, 521_130_758)), "by an alias");
    assert_eq!(
        state.config,
        Config { number: Some(2), backlog: Some(100), seconds: Some(1.0), ..Config::default() }
    );
    let bind = |flags: &[&str]| Bind {
        host: b"127.0.0.1".to_vec(),
        port: 0,
        flags: flags.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(state.bind, [bind(&[]), bind(&["r", "n"])]);
    assert_eq!((state.bind_fds, state.bound_ports), (vec![7, 9], vec![Some(45267), Some(33551)]));
    assert_eq!(state.orig_cmd[0], b"ruby");
    assert_eq!(state.cmd, [&b"/usr/bin/ruby"[..], b"-I", b"/srv/app/lib", b"w.rb"]);
    assert!(state.respawn && state.reloading_for_upgrade && !state.upgrading);
    assert_eq!(state.ack_mode, AckMode::Manual);
    assert_eq!(state.reexec_commandline, Some(vec![b"/usr/local/bin/einhorn".to_vec()]));
    assert_eq!(state.command_server, Some(8));
    assert_eq!(
        state.connections,
        [
            ClientConnection { socket: 11, read_buffer: b"{\"comm".to_vec(), ..Default::default() },
            ClientConnection {
                socket: 12,
                upgrade_subscription: Some(9.into()),
                ..Default::default()
            },
        ]
    );
    assert_eq!(state.ours, None);
}

#[test]
fn the_other_samples() {
    let (state, _) = read(TIMER);
    assert_eq!(state.ack_mode, AckMode::Timer(30.0));
    assert_eq!((state.config.max_unacked, state.config.max_upgrade_additional), (Some(2), Some(3)));
    assert_eq!((state.nice.master, state.nice.worker), (Some(0), Some(5)));
    assert_eq!((state.signal_timeout, state.verbosity), (Some(7.0), 2));
    assert!(state.kill_children_on_exit && state.command_socket_as_fd);
    assert_eq!(
        state.ack_timers[0],
        AckTimer { time: 30.0, start: at(10, 18, 49, 835_588_042), pid: 4619 }
    );
    let (state, _) = read(MID_UPGRADE);
    assert!(state.upgrading && state.smooth_upgrade);
    assert_eq!((state.version, state.generation, state.config.seconds), (2, 3, Some(0.5)));
    assert_eq!(state.last_upgraded, Some(at(13, 23, 59, 632_591_096)));
    let subscriptions: Vec<_> =
        state.connections.iter().map(|client| client.upgrade_subscription.clone()).collect();
    assert_eq!(subscriptions, [None, Some("0123abcd".into()), Some(42.into()), None]);
}

#[test]
fn what_was_read_is_written_so_that_it_reads_the_same() {
    for text in [MANUAL, TIMER, MID_UPGRADE] {
        let (snapshot, _) = read(text);
        assert_eq!(read(&snapshot.to_yaml()), (snapshot, vec![]));
    }
}

fn snapshot_of_ours() -> Snapshot {
    Snapshot {
        children: BTreeMap::from([(
            77,
            Child::Worker(WorkerChild {
                signaled: BTreeSet::from(["USR2".to_owned(), "KILL".to_owned()]),
                last_signaled_at: Some(at(1, 2, 3, 4)),
                pinged_request_id: Some(Value::Null),
                ..WorkerChild::default()
            }),
        )]),
        bind: vec![Bind { host: b"unix:/run/\xff.sock".to_vec(), port: 0, flags: vec![] }],
        bind_fds: vec![9],
        bound_ports: vec![None],
        cmd: vec![b"\xfe".to_vec(), b"yes".to_vec(), b"12".to_vec(), b"".to_vec()],
        connections: vec![ClientConnection {
            socket: 5,
            read_buffer: b"\x00\xff%0A".to_vec(),
            write_buffer: "\u{e9}\n".as_bytes().to_vec(),
            upgrade_subscription: Some(Value::Float(f64::NAN)),
        }],
        ours: Some(Ours {
            listeners: vec![OurListener {
                name: Some("web".to_owned()),
                typed: b"web=unix:/run/\xff.sock".to_vec(),
                unix_file: Some((2049, u64::MAX)),
                slot_fds: Some(vec![9, 10]),
            }],
            clients: BTreeMap::from([(5, OurClient { json: true, request: 3 })]),
            workers: BTreeMap::from([(77, OurWorker { failed: true, ..OurWorker::default() })]),
            ..Ours::default()
        }),
        ..Snapshot::default()
    }
}

#[test]
fn ours_crosses_whole() {
    let snapshot = snapshot_of_ours();
    assert_eq!(read(&snapshot.to_yaml()), (snapshot, vec![]));
}

#[test]
fn nothing_of_ours_stands_where_ruby_would_trip_over_it() {
    let text = snapshot_of_ours().to_yaml();
    let value = psych::read(text.as_bytes(), &Limits::state()).unwrap();
    let Value::Mapping(parts) = &value else { panic!("{text}") };
    let names: Vec<_> = parts.iter().filter_map(|(key, _)| key.as_name()).collect();
    assert_eq!(names, ["state", "persistent_descriptors"]);
    let Some(Value::Sequence(descriptors)) = value.get("persistent_descriptors") else {
        panic!("{text}")
    };
    let Value::Mapping(client) = &descriptors[0] else { panic!("{text}") };
    let keys: Vec<_> = client.iter().filter_map(|(key, _)| key.as_name()).collect();
    assert_eq!(keys, ["class", "socket", "read_buffer", "write_buffer", "subscriptions"]);
}

#[test]
fn the_state_text_is_the_state_alone() {
    let snapshot = read(MANUAL).0;
    let text = snapshot.state_text();
    assert!(text.starts_with("---\n:children:\n  4566:\n    :type: :worker\n"), "{text}");
    assert!(!text.contains(":persistent_descriptors:"));
    let whole = psych::read(snapshot.to_yaml().as_bytes(), &Limits::state()).unwrap();
    assert_eq!(
        psych::read(text.as_bytes(), &Limits::state()).as_ref(),
        Ok(whole.get("state").unwrap())
    );
}

#[test]
fn sets_and_times_of_other_generations() {
    let text =
        MANUAL.replace("!ruby/object:Set\n        hash: {}", "!ruby/set\n        TERM: true");
    let text = text.replace(" +00:00", " Z").replace("10:18:47.520615809", "10:18:47");
    let (state, notes) = read(&text);
    assert_eq!(notes, Vec::<String>::new());
    let Child::Worker(worker) = &state.children[&4566] else { panic!("a worker") };
    assert_eq!(worker.signaled, BTreeSet::from(["TERM".to_owned()]));
    assert_eq!(worker.spinup_time, Some(at(10, 18, 47, 0)));
}

#[test]
fn unknown_keys_are_dropped_with_a_note_each() {
    let text = with(MANUAL, ":version", "  :version: 3\n  :colour: red\n  :size: [1, {a: b}]");
    let text = text.replace("      :index: 0\n", "      :index: 0\n      :mood: good\n");
    let (state, notes) = read(&(text + "  :speed: 3\n:extra: 1\n"));
    assert_eq!(state.version, 3);
    assert_eq!(
        notes,
        [
            ":children: 4566: :mood is unknown and dropped",
            ":colour is unknown and dropped",
            ":size is unknown and dropped",
            ":persistent_descriptors: 2: :speed is unknown and dropped",
            ":extra is unknown and dropped",
        ]
    );
}

#[test]
fn missing_keys_take_their_default() {
    let (state, notes) = read("{state: {}, persistent_descriptors: []}");
    assert_eq!(state, Snapshot::default());
    assert!(state.respawn, "a master whose state says nothing goes on");
    let missing = [
        "children",
        "config",
        "version",
        "bind",
        "bind_fds",
        "cmd",
        "respawn",
        "upgrading",
        "ack_mode",
        "socket_path",
    ];
    let expect: Vec<_> = missing.iter().map(|key| format!(":{key} is missing")).collect();
    assert_eq!(notes, expect);
}

#[test]
fn a_value_of_the_wrong_type_costs_itself_and_a_note() {
    for (key, line, note) in [
        (
            ":version",
            "  :version: x",
            ":version: expected an integer from 0 to 18446744073709551615, found \"x\"; it is left out",
        ),
        (
            ":version",
            "  :version: -1",
            ":version: expected an integer from 0 to 18446744073709551615, found -1; it is left out",
        ),
        (
            ":verbosity",
            "  :verbosity: 256",
            ":verbosity: expected an integer from 0 to 255, found 256; it is left out",
        ),
        (":respawn", "  :respawn: 1", ":respawn: expected true or false, found 1; it is left out"),
        (
            ":pidfile",
            "  :pidfile: [a]",
            ":pidfile: expected a string, found [\"a\"]; it is left out",
        ),
        (
            ":signal_timeout",
            "  :signal_timeout: .inf",
            ":signal_timeout: expected a finite number, found inf; it is left out",
        ),
        (
            ":last_spinup",
            "  :last_spinup: now",
            ":last_spinup: expected a time, found \"now\"; it is left out",
        ),
        (
            ":cmd_name",
            "  :cmd_name: {}",
            ":cmd_name: expected a string, found a mapping; it is left out",
        ),
    ] {
        let (state, notes) = read(&with(MANUAL, key, line));
        assert_eq!(notes, [note], "{line}");
        assert_eq!(state.cmd.len(), 4, "{line}");
    }
}

/// Ruby's `nil` is as good as its `false`.
#[test]
fn nothing_where_a_truth_should_be_is_false() {
    let (state, notes) = read(&with(MANUAL, ":respawn", "  :respawn:"));
    assert_eq!((state.respawn, notes), (false, vec![]));
}

#[test]
fn what_no_master_could_go_on_without_is_an_error() {
    let text = MANUAL.replace("  :bind_fds:\n  - 7\n  - 9\n", "  :bind_fds: x\n");
    assert_eq!(error(&text), ":bind_fds: expected a list of integers, found \"x\"");
    let text = MANUAL.replace("  :bind_fds:\n  - 7\n  - 9\n", "  :bind_fds: [7, x]\n");
    assert_eq!(error(&text), ":bind_fds: expected a list of integers, found [7, \"x\"]");
    let text = "{state: {children: [], cmd: a}, persistent_descriptors: []}";
    assert_eq!(error(text), ":children: expected a mapping with numbers above 0 as keys, found []");
    let text = "{state: {cmd: a}, persistent_descriptors: []}";
    assert_eq!(error(text), ":cmd: expected a list of strings, found \"a\"");
    let text = "{state: {}, persistent_descriptors: x}";
    assert_eq!(error(text), ":persistent_descriptors: expected a list, found \"x\"");
}

/// Every master writes its descriptors last.
#[test]
fn a_state_that_ends_early_is_an_error() {
    let end = MANUAL.find(":persistent_descriptors:").unwrap();
    let line_ends = MANUAL[..end].match_indices('\n').map(|(at, _)| at + 1).skip(1);
    for at in line_ends.chain([end + ":persistent_descriptors:\n".len()]) {
        // Some lines cannot be the last for other reasons too.
        assert_ne!(error(&MANUAL[..at]), "", "{at}");
    }
    assert!(error(&MANUAL[..end]).contains("ends early"));
}

#[test]
fn children_that_make_no_sense_are_left_out() {
    let text = "\
:state:
  :children:
    0: {type: worker}
    -1: {type: worker}
    x: {type: worker}
    99999999999: {type: worker}
    5: {type: cat}
    6: worker
    7: {type: worker, version: 0, acked: maybe, signaled: }
:persistent_descriptors: []
";
    let (state, notes) = read(text);
    assert_eq!(state.children.keys().copied().collect::<Vec<_>>(), [7]);
    let about_children: Vec<_> =
        notes.iter().filter(|note| note.starts_with(":children: ")).map(String::as_str).collect();
    let expected = "expected a mapping of :type worker or state_passer";
    assert_eq!(
        about_children,
        [
            ":children: 0 is unknown and dropped",
            ":children: -1 is unknown and dropped",
            ":children: x is unknown and dropped",
            ":children: 99999999999 is unknown and dropped",
            &format!(":children: 5: {expected}, found a mapping; it is left out"),
            &format!(":children: 6: {expected}, found \"worker\"; it is left out"),
            ":children: 7: :acked: expected true or false, found \"maybe\"; it is left out",
        ]
    );
}

#[test]
fn descriptors_that_make_no_sense_are_left_out() {
    let text = "\
:state: {}
:persistent_descriptors:
- :class: Einhorn::Event::Unheard
- x
- :class: Einhorn::Event::Connection
- :class: Einhorn::Event::Connection
  :socket: 4
  :read_buffer: 12
  :subscriptions:
    :weather: 1
    :upgrade:
- :class: Einhorn::Event::ACKTimer
  :time: 1
  :start: never
  :pid: 3
- :class: Einhorn::Event::CommandServer
  :server: 3
";
    let (state, notes) = read(text);
    assert_eq!(state.command_server, Some(3));
    assert_eq!(
        state.connections,
        [ClientConnection {
            socket: 4,
            read_buffer: b"12".to_vec(),
            write_buffer: vec![],
            upgrade_subscription: Some(Value::Null),
        }]
    );
    assert_eq!(state.ack_timers, []);
    let place = ":persistent_descriptors";
    let expect = [
        format!(
            "{place}: 0: :class: expected a class that is known, found \
             \"Einhorn::Event::Unheard\"; it is left out"
        ),
        format!("{place}: 1: expected a descriptor with its :class, found \"x\"; it is left out"),
        format!("{place}: 2: :socket is missing"),
        format!("{place}: 3: :subscriptions: :weather is unknown and dropped"),
        format!("{place}: 4: :start: expected a time, found \"never\"; it is left out"),
    ];
    let about_them: Vec<_> = notes.into_iter().filter(|note| note.starts_with(place)).collect();
    assert_eq!(about_them, expect);
}

#[test]
fn lists_that_belong_together_are_compared() {
    let (_, notes) = read(&with(MANUAL, ":bound_ports", "  :bound_ports: []\n  :others:"));
    assert_eq!(
        notes[1],
        ":bind has 2 entries, :bind_fds 2 and :bound_ports 0; the descriptors count"
    );
}

#[test]
fn our_own_part_of_another_format() {
    let ours = |line: &str| {
        let text = snapshot_of_ours().to_yaml();
        assert!(text.contains("    :format: 2\n"), "{text}");
        let (state, notes) = read(&text.replace("    :format: 2\n", line));
        assert_eq!(state.ours, None, "{line}");
        notes
    };
    assert_eq!(ours("    :format: 3\n"), [":einhorn has format 3, newer than 2, and is dropped"]);
    assert_eq!(ours(""), [":einhorn: :format is missing"]);
    assert_eq!(ours("    :format: new\n").len(), 1);
    let text =
        snapshot_of_ours().to_yaml().replace("    :format: 2\n", "    :format: 2\n    :hue: 3\n");
    let (state, notes) = read(&text);
    assert_eq!(state.ours, snapshot_of_ours().ours);
    assert_eq!(notes, [":einhorn: :hue is unknown and dropped"]);
    let mut ours = snapshot_of_ours();
    ours.ours.as_mut().unwrap().listeners[0].slot_fds = None;
    assert!(ours.to_yaml().contains("    :format: 1\n"), "without slots older masters do as well");
}

#[test]
fn our_own_part_is_a_mapping_or_nothing() {
    let with_ours = |ours: &str| {
        let (state, mut notes) =
            read(&format!("{{state: {{einhorn: {ours}}}, persistent_descriptors: []}}"));
        assert_eq!(state.ours, None);
        notes.retain(|note| note.starts_with(":einhorn"));
        notes
    };
    assert_eq!(with_ours(""), Vec::<String>::new());
    assert_eq!(with_ours("x"), [":einhorn: expected a mapping, found \"x\"; it is left out"]);
}

#[test]
fn what_is_no_state_at_all() {
    let cases = [
        ("", "this is no state: expected a mapping with the key :state, found nothing"),
        ("a", "this is no state: expected a mapping with the key :state, found \"a\""),
        ("[1]", "this is no state: expected a mapping with the key :state, found [1]"),
        ("{}", "this is no state: expected a mapping with the key :state, found a mapping"),
        (":state: 1", "this is no state: expected a mapping with the key :state, found a mapping"),
        (
            ":state: !ruby/object:Kernel {}",
            "the state cannot be read: tag \"!ruby/object:Kernel\" is not accepted here",
        ),
    ];
    for (text, expect) in cases {
        assert_eq!(error(text), expect);
    }
    assert!(matches!(Snapshot::from_yaml(b"\xff"), Err(StateError::Unreadable(_))));
}

#[test]
fn a_state_cut_off_anywhere_never_panics() {
    for text in [MANUAL, TIMER, MID_UPGRADE, &snapshot_of_ours().to_yaml()] {
        for length in (0..text.len()).step_by(5) {
            let _ = Snapshot::from_yaml(&text.as_bytes()[..length]);
        }
    }
}

#[test]
fn notes_are_bounded() {
    let keys: Vec<_> = (0..10_000).map(|key| format!("  :k{key}:\n")).collect();
    let (_, notes) = read(&format!(":state:\n{}:persistent_descriptors: []\n", keys.concat()));
    assert_eq!(notes.len(), 201);
    assert_eq!(notes[200], "9810 more remarks left out");
}
