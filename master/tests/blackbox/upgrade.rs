//! Upgrades as the operator sees them: who is replaced when, who is told what, and every way
//! in which an upgrade can end.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::process::{environment, send};
use crate::support::{
    Client, EINHORN, Folder, IDLE, LONG, Launch, Master, Process, pids, worker_of, workers,
};
use crate::worker::{told, told_in_shell};

/// The pids of a version's workers, the oldest first.
fn of_version(status: &Json, version: u64) -> Vec<i32> {
    let all = workers(status);
    let of = all.iter().filter(|worker| worker["version"] == version);
    of.map(|worker| worker["pid"].as_i64().unwrap().try_into().unwrap()).collect()
}

fn starting(status: &Json) -> Vec<i32> {
    let all = workers(status);
    let of = all.iter().filter(|worker| worker["stage"] == "starting");
    of.map(|worker| worker["pid"].as_i64().unwrap().try_into().unwrap()).collect()
}

/// All up by acknowledgements of the test's own.
#[track_caller]
fn manual(options: &[&str]) -> (Master, Vec<i32>) {
    let options: Vec<&str> =
        ["-m", "manual", "-s", "0.0001"].iter().chain(options).copied().collect();
    let master = Master::start(&options, &IDLE);
    let pids = master.running();
    for pid in &pids {
        master.acknowledge(*pid);
    }
    master.wait_for_up(pids.len());
    (master, pids)
}

/// Acknowledges whoever waits for it until the upgrade's last reply, and returns that.
#[track_caller]
fn acknowledge_until_done(master: &Master, caller: &mut Client) -> Json {
    master.wait_for("the end of the upgrade", |status| {
        for pid in starting(status) {
            master.acknowledge(pid);
        }
        status["upgrade"].is_null() && status["checking"] == false
    });
    caller.replies().pop().unwrap()
}

