//! Signals to the master, each as it is documented.

use rustix::process::Signal;

use crate::support::process::send;
use crate::support::{Folder, IDLE, Launch, Master, Process, pids, worker_of, workers};

/// Says which signals it gets, and goes on.
const STUBBORN: [&str; 3] = [
    "sh",
    "-c",
    "for name in INT QUIT TERM USR1 USR2 HUP; do trap \"echo $$ got $name >&2\" $name; done; \
     echo $$ is ready >&2; while :; do sleep 1000000 & wait $!; done",
];

fn stubborn(options: &[&str]) -> Master {
    let master = Master::start(options, &STUBBORN);
    for pid in master.pids() {
        master.wait_for_line(&format!("{pid} is ready"));
    }
    master
}

#[test]
fn a_stop_passes_a_signal_on_and_waits_for_the_workers() {
    for (sent, passed_on) in [(Signal::INT, "USR2"), (Signal::USR2, "USR2"), (Signal::TERM, "TERM")]
    {
        let mut master = stubborn(&["-n", "2", "-m", "manual"]);
        let workers_then = master.pids();
        master.signal(sent);
        for pid in &workers_then {
            master.wait_for_line(&format!("{pid} got {passed_on}"));
        }
        let status = master.status();
        assert_eq!(status["stopping"], true);
        assert_eq!(pids(&status), workers_then);
        // One that goes is not replaced.
        send(workers_then[0], Signal::KILL);
        master.wait_for("one worker less", |status| pids(status) == workers_then[1..]);
        // Again: signals again.
        let mark = master.log.mark();
        master.signal(Signal::TERM);
        master.log.wait_for_from(mark, &format!("{} got TERM", workers_then[1]));
        send(workers_then[1], Signal::KILL);
        assert_eq!(master.wait(), 0);
        assert!(!master.folder.join("einhorn.pid").exists());
        assert!(!master.socket.exists());
    }
}

#[test]
fn workers_that_end_at_once_end_the_master() {
    for signal in [Signal::INT, Signal::USR2, Signal::TERM] {
        let mut master = Master::start(&["-n", "3", "-m", "0"], &IDLE);
        let workers: Vec<Process> = master.running().into_iter().map(Process::of).collect();
        master.signal(signal);
        assert_eq!(master.wait(), 0);
        assert!(workers.iter().all(|worker| !worker.lives()));
        master.check_nobody_is_left();
    }
}

#[test]
fn quit_passes_it_on_and_leaves_at_once_with_status_1() {
    let mut master = stubborn(&["-n", "2", "-m", "manual"]);
    let workers: Vec<Process> = master.pids().into_iter().map(Process::of).collect();
    master.signal(Signal::QUIT);
    assert_eq!(master.wait(), 1);
    for worker in &workers {
        master.wait_for_line(&format!("{} got QUIT", worker.pid));
        assert!(worker.lives());
    }
    assert!(!master.folder.join("einhorn.pid").exists());
    assert!(!master.socket.exists());
}

#[test]
fn who_was_asked_to_stop_and_stays_is_killed_in_time() {
    for timeout in ["0", "0.2"] {
        let mut master = stubborn(&["-n", "2", "-m", "manual", "-t", timeout]);
        let workers: Vec<Process> = master.pids().into_iter().map(Process::of).collect();
        master.signal(Signal::TERM);
        assert_eq!(master.wait(), 0);
        assert!(workers.iter().all(|worker| !worker.lives()));
        for worker in &workers {
            master.wait_for_line(&format!("sent SIGKILL to worker {}", worker.pid));
        }
    }
}

#[test]
fn hup_and_alrm_upgrade_smoothly_with_a_reload() {
    for signal in [Signal::HUP, Signal::ALARM] {
        let folder = Folder::new();
        let script = folder.script("worker", "exec sleep 1000000");
        let master =
            Launch::within(folder, &["-n", "2", "-m", "0", "-s", "0.01"], &[script]).start();
        let before = pids(&master.wait_for_up(2));
        master.signal(signal);
        let after = master.wait_for("an upgraded fleet", |status| {
            let all = workers(status);
            all.len() == 2 && all.iter().all(|worker| worker["version"] == 1)
        });
        assert!(pids(&after).iter().all(|pid| !before.contains(pid)));
        assert_eq!(after["generation"], 1);
        assert_eq!(after["pid"], master.pid());
        master.wait_for_line("smooth upgrade from version 0 to 1");
    }
}

#[test]
fn ttin_and_ttou_change_the_target_within_its_range() {
    let master = Master::start(&["-n", "1", "-m", "0", "-s", "0.01"], &IDLE);
    master.signal(Signal::TTIN);
    master.wait_for_line("SIGTTIN: number of workers: 1 -> 2");
    master.wait_for_up(2);
    master.signal(Signal::TTOU);
    master.wait_for_up(1);
    master.signal(Signal::TTOU);
    master.wait_for_line("SIGTTOU: number of workers: 1 -> 1");
    assert_eq!(master.status()["target"], 1);
}

#[test]
fn usr1_and_pipe_are_no_more_than_a_line() {
    let master = Master::start(&["-m", "0"], &IDLE);
    let before = master.wait_for_up(1);
    for (signal, name) in [(Signal::USR1, "USR1"), (Signal::PIPE, "PIPE")] {
        master.signal(signal);
        master.wait_for_line(&format!("SIG{name}: nothing is done"));
    }
    assert_eq!(master.pids(), pids(&before));
}

#[test]
fn while_stopping_an_upgrade_is_refused_with_a_line() {
    let master = stubborn(&["-n", "1", "-m", "manual"]);
    let before = master.pids();
    master.signal(Signal::TERM);
    master.wait_for_line("got TERM");
    master.signal(Signal::HUP);
    master.wait_for_line("SIGHUP: no upgrade, the master is shutting down");
    let status = master.status();
    assert_eq!((pids(&status), &status["generation"]), (before, &0.into()));
}

#[test]
fn the_signal_command_asks_nobody_to_stop() {
    let master = stubborn(&["-n", "2", "-m", "manual", "-t", "0"]);
    let before = master.pids();
    master.command("signal", &["usr1", "SIGUSR2"]);
    for pid in &before {
        master.wait_for_line(&format!("{pid} got USR1"));
        master.wait_for_line(&format!("{pid} got USR2"));
    }
    let status = master.status();
    assert_eq!(pids(&status), before);
    for pid in before {
        assert_eq!(worker_of(&status, pid)["signaled"], serde_json::json!([]));
    }
}
