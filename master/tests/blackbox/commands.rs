//! The commands of the command socket, as a client meets them.

use serde_json::{Value as Json, json};

use crate::support::process::send;
use crate::support::{IDLE, Master, Process, pids, worker_of, workers};
use crate::worker::told;
use rustix::process::Signal;

/// Two workers that wait to be acknowledged.
fn manual() -> Master {
    Master::start(&["-n", "2", "-m", "manual", "-s", "0.01"], &IDLE)
}

#[test]
fn ehlo_greets_by_name_and_tells_what_it_can() {
    let master = manual();
    let reply = master.ask(&json!({"command": "ehlo", "user": "ann", "id": 1}));
    let message = reply["message"].as_str().unwrap();
    for words in ["ann", &master.pid().to_string(), "sleep", env!("CARGO_PKG_VERSION")] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!((&reply["request_id"], &reply["protocol"]), (&json!(1), &json!(1)));
    assert!(reply["capabilities"].as_array().unwrap().contains(&json!("json")));
    assert_eq!(reply.get("wait"), None);
}

#[test]
fn help_has_a_line_a_command_and_unknown_ones_get_the_list() {
    let master = manual();
    let help = master.command("help", &[]);
    let (code, message) = master.failure(&json!({"command": "upgrad"}));
    assert_eq!(code, "unknown_command");
    assert!(message.contains("\"upgrad\""));
    for name in [
        "worker:ack",
        "worker:ping",
        "ehlo",
        "help",
        "state",
        "status",
        "reload",
        "upgrade",
        "upgrade_fleet",
        "abort",
        "inc",
        "dec",
        "set_workers",
        "signal",
        "die",
        "quieter",
        "louder",
        "config",
    ] {
        assert!(help.lines().any(|line| line.split(' ').next() == Some(name)), "{name}\n{help}");
        assert!(message.contains(name), "{name}: {message}");
    }
}

#[test]
fn status_is_a_table_for_people() {
    let master = Master::start(&["-b", "web=127.0.0.1:0", "-n", "2", "-m", "manual"], &IDLE);
    let [first, second] = master.pids()[..] else { panic!() };
    master.acknowledge(first);
    master.client().send_json(&json!({"command": "worker:ping", "pid": first, "request_id": "p1"}));
    let table = master.command("status", &[]);
    let port = &master.status()["listeners"][0]["port"];
    for words in ["1 of 2 up", "version 0", "web", &format!("127.0.0.1:{port}")] {
        assert!(table.contains(words), "{words}\n{table}");
    }
    let row = |pid: i32| {
        let row = table.lines().find(|line| line.starts_with(&format!("{pid} ")));
        row.unwrap_or_else(|| panic!("{pid}\n{table}")).to_owned()
    };
    assert!(row(first).contains(" up ") && row(second).contains(" starting "), "{table}");
    let (code, _) = master.failure(&json!({"command": "status", "args": ["xml"]}));
    assert_eq!(code, "bad_arguments");
}

#[test]
fn state_is_in_the_format_that_crosses_a_reload() {
    let master = Master::start(&["-b", "127.0.0.1:0", "-n", "1", "-m", "manual", "-t", "7"], &IDLE);
    let pid = master.only_pid();
    master.acknowledge(pid);
    let state = master.state();
    assert!(state.starts_with("---\n:children:\n"), "{state}");
    for words in [
        format!("  {pid}:\n    :type: :worker\n"),
        "    :acked: true\n".into(),
        "    :signaled: !ruby/object:Set\n      hash: {}\n".into(),
        ":orig_cmd:\n- sleep\n- '1000000'\n".into(),
        "  :type: :manual\n".into(),
        ":signal_timeout: 7".into(),
    ] {
        assert!(state.contains(&words), "{words}\n{state}");
    }
}

