//! A master that is a worker of another master, with the same default files.

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::support::process::{descriptors, environment};
use crate::support::{Client, EINHORN, Folder, Launch, Master, Process, pids, worker_of, workers};

/// An outer master whose only worker is an inner one with two workers that sleep.
fn nested(outer: &[&str], inner: &str) -> Master {
    let folder = Folder::new();
    let script = folder.script("inner", &format!("exec {EINHORN} {inner} sleep 1000000"));
    let options: Vec<&str> = ["-m", "manual", "-s", "0.01"].iter().chain(outer).copied().collect();
    Launch::within(folder, &options, &[script]).start()
}

/// The command socket of the inner master with that pid.
#[track_caller]
fn inner(master: &Master, pid: i32) -> Client {
    let path = master.folder.join(&format!("einhorn.{pid}.sock"));
    master.wait_until("the inner master's socket", || Client::connect(&path).ok())
}

#[track_caller]
fn status_of(client: &mut Client) -> Json {
    let reply = client.ask(&serde_json::json!({"command": "status", "args": ["json"]}));
    serde_json::from_str(reply["message"].as_str().unwrap()).unwrap()
}

#[test]
fn the_inner_one_has_files_of_its_own_and_acknowledges_when_its_fleet_is_up() {
    let outer = nested(&["-b", "127.0.0.1:0", "-n", "2"], "-n 2 -m manual -b 127.0.0.1:0");
    let both = outer.pids();
    let mut clients: Vec<Client> = both.iter().map(|pid| inner(&outer, *pid)).collect();
    for (client, pid) in clients.iter_mut().zip(&both) {
        let status = status_of(client);
        assert_eq!(status["pid"], *pid);
        assert_eq!(outer.folder.read(&format!("einhorn.{pid}.pid")).trim(), pid.to_string());
    }
    assert_eq!(outer.folder.read("einhorn.pid").trim(), outer.pid().to_string());
    // Nobody is up yet. The workers of one inner master acknowledge, so that one is up.
    let status = status_of(&mut clients[0]);
    for worker in pids(&status) {
        assert_eq!(worker_of(&outer.status(), both[0])["acked"], false);
        clients[0].send_json(&serde_json::json!({"command": "worker:ack", "pid": worker}));
        assert!(clients[0].is_closed());
        clients[0] = inner(&outer, both[0]);
    }
    let status =
        outer.wait_for("the acknowledgement", |status| worker_of(status, both[0])["acked"] == true);
    assert_eq!(worker_of(&status, both[1])["acked"], false);
    outer.wait_for_line(&format!("acknowledged to the outer master, pid {}", outer.pid()));
}

#[test]
fn the_workers_of_the_inner_one_belong_to_it_alone() {
    let outer = nested(&["-b", "127.0.0.1:0", "-b", "127.0.0.1:0"], "-n 1 -m 0 -b '[::1]:0'");
    outer.wait_for_up(1);
    let pid = outer.only_pid();
    let status = status_of(&mut inner(&outer, pid));
    let worker = pids(&status)[0];
    outer.wait_until_it_runs(worker);
    let own = environment(worker);
    let fd = status["listeners"][0]["fd"].to_string();
    let expected = [
        ("EINHORN_CHILD_INDEX", "0"),
        ("EINHORN_FDS", &fd),
        ("EINHORN_FD_0", &fd),
        ("EINHORN_FD_1", &fd),
        ("EINHORN_FD_COUNT", "1"),
        ("EINHORN_FD_FAMILY_0", "AF_INET6"),
        ("EINHORN_FD_FAMILY_1", "AF_INET6"),
        ("EINHORN_MASTER_PID", &pid.to_string()),
        ("EINHORN_SOCK_PATH", &outer.folder.word(&format!("einhorn.{pid}.sock"))),
    ];
    let found: Vec<(&str, &str)> = own
        .iter()
        .filter(|(name, _)| name.starts_with("EINHORN_"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected);
    // Nor does it have the outer one's sockets open.
    outer.wait_until("its own descriptors and no other", || {
        (descriptors(worker).len() == 4).then_some(())
    });
}

#[test]
fn an_upgrade_of_the_outer_one_replaces_the_inner_one_and_its_workers() {
    let outer = nested(&["-n", "1"], "-n 2 -m 0");
    outer.wait_for_up(1);
    let old = outer.only_pid();
    let old_workers: Vec<Process> =
        pids(&status_of(&mut inner(&outer, old))).into_iter().map(Process::of).collect();
    let last = outer.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], Json::Null, "{last}");
    let new = outer.wait_for_up(1);
    let new = pids(&new)[0];
    assert_ne!(new, old);
    for worker in &old_workers {
        worker.wait();
    }
    let status = status_of(&mut inner(&outer, new));
    assert_eq!(workers(&status).len(), 2);
    // The old one has cleaned up behind itself.
    let names = outer.folder.names();
    assert!(!names.contains(&format!("einhorn.{old}.sock")), "{names:?}");
    assert!(!names.contains(&format!("einhorn.{old}.pid")), "{names:?}");
}

#[test]
fn an_upgrade_of_the_inner_one_is_its_own_affair() {
    let outer = nested(&["-n", "1"], "-n 2 -m 0 -s 0.01");
    outer.wait_for_up(1);
    let pid = outer.only_pid();
    let mut client = inner(&outer, pid);
    let before = pids(&status_of(&mut client));
    client.send_json(&serde_json::json!({"command": "upgrade", "id": 1}));
    let last = client.replies().pop().unwrap();
    assert_eq!(last["error"], Json::Null, "{last}");
    let status = status_of(&mut client);
    assert_eq!((&status["pid"], &status["version"]), (&pid.into(), &1.into()));
    assert!(pids(&status).iter().all(|worker| !before.contains(worker) || {
        worker_of(&status, *worker)["stage"] == "stopping"
    }));
    assert_eq!(outer.status()["version"], 0);
    assert_eq!(pids(&outer.wait_for_up(1)), [pid]);
}

#[test]
fn a_stop_of_the_outer_one_stops_them_all() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut outer = nested(&["-n", "2"], "-n 2 -m 0");
        outer.wait_for_up(2);
        let mut everybody = outer.pids();
        for pid in outer.pids() {
            everybody.extend(pids(&status_of(&mut inner(&outer, pid))));
        }
        assert_eq!(everybody.len(), 6);
        let everybody: Vec<Process> = everybody.into_iter().map(Process::of).collect();
        outer.signal(signal);
        assert_eq!(outer.wait(), 0);
        assert!(everybody.iter().all(|process| !process.lives()));
        let mut names = outer.folder.names();
        names.retain(|name| {
            let path = std::path::Path::new(name);
            path.extension().is_none_or(|extension| extension != "lock")
        });
        assert_eq!(names, ["inner", "stdout"]);
    }
}

#[test]
fn a_master_that_only_finds_the_variables_is_no_worker() {
    // Started from a shell below a worker: its parent is not the master above.
    let folder = Folder::new();
    let body = format!("{EINHORN} -c inner -m 0 sleep 1000000; exit 1");
    let script = folder.script("inner", &body);
    let outer = Launch::within(folder, &["-m", "manual"], &[script]).start();
    let path = outer.folder.join("einhorn-inner.sock");
    let mut client = outer.wait_until("the inner master", || Client::connect(&path).ok());
    outer.wait_for_line("1 worker up");
    assert_eq!(workers(&status_of(&mut client))[0]["stage"], "up");
    assert_eq!(workers(&outer.status())[0]["acked"], false);
    assert!(!outer.log.text().contains("acknowledged to the outer master"));
}
