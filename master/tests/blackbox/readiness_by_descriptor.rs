//! `-m fd`: a newline on the descriptor that a worker finds in `EINHORN_READY_FD`.

use rustix::process::Signal;
use serde_json::json;

use crate::support::process::{descriptors, environment, send};
use crate::support::{Folder, Launch, Master, pids, worker_of, workers};
use crate::worker::told;

/// Workers of a shell script. `-m fd` comes first, and options may say otherwise.
fn start(options: &[&str], script: &str) -> Master {
    start_in(Folder::new(), options, script)
}

fn start_in(folder: Folder, options: &[&str], script: &str) -> Master {
    let options: Vec<&str> = ["-m", "fd", "-s", "0.01"].iter().chain(options).copied().collect();
    Launch::within(folder, &options, &["bash", "-c", script]).start()
}

/// Says how far it is, and ends at any signal.
const GOES_ON: &str = "echo $$ goes on >&2; exec sleep 1000000";

#[test]
fn a_newline_says_that_it_is_up() {
    let master = start(&["-n", "2"], &format!("echo >&$EINHORN_READY_FD; {GOES_ON}"));
    let status = master.wait_for_up(2);
    assert_eq!((&status["ack_mode"], &status["stop_signal"]), (&json!("fd"), &json!("TERM")));
    let table = master.command("status", &[]);
    assert!(table.contains("acknowledgement: fd; stop signal: TERM"), "{table}");
    for pid in pids(&status) {
        let number: i32 = environment(pid)["EINHORN_READY_FD"].parse().unwrap();
        let pipe = descriptors(pid).remove(&number).unwrap();
        assert!(pipe.starts_with("pipe:"), "{pipe}");
        // The master has closed its end, and wakes up for nothing any more.
        assert!(!descriptors(master.pid()).values().any(|own| *own == pipe));
    }
    master.stop();
}

#[test]
fn other_words_and_a_closed_descriptor_say_nothing() {
    let gate = Folder::new();
    let open = gate.gate("gate");
    let script = format!(
        "case $EINHORN_CHILD_INDEX in \
         0) printf 'ready\\000\\377' >&$EINHORN_READY_FD;; \
         1) eval \"exec $EINHORN_READY_FD>&-\";; \
         2) dd if=/dev/zero bs=65536 count=4 >&$EINHORN_READY_FD 2>/dev/null;; esac; \
         echo $$ goes on >&2; : < {}; \
         test $EINHORN_CHILD_INDEX = 1 || echo >&$EINHORN_READY_FD; exec sleep 1000000",
        gate.word("gate")
    );
    let master = start(&["-n", "3"], &script);
    let all = master.pids();
    for pid in &all {
        master.wait_for_line(&format!("{pid} goes on"));
    }
    let status = master.status();
    assert_eq!(pids(&status), all);
    assert!(workers(&status).iter().all(|worker| worker["stage"] == "starting"), "{status}");
    // Who could still say it says it; the other one may say it on the command socket.
    let _opened = open.open();
    master.wait_for("two up", |status| {
        [0, 2].iter().all(|n| worker_of(status, all[*n])["stage"] == "up")
    });
    assert_eq!(worker_of(&master.status(), all[1])["stage"], "starting");
    master.acknowledge(all[1]);
    master.wait_for_up(3);
    assert_eq!(master.pids(), all);
    master.stop();
}

#[test]
fn whoever_writes_without_end_delays_nobody() {
    // The first one never says a line, and never stops saying something.
    let script = "test $EINHORN_CHILD_INDEX = 0 && exec cat /dev/zero >&$EINHORN_READY_FD; \
                  echo >&$EINHORN_READY_FD; exec sleep 1000000";
    let master = start(&["-n", "3"], script);
    let status = master.wait_for("two up", |status| {
        workers(status).iter().filter(|worker| worker["stage"] == "up").count() == 2
    });
    assert_eq!(workers(&status)[0]["stage"], "starting");
    let last = master.command("set_workers", &["4"]);
    assert!(last.contains('4'), "{last}");
    master.wait_for("three up", |status| {
        workers(status).iter().filter(|worker| worker["stage"] == "up").count() == 3
    });
    master.stop();
}

#[test]
fn a_worker_that_is_asked_to_stop_is_not_up_any_more() {
    // It says so only when it is asked to stop.
    let script = "trap 'echo >&$EINHORN_READY_FD; echo $$ said >&2' TERM; echo $$ is there >&2; \
                  while :; do sleep 1000000 & wait $!; done";
    let master = start(&["-n", "2", "--ack-timeout", "0"], script);
    let all = master.pids();
    for pid in &all {
        master.wait_for_line(&format!("{pid} is there"));
    }
    master.command("dec", &[]);
    let line = master.wait_for_line("acknowledgement for worker");
    assert!(line.contains(&format!("{} (index 1) ignored: it is stopping", all[1])), "{line}");
    let status = master.status();
    assert_eq!(worker_of(&status, all[1])["stage"], "stopping");
    assert_eq!(worker_of(&status, all[0])["stage"], "starting");
}

#[test]
fn a_reload_loses_no_newline() {
    let folder = Folder::new();
    let gate = folder.gate("gate");
    let wait = format!(": < {}", folder.word("gate"));
    // The first says half of it before, both say the rest after it.
    let script = format!(
        "test $EINHORN_CHILD_INDEX = 0 && printf half >&$EINHORN_READY_FD; echo $$ waits >&2; \
         {wait}; echo >&$EINHORN_READY_FD; exec sleep 1000000"
    );
    let master = start_in(folder, &["-n", "2"], &script);
    let all = master.pids();
    for pid in &all {
        master.wait_for_line(&format!("{pid} waits"));
    }
    for generation in 1..=3 {
        master.command("reload", &[]);
        master.wait_for("the next image", |status| status["generation"] == generation);
    }
    assert_eq!(master.status()["ack_mode"], "fd");
    assert!(!master.state().contains("ready_fd"), "a descriptor is nothing to be shown");
    let _open = gate.open();
    assert_eq!(pids(&master.wait_for_up(2)), all);
    // One that is started now gets a pipe too.
    send(all[0], Signal::KILL);
    master.wait_for("another one, up", |status| {
        pids(status).len() == 2
            && !pids(status).contains(&all[0])
            && workers(status).iter().all(|worker| worker["stage"] == "up")
    });
    master.stop();
}

#[test]
fn nothing_of_another_workers_pipe_is_open_in_a_worker() {
    let options = ["-n", "3", "-m", "fd", "-b", "127.0.0.1:0"];
    let master = Launch::new(&options, &told(&["say=idle", "hang"])).start();
    for pid in master.pids() {
        master.wait_for_line(&format!("worker {pid} says idle"));
        let own = environment(pid);
        let mut expected = vec![0, 1, 2];
        for name in ["EINHORN_FD_0", "EINHORN_READY_FD"] {
            expected.push(own[name].parse::<i32>().unwrap());
        }
        expected.sort_unstable();
        let open: Vec<i32> = descriptors(pid).into_keys().collect();
        assert_eq!(open, expected);
    }
    master.stop();
}
