//! Clients of the command socket.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use einhorn_protocol::limit;
use rustix::process::getuid;
use serde_json::json;

use crate::kernel::Fault;
use crate::support::process::{Process, start};
use crate::support::{IDLE, pids};
use crate::table::{Case, rows};

/// A user that nobody else is.
const OTHER: u32 = 3_900_011;

rows! {
    taking_a_client_in: "a client is taken in", ["socket::accept"], "accept",
        [EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM]
        => "it says so, once; workers are not touched. Clients wait, or are turned away with a \
            closed connection where one descriptor is left for that, and it tries again every \
            second: whoever waits is taken in when it can be";
    a_client_that_has_gone: "a client is taken in", ["socket::accept"], "accept",
        [ECONNABORTED, EINTR] => "it takes the next one in";
    turning_a_client_away: "a client is taken in", ["socket::is_about_descriptors"], "accept",
        [EMFILE, ENFILE] => "where the one descriptor that it keeps for that helps, the client is \
            turned away with a closed connection, and that is counted in the log";
    knowing_a_client: "a client is asked who it is", ["socket::peer"], "getsockopt",
        [ENOBUFS, EACCES] => "it says so and closes that connection";
    knowing_a_clients_groups: "a client is asked for its groups (`--allow-gid`)",
        ["peer_groups::peer_groups"], "getsockopt", [ENOPROTOOPT, ENOMEM]
        => "it says so; the client counts as in none but its own group";
    watching_a_client: "a client is watched", [], "epoll_ctl", [ENOMEM, ENOSPC]
        => "it says so and closes that connection; others are served";
    waiting: "the master waits for events", [], "epoll_wait", [EINTR] => "it waits on";
    reading_again: "a client is read", [], "recv", [EINTR, short]
        => "it reads on; the request is answered";
    losing_a_reader: "the same", [], "recv", [ECONNRESET, ENOMEM]
        => "that connection is closed; others are served";
    writing_again: "a client is answered", [], "send", [EINTR, EAGAIN, short]
        => "it writes the rest, when there is room";
    losing_a_writer: "the same", [], "send", [EPIPE, ECONNRESET, ENOBUFS]
        => "that connection is closed; others are served";
    running_out_of_memory: "memory is asked for", [], "mmap", [ENOMEM]
        => "it says how much it wanted and ends (SIGABRT), since nothing can be done without; \
            workers serve on, as after any sudden end of a master";
}

fn taking_a_client_in(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let master = &bench.master;
    let pids = crate::support::pids(&master.wait_for_up(2));
    bench.kernel.fail(case.fault());
    let mark = master.log.mark();
    let mut waiting = master.client();
    waiting.send_json(&json!({"command": "ehlo"}));
    let line = master.log.wait_for_from(mark, "cannot take a client");
    assert!(line.contains(&case.reason()), "{line}");
    bench.idles();
    bench.lift();
    // It says nothing more, so nothing but the master's own patience can help it.
    assert!(waiting.reply()["message"].is_string());
    bench.has_kept(&pids);
    let said = master.log.lines()[mark..].to_vec();
    assert_eq!(said.iter().filter(|line| line.contains("cannot take")).count(), 1, "{said:?}");
}

fn a_client_that_has_gone(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let pids = crate::support::pids(&bench.master.wait_for_up(2));
    bench.kernel.fail(case.fault().times(3));
    assert!(bench.master.ask(&json!({"command": "ehlo"}))["message"].is_string());
    bench.has_kept(&pids);
    bench.lift();
}

fn turning_a_client_away(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let pids = crate::support::pids(&bench.master.wait_for_up(2));
    bench.kernel.fail(case.fault().times(1));
    assert!(bench.master.client().is_closed());
    let line = bench.master.wait_for_line("turned away 1 so far");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    bench.has_kept(&pids);
}

