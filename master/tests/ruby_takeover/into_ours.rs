//! A Ruby master that serves reloads into ours, by each way that leads there.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::stand_in::{
    self, MANUAL, Process, STAND_IN, edited, follow, numbers_in, ports_in, visit, yaml_reply,
    yaml_request,
};
use crate::support::process::{descriptors, environment};
use crate::support::{EINHORN, pids, workers};
use crate::worker::told;

/// A stand-in whose two workers serve, and what it told of itself.
fn serving() -> (Process, Json) {
    let dump = edited(MANUAL, &[(":seconds: 1", ":seconds: 0.05")]);
    let process = stand_in::replaying(&dump, &told(&["ack", "serve"]));
    let told = process.told("replays");
    for port in ports_in(&told) {
        visit(port);
    }
    (process, told)
}

#[track_caller]
fn sorted(mut pids: Vec<i32>) -> Vec<i32> {
    pids.sort_unstable();
    pids
}

#[test]
fn a_reload_leaves_the_workers_as_they_are() {
    let (process, told) = serving();
    let before = process.listening(&told);
    let mut client = process.master.client();
    client.send(yaml_request("reload", "r"));
    assert_eq!(yaml_reply(&mut client).id, Some("r".into()));
    process.is_ours();
    let status = process.master.status();
    assert_eq!((&status["generation"], &status["version"]), (&json!(1), &json!(0)));
    assert_eq!(status["pid"], process.master.pid());
    assert_eq!(sorted(pids(&status)), sorted(numbers_in(&told["workers"])));
    assert!(workers(&status).iter().all(|worker| worker["stage"] == "up"));
    assert_eq!(process.listening(&told), before);
    process.has_reaped_the_helper();
    // The connection on which it was asked for is served on, and so are the workers' clients.
    client.send(yaml_request("ehlo", "e"));
    assert_eq!(yaml_reply(&mut client).id, Some("e".into()));
    for port in ports_in(&told) {
        visit(port);
    }
    process.had_no_complaints();
}

#[track_caller]
fn check_upgrade(ask: impl FnOnce(&Process)) {
    let (process, told) = serving();
    let before = process.listening(&told);
    let old = numbers_in(&told["workers"]);
    ask(&process);
    process.is_ours();
    let status = process.master.wait_for("the new version alone", |status| {
        let all = workers(status);
        all.len() == 2 && all.iter().all(|w| w["version"] == 1 && w["stage"] == "up")
    });
    assert!(pids(&status).iter().all(|pid| !old.contains(pid)));
    assert_eq!(status["pid"], process.master.pid());
    assert_eq!(process.listening(&told), before);
    process.has_reaped_the_helper();
    for port in ports_in(&told) {
        assert!(pids(&status).contains(&visit(port).split(' ').next().unwrap().parse().unwrap()));
    }
    for pid in process.master.running() {
        check_worker(&process, pid, &numbers_in(&told["bind_fds"]));
    }
    process.had_no_complaints();
}

/// Anonymous inodes are all called the same.
fn is_handed_on(what: &str) -> bool {
    !what.starts_with("anon_inode:")
}

/// A worker has its sockets under the numbers that it was told, and nothing else of anyone's.
#[track_caller]
fn check_worker(process: &Process, pid: i32, sockets: &[i32]) {
    let own = environment(pid);
    assert_eq!(own["EINHORN_MASTER_PID"], process.master.pid().to_string());
    assert_eq!(own["EINHORN_SOCK_PATH"], process.master.socket.to_str().unwrap());
    assert_eq!(own["EINHORN_FD_COUNT"], sockets.len().to_string());
    for (index, number) in sockets.iter().enumerate() {
        assert_eq!(own[&format!("EINHORN_FD_{index}")], number.to_string());
    }
    // What it has opened itself are pipes, polls and copies.
    let of_the_master: BTreeSet<String> =
        descriptors(process.master.pid()).into_values().filter(|what| is_handed_on(what)).collect();
    let open = descriptors(pid);
    let shared = open.iter().filter(|(number, what)| **number > 2 && of_the_master.contains(*what));
    let shared: BTreeSet<&String> = shared.map(|(_, what)| what).collect();
    assert_eq!(shared, sockets.iter().map(|number| &open[number]).collect());
}

