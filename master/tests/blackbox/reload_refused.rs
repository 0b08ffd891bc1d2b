//! Reloads that are refused: the master that runs goes on as it was.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Folder, IDLE, Launch, Master, NONE, pids};
use crate::worker::told_in_shell;

#[test]
fn a_reload_that_fails_leaves_everything_as_it_was() {
    let folder = Folder::new();
    let broken = folder.script("broken", "echo one >&2; echo 'no such library: libx' >&2; exit 3");
    let missing = folder.word("missing");
    let cases = [
        ("false".to_owned(), "status 1"),
        // Whoever takes any option is no master, though it passes the check.
        ("true".to_owned(), "no einhorn master"),
        (missing, "no such file"),
        ("no-such-master-in-path".to_owned(), "PATH"),
        (broken, "status 3: no such library: libx"),
        ("sh -c 'kill -9 $$'".to_owned(), "KILL"),
    ];
    for (words, reason) in cases {
        let master = Master::start(&["-n", "2", "-m", "0", "--reexec-as", &words], &IDLE);
        let before = pids(&master.wait_for_up(2));
        let mut bystander = master.client();
        let reply = master.ask(&json!({"command": "reload", "id": 5}));
        assert_eq!((&reply["error"], &reply["request_id"]), (&json!("reload_failed"), &json!(5)));
        assert!(reply["message"].as_str().unwrap().contains(reason), "{reply}");
        let replies = master.upgrade("upgrade");
        let last = replies.last().unwrap();
        assert_eq!(last["error"], "reload_failed", "{replies:?}");
        assert!(last["message"].as_str().unwrap().contains(reason), "{last}");
        let failures = |number: usize| {
            let is_one = |line: &&String| line.contains("ERROR") && line.contains(reason);
            master.wait_until("an error in the log", || {
                (master.log.lines().iter().filter(is_one).count() == number).then_some(())
            });
        };
        // The log comes by a way of its own, perhaps later than the replies.
        failures(2);
        master.signal(Signal::HUP);
        failures(3);
        let status = master.status();
        assert_eq!(pids(&status), before);
        for (key, value) in
            [("generation", json!(0)), ("version", json!(0)), ("checking", json!(false))]
        {
            assert_eq!(status[key], value, "{words}: {key}");
        }
        assert_eq!(bystander.ask(&json!({"command": "ehlo", "id": 1}))["request_id"], 1);
    }
}

#[test]
fn a_command_line_that_loses_descriptors_fails_the_check() {
    let folder = Folder::new();
    // As some launchers do, this one closes what it does not know.
    let body = format!("export MASTER_WORDS=\"$*\"; {}", told_in_shell(&["become-master-alone"]));
    let script = folder.script("closing", &body);
    let master = Launch::within(folder, &["-m", "0", "--reexec-as", &script], &IDLE).start();
    let reply = master.ask(&json!({"command": "reload"}));
    assert_eq!(reply["error"], "reload_failed", "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("did not survive"), "{reply}");
    assert_eq!(master.status()["generation"], 0);
}

#[test]
fn a_state_that_makes_no_sense_is_refused() {
    let folder = Folder::new();
    folder.write("state", "--- [1, 2]\n");
    let script = "exec 3< $TMPDIR/state; exec \"$@\"";
    let finished = Launch::within(folder, &["--with-state-fd", "3", "--"], &IDLE)
        .under(&["sh", "-c", script, "sh"])
        .run();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("--with-state-fd"), "{}", finished.stderr);
    let finished = Launch::new(&["--with-state-fd", "9"], &NONE).run();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("descriptor 9"), "{}", finished.stderr);
}
