//! The master re-executes itself: what crosses, what is picked up anew, and what happens to
//! whatever comes in between.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use crate::support::folder::Gate;
use crate::support::process::{descriptors, environment, marked, send};
use crate::support::{EINHORN, Folder, IDLE, Launch, Master, Process, pids, worker_of, workers};
use crate::worker::told;

/// The new image has not been asked yet whether it can start.
const CHECKING: &str = "--upgrade-check";
/// The old image is gone and the new one has not begun.
const TAKING_OVER: &str = "--with-state-fd";

/// A master whose next image waits at a gate.
struct Gated {
    master: Master,
    gate: Gate,
}

impl Gated {
    fn start(stage: &str, options: &[&str], program: &[&str]) -> Self {
        let folder = Folder::new();
        let gate = folder.gate("gate");
        let (waiting, gate_word) = (folder.word("waiting"), folder.word("gate"));
        let wait = format!("case \"$*\" in *{stage}*) : > {waiting}; : < {gate_word};; esac");
        let script = folder.script("next", &format!("{wait}; exec {EINHORN} \"$@\""));
        let options: Vec<&str> = options.iter().copied().chain(["--reexec-as", &script]).collect();
        Self { master: Launch::within(folder, &options, program).start(), gate }
    }

    /// Until it is at the gate.
    #[track_caller]
    fn wait(&self) {
        let waiting = self.master.folder.join("waiting");
        self.master.wait_until("it waits at the gate", || waiting.exists().then_some(()));
    }
}

/// Reloads and waits for the new image.
#[track_caller]
fn reload(master: &Master) {
    let generation = master.status()["generation"].as_u64().unwrap();
    master.command("reload", &[]);
    master.wait_for("the next generation", |status| status["generation"] == generation + 1);
}

