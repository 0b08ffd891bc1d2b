//! Clients that are broken or mean, and a system that runs out of things. None of it costs a
//! worker, another client's connection or the master.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, Signal, getuid};
use serde_json::json;

use crate::support::log::Log;
use crate::support::process::{send, start, status_field};
use crate::support::{Client, Folder, IDLE, Launch, Master, Process, pids};
use crate::worker::told;

/// More than a master needs, and far less than any of these attacks would cost.
const MEMORY_KIB_MAX: u64 = 64 << 10;

fn one() -> Master {
    Master::start(&["-n", "1", "-m", "0"], &IDLE)
}

/// The same master with the same worker serves everybody as before, and has not grown.
#[track_caller]
fn check_unharmed(master: &Master, worker: i32) {
    let reply = master.ask(&json!({"command": "ehlo", "id": "still there"}));
    assert_eq!(reply["request_id"], "still there");
    assert_eq!(master.pids(), [worker]);
    let peak = status_field(master.pid(), "VmHWM");
    let peak: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
}

/// One line, the code of its answer, and whether the connection is closed then.
#[track_caller]
pub(crate) fn check(line: &[u8], code: &str, closes: bool) {
    let master = one();
    let worker = master.only_pid();
    let mut client = master.client();
    let mut bystander = master.client();
    let shown = String::from_utf8_lossy(line.get(..200).unwrap_or(line)).into_owned();
    let _ = client.try_send(line);
    let answer = client.line().unwrap();
    match code {
        "" => assert!(answer.contains("Welcome"), "{shown}: {answer}"),
        code => assert!(answer.contains(code), "{shown}: {answer}"),
    }
    if closes {
        assert!(client.is_closed(), "{shown}");
    } else {
        assert_eq!(client.ask(&json!({"command": "ehlo", "id": 1}))["request_id"], 1);
    }
    assert_eq!(bystander.ask(&json!({"command": "ehlo", "id": 2}))["request_id"], 2);
    check_unharmed(&master, worker);
}

#[test]
pub(crate) fn bytes_that_are_no_text() {
    check(b"{\"command\":\"ehlo\",\"user\":\"\xe9\"}\n", "malformed", false);
    check(b"---%0Acommand: ehlo%0Auser: \xff\xfe%0A\n", "malformed", false);
    check(b"\0\0\0\n", "malformed", false);
    check("{\"command\":\"ehlo\",\"user\":\"é☃\"}\n".as_bytes(), "", false);
    check("---%0Acommand: ehlo%0Auser: é☃%0A\n".as_bytes(), "", false);
}

#[test]
pub(crate) fn aliases() {
    check(b"---%0Acommand: *nobody%0A\n", "malformed", false);
    check(b"---%0Acommand: &a ehlo%0Auser: *a%0A\n", "aliases", true);
    let mut bomb = String::from("---%0Aa: &a [x, x, x, x, x, x, x, x, x, x]%0A");
    for (name, of) in "bcdefghij".chars().zip("abcdefghi".chars()) {
        let list = vec![format!("*{of}"); 10].join(", ");
        write!(bomb, "{name}: &{name} [{list}]%0A").unwrap();
    }
    check(format!("{bomb}command: ehlo%0A\n").as_bytes(), "aliases", true);
}

#[test]
fn dates_and_tags() {
    check(b"---%0Acommand: ehlo%0Auser: 2026-11-23%0A\n", "", false);
    check(b"---%0Acommand: ehlo%0Aid: 2026-11-23 10:18:47 Z%0A\n", "", false);
    check(b"---%0Acommand: ehlo%0Aid: 9999-99-99%0A\n", "", false);
    check(b"--- !ruby/object:Object%0Acommand: ehlo%0A\n", "malformed", false);
    check(b"---%0Acommand: !ruby/object:Gem::Installer {}%0A\n", "malformed", false);
}

#[test]
pub(crate) fn nesting() {
    let deep = |open: &str, close: &str| {
        let line = format!("{}{}\n", open.repeat(3000), close.repeat(3000));
        check(line.as_bytes(), "too_deep", true);
    };
    deep("[", "]");
    deep("{a: ", "}");
    deep("{\"a\":", "}");
    let json = format!("{{\"command\":\"ehlo\",\"x\":{}{}}}\n", "[".repeat(3000), "]".repeat(3000));
    check(json.as_bytes(), "too_deep", true);
    check(format!("{}\n", "- ".repeat(3000)).as_bytes(), "too_deep", true);
}

