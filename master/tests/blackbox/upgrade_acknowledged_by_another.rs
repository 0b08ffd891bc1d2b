//! Who may say that a worker is up: itself, its helpers, but no other worker.

use std::fs;

use crate::support::{Folder, Launch, worker_of, workers};
use crate::worker::{told, told_in_shell};

/// Two workers; the one with index 1 speaks for whoever the fifo `whom` names.
#[test]
fn another_worker_is_refused_and_a_helper_is_heard() {
    let folder = Folder::new();
    folder.gate("whom");
    let own = |verb: &str, pid: &str| {
        let words = told(&[verb]);
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        format!("{}={pid}", quoted.join(" "))
    };
    let body = format!(
        "if test $EINHORN_CHILD_INDEX = 1; then read pid < {}; {}; {}; fi; exec sleep 1000000",
        folder.word("whom"),
        own("ack-for", "$pid"),
        // Its helper may be gone when that is read.
        own("ack-for-and-go", "$$"),
    );
    let program = folder.script("run", &body);
    let master = Launch::within(folder, &["-n", "2", "-m", "manual"], &[&program]).start();
    let status = master.wait_for("both", |status| {
        workers(status).iter().filter(|worker| worker["pid"].is_i64()).count() == 2
    });
    let pid_of = |index: u64| {
        let worker = workers(&status).into_iter().find(|worker| worker["index"] == index).unwrap();
        i32::try_from(worker["pid"].as_i64().unwrap()).unwrap()
    };
    let (silent, speaker) = (pid_of(0), pid_of(1));
    fs::write(master.folder.join("whom"), format!("{silent}\n")).unwrap();
    let line = master.wait_for_line("cannot speak for worker");
    assert!(line.contains(&speaker.to_string()) && line.contains(&silent.to_string()), "{line}");
    let status =
        master.wait_for("the speaker's own", |status| worker_of(status, speaker)["acked"] == true);
    assert_eq!(worker_of(&status, silent)["acked"], false);
    // Whoever is no worker may: an operator, a probe.
    master.acknowledge(silent);
    master.wait_for_up(2);
}

#[test]
fn an_acknowledgement_that_comes_twice_counts_once() {
    let folder = Folder::new();
    let program = folder.script("run", &told_in_shell(&["ack", "ack", "hang"]));
    let master = Launch::within(folder, &["-m", "manual"], &[&program]).start();
    master.wait_for_up(1);
    assert!(master.upgrade("upgrade").pop().unwrap()["error"].is_null());
    master.wait_for_line("ignored: it is up already");
    master.wait_for_up(1);
}
