//! What a worker gets, and how it says that it is up.

use rustix::process::Signal;

use crate::support::process::send;
use crate::support::{Folder, IDLE, Launch, pids};
use crate::table::{Bench, Case, rows};

rows! {
    giving_a_pipe: "a worker gets its pipe (`-m fd`)", ["descriptor::pipe"], "pipe",
        [EMFILE, ENFILE]
        => "a worker that could never say that it is up is not started; the others serve on, and \
            the start is tried again";
    preparing_a_pipe: "the same", ["descriptor::set_nonblocking"], "fcntl", [EINVAL]
        => "the same";
    watching_a_pipe: "the same", [], "epoll_ctl", [ENOMEM, ENOSPC] => "the same";
    hearing_a_pipe: "a worker says that it is up (`-m fd`)", [], "read", [EINTR, short]
        => "it reads on; the worker is up";
    hearing_a_notification: "a worker says that it is up (`-m notify`)", ["datagram::receive"],
        "recvmsg", [EINTR] => "it reads again; the worker is up";
    missing_a_notification: "the same", ["datagram::receive"], "recvmsg", [ENOMEM, ENOBUFS]
        => "it says so and reads again after a second; the worker is up then";
    telling_who_notifies: "a process in a worker's group notifies", ["process::group_of"],
        "getpgid", [ESRCH, EPERM] => "it is taken for a stranger: passed over, and that is said";
    starting_a_check: "a worker is checked (`-m exec:CMD`)", ["process::spawn"], "fork",
        [EAGAIN, ENOMEM] => "it says so and tries again; the worker is up when a check says so";
    ending_a_check: "the check of a worker that is gone is ended", ["signals::send_to_group"],
        "kill", [EPERM] => "the check ends by itself; nobody waits for it";
    giving_a_connection: "a worker gets a connection (`-g`)", ["socket::connect_unix"], "socket",
        [EMFILE, ENFILE, ENOMEM]
        => "it says so; the worker starts, and finds the command socket by its path";
    connecting_for_a_worker: "the same", ["socket::connect_unix"], "connect", [EAGAIN, ECONNREFUSED]
        => "the same";
    measuring_memory: "a worker's memory is measured (`--max-rss`)", ["observe::resident_bytes"],
        "open", [EACCES, EMFILE] => "that worker is passed over this time";
    looking_at_a_silent_worker: "a worker that hangs is looked at (`--ping-signal`)",
        ["observe::waits"], "open", [EACCES, EMFILE]
        => "it says that it cannot see what the worker waits for, and replaces it all the same";
    entering_the_folder: "a worker enters its folder (`--chdir`)", ["process::spawn"], "fchdir",
        [EACCES, EIO]
        => "that worker ends with status 126 and a line about why; the others serve on, and \
            another start is tried";
    arranging_descriptors: "a worker's descriptors get their numbers (`--listen-fds`)",
        ["process::spawn"], "dup2", [EMFILE, EBUSY] => "the same";
    being_nice: "a worker's nice level is set (`--nice`)", ["process::spawn"], "setpriority",
        [EACCES, EPERM] => "the worker says so and starts with the level that it has";
    opening_the_folder: "the folder of an upgrade is opened (`--chdir`)", ["files::open_folder"],
        "open", [EACCES, EMFILE, ENOENT] => "the upgrade fails and says so; all is as it was";
    setting_the_backlog: "the backlog is changed (`config`)", ["socket::set_backlog"], "listen",
        [EINVAL] => "it says so; the socket keeps the backlog that it has";
}

/// Two workers that say that they are up in such a way.
pub(crate) fn ready(case: &Case, mode: &str, body: &str) -> Bench {
    let folder = Folder::new();
    let program = folder.script("worker", &format!("{body}\nexec sleep 1000000"));
    let options = ["-n", "2", "-m", mode, "-s", "0.1"];
    let bench = case.launch(Launch::within(folder, &options, &[program]), Vec::new());
    bench.master.wait_for_up(2);
    bench
}

const BY_PIPE: &str = "echo > /proc/self/fd/$EINHORN_READY_FD";
pub(crate) const BY_SOCKET: &str = "exec python3 -c 'import os, signal, socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"])
signal.pause()'";

