//! Ours reloads into a Ruby master, and that one back into ours.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::stand_in::{self, follow, number_in, numbers_in, visit, yaml_reply, yaml_request};
use crate::support::process::{descriptors, environment};
use crate::support::{IDLE, pids, worker_of, workers};
use crate::worker::told;

/// Two sockets, everything that has a flag, and quick.
const OPTIONS: [&str; 10] =
    ["-n", "2", "-b", "127.0.0.1:0", "-b", "127.0.0.1:0,n", "-s", "0.01", "-c", "shop"];

#[test]
fn a_reload_leaves_workers_and_clients_as_they_are() {
    let options = [&OPTIONS[..8], &["-m", "manual"]].concat();
    let process = stand_in::ours(&options, &told(&["ack", "serve"]));
    let before = process.master.wait_for_up(2);
    let (mut idle, mut half) = (process.master.client(), process.master.client());
    half.send("{\"command\":");
    process.master.command("reload", &[]);
    let told = process.told("took over");
    assert_eq!(told["pid"], process.master.pid());
    assert_eq!(numbers_in(&told["workers"]), pids(&before));
    let sockets = process.listening(&told);
    idle.send(yaml_request("ehlo", "i"));
    assert_eq!(yaml_reply(&mut idle).id, Some("i".into()));
    half.send("\"ehlo\",\"id\":\"h\"}\n");
    assert_eq!(yaml_reply(&mut half).id, Some("h".into()));
    let ports: Vec<u16> = before["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|listener| u16::try_from(listener["port"].as_u64().unwrap()).unwrap())
        .collect();
    for port in &ports {
        visit(*port);
    }
    process.had_no_complaints();

    process.next_is_ours();
    half.send("{\"command\":");
    idle.send(yaml_request("reload", "r"));
    assert_eq!(yaml_reply(&mut idle).id, Some("r".into()));
    process.is_ours();
    half.send("\"ehlo\",\"id\":\"h\"}\n");
    assert_eq!(half.reply()["request_id"], "h");
    let after = process.master.status();
    assert_eq!(pids(&after), pids(&before));
    for key in ["pid", "listeners", "target", "version", "program"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!(after["generation"], 2);
    assert_eq!(process.listening(&told), sockets);
    process.had_no_complaints();
}

#[test]
fn an_upgrade_goes_on_there_and_its_callers_hear_of_the_end() {
    for command in ["upgrade", "upgrade_fleet"] {
        let options = [&OPTIONS[..8], &["-m", "manual"]].concat();
        let process = stand_in::ours(&options, &told(&["ack", "serve"]));
        let old = pids(&process.master.wait_for_up(2));
        let mut client = process.master.client();
        client.send(yaml_request(command, "'y 1'"));
        assert_eq!(follow(&mut client, &"y 1".into()).error, None);
        assert_eq!(numbers_in(&process.told("took over")["workers"]), old);
        assert_eq!(process.told("upgraded")["version"], 1);
        for pid in old {
            crate::support::Process::of(pid).wait();
        }
        process.had_no_complaints();
    }
}

#[test]
fn a_caller_that_speaks_json_is_answered_in_yaml_there() {
    let process =
        stand_in::ours(&[&OPTIONS[..8], &["-m", "manual"]].concat(), &told(&["ack", "serve"]));
    process.master.wait_for_up(2);
    let mut client = process.master.begin("upgrade");
    assert_eq!(client.reply()["wait"], true);
    let last = follow(&mut client, &"upgrade".into());
    assert_eq!(last.error, None);
    process.had_no_complaints();
}

#[test]
fn no_descriptor_of_anyone_reaches_a_worker() {
    let process = stand_in::ours(&[&OPTIONS[..8], &["-m", "0", "--chdir", "/"]].concat(), &IDLE);
    process.master.wait_for_up(2);
    let _idle: Vec<_> = (0..3).map(|_| process.master.client()).collect();
    let mut seen = BTreeSet::new();
    for round in 0..2 {
        let mark = process.master.log.mark();
        process.next_is_ruby();
        let mut client = process.master.begin("upgrade");
        assert_eq!(client.reply()["wait"], true);
        let told = process.told_from(mark, "took over");
        process.told_from(mark, "upgraded");
        check_workers(&process, &told, &mut seen);
        process.next_is_ours();
        client.send(yaml_request("upgrade", "back"));
        while yaml_reply(&mut client).id != Some("back".into()) {}
        assert_eq!(follow(&mut client, &"back".into()).error, None, "round {round}");
        process.is_ours();
        process.master.wait_for_up(2);
        check_workers(&process, &told, &mut seen);
    }
    assert_eq!(seen.len(), 8, "workers of four upgrades");
    process.had_no_complaints();
}

/// The children have the standard streams, the sockets, and nothing else.
#[track_caller]
fn check_workers(process: &stand_in::Process, told: &Json, seen: &mut BTreeSet<i32>) {
    let mut expected: BTreeSet<i32> = numbers_in(&told["bind_fds"]).into_iter().collect();
    expected.extend([0, 1, 2]);
    let master = process.master.pid().to_string();
    let tasks = format!("/proc/{master}/task/{master}/children");
    let new = process.master.wait_until("two new workers run", || {
        let children = std::fs::read_to_string(&tasks).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        let new: Vec<i32> = children.filter(|pid| !seen.contains(pid)).collect();
        let is_running = |pid: &i32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name == "sleep\n")
        };
        let new: Vec<i32> = new.into_iter().filter(is_running).collect();
        let of_this_version = |pid: &i32| environment(*pid)["EINHORN_MASTER_PID"] == master;
        (new.len() == 2 && new.iter().all(of_this_version)).then_some(new)
    });
    for pid in new {
        let mut open = descriptors(pid);
        // It may still be loading its libraries.
        open.retain(|number, what| *number <= 2 || !what.contains("/lib"));
        assert_eq!(open.keys().copied().collect::<BTreeSet<i32>>(), expected, "{open:?}");
        seen.insert(pid);
    }
}