#[test]
pub(crate) fn lines_without_an_end() {
    check(&vec![b'x'; 8 << 20], "line_too_long", true);
    let mut json = b"{\"command\":\"".to_vec();
    json.resize(3 << 20, b'x');
    check(&json, "line_too_long", true);
}

#[test]
fn more_values_than_a_request_can_need() {
    let values = format!("{{\"command\":\"signal\",\"args\":[{}0]}}\n", "0,".repeat(200_000));
    check(values.as_bytes(), "too_large", true);
    let keys: Vec<String> = (0..50_000).map(|n| format!("k{n}: 1%0A")).collect();
    check(format!("{}\n", keys.concat()).as_bytes(), "too_large", true);
}

#[test]
fn a_line_that_trickles_in_costs_nobody_else_anything() {
    let master = one();
    let worker = master.only_pid();
    let mut slow = master.client();
    let mut other = master.client();
    let line = format!("{{\"command\":\"ehlo\",\"id\":\"{}\"}}\n", "y".repeat(60_000));
    for (count, piece) in line.as_bytes().chunks(4).enumerate() {
        slow.send(piece);
        if count % 500 == 0 {
            assert_eq!(other.ask(&json!({"command": "ehlo", "id": count}))["request_id"], count);
        }
    }
    assert_eq!(slow.reply()["request_id"].as_str().unwrap().len(), 60_000);
    check_unharmed(&master, worker);
}

#[test]
pub(crate) fn a_client_that_never_reads_is_cut_off_and_the_others_are_served() {
    let master = one();
    let worker = master.only_pid();
    let mut deaf = master.client();
    let mut other = master.client();
    let requests = b"{\"command\":\"state\"}\n".repeat(100);
    let mut rounds = 0;
    while deaf.try_send(&requests).is_ok() {
        rounds += 1;
        assert!(rounds < 10_000, "never cut off");
        assert_eq!(other.ask(&json!({"command": "ehlo", "id": rounds}))["request_id"], rounds);
    }
    master.wait_for_line("is cut off: it does not read its replies");
    check_unharmed(&master, worker);
}

#[test]
fn a_subscriber_that_never_reads_is_cut_off_too() {
    let options = ["-n", "1", "-m", "manual", "-s", "0.0001", "--max-unacked", "100"];
    let master = Master::start(&options, &IDLE);
    let worker = master.only_pid();
    let mut deaf = master.client();
    deaf.send_json(&json!({"command": "upgrade", "id": "x".repeat(60_000)}));
    master.wait_for("an upgrade", |status| status["upgrade"].is_object());
    // A line of progress for each that is started, and each line repeats the id.
    master.command("set_workers", &["50"]);
    master.wait_for_line("is cut off");
    let status = master.wait_for("all newcomers", |status| pids(status).len() == 51);
    assert_eq!((pids(&status)[0], status["upgrade"].is_object()), (worker, true));
}

#[test]
fn all_buffers_together_are_bounded() {
    let master = one();
    let worker = master.only_pid();
    let almost_a_line = vec![b'x'; (1 << 20) - 1];
    let mut hoarders: Vec<Client> = (0..40).map(|_| master.client()).collect();
    for hoarder in &mut hoarders {
        let _ = hoarder.try_send(&almost_a_line);
    }
    master.wait_for_line("all clients together have too much unread");
    check_unharmed(&master, worker);
}

#[test]
fn a_thousand_clients_are_served_at_once() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
    let master = one();
    let worker = master.only_pid();
    let mut clients: Vec<Client> = (0..1100).map(|_| master.client()).collect();
    for (id, client) in clients.iter_mut().enumerate() {
        client.send_json(&json!({"command": "ehlo", "id": id}));
    }
    for (id, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.reply()["request_id"], id);
    }
    check_unharmed(&master, worker);
}