#[track_caller]
fn check_done(reply: &Json) {
    assert_eq!((&reply["error"], reply.get("wait")), (&Json::Null, None), "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("upgrade done"), "{reply}");
}

#[test]
fn a_smooth_upgrade_takes_one_place_after_the_other() {
    let (master, old) = manual(&["-n", "3", "--max-unacked", "1"]);
    let mut caller = master.begin("upgrade");
    for (index, oldest) in old.iter().enumerate() {
        let status = master.wait_for("the next newcomer", |status| {
            of_version(status, 1).len() == index + 1 && status["upgrade"]["old"] == 3 - index
        });
        assert_eq!(status["upgrade"]["mode"], "smooth");
        assert!(Process::of(*oldest).lives());
        let newcomer = *of_version(&status, 1).last().unwrap();
        assert_eq!(starting(&status), [newcomer]);
        assert!(old[index..].iter().all(|pid| worker_of(&status, *pid)["stage"] == "up, old"));
        master.acknowledge(newcomer);
        master.wait_for_line(&format!("sent SIGUSR2 to worker {oldest} "));
        Process::of(*oldest).wait();
    }
    let replies = caller.replies();
    check_done(replies.last().unwrap());
    assert_eq!(replies[0]["wait"], true);
    assert!(replies.iter().all(|reply| reply["request_id"] == "upgrade"));
    let status = master.wait_for_up(3);
    assert_eq!(of_version(&status, 1).len(), 3);
    assert_eq!((&status["version"], &status["generation"]), (&json!(1), &json!(1)));
    assert_eq!(status["pid"], master.pid());
}

#[test]
fn a_fleet_starts_whole_and_then_takes_over() {
    let options = ["-n", "3", "-s", "1000", "--max-unacked", "1", "--max-upgrade-additional", "1"];
    let (master, old) = manual(&options);
    let mut caller = master.begin("upgrade_fleet");
    let status = master.wait_for("all newcomers", |status| of_version(status, 1).len() == 3);
    assert_eq!(status["upgrade"]["mode"], "fleet");
    let new = of_version(&status, 1);
    for newcomer in &new[..2] {
        master.acknowledge(*newcomer);
    }
    let status = master.wait_for("two of three", |status| status["upgrade"]["acked"] == 2);
    assert_eq!(of_version(&status, 0), old);
    assert!(old.iter().all(|pid| worker_of(&status, *pid)["signaled"] == json!([])));
    master.acknowledge(new[2]);
    check_done(caller.replies().last().unwrap());
    let status = master.wait_for_up(3);
    assert_eq!(pids(&status), new);
}

#[test]
fn progress_says_for_whom_it_waits_and_everything_else_is_answered() {
    let (master, old) = manual(&["-n", "1"]);
    let mut caller = master.begin("upgrade");
    let status = master.wait_for("the newcomer", |status| of_version(status, 1).len() == 1);
    let newcomer = of_version(&status, 1)[0];
    let waiting = format!("waiting for worker {newcomer}");
    loop {
        let reply = caller.reply();
        assert_eq!((&reply["wait"], &reply["request_id"]), (&json!(true), &json!("upgrade")));
        if reply["message"].as_str().unwrap().contains(&waiting) {
            break;
        }
    }
    assert!(master.state().contains(":upgrading: true\n"));
    let table = master.command("status", &[]);
    assert!(table.contains("smooth upgrade to version 1"), "{table}");
    // The connection that waits may ask for something else meanwhile.
    caller.send_json(&json!({"command": "ehlo", "id": "other"}));
    let other = loop {
        let reply = caller.reply();
        if reply["request_id"] == "other" {
            break reply;
        }
    };
    assert_eq!(other.get("wait"), None);
    assert_eq!(of_version(&master.status(), 0), old);
    master.acknowledge(newcomer);
    check_done(caller.replies().last().unwrap());
}

#[test]
fn progress_is_told_whatever_the_verbosity() {
    let (master, _) = manual(&["-n", "1", "-qq"]);
    let mut caller = master.begin("upgrade");
    let status = master.wait_for("the newcomer", |status| of_version(status, 1).len() == 1);
    master.acknowledge(of_version(&status, 1)[0]);
    let replies = caller.replies();
    check_done(replies.last().unwrap());
    assert!(replies.len() > 3, "{replies:?}");
    assert_eq!(master.log.lines(), [""; 0]);
}

#[test]
fn a_caller_in_yaml_is_answered_in_yaml_after_the_reload_too() {
    let (master, _) = manual(&["-n", "1"]);
    let mut caller = master.client();
    caller.send("---%0Aid: u 1%0Acommand: upgrade%0Aargs: []%0A\n");
    let status = master.wait_for("the newcomer", |status| of_version(status, 1).len() == 1);
    master.acknowledge(of_version(&status, 1)[0]);
    loop {
        let reply = caller.yaml_reply();
        assert!(reply.contains("request_id: u 1\n"), "{reply}");
        if !reply.contains("wait: true\n") {
            assert!(reply.contains("upgrade done"), "{reply}");
            break;
        }
    }
}

#[test]
fn without_an_id_there_is_one_reply() {
    let (master, _) = manual(&["-n", "1"]);
    let mut caller = master.client();
    let reply = caller.ask(&json!({"command": "upgrade"}));
    assert_eq!((reply.get("request_id"), reply.get("wait")), (None, None), "{reply}");
    let status = master.wait_for("the newcomer", |status| of_version(status, 1).len() == 1);
    master.acknowledge(of_version(&status, 1)[0]);
    master.wait_for("its end", |status| status["upgrade"].is_null());
    assert_eq!(caller.ask(&json!({"command": "ehlo", "id": "next"}))["request_id"], "next");
}

#[test]
fn a_newer_request_supersedes_and_decides_the_mode() {
    let (master, old) = manual(&["-n", "2"]);
    let mut first = master.begin("upgrade");
    master.wait_for("the first newcomer", |status| of_version(status, 1).len() == 1);
    let mut second = master.begin("upgrade_fleet");
    let last = first.replies().pop().unwrap();
    assert_eq!(last["error"], "superseded", "{last}");
    let status = master.wait_for("a whole fleet", |status| of_version(status, 2).len() == 2);
    assert_eq!(status["upgrade"]["mode"], "fleet");
    assert!(of_version(&status, 0).iter().all(|pid| old.contains(pid)));
    check_done(&acknowledge_until_done(&master, &mut second));
    let status = master.wait_for_up(2);
    assert_eq!(of_version(&status, 2).len(), 2);
    assert_eq!(status["generation"], 2);
}

#[test]
fn on_one_connection_the_former_request_is_ended_under_its_own_id() {
    let (master, _) = manual(&["-n", "1"]);
    let mut caller = master.client();
    caller.send_json(&json!({"command": "upgrade", "id": 1}));
    master.wait_for("an upgrade", |status| status["upgrade"].is_object());
    caller.send_json(&json!({"command": "upgrade", "id": 2}));
    let end = loop {
        let reply = caller.reply();
        if reply["request_id"] == 1 && reply.get("wait").is_none() {
            break reply;
        }
    };
    assert_eq!(end["error"], "superseded", "{end}");
    check_done(&acknowledge_until_done(&master, &mut caller));
}

#[test]
fn abort_stops_the_newcomers_and_the_old_version_serves_on() {
    for command in ["upgrade", "upgrade_fleet"] {
        let (master, old) = manual(&["-n", "2"]);
        let mut caller = master.begin(command);
        let status = master.wait_for("newcomers", |status| !of_version(status, 1).is_empty());
        let newcomers: Vec<Process> = of_version(&status, 1).into_iter().map(Process::of).collect();
        master.command("abort", &[]);
        let last = caller.replies().pop().unwrap();
        assert_eq!(last["error"], "aborted", "{last}");
        for newcomer in &newcomers {
            newcomer.wait();
        }
        let status = master.wait_for_up(2);
        assert_eq!((pids(&status), &status["version"]), (old, &json!(0)));
        let (code, _) = master.failure(&json!({"command": "abort"}));
        assert_eq!(code, "no_upgrade");
        // And the next one is a plain upgrade again.
        let mut caller = master.begin("upgrade");
        check_done(&acknowledge_until_done(&master, &mut caller));
    }
}

#[test]
fn abort_in_the_middle_brings_back_what_was_replaced() {
    let (master, old) = manual(&["-n", "2", "--max-unacked", "1"]);
    let mut caller = master.begin("upgrade");
    let status = master.wait_for("the first newcomer", |status| of_version(status, 1).len() == 1);
    master.acknowledge(of_version(&status, 1)[0]);
    Process::of(old[0]).wait();
    let mut aborter = master.client();
    aborter.send_json(&json!({"command": "abort", "id": 1}));
    assert_eq!(aborter.reply()["error"], Json::Null);
    let last = acknowledge_until_done(&master, &mut caller);
    assert_eq!(last["error"], "aborted", "{last}");
    let status = master.wait_for_up(2);
    assert_eq!(status["version"], 0);
    assert!(pids(&status).contains(&old[1]));
}

#[test]
fn a_program_that_cannot_be_run_any_more_fails_the_upgrade_and_nothing_else() {
    type Break = fn(&Folder);
    let breaks: [(Break, &str); 3] = [
        (|folder| fs::remove_file(folder.join("worker")).unwrap(), "no such file"),
        (|folder| drop(folder.write("worker", "exec sleep 1000000\n")), "not executable"),
        (
            |folder| drop(folder.program("worker", "#!/no/such/interpreter\n")),
            "/no/such/interpreter",
        ),
    ];
    for (break_it, reason) in breaks {
        let folder = Folder::new();
        let script = folder.script("worker", "echo $$ ready >&2; exec sleep 1000000");
        let options = ["-n", "2", "-m", "0", "-s", "0.01"];
        let master = Launch::within(folder, &options, &[&script]).start();
        let old = pids(&master.wait_for_up(2));
        for pid in &old {
            // From here on it needs the file no more.
            master.wait_for_line(&format!("{pid} ready"));
        }
        break_it(&master.folder);
        for command in ["upgrade", "upgrade_fleet"] {
            let last = master.upgrade(command).pop().unwrap();
            assert_eq!(last["error"], "reload_failed", "{last}");
            let message = last["message"].as_str().unwrap();
            assert!(message.contains(&script) && message.contains(reason), "{message}");
        }
        let status = master.status();
        assert_eq!(pids(&status), old);
        assert_eq!((&status["version"], &status["generation"]), (&json!(0), &json!(0)));
        // A plain reload does not need it.
        master.command("reload", &[]);
        master.wait_for("the next generation", |status| status["generation"] == 1);
        assert_eq!(master.pids(), old);
        // Once it is mended all is well.
        master.folder.script("worker", "exec sleep 1000000");
        check_done(&master.upgrade("upgrade").pop().unwrap());
    }
}

#[test]
pub(crate) fn an_upgrade_to_a_program_that_never_says_it_is_up_ends_by_abort() {
    let (master, old) = manual(&["-n", "1", "--ack-timeout", "0"]);
    let mut caller = master.begin("upgrade");
    master.wait_for("the newcomer", |status| of_version(status, 1).len() == 1);
    assert_eq!(master.pids()[..1], old);
    master.command("abort", &[]);
    assert_eq!(caller.replies().pop().unwrap()["error"], "aborted");
    assert_eq!(pids(&master.wait_for_up(1)), old);
}

#[test]
fn a_newcomer_that_is_not_up_in_time_has_failed() {
    let (master, old) = manual(&["-n", "1", "--ack-timeout", "0.1"]);
    let mut caller = master.begin("upgrade");
    let status = master.wait_for("the newcomer", |status| of_version(status, 1).len() == 1);
    let newcomer = Process::of(of_version(&status, 1)[0]);
    master.wait_for_line("no acknowledgement within 0.1 s");
    newcomer.wait();
    assert!(Process::of(old[0]).lives());
    // It is tried again, and comes to an end on its own.
    let last = caller.replies().pop().unwrap();
    assert_eq!(last["error"], "rolled_back", "{last}");
    assert_eq!(pids(&master.wait_for_up(1)), old);
}

#[test]
fn at_the_first_start_nobody_is_hurried() {
    let master = Master::start(&["-n", "1", "-m", "manual"], &IDLE);
    let only = master.only_pid();
    let state = master.state();
    assert!(!state.contains("ack_timeout: 300"), "{state}");
    assert_eq!(master.pids(), [only]);
    let master = Master::start(&["-n", "1", "-m", "manual", "--ack-timeout", "0.1"], &IDLE);
    master.wait_for_line("no acknowledgement within 0.1 s");
}

#[test]
fn never_more_than_target_and_additional_are_alive() {
    let stays = "trap 'echo $$ got USR2 >&2' USR2; echo $$ ready >&2; \
                 while :; do sleep 1000000 & wait $!; done";
    let options = [
        "-n",
        "3",
        "-m",
        "0",
        "-s",
        "0.0001",
        "--max-unacked",
        "9",
        "--max-upgrade-additional",
        "1",
    ];
    let master = Master::start(&options, &["sh", "-c", stays]);
    let old = pids(&master.wait_for_up(3));
    for pid in &old {
        master.wait_for_line(&format!("{pid} ready"));
    }
    let mut caller = master.begin("upgrade");
    // Each place is free only when the one before has really gone.
    for _ in 0..3 {
        let status = master.wait_for("somebody is asked to stop", |status| {
            assert!(workers(status).len() <= 4, "{status}");
            workers(status).iter().any(|worker| worker["stage"] == "stopping")
        });
        assert_eq!(workers(&status).len(), 4);
        let all = workers(&status);
        let stopping = all.iter().find(|worker| worker["stage"] == "stopping").unwrap();
        let pid = i32::try_from(stopping["pid"].as_i64().unwrap()).unwrap();
        assert!(old.contains(&pid));
        send(pid, Signal::KILL);
        master.wait_for("it is gone", |status| !pids(status).contains(&pid));
    }
    check_done(caller.replies().last().unwrap());
}

#[test]
fn new_code_and_new_environment_are_what_newcomers_get() {
    let folder = Folder::new();
    let body = |version: &str| told_in_shell(&["ack", &format!("version={version}"), "serve"]);
    let script = folder.script("worker", &body("one"));
    let reexec = format!("env CODE=two {EINHORN}");
    let options =
        ["-n", "2", "-m", "manual", "-s", "0.01", "-b", "127.0.0.1:0", "--reexec-as", &reexec];
    let master = Launch::within(folder, &options, &[script]).start();
    let before = master.wait_for_up(2);
    master.folder.script("worker", &body("two"));
    check_done(&master.upgrade("upgrade").pop().unwrap());
    let after = master.wait_for_up(2);
    assert_eq!(after["listeners"], before["listeners"]);
    for pid in pids(&after) {
        assert_eq!(environment(pid)["CODE"], "two");
    }
}

#[test]
fn indexes_stay_unique_among_the_living() {
    let (master, _) = manual(&["-n", "2", "-s", "1000"]);
    let mut caller = master.begin("upgrade_fleet");
    let status = master.wait_for("both fleets", |status| pids(status).len() == 4);
    let mut indexes: Vec<_> =
        workers(&status).iter().map(|worker| worker["index"].as_u64().unwrap()).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2, 3]);
    check_done(&acknowledge_until_done(&master, &mut caller));
    let status = master.wait_for_up(2);
    assert!(workers(&status).iter().all(|worker| worker["index"].as_u64() >= Some(2)));
    // The next one gets the smallest that is free again.
    master.command("config", &["{seconds: 0.01}"]);
    master.command("inc", &[]);
    let status = master.wait_for("a third", |status| pids(status).len() == 3);
    assert_eq!(workers(&status)[2]["index"], 0);
}