#[test]
fn what_is_known_of_workers_crosses_both_ways() {
    let stays =
        ["sh", "-c", "trap '' USR2; echo $$ ready >&2; while :; do sleep 1000000 & wait; done"];
    let options = ["-n", "2", "-m", "0", "-t", "3600", "-b", "127.0.0.1:0", "--nice", "1:2"];
    let process = stand_in::ours(&options, &stays);
    let both = pids(&process.master.wait_for_up(2));
    for pid in &both {
        process.master.wait_for_line(&format!("{pid} ready"));
    }
    process.master.command("dec", &[]);
    let before = process.master.status();
    process.master.command("reload", &[]);
    process.told("took over");
    process.next_is_ours();
    process.master.client().send(yaml_request("reload", "r"));
    process.is_ours();
    let after = process.master.status();
    let asked = pids(&after)
        .into_iter()
        .filter(|pid| worker_of(&after, *pid)["signaled"] == json!(["USR2"]))
        .count();
    assert_eq!(asked, 1, "{after}");
    for pid in both {
        for key in ["index", "version", "acked", "signaled"] {
            assert_eq!(worker_of(&after, pid)[key], worker_of(&before, pid)[key], "{key}");
        }
    }
    let state = process.master.state();
    for setting in [":number: 1", ":signal_timeout: 3600.0", ":master: 1", ":worker: 2"] {
        assert!(state.contains(setting), "no {setting} in\n{state}");
    }
    process.had_no_complaints();
}

#[test]
fn a_timer_goes_on_over_both() {
    let process = stand_in::ours(&["-n", "2", "-m", "2"], &IDLE);
    process.master.command("reload", &[]);
    process.told("took over");
    process.next_is_ours();
    process.master.client().send(yaml_request("reload", "r"));
    process.is_ours();
    process.master.wait_for_up(2);
    process.had_no_complaints();
}

