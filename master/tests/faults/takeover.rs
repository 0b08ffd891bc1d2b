//! The other end of a reload: what the next image takes over, each thing asked what it is.

use std::io::Write as _;
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::json;

use crate::kernel::Fault;
use crate::support::{Folder, IDLE, Launch, pids};
use crate::table::{Bench, Case, rows};
use crate::{preload, workers};

rows! {
    knowing_a_socket: "a socket is asked what it is", ["socket::describe"], "getsockopt",
        [ENOBUFS, ENOMEM]
        => "it says so and asks again every second, for a minute; nobody loses a connection";
    knowing_an_address: "a socket is asked where it is bound", ["socket::local_address"],
        "getsockname", [ENOBUFS] => "the same";
    copying_a_descriptor: "the same", ["descriptor::duplicate", "descriptor::take_over"], "fcntl", [EMFILE] => "the same";
    knowing_the_other_end: "a client is asked whether it is connected", ["socket::describe"],
        "getpeername", [ENOBUFS] => "it is taken over, and what became of it shows when it is read";
    keeping_the_notify_socket: "the socket for `-m notify` is asked what it is",
        ["datagram::receives_at"], "getsockopt", [ENOBUFS]
        => "it says so and opens a new one at the same path; workers are heard";
    keeping_a_preloader: "a preloader's channel is asked what it is", ["channel::is_end"],
        "getsockopt", [ENOBUFS, ENOMEM] => "it says so and asks again; the preloader is kept";
    knowing_a_preloader: "a preloader is looked at", ["children::is_living_child"], "waitid",
        [EINTR] => "it asks again; the preloader is kept";
    asking_for_a_worker: "a worker is looked at", ["children::state_of"], "waitid", [EINTR]
        => "it asks again; no worker is forgotten";
    asking_for_permissions: "the command socket's file is looked at",
        ["files::set_access", "files::look"], "open", [EACCES, EMFILE]
        => "it says so; the command socket works on as it is";
}

fn serving(case: &Case) -> (Bench, Vec<i32>) {
    let folder = Folder::new();
    let options = ["-n", "2", "-m", "0", "-s", "0.01", "-b", "127.0.0.1:0"];
    let bench = case.launch(Launch::within(folder, &options, &IDLE), Vec::new());
    let pids = pids(&bench.master.wait_for_up(2));
    (bench, pids)
}

/// A reload keeps workers, clients and whoever waits to be accepted.
#[track_caller]
fn keeps_all(case: &Case, fault: Fault, words: Option<&str>) {
    let (bench, before) = serving(case);
    let port = bench.master.status()["listeners"][0]["port"].as_u64().unwrap();
    let address = ("127.0.0.1", u16::try_from(port).unwrap());
    let mut waiting = TcpStream::connect(address).unwrap();
    let mut client = bench.master.client();
    let mark = bench.master.log.mark();
    bench.kernel.fail(fault);
    client.send_json(&json!({"command": "reload", "id": 1}));
    assert_eq!(client.replies().pop().unwrap()["error"], json!(null));
    bench.master.log.wait_for_from(mark, "took over 2 workers and 1 client,");
    bench.lift();
    if let Some(words) = words {
        let line = bench.master.log.wait_for_from(mark, words);
        assert!(line.contains(&case.reason()), "{line}");
    }
    assert_eq!(client.ask(&json!({"command": "ehlo"}))["error"], json!(null));
    let status = bench.has_kept(&before);
    assert_eq!(status["listeners"][0]["port"].as_u64(), Some(port));
    waiting.write_all(b"x").unwrap();
    TcpStream::connect(address).unwrap();
}

fn knowing_a_socket(case: &Case) {
    // The first that is asked is the first listener.
    let fault = case.fault().argument(2, libc::SO_DOMAIN.into()).times(1);
    keeps_all(case, fault, Some("cannot ask what was handed over"));
}

fn knowing_an_address(case: &Case) {
    keeps_all(case, case.fault().times(1), Some("cannot ask what was handed over"));
}

fn copying_a_descriptor(case: &Case) {
    let fault = case.fault().argument(1, libc::F_DUPFD_CLOEXEC.into()).descriptor(0, "socket:");
    keeps_all(case, fault.times(1), Some("cannot ask what was handed over"));
}

fn asking_for_a_worker(case: &Case) {
    keeps_all(case, case.fault().times(3), None);
}

fn asking_for_permissions(case: &Case) {
    let fault = case.fault().path(1, "/einhorn.sock");
    keeps_all(case, fault, Some("cannot set the mode of"));
}

fn knowing_the_other_end(case: &Case) {
    keeps_all(case, case.fault(), None);
}

fn reload(bench: &Bench) {
    let mark = bench.master.log.mark();
    bench.master.command("reload", &[]);
    bench.master.log.wait_for_from(mark, "took over 2 workers");
}

fn keeping_the_notify_socket(case: &Case) {
    let bench = workers::ready(case, "notify", workers::BY_SOCKET);
    bench.kernel.fail(case.fault().argument(2, libc::SO_PASSCRED.into()));
    reload(&bench);
    let line = bench.master.wait_for_line("said to be the socket that workers notify, is lost");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    bench.master.signal(Signal::TTIN);
    bench.master.wait_for_up(3);
}

fn keeps_its_preloader(case: &Case, fault: Fault) {
    let (bench, before) = preload::preloaded(case);
    bench.kernel.fail(fault);
    reload(&bench);
    bench.lift();
    bench.has_kept(&before);
    bench.master.signal(Signal::TTIN);
    bench.master.wait_for_up(3);
    let log = bench.master.log.lines();
    let mut errors = log.iter().filter(|line| line.contains(" ERROR "));
    assert!(errors.all(|line| line.contains("cannot ask what was handed over")), "{log:?}");
}

fn keeping_a_preloader(case: &Case) {
    let fault = case.fault().argument(2, libc::SO_TYPE.into()).descriptor(0, "socket:");
    keeps_its_preloader(case, fault.times(1));
}

fn knowing_a_preloader(case: &Case) {
    keeps_its_preloader(case, case.fault().times(5));
}