#[test]
fn old_workers_that_are_slow_to_stop_keep_nobody_waiting() {
    let folder = Folder::new();
    let gate = folder.gate("gate");
    // Asked to stop it finishes what it has begun.
    let body = format!(
        "trap ': < {}; exit 0' USR2; echo $$ ready >&2; while :; do sleep 1000000 & wait $!; done",
        folder.word("gate")
    );
    let script = folder.script("worker", &body);
    let options = ["-n", "2", "-m", "0", "-s", "0.01"];
    let master = Launch::within(folder, &options, &[script]).start();
    let old = pids(&master.wait_for_up(2));
    for pid in &old {
        master.wait_for_line(&format!("{pid} ready"));
    }
    check_done(&master.upgrade("upgrade").pop().unwrap());
    let status = master.status();
    assert!(old.iter().all(|pid| worker_of(&status, *pid)["stage"] == "stopping"));
    let stopping: Vec<Process> = old.into_iter().map(Process::of).collect();
    assert!(stopping.iter().all(Process::lives));
    let _open = gate.open();
    assert!(stopping.iter().all(|worker| worker.ends_within(LONG)));
    master.wait_for_up(2);
}

#[test]
fn a_caller_that_hangs_up_leaves_the_upgrade_alone() {
    let (master, _) = manual(&["-n", "1"]);
    drop(master.begin("upgrade"));
    let status = master.wait_for("the newcomer", |status| of_version(status, 1).len() == 1);
    master.acknowledge(of_version(&status, 1)[0]);
    master.wait_for("its end", |status| status["upgrade"].is_null() && status["version"] == 1);
}

