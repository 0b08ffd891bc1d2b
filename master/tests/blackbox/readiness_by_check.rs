//! `-m exec:CMD`: a command is run for each worker until it ends with status 0.

use std::fs;
use std::io::Write as _;

use einhorn_protocol::limit::READY_CHECKS_AT_ONCE_MAX;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::process::{environment, marked, send, status_field};
use crate::support::{Folder, IDLE, Launch, Master, Process, pids, worker_of, workers};

/// Workers that sleep, and a check that is this script.
fn start(folder: Folder, options: &[&str], script: &str) -> Master {
    let check = folder.script("check", script);
    let mode = format!("exec:'{check}' 'two words'");
    let fixed = ["-m", &mode, "-s", "0.01"];
    let options: Vec<&str> = fixed.iter().chain(options).copied().collect();
    Launch::within(folder, &options, &IDLE).start()
}

/// The processes of a check in this master's folder.
fn checks(master: &Master) -> Vec<i32> {
    let all = marked(&master.folder.mark());
    let is_check = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|variables| {
            let mut variables = variables.split(|byte| *byte == 0);
            variables.any(|variable| variable.starts_with(b"EINHORN_WORKER_PID="))
        })
    };
    all.into_iter().filter(is_check).collect()
}

#[test]
fn a_worker_is_up_when_its_check_passes() {
    let folder = Folder::new();
    let place = folder.path().to_str().unwrap().to_owned();
    let script = format!("test -e {place}/up.$EINHORN_WORKER_PID && test \"$1\" = 'two words'");
    let master = start(folder, &["-n", "2"], &script);
    let all = master.pids();
    let line = master.wait_for_line("is not up yet");
    assert!(line.contains("its check ends with status 1"), "{line}");
    // Its own word does not count.
    let mut client = master.client();
    client.send_json(&json!({"command": "worker:ack", "pid": all[0]}));
    assert!(client.is_closed());
    master.wait_for_line("is up when its check says so");
    master.folder.write(&format!("up.{}", all[0]), "");
    let status = master.wait_for("one up", |status| worker_of(status, all[0])["stage"] == "up");
    assert_eq!(worker_of(&status, all[1])["stage"], "starting");
    assert_eq!(status["stop_signal"], "TERM");
    // It goes on in the next image.
    master.command("reload", &[]);
    master.wait_for("the next image", |status| status["generation"] == 1);
    master.folder.write(&format!("up.{}", all[1]), "");
    assert_eq!(pids(&master.wait_for_up(2)), all);
    assert_eq!(checks(&master), [0_i32; 0]);
    // Said once by each image, however often it was tried.
    let text = master.log.text();
    let said = text.matches(&format!("worker {} (index 1) is not up yet", all[1])).count();
    assert!((1..=2).contains(&said), "{text}");
    master.stop();
}

#[test]
fn a_check_finds_what_its_worker_finds() {
    let folder = Folder::new();
    let place = folder.path().to_str().unwrap().to_owned();
    let script =
        format!("env > {place}/found.$$; mv {place}/found.$$ {place}/found; exec sleep 1000");
    let master = start(folder, &["-b", "127.0.0.1:0"], &script);
    master.wait_until("the check", || master.folder.join("found").exists().then_some(()));
    let [pid] = checks(&master)[..] else { panic!("{:?}", checks(&master)) };
    for field in ["SigBlk", "SigIgn"] {
        assert_eq!(status_field(pid, field), "0000000000000000", "{field}");
    }
    let (mut own, worker) = (environment(pid), environment(master.running()[0]));
    let named = own.remove("EINHORN_WORKER_PID");
    // The shell that runs the script has set it.
    own.remove("PWD");
    assert_eq!(named, Some(master.only_pid().to_string()));
    assert_eq!(own, worker);
    assert!(fs::read_link(format!("/proc/{pid}/fd/{}", own["EINHORN_FD_0"])).is_ok());
    // It goes when its worker does.
    let check = Process::of(pid);
    send(master.only_pid(), Signal::KILL);
    check.wait();
    master.stop();
}

