//! Budgets hold at every instant: looked at every 10 ms while old workers and newcomers are
//! killed in the middle of upgrades, under load.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value as Json, json};

use crate::support::load::{Bounds, Load, Watch, request};
use crate::support::site::{point, release};
use crate::support::{Folder, LONG, Launch, Master, Process, pids, workers};
use crate::worker::told_in_shell;

fn good(version: &str) -> String {
    told_in_shell(&[&format!("version={version}"), "ack", "serve"])
}

fn start(target: usize) -> (Master, u16) {
    let folder = Folder::new();
    release(&folder, "1", &good("1"));
    point(&folder, "1");
    let (number, current) = (target.to_string(), folder.word("current"));
    let options = ["-n", &number, "-b", "127.0.0.1:0", "-m", "manual", "-s", "0.01"];
    let limits = ["--max-upgrade-additional", "1", "--upgrade-attempts", "0", "--chdir", &current];
    let options: Vec<&str> = options.into_iter().chain(limits).collect();
    let master = Launch::within(folder, &options, &["./run"]).start();
    let port = master.wait_for_up(target)["listeners"][0]["port"].as_u64().unwrap();
    (master, port.try_into().unwrap())
}

/// Somebody of the old version or of the new one, as long as there is an upgrade.
fn victim(master: &Master, is_old: bool) -> Option<Process> {
    let status = master.wait_for("somebody to kill", |status| {
        status["upgrade"].is_null() || workers(status).iter().any(|worker| is_one(worker, is_old))
    });
    let chosen = workers(&status).into_iter().find(|worker| is_one(worker, is_old))?;
    let pid = chosen["pid"].as_i64()?.try_into().unwrap();
    status["upgrade"].is_object().then(|| Process::of(pid))
}

fn is_one(worker: &Json, is_old: bool) -> bool {
    (worker["version"] == 0) == is_old
        && matches!(worker["stage"].as_str(), Some("up" | "up, old" | "soaking"))
}

/// Release 2 comes in while old workers and newcomers are killed in turn, and is committed, or
/// given up by `abort`.
#[track_caller]
fn check(target: usize, soak: &str, outcome: &str) {
    let (master, port) = start(target);
    let load = Load::start(port);
    let bounds = Bounds { target, most: target + 1, others: 0 };
    let watch = Watch::within(master.socket.clone(), master.pid(), bounds);
    release(&master.folder, "2", &good("2"));
    point(&master.folder, "2");
    let mut caller = master.client();
    caller.send_json(&json!({"command": "upgrade", "id": 1, "args": ["--soak", soak]}));
    master.wait_for("the upgrade", |status| status["upgrade"].is_object());
    let (mut accepted, mut killed) = (Vec::new(), 0);
    for round in 0..6 {
        let Some(victim) = victim(&master, round % 2 == 0) else { break };
        accepted.extend(watch.kill(&victim));
        killed += 1;
        master.wait_for("as many as before", |status| {
            let serving = workers(status);
            let serving = serving
                .iter()
                .filter(|worker| matches!(worker["stage"].as_str(), Some("up" | "up, old")));
            serving.count() >= target && !pids(status).contains(&victim.pid)
        });
    }
    assert!(killed > 1, "the upgrade was over after {killed}");
    if outcome == "aborted" {
        master.command("abort", &[]);
    }
    let last = caller.replies().pop().unwrap();
    assert_eq!(last["result"]["outcome"], outcome, "{last}");
    master.wait_for_up(target);
    let serves = if outcome == "aborted" { "1" } else { "2" };
    for _ in 0..20 {
        assert_eq!(request(port).unwrap(), serves);
    }
    watch.finish();
    load.finish_but(&["1", "2"], accepted);
    master.stop();
}

#[test]
fn while_old_and_new_die_before_the_commit() {
    check(3, "1.5", "committed");
}

#[test]
fn while_old_and_new_die_before_the_rollback() {
    check(3, "600", "aborted");
}

#[test]
fn with_a_single_worker() {
    check(1, "3", "committed");
    check(1, "600", "aborted");
}

/// The way of counting itself: who was accepted is lost with the worker and counted apart, and
/// nobody else is.
#[test]
fn whom_a_killed_worker_had_accepted_is_known() {
    let (master, port) = start(1);
    let watch = Watch::start(master.socket.clone(), master.pid(), 1, 2);
    let worker = Process::of(master.only_pid());
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.write_all(b"hold\n").unwrap();
    master.wait_for_line("holds a connection");
    let own = client.local_addr().unwrap().port();
    assert_eq!(watch.kill(&worker), [own]);
    let mut answer = String::new();
    let lost = client.read_to_string(&mut answer).is_err() || !answer.ends_with('\n');
    assert!(lost, "{answer}");
    assert_eq!(request(port).unwrap(), "1");
    watch.finish();
}
