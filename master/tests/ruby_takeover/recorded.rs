//! Recorded states cross whole: what the vectors say is what ours has then.

use einhorn_master::psych::Value;
use serde_json::{Value as Json, json};

use crate::stand_in::{
    self, MANUAL, MID_UPGRADE, TIMER, edited, follow, numbers_in, ports_in, visit, without_upgrade,
    yaml_reply, yaml_request,
};
use crate::support::process::{descriptors, environment};
use crate::support::{Folder, IDLE, Process, pids, worker_of, workers};
use crate::worker::told;

/// The recorded workers' real pids, as `recorded` names them.
#[track_caller]
fn pid_of(told: &Json, recorded: &str) -> i32 {
    stand_in::number_in(&told["workers"][recorded])
}

/// Whether a descriptor shared by all is non-blocking.
fn is_nonblocking(pid: i32, number: i32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    u32::from_str_radix(flags, 8).unwrap() & 0o4000 != 0
}

#[test]
fn half_a_line_a_subscriber_and_an_upgrade_to_come() {
    let dump = edited(MANUAL, &[(":seconds: 1", ":seconds: 0.05")]);
    let process = stand_in::replaying(&dump, &told(&["ack", "serve"]));
    let told = process.told("replays");
    let sockets = numbers_in(&told["bind_fds"]);
    let blocking = |number: &i32| is_nonblocking(process.master.pid(), *number);
    let before: Vec<bool> = sockets.iter().map(blocking).collect();
    let (mut half, mut subscriber) = (process.recorded_client(0), process.recorded_client(1));
    process.go();
    half.send("and\":\"ehlo\",\"id\":\"whole\"}\n");
    assert_eq!(half.reply()["request_id"], "whole");
    assert_eq!(follow(&mut subscriber, &Value::Integer(9)).error, None);
    let status = process.master.wait_for("the new version alone", |status| {
        let all = workers(status);
        all.len() == 2 && all.iter().all(|worker| worker["version"] == 1)
    });
    assert_eq!(status["pid"], process.master.pid());
    assert_eq!(sockets.iter().map(blocking).collect::<Vec<_>>(), before);
    let listening: Vec<u16> = status["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|listener| u16::try_from(listener["port"].as_u64().unwrap()).unwrap())
        .collect();
    assert_eq!(listening, ports_in(&told));
    for port in listening {
        visit(port);
    }
    process.has_reaped_the_helper();
    process.had_no_complaints();
}

#[test]
fn the_middle_of_a_smooth_upgrade() {
    let folder = Folder::new();
    let gate = folder.gate("gate");
    let wait = format!("await={}", folder.word("gate"));
    let process = stand_in::replaying_in(folder, MID_UPGRADE, &told(&[&wait, "ack", "serve"]));
    let told = process.told("replays");
    let mut clients: Vec<_> = (0..4).map(|place| process.recorded_client(place)).collect();
    process.go();
    let status = process.master.status();
    assert_eq!(status["upgrade"]["mode"], "smooth", "{status}");
    for (recorded, version, index, acked) in
        [("16238", 0, 1, true), ("16241", 1, 2, true), ("16244", 2, 0, false)]
    {
        let worker = worker_of(&status, pid_of(&told, recorded));
        for (key, value) in
            [("version", json!(version)), ("index", json!(index)), ("acked", json!(acked))]
        {
            assert_eq!(worker[key], value, "{recorded}: {key}");
        }
    }
    let _open = gate.open();
    // The one that was started before the reload acknowledges to the next image.
    for (place, id) in [(1, "0123abcd".into()), (2, Value::Integer(42))] {
        assert_eq!(follow(&mut clients[place], &id).error, None);
    }
    let status = process.master.wait_for("the new version alone", |status| {
        let all = workers(status);
        all.len() == 2 && all.iter().all(|worker| worker["version"] == 2)
    });
    assert!(pids(&status).contains(&pid_of(&told, "16244")));
    clients[0].send("lo\",\"id\":1}\n");
    assert_eq!(clients[0].reply()["request_id"], 1);
    clients[3].send(yaml_request("ehlo", "3"));
    assert_eq!(yaml_reply(&mut clients[3]).id, Some(Value::Integer(3)));
    process.had_no_complaints();
}

/// One worker of the timer's vector has lived for almost all of its time. That is longer than
/// any test waits, and less than the machine has been up: a start before that is not believed.
fn almost_up() -> String {
    let long_ago = ("2026-11-23 10:18:49.8355", "2026-11-23 10:17:10.1355");
    edited(&without_upgrade(TIMER), &[("30.0", "100.0"), long_ago])
}

#[test]
fn timers_of_acknowledgement_go_on() {
    let process = stand_in::replaying(&almost_up(), &IDLE);
    let told = process.told("replays");
    let (first, second) = (pid_of(&told, "4619"), pid_of(&told, "4621"));
    process.go();
    let status =
        process.master.wait_for("the first up", |status| worker_of(status, first)["stage"] == "up");
    assert_eq!(worker_of(&status, second)["stage"], "starting", "{status}");
    process.had_no_complaints();
}

#[test]
fn a_start_that_the_state_does_not_tell_is_that_of_the_timer() {
    let lines = almost_up();
    let lines = lines.lines().filter(|line| !line.contains(":spinup_time:"));
    let dump = lines.collect::<Vec<_>>().join("\n") + "\n";
    let process = stand_in::replaying(&dump.replace(": *1", ":"), &IDLE);
    let first = pid_of(&process.told("replays"), "4619");
    process.go();
    process.master.wait_for("the first up", |status| worker_of(status, first)["stage"] == "up");
}

#[test]
fn settings_of_the_recorded_command_line_hold() {
    // Up at once, so that the next worker is not held back.
    let dump = edited(&without_upgrade(TIMER), &[("10:18:49.83", "09:18:49.83")]);
    let process = stand_in::replaying(&dump, &IDLE);
    let mut subscriber = process.recorded_client(1);
    let old = numbers_in(&process.told("replays")["workers"]);
    process.go();
    // It waits for an upgrade that the Ruby master has given up without a word.
    let last = follow(&mut subscriber, &Value::Integer(9));
    assert_eq!(last.error.as_deref(), Some("no_upgrade"), "{last:?}");
    let state = process.master.state();
    for setting in [
        ":number: 2",
        ":max_unacked: 2",
        ":max_upgrade_additional: 3",
        ":verbosity: 2",
        ":timeout: 30.0",
        ":kill_children_on_exit: true",
        ":command_socket_as_fd: true",
        ":master: 0",
        ":worker: 5",
        ":signal_timeout: 7.0",
        ":generation: 1",
    ] {
        assert!(state.contains(setting), "no {setting} in\n{state}");
    }
    // -g: the next worker has a connection of its own; --nice: its level.
    process.master.command("inc", &[]);
    let status = process.master.wait_for("one more", |status| pids(status).len() == 3);
    let newest = *pids(&status).iter().find(|pid| !old.contains(pid)).unwrap();
    process.master.running();
    let given = environment(newest)["EINHORN_SOCK_FD"].parse().unwrap();
    assert!(descriptors(newest)[&given].starts_with("socket:"));
    let stat = std::fs::read_to_string(format!("/proc/{newest}/stat")).unwrap();
    assert_eq!(stat.rsplit(") ").next().unwrap().split(' ').nth(16), Some("5"));
    // -k: when the master dies for any reason, so does the worker that it started.
    let newest = Process::of(newest);
    process.master.signal(rustix::process::Signal::KILL);
    newest.wait();
}

#[test]
fn unsent_output_is_delivered_first() {
    let unsent = (
        "  :subscriptions: {}\n",
        "  :write_buffer: 'what was to be sent, 100%25'\n  :subscriptions: {}\n",
    );
    let process = stand_in::replaying(&edited(&without_upgrade(MANUAL), &[unsent]), &IDLE);
    let mut client = process.recorded_client(0);
    process.go();
    client.send("and\":\"ehlo\",\"id\":1}\n");
    let line = client.line().unwrap();
    assert!(line.starts_with("what was to be sent, 100%25{"), "{line}");
}

#[test]
fn who_was_asked_to_stop_is_killed_when_the_time_is_over() {
    let asked = "!ruby/object:Set\n        hash:\n          USR2: true\n      :last_signaled_at: \
                 2026-11-23 13:22:20.5 +00:00\n      :index: 1";
    let dump = edited(
        MID_UPGRADE,
        &[
            (
                "!ruby/object:Set\n        hash: {}\n      :last_signaled_at:\n      :index: 1",
                asked,
            ),
            (":signal_timeout: 5", ":signal_timeout: 100"),
        ],
    );
    let stays = ["sh", "-c", "trap '' USR2; while :; do sleep 1000000 & wait; done"];
    let process = stand_in::replaying(&dump, &stays);
    let asked = pid_of(&process.told("replays"), "16238");
    process.go();
    let line = process.master.wait_for_line(&format!("sent SIGKILL to worker {asked}"));
    assert!(line.contains("asked to stop 10"), "{line}");
    Process::of(asked).wait();
}