#[test]
fn no_more_checks_run_at_once_than_may() {
    let folder = Folder::new();
    let place = folder.path().to_str().unwrap().to_owned();
    mknodat(CWD, folder.join("go"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    // The shell itself waits, so that a check is one process.
    let master = start(folder, &["-n", "40"], &format!("read line < {place}/go"));
    let all = master.pids();
    master.wait_until("as many as may", || {
        (checks(&master).len() == READY_CHECKS_AT_ONCE_MAX).then_some(())
    });
    // Every answer is a turn of the loop, in which one more could be started.
    for _ in 0..5 {
        assert_eq!(pids(&master.status()), all);
        assert!(checks(&master).len() <= READY_CHECKS_AT_ONCE_MAX);
    }
    // From here on there is a line to read: all have their turn.
    let mut go = fs::OpenOptions::new().write(true).open(master.folder.join("go")).unwrap();
    master.folder.write("new", "up\n");
    fs::rename(master.folder.join("new"), master.folder.join("go")).unwrap();
    go.write_all("up\n".repeat(READY_CHECKS_AT_ONCE_MAX).as_bytes()).unwrap();
    drop(go);
    assert_eq!(pids(&master.wait_for_up(40)), all);
    master.stop();
}

#[test]
fn one_that_hangs_or_forks_or_prints_without_end_costs_nothing_else() {
    let folder = Folder::new();
    let place = folder.path().to_str().unwrap().to_owned();
    let script = format!(
        "case $EINHORN_CHILD_INDEX in \
         0) exec sleep 1000;; \
         1) sleep 1001 & sleep 1001 & test -e {place}/go;; \
         2) exec cat /dev/zero;; \
         3) while :; do echo words; done;; esac"
    );
    let master = start(folder, &["-n", "5"], &script);
    let all = master.pids();
    master.wait_for("the last", |status| worker_of(status, all[4])["stage"] == "up");
    for index in [0, 2, 3] {
        master.wait_for_line(&format!(
            "worker {} (index {index}) is not up yet: its check takes longer than 10 s and is ended",
            all[index]
        ));
    }
    master.folder.write("go", "");
    master.wait_for("the second", |status| worker_of(status, all[1])["stage"] == "up");
    // What it had started in its group is gone with it.
    master.wait_until("nothing of the second's", || {
        let mut left = checks(&master).into_iter();
        let is_second =
            |pid| environment_of(pid).is_some_and(|text| text.contains("EINHORN_CHILD_INDEX=1"));
        (!left.any(is_second)).then_some(())
    });
    let status = master.status();
    assert_eq!(pids(&status), all);
    assert_eq!(workers(&status).iter().filter(|worker| worker["stage"] == "up").count(), 2);
    assert!(!master.log.text().contains("words"));
    assert_eq!(master.folder.read("stdout"), "");
    // A worker that is asked to stop is not checked any more.
    master.command("set_workers", &["1"]);
    master.wait_for("one left", |status| pids(status).len() == 1);
    master.stop();
}

fn environment_of(pid: i32) -> Option<String> {
    let text = fs::read(format!("/proc/{pid}/environ")).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_check_that_cannot_be_run_is_refused_at_the_start() {
    for (mode, words) in [
        ("exec:no-such-command", "no-such-command"),
        ("exec:", "exec:` and a command"),
        ("exec:sh -c 'open", "exec:` and a command"),
        ("exec:''", "exec:` and a command"),
    ] {
        let line = Launch::new(&["-m", mode], &["true"]).run().refused(&[]);
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn none_outlives_its_master() {
    let mut master = start(Folder::new(), &["-n", "2"], "exec sleep 1000");
    let running = master.wait_until("checks", || {
        let found = checks(&master);
        (found.len() == 2).then(|| found.into_iter().map(Process::of).collect::<Vec<_>>())
    });
    master.signal(Signal::KILL);
    master.wait();
    running.iter().for_each(Process::wait);
    // Nor one that was replaced: the next image begins them anew.
    let master = start(Folder::new(), &[], "exec sleep 1000");
    let before = master.wait_until("a check", || checks(&master).first().copied().map(Process::of));
    master.command("reload", &[]);
    before.wait();
    master.wait_until("another one", || checks(&master).first().map(|_| ()));
    assert_eq!(master.status()["workers"][0]["acked"], Json::Bool(false));
    master.stop();
}
