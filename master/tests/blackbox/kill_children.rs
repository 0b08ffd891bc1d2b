//! A master that is gone without a word, and what becomes of its workers (`-k`).

use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::support::{IDLE, Launch, Master, Process};

/// Says which signals it gets, and goes on.
const STUBBORN: [&str; 3] = [
    "sh",
    "-c",
    "for name in QUIT TERM USR2; do trap \"echo $$ got $name >&2\" $name; done; \
     echo $$ is ready >&2; while :; do sleep 1000000 & wait $!; done",
];

fn stubborn(options: &[&str]) -> (Master, Vec<Process>) {
    let master = Master::start(options, &STUBBORN);
    let pids = master.pids();
    for pid in &pids {
        master.wait_for_line(&format!("{pid} is ready"));
    }
    (master, pids.into_iter().map(Process::of).collect())
}

#[test]
fn workers_are_asked_to_stop_when_the_master_is_killed() {
    let (mut master, workers) = stubborn(&["-n", "2", "-m", "manual", "-k"]);
    master.signal(Signal::KILL);
    assert_eq!(master.wait(), 128 + 9);
    for worker in &workers {
        master.wait_for_line(&format!("{} got USR2", worker.pid));
        assert!(worker.lives());
    }
}

#[test]
fn a_reload_changes_nothing_about_that() {
    let (mut master, workers) = stubborn(&["-n", "1", "-m", "manual", "-k"]);
    master.command("reload", &[]);
    master.wait_for("the next generation", |status| status["generation"] == 1);
    assert!(!master.log.text().contains("got USR2"));
    master.command("inc", &[]);
    let both = master.wait_for("a second", |status| crate::support::pids(status).len() == 2);
    let second = crate::support::pids(&both)[1];
    master.wait_for_line(&format!("{second} is ready"));
    master.signal(Signal::KILL);
    assert_eq!(master.wait(), 128 + 9);
    for pid in [workers[0].pid, second] {
        master.wait_for_line(&format!("{pid} got USR2"));
    }
}

#[test]
fn an_orderly_exit_that_leaves_workers_asks_them_too() {
    let (mut master, workers) = stubborn(&["-n", "2", "-m", "manual", "-k"]);
    master.signal(Signal::QUIT);
    assert_eq!(master.wait(), 1);
    for worker in &workers {
        master.wait_for_line(&format!("{} got QUIT", worker.pid));
        master.wait_for_line(&format!("{} got USR2", worker.pid));
    }
}

#[test]
fn without_it_they_serve_on_and_a_new_master_takes_the_files() {
    let mut master = Master::start(&["-n", "2", "-m", "0", "-b", "127.0.0.1:0"], &IDLE);
    let address: SocketAddr =
        master.status()["listeners"][0]["address"].as_str().unwrap().parse().unwrap();
    let workers: Vec<Process> = master.running().into_iter().map(Process::of).collect();
    master.signal(Signal::KILL);
    assert_eq!(master.wait(), 128 + 9);
    assert!(workers.iter().all(Process::lives));
    // They hold the socket: whoever connects is not refused.
    drop(TcpStream::connect(address).unwrap());
    assert!(master.socket.exists());

    let folder = master.folder.path();
    let second = Launch::new(&["-n", "1"], &IDLE).env("TMPDIR", folder);
    let second = second.socket_at(master.socket.clone()).start();
    assert_eq!(master.folder.read("einhorn.pid").trim(), second.pid().to_string());
    assert!(workers.iter().all(Process::lives));
}
