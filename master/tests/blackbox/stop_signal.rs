//! `--stop-signal`: what asks a worker to stop, everywhere.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Launch, Master, NONE, Process, pids};

/// Says which signals it gets, and goes on.
const STUBBORN: [&str; 3] = [
    "sh",
    "-c",
    "for name in QUIT TERM USR1 USR2; do trap \"echo $$ got $name >&2\" $name; done; \
     echo $$ is ready >&2; while :; do sleep 1000000 & wait $!; done",
];

/// Workers that are asked to stop by QUIT, in any spelling.
fn stubborn(options: &[&str]) -> Master {
    let fixed = ["--stop-signal", "SigQuit", "-m", "0", "-s", "0.01"];
    let options: Vec<&str> = fixed.iter().chain(options).copied().collect();
    let master = Master::start(&options, &STUBBORN);
    ready(&master);
    master
}

fn ready(master: &Master) -> Vec<i32> {
    let pids = master.pids();
    for pid in &pids {
        master.wait_for_line(&format!("{pid} is ready"));
    }
    pids
}

/// Everyone was asked by QUIT and by nothing else.
#[track_caller]
fn asked(master: &Master, workers: &[i32]) {
    for pid in workers {
        master.wait_for_line(&format!("{pid} got QUIT"));
        assert!(!master.log.text().contains(&format!("{pid} got USR2")));
    }
}

#[test]
fn in_an_upgrade_and_when_there_are_too_many() {
    let master = stubborn(&["-n", "2"]);
    assert_eq!(master.status()["stop_signal"], "QUIT");
    let old = master.pids();
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], json!(null), "{last}");
    asked(&master, &old);
    // The next image has it from the state.
    let modern: Vec<i32> = ready(&master).into_iter().filter(|pid| !old.contains(pid)).collect();
    master.command("dec", &[]);
    asked(&master, &modern[1..]);
    assert!(!master.log.text().contains(&format!("{} got", modern[0])));
}

#[test]
fn by_the_masters_own_signals_and_by_die() {
    for sent in [Some(Signal::INT), Some(Signal::USR2), None] {
        let mut master = stubborn(&["-n", "2", "-t", "0.2"]);
        let workers = master.pids();
        if let Some(signal) = sent {
            master.signal(signal);
        } else {
            let said = master.command("die", &[]);
            assert!(said.contains("with SIGQUIT"), "{said}");
        }
        asked(&master, &workers);
        // And by `-t` they are killed.
        assert_eq!(master.wait(), 0);
        assert!(workers.iter().all(|pid| !Process::of(*pid).lives()));
    }
    let master = stubborn(&NONE);
    master.signal(Signal::TERM);
    master.wait_for_line("got TERM");
    assert!(!master.log.text().contains("got QUIT"));
}

#[test]
fn when_the_master_dies() {
    let mut master = stubborn(&["-n", "2", "-k"]);
    let workers = master.pids();
    master.signal(Signal::KILL);
    master.wait();
    asked(&master, &workers);
    // An orderly exit that leaves workers behind asks them too.
    let mut master = stubborn(&["-n", "2", "-k", "--stop-signal", "usr1"]);
    let workers = master.pids();
    master.signal(Signal::QUIT);
    assert_eq!(master.wait(), 1);
    for pid in workers {
        master.wait_for_line(&format!("{pid} got QUIT"));
        master.wait_for_line(&format!("{pid} got USR1"));
    }
}

#[test]
fn and_it_can_be_changed() {
    let mut master = stubborn(&["-n", "1", "-k"]);
    let said = master.command("config", &["{stop_signal: SIGUSR1}"]);
    assert_eq!(said, "Changed stop_signal: QUIT -> USR1");
    master.command("inc", &[]);
    let both = master.wait_for("a second", |status| pids(status).len() == 2);
    let second = pids(&both)[1];
    ready(&master);
    let first = pids(&both)[0];
    // What the kernel sends at the master's death is what held when the worker was started.
    master.signal(Signal::KILL);
    master.wait();
    master.wait_for_line(&format!("{second} got USR1"));
    master.wait_for_line(&format!("{first} got QUIT"));
}

#[test]
fn one_that_nobody_can_catch_is_refused() {
    for name in ["KILL", "sigstop", "USR3", "15", ""] {
        let line = Launch::new(&["--stop-signal", name], &["true"]).run().refused(&[]);
        assert!(line.contains("--stop-signal cannot be") && line.contains("TERM"), "{line}");
    }
    let master = Master::start(&NONE, &["sleep", "1000000"]);
    let request = json!({"command": "config", "args": ["{stop_signal: KILL}"]});
    let (code, message) = master.failure(&request);
    assert_eq!(code, "bad_arguments");
    assert!(message.contains("stop_signal cannot be \"KILL\""), "{message}");
    assert_eq!(master.status()["stop_signal"], "USR2");
}