#[test]
fn pings_and_ids_of_any_kind_cross_as_they_are() {
    let ids =
        ["12", "'12'", "1.5", "true", "~", "2026-11-23", ":sym", "'%25'", "\"\\u2603\"", "0x1f"];
    let process = stand_in::ours(&["-m", "0"], &IDLE);
    let pid = pids(&process.master.wait_for_up(1))[0];
    for id in ids {
        let mut worker = process.master.client();
        worker.send(format!("---%0Acommand: worker:ping%0Apid: {pid}%0Arequest_id: {id}%0A\n"));
        assert!(worker.is_closed());
        let ping = |state: String| {
            state.lines().find(|line| line.contains(":pinged_request_id:")).map(str::to_owned)
        };
        let before = ping(process.master.state());
        let mark = process.master.log.mark();
        process.next_is_ruby();
        process.master.command("reload", &[]);
        process.told_from(mark, "took over");
        process.next_is_ours();
        process.master.client().send(yaml_request("reload", "r"));
        process.is_ours();
        assert_eq!(ping(process.master.state()), before, "{id}");
    }
    process.had_no_complaints();
}

#[test]
fn a_unix_socket_stays_what_it_is() {
    let folder = crate::support::Folder::new();
    let address = format!("unix:{}", folder.word("web.sock"));
    let process = stand_in::ours(&["-b", &address, "-m", "0"], &IDLE);
    let before = process.master.wait_for_up(1);
    process.master.command("reload", &[]);
    process.told("took over");
    process.next_is_ours();
    process.master.client().send(yaml_request("reload", "r"));
    process.is_ours();
    let after = process.master.status();
    assert_eq!(after["listeners"], before["listeners"]);
    assert!(workers(&after).len() == 1 && number_in(&after["pid"]) == process.master.pid());
    process.had_no_complaints();
}

/// Modes that a Ruby master does not know cross as a timer of a second, and nothing else does:
/// workers that are not up yet come up there, and no pipe, socket or check of ours is left.
#[track_caller]
fn check_readiness(mode: &str) {
    let process = stand_in::ours(&["-n", "2", "-m", mode, "-s", "0.01"], &IDLE);
    let workers = process.master.wait_for("two", |status| pids(status).len() == 2);
    let workers = pids(&workers);
    let variables = process.master.wait_until("the worker's own variables", || {
        Some(environment(workers[0])).filter(|own| own.contains_key("EINHORN_CHILD_INDEX"))
    });
    let pipes: Vec<String> = workers
        .iter()
        .filter_map(|pid| {
            let number = environment(*pid).get("EINHORN_READY_FD")?.parse().ok()?;
            descriptors(*pid).remove(&number)
        })
        .collect();
    assert_eq!(pipes.len(), if mode == "fd" { 2 } else { 0 });
    assert_eq!(variables.contains_key("NOTIFY_SOCKET"), mode == "notify");
    let state = process.master.state();
    assert!(state.contains(":ack_mode:\n  :type: :timer\n  :timeout: 1.0\n"), "{state}");

    process.master.command("reload", &[]);
    let told = process.told("took over");
    assert_eq!(numbers_in(&told["workers"]), workers);
    let own = descriptors(process.master.pid());
    assert!(!own.values().any(|what| pipes.contains(what)), "{own:?}");
    let server = number_in(&told["server"]);
    process.master.wait_until("no socket but the command socket", || {
        let own = descriptors(process.master.pid()).into_iter();
        let sockets: Vec<i32> =
            own.filter(|(_, what)| what.starts_with("socket:")).map(|(number, _)| number).collect();
        // The caller's connection goes once its end is read.
        (sockets == [server]).then_some(())
    });
    if let Some(path) = variables.get("NOTIFY_SOCKET") {
        let folder = std::path::Path::new(path).parent().unwrap();
        assert!(!folder.exists(), "{} is left", folder.display());
    }
    let master = process.master.pid();
    process.master.wait_until("no child but the workers", || {
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let children = children.unwrap();
        let children: BTreeSet<i32> =
            children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        (children == workers.iter().copied().collect()).then_some(())
    });

    process.next_is_ours();
    process.master.client().send(yaml_request("reload", "r"));
    process.is_ours();
    let status = process.master.wait_for_up(2);
    assert_eq!(pids(&status), workers);
    process.had_no_complaints();
}

#[test]
fn who_is_to_notify_is_up_by_a_timer_there() {
    check_readiness("notify");
}

#[test]
fn who_is_to_write_a_newline_is_up_by_a_timer_there() {
    check_readiness("fd");
}

#[test]
fn who_is_to_be_checked_is_up_by_a_timer_there() {
    check_readiness("exec:false");
}