/// One connection is closed; the master, its workers and others go on.
#[track_caller]
fn loses_one(case: &Case, fault: Fault, words: &str) {
    let bench = case.start(&["-n", "2", "-m", "0", "-v"], &IDLE);
    let pids = crate::support::pids(&bench.master.wait_for_up(2));
    let mut other = bench.master.client();
    assert!(other.ask(&json!({"command": "ehlo"}))["message"].is_string());
    let mark = bench.master.log.mark();
    bench.kernel.fail(fault);
    let mut lost = bench.master.client();
    // It may be gone before it has said anything.
    let _ = lost.try_send(b"{\"command\":\"ehlo\"}\n");
    assert_eq!(lost.line_if_any(), None);
    let line = bench.master.log.wait_for_from(mark, words);
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    assert!(other.ask(&json!({"command": "ehlo"}))["message"].is_string());
    bench.has_kept(&pids);
}

fn knowing_a_client(case: &Case) {
    let fault = case.fault().argument(2, libc::SO_PEERCRED.into());
    loses_one(case, fault, "cannot tell who a client is");
}

fn knowing_a_clients_groups(case: &Case) {
    if !getuid().is_root() {
        return;
    }
    let options = ["-m", "0", "--allow-gid", "3900003", "--allow-gid", "3900004"];
    let bench = case.start(&options, &IDLE);
    let program = bench.master.folder.copy(env!("CARGO_BIN_EXE_einhornsh"), "client");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bench.master.folder.path(), open).unwrap();
    bench.kernel.fail(case.fault().argument(2, libc::SO_PEERGROUPS.into()));
    let mut command = Command::new(program);
    command.uid(OTHER).gid(OTHER).arg("-d").arg(&bench.master.socket).args(["-e", "help"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = start(&mut command).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = said + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("may not speak to this master"), "{said}");
    let line = bench.master.wait_for_line("cannot tell the groups of a client");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    bench.master.wait_for_up(1);
}

fn watching_a_client(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let pids = crate::support::pids(&bench.master.wait_for_up(2));
    let fault = case.fault().argument(1, libc::EPOLL_CTL_ADD.into()).descriptor(2, "socket:");
    bench.kernel.fail(fault);
    let mut lost = bench.master.client();
    // What it has said by then is answered.
    while lost.line_if_any().is_some() {}
    let line = bench.master.wait_for_line("cannot serve a client");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    bench.has_kept(&pids);
}

/// Everything that a client asks is answered.
#[track_caller]
fn serves(case: &Case, fault: Fault) {
    let bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let pids = crate::support::pids(&bench.master.wait_for_up(2));
    let mut client = bench.master.client();
    bench.kernel.fail(fault);
    for _ in 0..3 {
        assert!(client.ask(&json!({"command": "ehlo"}))["message"].is_string());
    }
    bench.lift();
    bench.has_kept(&pids);
}

fn waiting(case: &Case) {
    serves(case, case.fault().times(20));
}

fn reading_again(case: &Case) {
    serves(case, case.fault().times(5));
}

fn losing_a_reader(case: &Case) {
    loses_one(case, case.fault(), "is gone");
}

fn writing_again(case: &Case) {
    serves(case, case.fault().times(1));
    if case.name != "EAGAIN" {
        serves(case, case.fault().times(40));
    }
}

fn losing_a_writer(case: &Case) {
    loses_one(case, case.fault(), "is gone");
}

fn running_out_of_memory(case: &Case) {
    let mut bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let workers: Vec<Process> =
        pids(&bench.master.wait_for_up(2)).into_iter().map(Process::of).collect();
    let mut client = bench.master.client();
    bench.kernel.fail(case.fault());
    // The room for a line that long is not there yet. It may end in the middle of it.
    let _ = client.try_send(&vec![b'x'; limit::LINE_BYTES_MAX / 2]);
    assert_eq!(bench.master.wait(), 128 + libc::SIGABRT);
    bench.master.wait_for_line("memory allocation of");
    bench.lift();
    assert!(workers.iter().all(Process::lives));
}