#[test]
fn workers_sockets_and_files_stay_as_they_are() {
    let options = ["-n", "2", "-b", "127.0.0.1:0", "-m", "0", "-c", "shop", "-q", "-t", "9"];
    let master = Launch::new(&options, &IDLE).socket("einhorn-shop.sock").start();
    let before = master.wait_for_up(2);
    let names = master.folder.names();
    reload(&master);
    reload(&master);
    let after = master.status();
    for key in ["pid", "target", "version", "program", "listeners", "verbosity", "upgrade"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!((pids(&after), &after["generation"]), (pids(&before), &json!(2)));
    assert!(workers(&after).iter().all(|worker| worker["stage"] == "up"));
    assert!(master.state().contains(":signal_timeout: 9"));
    assert_eq!(master.folder.names(), names);
    // They are still the master's children, which it misses when they go.
    send(pids(&after)[0], Signal::KILL);
    master.command("config", &["{seconds: 0.01}"]);
    master.wait_for("another", |status| {
        pids(status).len() == 2 && !pids(status).contains(&pids(&after)[0])
    });
}

#[test]
fn a_master_that_has_reloaded_cleans_up_after_itself() {
    let folder = Folder::new();
    let address = format!("unix:{}", folder.word("web.sock"));
    let mut master = Launch::within(folder, &["-b", &address, "-m", "0"], &IDLE).start();
    reload(&master);
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert_eq!(master.folder.names(), ["einhorn.lock", "stdout"]);
    master.check_nobody_is_left();
}

#[test]
fn descriptors_neither_pile_up_nor_reach_the_workers() {
    let master = Master::start(&["-b", "127.0.0.1:0", "-g", "-m", "0", "-s", "0.01"], &IDLE);
    master.wait_for_up(1);
    let of_worker = |pid: i32| descriptors(pid).keys().copied().collect::<Vec<i32>>();
    let listener = master.status()["listeners"][0]["fd"].as_i64().unwrap();
    let listener = i32::try_from(listener).unwrap();
    // One more is its connection to the command socket.
    let is_clean = |pid: i32| {
        let open = of_worker(pid);
        open.len() == 5 && open.starts_with(&[0, 1, 2]) && open.contains(&listener)
    };
    let first = master.running()[0];
    master.wait_until("no more than its own", || is_clean(first).then_some(()));
    let _idle = (master.client(), master.client());
    reload(&master);
    let own = descriptors(master.pid()).len();
    for _ in 0..4 {
        reload(&master);
    }
    // A client that has just left may still be counted.
    let count = || descriptors(master.pid()).len();
    master.wait_until("nothing piles up", || (count() <= own).then_some(()));
    let replies = master.upgrade("upgrade");
    assert_eq!(replies.last().unwrap()["error"], json!(null), "{replies:?}");
    master.wait_for_up(1);
    let second = master.running()[0];
    master.wait_until("no more than its own again", || is_clean(second).then_some(()));
}

#[test]
fn connections_and_half_a_line_survive() {
    let master = Master::start(&["-m", "0"], &IDLE);
    let mut idle = master.client();
    let mut half = master.client();
    half.send("{\"command\":\"ehlo\",");
    let mut eager = master.client();
    eager.send(
        "{\"command\":\"reload\",\"id\":1}\n{\"command\":\"status\",\"id\":2}\n{\"command\":",
    );
    let mut answered = [eager.reply(), eager.reply()].map(|reply| reply["request_id"].as_i64());
    answered.sort_unstable();
    assert_eq!(answered, [Some(1), Some(2)]);
    master.wait_for("the next generation", |status| status["generation"] == 1);
    eager.send("\"ehlo\",\"id\":3}\n");
    assert_eq!(eager.reply()["request_id"], 3);
    half.send("\"id\":\"whole\"}\n");
    assert_eq!(half.reply()["request_id"], "whole");
    assert_eq!(idle.ask(&json!({"command": "ehlo", "id": "idle"}))["request_id"], "idle");
}

#[test]
fn what_comes_in_between_is_served_after_it() {
    let gated = Gated::start(TAKING_OVER, &["-n", "2", "-m", "manual", "-s", "0.01"], &IDLE);
    let [first, second] = gated.master.pids()[..] else { panic!() };
    let mut known = gated.master.client();
    assert_eq!(known.ask(&json!({"command": "ehlo", "id": 0}))["request_id"], 0);
    let mut caller = gated.master.client();
    caller.send_json(&json!({"command": "reload", "id": "r"}));
    gated.wait();
    // The process is at the gate: a worker dies, one acknowledges, clients ask.
    send(first, Signal::KILL);
    Process::of(first).wait();
    let mut acknowledging = gated.master.client();
    acknowledging.send_json(&json!({"command": "worker:ack", "pid": second}));
    known.send_json(&json!({"command": "ehlo", "id": "known"}));
    let mut stranger = gated.master.client();
    stranger.send_json(&json!({"command": "ehlo", "id": "new"}));
    caller.stream().set_nonblocking(true).unwrap();
    assert_eq!(caller.line_if_any(), None, "it may still fail");
    caller.stream().set_nonblocking(false).unwrap();
    let _open = gated.gate.open();
    assert_eq!(caller.reply(), json!({"message": "reloaded, generation 1", "request_id": "r"}));
    assert!(acknowledging.is_closed());
    assert_eq!(known.reply()["request_id"], "known");
    assert_eq!(stranger.reply()["request_id"], "new");
    let status = gated.master.wait_for("a replacement", |status| {
        workers(status).len() == 2 && !pids(status).contains(&first)
    });
    assert_eq!(worker_of(&status, second)["acked"], true);
}

#[test]
pub(crate) fn a_stop_in_the_middle_is_a_stop() {
    for (stage, signal) in [
        (CHECKING, Signal::TERM),
        (CHECKING, Signal::INT),
        (TAKING_OVER, Signal::TERM),
        (TAKING_OVER, Signal::USR2),
    ] {
        let mut gated = Gated::start(stage, &["-n", "2", "-m", "0"], &IDLE);
        let workers: Vec<Process> =
            pids(&gated.master.wait_for_up(2)).into_iter().map(Process::of).collect();
        gated.master.running();
        let mut caller = gated.master.begin("upgrade");
        gated.wait();
        gated.master.signal(signal);
        let open = (stage == TAKING_OVER).then(|| gated.gate.open());
        assert_eq!(gated.master.wait(), 0, "{stage}");
        assert!(workers.iter().all(|worker| !worker.lives()));
        let replies = caller.replies();
        assert_eq!(replies.last().unwrap()["error"], "shutting_down", "{stage}: {replies:?}");
        drop(open);
        gated.master.check_nobody_is_left();
    }
}

#[test]
fn the_master_serves_while_the_check_runs() {
    let gated = Gated::start(CHECKING, &["-n", "1", "-m", "0", "-s", "0.01"], &IDLE);
    let worker = pids(&gated.master.wait_for_up(1))[0];
    let mut caller = gated.master.client();
    caller.send_json(&json!({"command": "reload", "id": 1}));
    gated.wait();
    assert_eq!(gated.master.status()["checking"], true);
    send(worker, Signal::KILL);
    gated
        .master
        .wait_for("a replacement", |status| pids(status).len() == 1 && pids(status) != [worker]);
    let _open = gated.gate.open();
    assert_eq!(caller.reply()["request_id"], 1);
    gated.master.wait_for("the next generation", |status| status["generation"] == 1);
}

#[test]
fn a_timer_that_ran_before_goes_on_after() {
    let master = Master::start(&["-n", "2", "-m", "0.3"], &IDLE);
    let before = master.pids();
    reload(&master);
    assert_eq!(pids(&master.wait_for_up(2)), before);
}

#[test]
fn who_was_asked_to_stop_before_is_killed_in_time_after() {
    let script = "trap '' USR2; echo $$ ready >&2; while :; do sleep 1000000 & wait; done";
    let master = Master::start(&["-n", "2", "-m", "0", "-t", "3"], &["sh", "-c", script]);
    let both = pids(&master.wait_for_up(2));
    for pid in &both {
        master.wait_for_line(&format!("{pid} ready"));
    }
    master.command("dec", &[]);
    let asked = |state: &str| -> Vec<String> {
        let lines = state.lines().filter(|line| line.contains(":last_signaled_at: 2"));
        lines.map(str::to_owned).collect()
    };
    let before = asked(&master.state());
    assert_eq!(before.len(), 1);
    reload(&master);
    assert_eq!(asked(&master.state()), before);
    master.wait_for_line("sent SIGKILL to worker");
    master.wait_for("one", |status| pids(status).len() == 1);
}

#[test]
fn verbosity_and_settings_survive() {
    let master = Master::start(&["-m", "0"], &IDLE);
    master.command("config", &["{seconds: 7.5, max_unacked: 5, number: 3, signal_timeout: 8}"]);
    master.command("louder", &[]);
    let settings = |state: &str| {
        let keys = [":seconds:", ":max_unacked:", ":number:", ":signal_timeout:", ":verbosity:"];
        let is_one = |line: &&str| keys.iter().any(|key| line.contains(key));
        state.lines().filter(is_one).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = settings(&master.state());
    assert_eq!(before.len(), 5);
    reload(&master);
    assert_eq!(settings(&master.state()), before);
}

#[test]
fn the_environment_is_that_of_the_start_less_what_is_dropped() {
    let options = ["--drop-env-var", "SECRET", "--drop-env-var", "ABSENT", "-m", "0", "-s", "0.01"];
    let master = Launch::new(&options, &IDLE).env("SECRET", "1").env("KEPT", "2").start();
    let before = environment(master.running()[0]);
    assert!(before.contains_key("SECRET") && before.contains_key("KEPT"));
    master.wait_for_up(1);
    let replies = master.upgrade("upgrade");
    assert_eq!(replies.last().unwrap()["error"], json!(null), "{replies:?}");
    master.wait_for_up(1);
    let mut after = environment(master.running()[0]);
    assert_eq!(after.remove("SECRET"), None);
    after.insert("SECRET".into(), "1".into());
    after.insert("EINHORN_CHILD_INDEX".into(), before["EINHORN_CHILD_INDEX"].clone());
    assert_eq!(after, before);
}

#[test]
fn the_reexec_command_may_bring_variables_and_options_of_its_own() {
    let words = format!("env NEW='of the reload' {EINHORN} -n 3 -s 0.01");
    let master = Master::start(&["--reexec-as", &words, "-n", "1", "-m", "0"], &IDLE);
    reload(&master);
    master.wait_for_up(3);
    let newest = *master.running().last().unwrap();
    assert_eq!(environment(newest)["NEW"], "of the reload");
    // Its own options, and the command that brings them, hold the next time too.
    master.command("set_workers", &["1"]);
    reload(&master);
    master.wait_for_up(3);
}

#[test]
fn a_new_binary_behind_the_old_name_is_picked_up() {
    let folder = Folder::new();
    let name = folder.join("current");
    std::os::unix::fs::symlink(EINHORN, &name).unwrap();
    let master = Launch::within(folder, &["-m", "0"], &IDLE).called(&name).start();
    let second = format!("echo the second binary: $1 >&2; exec {EINHORN} \"$@\"");
    fs::remove_file(&name).unwrap();
    master.folder.script("current", &second);
    reload(&master);
    master.wait_for_line("the second binary: --with-state-fd");
}

#[test]
fn everyone_who_asks_for_a_reload_is_answered() {
    let gated = Gated::start(CHECKING, &["-m", "0"], &IDLE);
    let mut callers: Vec<_> = (0..3).map(|_| gated.master.begin("reload")).collect();
    gated.wait();
    gated.master.wait_for("all have asked", |status| status["checking"] == true);
    let mut late = gated.master.begin("reload");
    let _open = gated.gate.open();
    for caller in &mut callers {
        assert_eq!(caller.reply()["error"], json!(null));
    }
    assert_eq!(late.reply()["error"], json!(null));
    let mut caller = gated.master.client();
    // Without an id too.
    let reply = caller.ask(&json!({"command": "reload"}));
    assert_eq!((&reply["error"], reply.get("request_id")), (&json!(null), None));
}

#[test]
fn a_reload_that_waits_with_an_upgrade_that_is_given_up_is_answered() {
    let gated = Gated::start(CHECKING, &["-m", "0"], &IDLE);
    let mut reload = gated.master.begin("reload");
    let mut upgrade = gated.master.begin("upgrade");
    gated.wait();
    assert_eq!(upgrade.reply()["wait"], true);
    gated.master.command("abort", &[]);
    assert_eq!(upgrade.reply()["error"], "aborted");
    assert_eq!(reload.reply()["error"], "aborted");
    assert_eq!(gated.master.status()["checking"], false);
}

#[test]
fn a_check_that_is_given_up_ends_with_all_that_it_has_started() {
    let folder = Folder::new();
    let waiting = folder.join("waiting");
    let body = format!("sleep 1000000 & : > {}; wait", waiting.display());
    let script = folder.script("next", &body);
    let master = Launch::within(folder, &["-m", "0", "--reexec-as", &script], &IDLE).start();
    master.wait_for_up(1);
    let before = marked(&master.folder.mark());
    let mut upgrade = master.begin("upgrade");
    master.wait_until("the check runs", || waiting.exists().then_some(()));
    let check = marked(&master.folder.mark());
    assert_eq!(check.len(), before.len() + 2, "{check:?}");
    master.command("abort", &[]);
    assert_eq!(upgrade.replies().last().unwrap()["error"], "aborted");
    for pid in check.into_iter().filter(|pid| !before.contains(pid)) {
        Process::of(pid).wait();
    }
}

#[test]
fn a_stop_answers_those_who_wait_for_a_reload() {
    let stays =
        ["sh", "-c", "trap '' TERM; echo ready >&2; while :; do sleep 1000000 & wait; done"];
    let gated = Gated::start(CHECKING, &["-m", "0"], &stays);
    gated.master.wait_for_line("ready");
    let mut caller = gated.master.begin("reload");
    gated.wait();
    gated.master.signal(Signal::TERM);
    assert_eq!(caller.reply()["error"], "shutting_down");
}

#[test]
fn a_worker_that_acknowledged_over_its_own_descriptor_may_ping_over_it_later() {
    let folder = Folder::new();
    let gate = folder.gate("gate");
    let wait = format!("await={}", folder.word("gate"));
    let program = told(&["ack-by-descriptor", &wait, "ping-by-descriptor=later", "hang"]);
    let master = Launch::within(folder, &["-g", "-m", "manual"], &program).start();
    master.wait_for_up(1);
    reload(&master);
    let _open = gate.open();
    master.wait_for("its ping", |status| workers(status)[0]["ping_request_id"] == "later");
}

#[test]
fn words_and_values_that_are_no_text_cross_as_they_are() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let strange = OsStr::from_bytes(b"a\xff b: \n'\"%0A#");
    let words = [OsStr::new("sh"), OsStr::new("-c"), OsStr::new("exec sleep 1000000"), strange];
    let options = ["-n", "1", "-m", "0", "-s", "0.01"];
    let master = Launch::new(&options, &words).env("STRANGE", strange).start();
    let own = |name: &str| fs::read(format!("/proc/{}/{name}", master.running()[0])).unwrap();
    let variable = [b"STRANGE=".as_slice(), strange.as_bytes()].concat();
    let has_it = || own("environ").split(|byte| *byte == 0).any(|part| part == variable);
    master.wait_until("the variable", || has_it().then_some(()));
    master.wait_for_up(1);
    let replies = master.upgrade("upgrade");
    assert_eq!(replies.last().unwrap()["error"], json!(null), "{replies:?}");
    master.wait_for_up(1);
    master.wait_until("the variable again", || has_it().then_some(()));
    let state = master.state();
    assert!(state.contains("!binary"), "{state}");
}

#[test]
fn it_works_where_the_working_directory_and_the_socket_file_are_gone() {
    let folder = Folder::new();
    fs::create_dir(folder.join("gone")).unwrap();
    let gone = folder.join("gone");
    let mut master = Launch::within(folder, &["-m", "0", "-s", "0.01"], &IDLE)
        .working_directory(gone.clone())
        .start();
    master.wait_for_up(1);
    let mut client = master.client();
    fs::remove_dir(gone).unwrap();
    fs::remove_file(&master.socket).unwrap();
    client.send_json(&json!({"command": "upgrade", "id": 1}));
    let replies = client.replies();
    assert_eq!(replies.last().unwrap()["error"], json!(null), "{replies:?}");
    let status = client.ask(&json!({"command": "status", "id": 2}));
    assert!(status["message"].as_str().unwrap().contains("version 1"), "{status}");
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}

#[test]
fn hundreds_of_clients_and_many_sockets_cross_together() {
    let addresses = ["127.0.0.1:0"; 30];
    let options: Vec<&str> = addresses.iter().flat_map(|address| ["-b", address]).collect();
    let master = Master::start(&options, &IDLE);
    let before = master.status()["listeners"].clone();
    let mut clients: Vec<_> = (0..300).map(|_| master.client()).collect();
    for (id, client) in clients.iter_mut().enumerate() {
        client.send(format!("{{\"command\":\"ehlo\",\"id\":{id}"));
    }
    reload(&master);
    for (id, client) in clients.iter_mut().enumerate() {
        client.send("}\n");
        assert_eq!(client.reply()["request_id"], id);
    }
    assert_eq!(master.status()["listeners"], before);
}