/// The start of one more fails for that reason, and succeeds when it can.
#[track_caller]
fn is_started_later(case: &Case, bench: &Bench, fault: crate::kernel::Fault) {
    let before = pids(&bench.master.status());
    let mark = bench.master.log.mark();
    bench.kernel.fail(fault);
    bench.master.signal(Signal::TTIN);
    let line = bench.master.log.wait_for_from(mark, "cannot start a worker");
    assert!(line.contains(&case.reason()), "{line}");
    assert_eq!(pids(&bench.master.status()), before);
    bench.lift();
    let after = pids(&bench.master.wait_for_up(3));
    assert!(before.iter().all(|pid| after.contains(pid)));
}

/// One more is up although this fails.
#[track_caller]
fn is_up(bench: &Bench, fault: crate::kernel::Fault) {
    bench.kernel.fail(fault);
    bench.master.signal(Signal::TTIN);
    bench.master.wait_for_up(3);
    bench.lift();
}

fn giving_a_pipe(case: &Case) {
    is_started_later(case, &ready(case, "fd", BY_PIPE), case.fault());
}

fn preparing_a_pipe(case: &Case) {
    let fault = case.fault().argument(1, libc::F_SETFL.into()).descriptor(0, "pipe:");
    is_started_later(case, &ready(case, "fd", BY_PIPE), fault);
}

fn watching_a_pipe(case: &Case) {
    is_started_later(case, &ready(case, "fd", BY_PIPE), case.fault().descriptor(2, "pipe:"));
}

fn hearing_a_pipe(case: &Case) {
    is_up(&ready(case, "fd", BY_PIPE), case.fault().descriptor(0, "pipe:").times(3));
}

fn hearing_a_notification(case: &Case) {
    is_up(&ready(case, "notify", BY_SOCKET), case.fault().times(2));
}

fn missing_a_notification(case: &Case) {
    let bench = ready(case, "notify", BY_SOCKET);
    let mark = bench.master.log.mark();
    is_up(&bench, case.fault().times(1));
    let line = bench.master.log.wait_for_from(mark, "cannot hear what workers notify");
    assert!(line.contains(&case.reason()), "{line}");
}

fn telling_who_notifies(case: &Case) {
    // It is over before it is asked for, and so the worker's group must speak for it.
    let bench =
        ready(case, "notify", &BY_SOCKET.replace("exec ", "").replace("signal.pause()", ""));
    let mark = bench.master.log.mark();
    bench.kernel.fail(case.fault());
    bench.master.signal(Signal::TTIN);
    bench.master.log.wait_for_from(mark, "it is no worker");
    bench.lift();
}

fn starting_a_check(case: &Case) {
    let bench = ready(case, "exec:true", "");
    let mark = bench.master.log.mark();
    is_up(&bench, case.fault().after(1).times(1));
    let line = bench.master.log.wait_for_from(mark, "its check cannot be run");
    assert!(line.contains(&case.reason()), "{line}");
}

fn ending_a_check(case: &Case) {
    let folder = Folder::new();
    let check = folder.script("check", "exec sleep 1000000");
    let options = ["-n", "1", "-m", &format!("exec:{check}"), "-s", "0.01", "-v"];
    let bench = case.launch(Launch::within(folder, &options, &IDLE), Vec::new());
    let worker = bench.master.only_pid();
    bench
        .master
        .wait_until("its check", || (children_of(bench.master.pid()).len() == 2).then_some(()));
    bench.kernel.fail(case.fault().times(1));
    send(worker, Signal::KILL);
    let line = bench.master.wait_for_line("cannot end the check of a worker");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    bench.master.wait_for("another worker", |status| {
        pids(status).len() == 1 && !pids(status).contains(&worker)
    });
}

fn children_of(pid: i32) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(str::to_owned).collect()
}

/// A worker starts without its connection.
fn gets_none(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0", "-s", "0.01", "-g"], &IDLE);
    bench.master.wait_for_up(2);
    let mark = bench.master.log.mark();
    is_up(&bench, case.fault());
    let line = bench.master.log.wait_for_from(mark, "a worker gets no connection");
    assert!(line.contains(&case.reason()), "{line}");
}

fn giving_a_connection(case: &Case) {
    gets_none(case);
}

