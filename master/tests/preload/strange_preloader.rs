//! Preloaders that do not keep to the interface. They are programs that load themselves, here
//! of a shell, and speak on their descriptor as they please.

use crate::support::{Folder, Launch, Master};

/// Answers the first request.
const READ: &str = "dd bs=65536 count=1 <&$EINHORN_PRELOAD_FD >request 2>>errors";

/// A master whose preloader is a script that runs in its folder; workers that are started by
/// exec sleep.
#[track_caller]
fn start(script: &str) -> Master {
    let folder = Folder::new();
    let path = folder.write("preload", &format!("#!/bin/bash\n{script}\n"));
    rustix::fs::chmod(&path, rustix::fs::Mode::RWXU).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let program = folder.script("fallback", "exec sleep 1000");
    let here = folder.path().to_owned();
    Launch::within(folder, &["-p", &path, "-s", "0.01"], &[&program])
        .working_directory(here)
        .start()
}

/// What the log says of it, and that workers come up nevertheless.
#[track_caller]
fn check(script: &str, expect: &str) -> Master {
    let master = start(script);
    let line = master.wait_for_line(expect);
    assert!(line.contains("ERROR"), "{line}");
    master.wait_for_up(1);
    master
}

fn says(message: &str) -> String {
    format!("printf '{message}' >&$EINHORN_PRELOAD_FD")
}

const READY: &str = r"ready\0edition 1";

#[test]
fn what_is_no_reply() {
    for message in ["hello", r"ready", r"forked\0id 1\0pid x", r"\0", "x"] {
        let script = format!("{}; exec sleep 1000", says(message));
        check(&script, "it is no preloader: it said").stop();
    }
}

#[test]
fn another_edition() {
    let script = format!("{}; exec sleep 1000", says(r"ready\0edition 2"));
    check(&script, "it speaks edition 2 of the interface").stop();
}

#[test]
fn too_long_a_message() {
    let script = "head -c 70000 /dev/zero | dd bs=70000 iflag=fullblock >&$EINHORN_PRELOAD_FD \
                  2>>errors; exec sleep 1000";
    check(script, "it cannot be heard").stop();
}

#[test]
fn one_that_says_it_twice() {
    let script = format!("{0}; {0}; exec sleep 1000", says(READY));
    check(&script, "it says twice that the code is loaded").stop();
}

#[test]
fn one_that_closes_its_channel_and_goes_on() {
    let script = "exec sleep 1000";
    let closed = format!("eval \"exec $EINHORN_PRELOAD_FD>&-\"; {script}");
    check(&closed, "it has closed its channel and goes on").stop();
}

#[test]
fn one_that_answers_what_was_not_asked() {
    let script = format!("{}; {}; exec sleep 1000", says(READY), says(r"forked\0id 77\0pid 1"));
    check(&script, "it answers request 77, which was not made").stop();
}

/// Signals meant for the worker would go to that process.
#[test]
fn one_that_names_a_process_which_is_no_worker() {
    for pid in ["1", "$PPID", "$$", "999999999"] {
        let script = format!(
            "{}; {READ}; pid={pid}; printf 'forked\\0id 1\\0pid %d' \"$pid\" >&$EINHORN_PRELOAD_FD; \
             exec sleep 1000",
            says(READY)
        );
        let master = start(&script);
        let line = master.wait_for_line("cannot start a worker");
        assert!(line.contains("is a worker, which it is not"), "{line}");
        master.wait_for_line("lost the preloader of");
        master.command("die", &["KILL"]);
    }
}

#[test]
fn one_that_refuses() {
    let script = format!(
        "{}; for id in 1 2 3; do {READ}; printf \"refused\\0id $id\\0reason out of luck\" \
         >&$EINHORN_PRELOAD_FD; done; exec sleep 1000",
        says(READY)
    );
    let master = start(&script);
    for _ in 0..2 {
        let line = master.wait_for_line("its preloader cannot fork: out of luck");
        assert!(line.contains("cannot start a worker"), "{line}");
    }
    // The shell empties the file before it reads the next request into it.
    let request = master.wait_until("a request", || {
        Some(master.folder.read("request")).filter(|request| !request.is_empty())
    });
    assert!(request.starts_with("fork\0id "), "{request:?}");
    assert!(request.contains("\0set EINHORN_CHILD_INDEX=0"), "{request:?}");
    master.command("die", &["KILL"]);
}

/// What a program written for the interface does, in the least words: the worker's parent is
/// the master once the process in between has ended.
#[test]
fn one_that_keeps_to_the_interface() {
    let script = format!(
        "{}; {READ}; pid=$(sh -c 'sleep 1000 >/dev/null 2>&1 & echo $!'); \
         printf 'forked\\0id 1\\0pid %d' $pid >&$EINHORN_PRELOAD_FD; {READ}",
        says(READY)
    );
    let master = start(&script);
    master.wait_for_up(1);
    let parent = crate::support::process::status_field(master.only_pid(), "PPid");
    assert_eq!(parent, master.pid().to_string());
    master.stop();
}

/// Its end comes before its pid does: the end is kept.
#[test]
fn a_worker_that_is_gone_before_it_is_known() {
    let script = format!(
        "{}; {READ}; pid=$(sh -c '(while kill -0 $$; do :; done; exit 5) >errors 2>&1 & echo $!'); \
         while kill -0 $pid 2>>errors; do :; done; \
         printf 'forked\\0id 1\\0pid %d' $pid >&$EINHORN_PRELOAD_FD; {READ}",
        says(READY)
    );
    let master = start(&script);
    let line = master.wait_for_line("exited before it was acknowledged");
    assert!(line.contains("status 5"), "{line}");
    master.command("die", &["KILL"]);
}

#[test]
fn one_that_floods_its_channel() {
    let script = format!("while {}; do :; done", says(READY));
    check(&script, "it says twice that the code is loaded").stop();
}