#[test]
pub(crate) fn out_of_descriptors_those_who_are_in_are_served_and_the_rest_are_turned_away() {
    let limited = ["sh", "-c", "ulimit -n 40; exec \"$@\"", "sh"];
    let options = ["-n", "1", "-m", "0", "-s", "0.01"];
    let master = Launch::new(&options, &IDLE).under(&limited).start();
    let worker = master.only_pid();
    let mut clients: Vec<Client> = (0..100).map(|_| master.client()).collect();
    let mut served = Vec::new();
    for (id, mut client) in clients.drain(..).enumerate() {
        if client.try_send(format!("{}\n", json!({"command": "ehlo", "id": id})).as_bytes()).is_ok()
            && client.line().is_some()
        {
            served.push(client);
        }
    }
    assert!((5..40).contains(&served.len()), "{}", served.len());
    master.wait_for_line("raise the limit of open files");
    // A worker that dies now is replaced all the same.
    send(worker, Signal::KILL);
    master.wait_for_line("(index 0) exited");
    master.wait_until("another worker", || {
        let reply = served[0].ask(&json!({"command": "status", "args": ["json"]}));
        let status: serde_json::Value =
            serde_json::from_str(reply["message"].as_str().unwrap()).unwrap();
        Some(pids(&status)).filter(|pids| pids.len() == 1 && *pids != [worker])
    });
    drop(served);
    let now = master.wait_until("room again", || {
        let mut client = master.client();
        client.try_send(b"{\"command\":\"ehlo\"}\n").ok()?;
        client.line()?;
        Some(master.only_pid())
    });
    check_unharmed(&master, now);
}

/// A user id that no other test and, hopefully, nobody else uses; only root can take one.
fn lonely_uid(offset: u32) -> Option<u32> {
    getuid().is_root().then(|| 3_000_000 + (std::process::id() % 100_000) * 10 + offset)
}

/// A folder and a master's program that the user may use.
fn belonging_to(uid: Option<u32>, options: &[&str]) -> Launch {
    let folder = Folder::new();
    let Some(uid) = uid else { return Launch::within(folder, options, &IDLE) };
    let copy = folder.copy(crate::support::EINHORN, "einhorn");
    std::os::unix::fs::chown(folder.path(), Some(uid), Some(uid)).unwrap();
    Launch::within(folder, options, &IDLE).called(copy).user(uid)
}

#[test]
fn a_fork_that_fails_is_tried_again_and_everything_else_goes_on() {
    // As many processes as the user may have: the master and one that is there already. Where
    // nobody can be another user, this one has more than that anyway.
    let uid = lonely_uid(0);
    let mut other = Command::new("sleep");
    if let Some(uid) = uid {
        other.uid(uid);
    }
    let mut other = start(other.arg("1000000"));
    let limited = ["sh", "-c", "ulimit -u 2 2>/dev/null || ulimit -p 2; exec \"$@\"", "sh"];
    let options = ["-n", "1", "-m", "0", "-s", "0.01"];
    let mut master = belonging_to(uid, &options).under(&limited).start();
    let line = master.wait_for_line("cannot start a worker (index 0)");
    assert!(line.contains("ERROR") && line.contains("next start in"), "{line}");
    let mark = master.log.mark();
    master.log.wait_for_from(mark, "cannot start a worker (index 0)");
    assert_eq!(pids(&master.status()), [0_i32; 0]);
    let reply = master.upgrade("upgrade");
    assert_eq!(reply.last().unwrap()["error"], "reload_failed", "{reply:?}");
    other.kill().unwrap();
    other.wait().unwrap();
    if uid.is_some() {
        master.wait_for_up(1);
    }
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}

#[test]
pub(crate) fn a_stop_ends_a_master_that_cannot_start_anything() {
    let limited = ["sh", "-c", "ulimit -u 1 2>/dev/null || ulimit -p 1; exec \"$@\"", "sh"];
    let mut master = belonging_to(lonely_uid(1), &["-n", "3"]).under(&limited).start();
    master.wait_for_line("cannot start a worker");
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}

