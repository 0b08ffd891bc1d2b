//! No connection is lost over upgrades: every failure that a client can see is counted.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::load::{Failure, Load, request, request_with};
use crate::support::process::send;
use crate::support::{Folder, LONG, Launch, Master, pids};
use crate::worker::told_in_shell;

fn port(master: &Master) -> u16 {
    master.status()["listeners"][0]["port"].as_u64().unwrap().try_into().unwrap()
}

/// A server of `version`.
fn code(version: usize) -> String {
    told_in_shell(&["ack", &format!("version={version}"), "serve"])
}

fn server(number: &str, bind: &str) -> Master {
    let folder = Folder::new();
    let script = folder.script("server", &code(0));
    let options = ["-n", number, "-m", "manual", "-s", "0.01", "-b", bind];
    let master = Launch::within(folder, &options, &[script]).start();
    master.wait_for_up(number.parse().unwrap());
    master
}

#[test]
fn ten_upgrades_of_both_kinds_lose_nothing() {
    let master = server("4", "127.0.0.1:0");
    let mut idle = master.client();
    let mut half = master.client();
    half.send("{\"command\":\"ehlo\",\"id\"");
    let load = Load::heavy(port(&master));
    for version in 1..=10 {
        master.folder.script("server", &code(version));
        let command = if version % 2 == 0 { "upgrade" } else { "upgrade_fleet" };
        let last = master.upgrade(command).pop().unwrap();
        assert_eq!(last["error"], Json::Null, "{last}");
        // Each version answers for a while before the next one comes.
        let enough = load.answered() + 50;
        master.wait_until("some more answers", || (load.answered() > enough).then_some(()));
    }
    load.finish(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    let status = master.wait_for_up(4);
    assert_eq!((&status["pid"], &status["version"]), (&json!(master.pid()), &json!(10)));
    assert_eq!(idle.ask(&json!({"command": "ehlo", "id": 1}))["request_id"], 1);
    half.send(":2}\n");
    assert_eq!(half.reply()["request_id"], 2);
}

#[test]
fn upgrades_that_fail_or_are_given_up_lose_nothing_either() {
    let master = server("2", "127.0.0.1:0,n");
    let load = Load::heavy(port(&master));
    let goes_on = |what: &str| {
        let enough = load.answered() + 50;
        master.wait_until(what, || (load.answered() > enough).then_some(()));
    };
    // Newcomers that die, newcomers that never say that they are up, no program at all.
    master.folder.script("server", "exit 3");
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], "rolled_back", "{last}");
    goes_on("answers after a rollback");
    master.folder.script("server", "exec sleep 1000000");
    let mut caller = master.begin("upgrade_fleet");
    master.wait_for("newcomers", |status| pids(status).len() == 4);
    goes_on("answers during an upgrade");
    master.command("abort", &[]);
    assert_eq!(caller.replies().pop().unwrap()["error"], "aborted");
    goes_on("answers after an abort");
    std::fs::remove_file(master.folder.join("server")).unwrap();
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], "reload_failed", "{last}");
    goes_on("answers after a failed reload");
    load.finish(&["0"]);
}

#[test]
fn reloads_and_changes_of_the_target_lose_nothing() {
    let master = server("2", "127.0.0.1:0");
    let load = Load::heavy(port(&master));
    for round in 0..10 {
        master.command("set_workers", &[["5", "1"][round % 2]]);
        master.command("reload", &[]);
        master.wait_for_up([5, 1][round % 2]);
    }
    master.signal(Signal::HUP);
    master.wait_for("an upgrade by signal", |status| status["version"] == 1);
    master.wait_for_up(1);
    load.finish(&["0"]);
}

#[test]
fn what_was_begun_is_finished_by_the_old_worker() {
    let master = server("1", "127.0.0.1:0");
    let old = master.only_pid();
    let mut client = TcpStream::connect(("127.0.0.1", port(&master))).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.write_all(b"hold\n").unwrap();
    let mut begun = vec![0; old.to_string().len()];
    client.read_exact(&mut begun).unwrap();
    assert_eq!(begun, old.to_string().as_bytes());
    master.folder.script("server", &code(1));
    assert_eq!(master.upgrade("upgrade").pop().unwrap()["error"], Json::Null);
    // New connections go to the new worker while the old one still has its own.
    assert_eq!(request(port(&master)), Ok("1".to_owned()));
    client.write_all(b"go on\n").unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, " held\n");
    master.wait_for_up(1);
}

/// The driver sees a loss: no supervisor can save what a killed worker had accepted.
#[test]
fn a_worker_that_is_killed_loses_what_it_had_accepted_and_no_more() {
    let master = server("1", "127.0.0.1:0");
    let (worker, port) = (master.only_pid(), port(&master));
    let accepted = thread::spawn(move || request_with(port, "hold\n"));
    master.wait_for_line(&format!("worker {worker} holds a connection"));
    let waiting = thread::spawn(move || request(port));
    send(worker, Signal::KILL);
    let loss = accepted.join().unwrap();
    assert!(matches!(loss, Err(Failure::Short | Failure::Reset)), "{loss:?}");
    assert_eq!(waiting.join().unwrap(), Ok("0".to_owned()));
}