fn connecting_for_a_worker(case: &Case) {
    gets_none(case);
}

fn measuring_memory(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0", "--max-rss", "1G", "-v"], &IDLE);
    let before = pids(&bench.master.wait_for_up(2));
    bench.kernel.fail(case.fault().path(1, "/statm"));
    let line = bench.master.wait_for_line("not read");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    bench.has_kept(&before);
}

fn looking_at_a_silent_worker(case: &Case) {
    let options =
        ["-n", "1", "-m", "0", "-s", "0.01", "--ping-timeout", "1", "--ping-signal", "TERM"];
    let folder = Folder::new();
    let program = folder.script(
        "pings",
        "python3 -c 'import os, socket
s = socket.socket(socket.AF_UNIX); s.connect(os.environ[\"EINHORN_SOCK_PATH\"])
s.sendall(b\"{\\\"command\\\":\\\"worker:ping\\\",\\\"request_id\\\":\\\"1\\\",\\\"pid\\\":%d}\\n\" % os.getppid())
s.recv(1)'
exec sleep 1000000",
    );
    let launch = Launch::within(folder, &options, &[program]);
    let bench = case.launch(launch, vec![case.fault().path(1, "/wchan")]);
    let first = bench.master.only_pid();
    let line = bench.master.wait_for_line("as /proc has it");
    assert!(line.contains(&format!("unknown ({})", case.reason())), "{line}");
    bench.lift();
    bench.master.wait_for("another worker", |status| !pids(status).contains(&first));
}

/// One start of a worker comes to nothing, with these words on standard error.
#[track_caller]
fn ends(case: &Case, options: &[&str], words: &str) {
    let all = [&["-n", "2", "-m", "0.1", "-s", "0.01"], options].concat();
    let bench = case.start(&all, &IDLE);
    let before = pids(&bench.master.wait_for_up(2));
    let mark = bench.master.log.mark();
    bench.kernel.fail(case.fault().of_children().times(1));
    send(before[0], Signal::KILL);
    bench.master.log.wait_for_from(mark, words);
    bench.master.log.wait_for_from(mark, "status 126");
    let after = pids(&bench.master.wait_for_up(2));
    assert!(after.contains(&before[1]));
    bench.lift();
}

fn entering_the_folder(case: &Case) {
    ends(case, &["--chdir", "/"], "einhorn: cannot enter the working folder of ");
}

fn arranging_descriptors(case: &Case) {
    let options = ["--listen-fds", "-b", "127.0.0.1:0"];
    ends(case, &options, "einhorn: cannot hand the descriptors to ");
}

fn being_nice(case: &Case) {
    let bench = case.start(&["-n", "1", "-m", "0", "-s", "0.01", "--nice", "0:7"], &IDLE);
    bench.master.wait_for_up(1);
    bench.kernel.fail(case.fault().of_children().times(1));
    bench.master.signal(Signal::TTIN);
    bench.master.wait_for_line("einhorn: cannot set the nice level of ");
    bench.master.wait_for_up(2);
    bench.lift();
}

fn opening_the_folder(case: &Case) {
    let folder = Folder::new();
    let site = folder.word("site");
    std::fs::create_dir(&site).unwrap();
    let options = ["-n", "2", "-m", "0", "-s", "0.01", "--chdir", &site];
    let bench = case.launch(Launch::within(folder, &options, &IDLE), Vec::new());
    let before = pids(&bench.master.wait_for_up(2));
    bench.kernel.fail(case.fault().path(1, "/site"));
    let told = bench.master.upgrade("upgrade").pop().unwrap();
    let message = told["message"].as_str().unwrap();
    assert!(told["error"].is_string() && message.contains(&case.reason()), "{told}");
    bench.lift();
    bench.has_kept(&before);
}

fn setting_the_backlog(case: &Case) {
    let bench = case.start(&["-n", "1", "-m", "0", "-b", "127.0.0.1:0"], &IDLE);
    let before = pids(&bench.master.wait_for_up(1));
    bench.kernel.fail(case.fault());
    bench.master.command("config", &["backlog: 7"]);
    let line = bench.master.wait_for_line("cannot set the backlog of 127.0.0.1:");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    bench.has_kept(&before);
}