#[test]
fn an_upgrade_replaces_the_workers_and_its_caller_hears_of_the_end() {
    for command in ["upgrade", "upgrade_fleet"] {
        check_upgrade(|process| {
            let mut client = process.master.client();
            client.send(yaml_request(command, "up 1"));
            let last = follow(&mut client, &"up 1".into());
            assert_eq!(last.error, None, "{last:?}");
            // Under the other id again, and in YAML, whatever comes next.
            client.send(yaml_request("ehlo", "e"));
            assert_eq!(yaml_reply(&mut client).id, Some("e".into()));
        });
    }
}

#[test]
fn a_hup_is_an_upgrade_too() {
    check_upgrade(|process| process.master.signal(Signal::HUP));
}

#[test]
fn a_caller_that_left_is_no_loss() {
    check_upgrade(|process| {
        let mut client = process.master.client();
        client.send(yaml_request("upgrade", "gone"));
        assert!(yaml_reply(&mut client).waits);
    });
}

/// As `bundle exec` does it: a Ruby program in between that becomes the master.
#[test]
fn a_launcher_in_between_keeps_what_crosses() {
    let (process, told) = serving();
    let before = process.listening(&told);
    let launcher = "exec ruby --disable=gems -e 'exec(*ARGV)' --";
    process.next_is_script(&format!("{launcher} {EINHORN} \"$@\""));
    let mut client = process.master.client();
    client.send(yaml_request("upgrade", "u"));
    assert_eq!(follow(&mut client, &"u".into()).error, None);
    // Ours keeps the command that the Ruby master was told, and goes the same way.
    client.send(yaml_request("upgrade", "v"));
    assert_eq!(follow(&mut client, &"v".into()).error, None);
    process.next_is_script(&format!("{launcher} {STAND_IN} \"$@\""));
    client.send(yaml_request("upgrade", "w"));
    assert_eq!(follow(&mut client, &"w".into()).error, None);
    assert_eq!(process.told("took over")["clients"], 1);
    assert_eq!(process.listening(&told), before);
    process.had_no_complaints();
}

/// As old ones of `bundle exec` do: ours, which is not loaded but executed, would come up
/// without a socket and without a state.
#[test]
fn a_launcher_that_closes_descriptors_is_found_out_before_it_is_too_late() {
    let (process, told) = serving();
    let before = process.listening(&told);
    let closing = "exec ruby --disable=gems -e 'exec(*ARGV, close_others: true)' --";
    process.next_is_script(&format!("{closing} {EINHORN} \"$@\""));
    let mut client = process.master.client();
    client.send(yaml_request("upgrade", "u"));
    assert!(yaml_reply(&mut client).waits);
    process.told("not reloaded");
    let next = process.master.folder.word("next/einhorn");
    process.master.wait_for_line(&format!("`{next}` closes descriptors"));
    assert_eq!(process.listening(&told), before);
    for port in ports_in(&told) {
        visit(port);
    }
    process.next_is_ours();
    process.master.signal(Signal::HUP);
    assert_eq!(follow(&mut client, &"u".into()).error, None);
    process.had_no_complaints();
}

/// A reload that fails leaves the Ruby master where it is, whatever the reason.
#[test]
fn a_check_that_fails_leaves_the_ruby_master_in_place() {
    let (process, told) = serving();
    // A descriptor that did not survive the way fails the check of ours.
    process.next_is_script(&format!("EINHORN_UPGRADE_CHECK_FD=777 exec {EINHORN} \"$@\""));
    let mut client = process.master.client();
    client.send(yaml_request("upgrade", "u"));
    assert!(yaml_reply(&mut client).waits);
    process.told("not reloaded");
    process.master.wait_for_line("descriptor 777");
    for port in ports_in(&told) {
        visit(port);
    }
    // Its caller waits on; with the next reload that works it hears of that one's end.
    process.next_is_ours();
    process.master.signal(Signal::HUP);
    assert_eq!(follow(&mut client, &"u".into()).error, None);
    process.had_no_complaints();
}