#[test]
fn nobody_but_the_owner_and_root_is_served() {
    let (Some(owner), Some(stranger)) = (lonely_uid(2), lonely_uid(3)) else { return };
    let master = belonging_to(Some(owner), &["-n", "1", "-m", "0"]).start();
    // Even where the file's mode would let everybody in.
    fs::set_permissions(&master.socket, fs::Permissions::from_mode(0o666)).unwrap();
    let words = told(&[&format!("talk={}", master.socket.display())]);
    let program = master.folder.copy(&words[0], "client");
    fs::set_permissions(master.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let answer_to = |uid: u32| {
        let mut command = Command::new(&program);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped()).uid(uid);
        let output = start(&mut command).wait_with_output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let answer = answer_to(stranger);
    assert!(answer.contains("not_permitted") && answer.contains(&stranger.to_string()), "{answer}");
    assert!(answer_to(owner).contains("Welcome"));
    // Root is this very test.
    check_unharmed(&master, master.only_pid());
}

#[test]
pub(crate) fn fifty_hups_in_a_moment_end_in_one_new_fleet() {
    let master = Master::start(&["-n", "2", "-m", "0", "-s", "0.01"], &IDLE);
    let before: Vec<Process> = pids(&master.wait_for_up(2)).into_iter().map(Process::of).collect();
    let mut watcher = master.client();
    for _ in 0..50 {
        master.signal(Signal::HUP);
    }
    let mut ids = 0..;
    master.wait_for("all that was asked for", |status| {
        let id: i32 = ids.next().unwrap();
        assert_eq!(watcher.ask(&json!({"command": "ehlo", "id": id}))["request_id"], id);
        status["upgrade"].is_null()
            && status["checking"] == false
            && status["version"] != 0
            && pids(status).len() == 2
    });
    assert!(before.iter().all(|worker| !worker.lives()));
    master.wait_for_up(2);
}

#[test]
fn hups_one_after_the_other_are_all_served() {
    let master = Master::start(&["-n", "1", "-m", "0", "-s", "0.01"], &IDLE);
    for version in 1..=5 {
        master.signal(Signal::HUP);
        master.wait_for("the next version", |status| status["version"].as_u64() >= Some(version));
    }
}

/// Standard error as a full pipe: its reading end, and a duplicate of its other end.
fn full_pipe() -> (fs::File, std::os::fd::OwnedFd) {
    use rustix::fs::OFlags;
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    let filling = [b'.'; 4096];
    while rustix::io::write(&writer, &filling).is_ok() {}
    while rustix::io::write(&writer, b".").is_ok() {}
    rustix::fs::fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader.into(), writer)
}

#[test]
pub(crate) fn a_full_pipe_behind_the_log_blocks_nobody_and_losses_are_counted() {
    let (reader, writer) = full_pipe();
    let mut master =
        Launch::new(&["-n", "1", "-m", "0", "-s", "0.01"], &IDLE).start_logging_to(writer);
    let worker = Process::of(pids(&master.wait_for_up(1))[0]);
    let replies = master.upgrade("upgrade");
    assert_eq!(replies.last().unwrap()["error"], json!(null), "{replies:?}");
    worker.wait();
    // More lines than are kept, each of them wanted.
    let mut client = master.client();
    for _ in 0..50 {
        client.send("{\"command\":\"signal\",\"args\":[\"CONT\"]}\n".repeat(100));
        for _ in 0..100 {
            assert_eq!(client.reply()["error"], json!(null));
        }
    }
    check_unharmed(&master, pids(&master.wait_for_up(1))[0]);

    // Once somebody reads, they hear what they have missed.
    Log::follow(reader).wait_for_from(0, "log lines were dropped");
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}

#[test]
fn a_client_that_only_sends_nonsense_does_not_fill_the_log() {
    let mut master = one();
    let mut client = master.client();
    for _ in 0..10 {
        client.send("[]\n".repeat(100));
        for _ in 0..100 {
            assert!(client.yaml_reply().contains("malformed"));
        }
    }
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    master.wait_for_line("950 more lines about refused requests, the last: request of client");
    let refusals = master.log.lines().into_iter().filter(|line| line.contains("refused: the"));
    assert_eq!(refusals.count(), 51);
}

#[test]
fn half_a_message_and_a_hang_up_are_nothing_to_speak_of() {
    let master = one();
    let worker = master.only_pid();
    for half in [&b""[..], b"{\"command\":", b"---%0Acommand: die", b"{\"command\":\"die\"}"] {
        let mut client = master.client();
        client.send(half);
        drop(client);
    }
    let mut client = master.client();
    client.send("{\"command\":\"state\"}\n".repeat(50));
    drop(client);
    check_unharmed(&master, worker);
    assert_eq!(master.status()["stopping"], false);
}

#[test]
fn a_log_that_nobody_reads_any_more_is_no_reason_to_stop() {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let mut master =
        Launch::new(&["-n", "1", "-m", "0", "-s", "0.01"], &IDLE).start_logging_to(writer);
    master.wait_for_up(1);
    drop(reader);
    let replies = master.upgrade("upgrade");
    assert_eq!(replies.last().unwrap()["error"], json!(null), "{replies:?}");
    check_unharmed(&master, pids(&master.wait_for_up(1))[0]);
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}