#[test]
fn the_number_of_workers_changes_within_its_range() {
    let master = Master::start(&["-n", "1", "-m", "0", "-s", "0.01"], &IDLE);
    assert!(master.command("inc", &[]).contains("1 -> 2"));
    master.wait_for_up(2);
    master.command("set_workers", &["4"]);
    master.wait_for_up(4);
    master.command("dec", &[]);
    let status = master.wait_for_up(3);
    assert_eq!(status["target"], 3);
    master.command("set_workers", &["1"]);
    master.wait_for_up(1);
    for request in [
        json!({"command": "dec"}),
        json!({"command": "set_workers", "args": ["0"]}),
        json!({"command": "set_workers", "args": ["10001"]}),
        json!({"command": "set_workers", "args": ["many"]}),
        json!({"command": "set_workers"}),
        json!({"command": "inc", "args": ["3"]}),
    ] {
        let (code, message) = master.failure(&request);
        assert_eq!(code, "bad_arguments", "{request}: {message}");
    }
    assert_eq!(master.status()["target"], 1);
}

#[test]
fn who_is_too_many_and_not_yet_up_goes_first() {
    let master = Master::start(&["-n", "2", "-m", "manual", "-s", "0.01"], &IDLE);
    let [first, second] = master.pids()[..] else { panic!() };
    master.acknowledge(second);
    master.command("dec", &[]);
    master.wait_for("one left", |status| pids(status) == [second]);
    assert!(Process::of(first).ends_within(crate::support::LONG));
}

#[test]
fn acknowledgements_are_silent_and_count_once() {
    let master = manual();
    let pid = master.pids()[0];
    master.acknowledge(pid);
    assert_eq!(worker_of(&master.status(), pid)["acked"], true);
    master.acknowledge(pid);
    master.wait_for_line(&format!("acknowledgement for worker {pid} (index 0) ignored"));
    master.acknowledge(1);
    master.wait_for_line("acknowledgement ignored: 1 is no worker");
    master.client().send_json(&json!({"command": "worker:ack", "pid": "x"}));
    master.wait_for_line("`pid` must be an integer");
    let acked = workers(&master.status()).iter().filter(|worker| worker["acked"] == true).count();
    assert_eq!(acked, 1);
}

#[test]
fn with_a_timer_an_acknowledgement_is_ignored() {
    let master = Master::start(&["-m", "1000000"], &IDLE);
    let pid = master.only_pid();
    master.acknowledge(pid);
    master.wait_for_line(&format!("acknowledgement for worker {pid} (index 0) ignored"));
    assert_eq!(worker_of(&master.status(), pid)["acked"], false);
}

#[test]
fn pings_are_recorded_in_any_ack_mode() {
    for mode in ["manual", "0"] {
        let program = told(&["ping=by path", "ping-by-descriptor=by descriptor", "hang"]);
        let master = Master::start(&["-m", mode, "-g"], &program);
        let status = master.wait_for("the second ping", |status| {
            workers(status)[0]["ping_request_id"] == "by descriptor"
        });
        assert!(workers(&status)[0]["last_ping_seconds"].as_f64().is_some_and(|s| s >= 0.0));
        let state = master.state();
        assert!(state.contains(":pinged_request_id: by descriptor\n"), "{state}");
        assert!(state.contains(":pinged_at: 20"), "{state}");
        assert_eq!(workers(&status)[0]["acked"], mode == "0");
    }
}

#[test]
fn signals_are_known_by_name_or_nothing_is_sent() {
    let master = manual();
    master.running();
    let before = master.pids();
    for args in [json!(["TERM", "NOPE"]), json!(["15"]), json!([""])] {
        let (code, message) = master.failure(&json!({"command": "signal", "args": args}));
        assert_eq!(code, "unknown_signal", "{message}");
    }
    assert_eq!(master.failure(&json!({"command": "signal"})).0, "bad_arguments");
    assert_eq!(master.pids(), before);
    let workers: Vec<Process> = before.into_iter().map(Process::of).collect();
    master.command("signal", &["sigterm"]);
    for worker in workers {
        worker.wait();
    }
    // Nobody was asked to stop for good: they are replaced.
    master.wait_for("others", |status| pids(status).len() == 2);
}

#[test]
fn die_ends_the_workers_and_then_the_master() {
    for args in [&[][..], &["term"], &["SIGINT"]] {
        let mut master = manual();
        master.running();
        master.command("die", args);
        assert_eq!(master.wait(), 0);
    }
    let master = manual();
    assert_eq!(master.failure(&json!({"command": "die", "args": ["x"]})).0, "unknown_signal");
    assert_eq!(master.status()["stopping"], false);
}