#[test]
fn ten_upgrades_in_a_row_leave_nothing_behind() {
    let program = told(&["ack", "hang"]);
    let mut master = Master::start(&["-n", "2", "-m", "manual", "-s", "0.001"], &program);
    master.wait_for_up(2);
    let mut idle = master.client();
    for round in 0..10 {
        let command = if round % 2 == 0 { "upgrade" } else { "upgrade_fleet" };
        check_done(&master.upgrade(command).pop().unwrap());
    }
    let status = master.wait_for_up(2);
    assert_eq!((&status["version"], &status["generation"]), (&json!(10), &json!(10)));
    assert_eq!(idle.ask(&json!({"command": "ehlo", "id": "idle"}))["request_id"], "idle");
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    master.check_nobody_is_left();
}

#[test]
fn an_upgrade_before_the_first_fleet_is_up_replaces_it_all_the_same() {
    for command in ["upgrade", "upgrade_fleet"] {
        let options = ["-n", "2", "-m", "manual", "-s", "0.0001"];
        let master = Master::start(&options, &IDLE);
        let old: Vec<Process> = master.running().into_iter().map(Process::of).collect();
        let mut caller = master.begin(command);
        master.wait_for("an upgrade", |status| status["upgrade"].is_object());
        let acknowledge_newcomers = |status: &Json| {
            for pid in starting(status) {
                if worker_of(status, pid)["version"] == 1 {
                    master.acknowledge(pid);
                }
            }
            status["upgrade"].is_null()
        };
        master.wait_for("its end", acknowledge_newcomers);
        check_done(caller.replies().last().unwrap());
        assert!(old.iter().all(|worker| worker.ends_within(LONG)));
        assert_eq!(of_version(&master.wait_for_up(2), 1).len(), 2);
    }
}