#[test]
fn die_with_a_timeout_kills_whoever_stays() {
    let stays =
        ["sh", "-c", "trap '' USR2; echo ready >&2; while :; do sleep 1000000 & wait; done"];
    let mut master = Master::start(&["-m", "manual", "-t", "0.1"], &stays);
    master.wait_for_line("ready");
    let worker = Process::of(master.only_pid());
    master.command("die", &[]);
    assert_eq!(master.wait(), 0);
    assert!(!worker.lives());
}

#[test]
fn while_stopping_nothing_is_started_and_everybody_is_told() {
    let stays =
        ["sh", "-c", "trap '' USR2; echo ready >&2; while :; do sleep 1000000 & wait; done"];
    let master = Master::start(&["-m", "manual"], &stays);
    master.wait_for_line("ready");
    master.command("die", &[]);
    for command in ["upgrade", "upgrade_fleet", "reload", "abort"] {
        let reply = master.ask(&json!({"command": command, "id": 7}));
        assert_eq!((&reply["error"], &reply["request_id"]), (&json!("shutting_down"), &json!(7)));
        assert_eq!(reply.get("wait"), None);
    }
    assert!(master.command("status", &[]).contains("shutting down"));
    master.command("inc", &[]);
    assert_eq!(pids(&master.status()).len(), 1);
}

#[test]
fn verbosity_stays_in_its_range_and_acts_on_the_log() {
    let master = manual();
    assert_eq!(master.command("quieter", &[]), "2");
    assert_eq!(master.command("quieter", &[]), "2");
    let pid = master.pids()[0];
    send(pid, Signal::KILL);
    master.wait_for("a replacement", |status| {
        pids(status).len() == 2 && !pids(status).contains(&pid)
    });
    for level in ["1", "0", "0"] {
        assert_eq!(master.command("louder", &[]), level);
    }
    let pid = master.pids()[0];
    master.client().send_json(&json!({"command": "worker:ping", "pid": pid}));
    let line = master.wait_for_line("pinged");
    // By now everything that was said before is here.
    assert!(!master.log.text().contains("exited"), "{}", master.log.text());
    assert!(line.contains("DEBUG") && line.contains(&format!("worker {pid}")), "{line}");
    assert_eq!(master.status()["verbosity"], 0);
}

#[test]
pub(crate) fn config_changes_all_or_nothing() {
    let master = Master::start(&["-n", "1", "-m", "0", "-b", "127.0.0.1:0"], &IDLE);
    // In pieces, as the shell's words come.
    master.command("config", &["{seconds:", "0.01,", "number: 3, backlog: 9}"]);
    master.wait_for_up(3);
    let state = master.state();
    assert!(state.contains("  :seconds: 0.01\n") && state.contains("  :backlog: 9\n"), "{state}");
    for mapping in
        ["{number: 2, nubmer: 4}", "{number: 0}", "{number: 2, seconds: 0}", "[1]", "{", "", "text"]
    {
        let (code, message) = master.failure(&json!({"command": "config", "args": [mapping]}));
        assert_eq!(code, "bad_arguments", "{mapping}: {message}");
    }
    assert_eq!(master.status()["target"], 3);
}

#[test]
fn args_are_a_list_of_strings_or_absent() {
    let master = manual();
    for args in [json!("x"), json!({"a": 1}), json!([1]), json!(["a", null]), json!(7), json!(true)]
    {
        let (code, message) = master.failure(&json!({"command": "signal", "args": args}));
        assert_eq!(code, "bad_arguments", "{args}");
        assert!(message.contains("list of strings"), "{message}");
    }
    for args in [json!([]), Json::Null] {
        let reply = master.ask(&json!({"command": "quieter", "args": args}));
        assert_eq!(reply["error"], Json::Null, "{reply}");
    }
    for request in [json!({}), json!({"command": null}), json!({"command": 3})] {
        assert_eq!(master.failure(&request).0, "bad_arguments", "{request}");
    }
}
