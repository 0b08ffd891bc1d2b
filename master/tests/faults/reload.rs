//! Reloads and upgrades: whatever fails, the old workers serve on and whoever asked is told; the
//! next try succeeds.

use serde_json::{Value as Json, json};

use crate::kernel::Fault;
use crate::support::{Folder, IDLE, Launch, pids};
use crate::table::{Bench, Case, rows};

rows! {
    making_the_pipe_of_the_check: "the next master is checked", ["descriptor::pipe"], "pipe",
        [EMFILE, ENFILE] => "the reload or upgrade fails and says so; all is as it was";
    starting_the_check: "the next master is checked", ["process::spawn"], "fork",
        [EAGAIN, ENOMEM] => "the reload or upgrade fails and says so; all is as it was";
    making_the_state_file: "the state is written down", ["memory_file::with_content"],
        "memfd_create", [EMFILE, ENFILE, ENOMEM, ENOSYS]
        => "the reload or upgrade fails and says so; all is as it was";
    writing_the_state: "the state is written down", ["memory_file::with_content"], "write",
        [ENOSPC, ENOMEM, EIO, EDQUOT]
        => "the reload or upgrade fails and says so; all is as it was";
    writing_the_state_in_pieces: "the state is written down", ["memory_file::with_content"],
        "write", [short, EINTR] => "it writes the rest";
    sealing_the_state: "the state is sealed", ["memory_file::with_content"], "fcntl",
        [EPERM, EBUSY] => "the reload or upgrade fails and says so; all is as it was";
    rewinding_the_state: "the state is rewound", ["memory_file::with_content"], "lseek", [EINVAL]
        => "the reload or upgrade fails and says so; all is as it was";
    reading_the_state_back: "the state is read back before the exec",
        ["memory_file::read_everything"], "pread", [EIO, ENOMEM]
        => "the reload or upgrade fails and says so; all is as it was";
    reading_the_state_in_pieces: "the state is read, before the exec and after it",
        ["memory_file::read_everything"], "pread", [short, EINTR] => "it reads the rest";
    waiting_for_the_state: "the state is waited for", ["memory_file::read_everything"], "poll",
        [EINTR] => "it waits on";
    becoming_the_next: "the master becomes its next image", ["exec::exec"], "execve",
        [EACCES, ENOENT, ENOEXEC, ENOMEM, E2BIG, ETXTBSY, EAGAIN, EMFILE]
        => "the reload or upgrade fails and says so; all is as it was";
    keeping_descriptors_open: "descriptors are marked to cross the exec",
        ["descriptor::set_close_on_exec"], "fcntl", [EBADF]
        => "the reload or upgrade fails and says so; all is as it was";
    listing_what_crossed: "the next image looks for what was handed to it", [], "open",
        [EMFILE, ENFILE, ENOMEM] => "there is no way back, so it says so and tries again every \
            second for a minute; workers serve meanwhile, and it takes them over as soon as it can";
    reading_what_crossed: "the same", [], "getdents", [EIO, ENOMEM] => "the same";
    listening_anew: "the next image listens to signals", ["signals::SignalSource::new"],
        "signalfd", [EMFILE, ENFILE, ENOMEM] => "the same";
    polling_anew: "the next image sets its event loop up", [], "epoll_create",
        [EMFILE, ENFILE, ENOMEM] => "the same";
    watching_anew: "the next image sets its event loop up", [], "epoll_ctl", [ENOMEM, ENOSPC]
        => "the same";
}

/// As opendir(3) opens a folder.
const OPEN_FOLDER: i64 =
    (libc::O_RDONLY | libc::O_NONBLOCK | libc::O_DIRECTORY | libc::O_CLOEXEC) as i64;

fn serving(case: &Case) -> (Bench, Vec<i32>) {
    let options = ["-n", "2", "-m", "0", "-s", "0.01", "-b", "127.0.0.1:0"];
    let bench = case.start(&options, &IDLE);
    let pids = pids(&bench.master.wait_for_up(2));
    (bench, pids)
}

fn last(bench: &Bench) -> Json {
    bench.master.upgrade("upgrade").pop().unwrap()
}

/// A reload and an upgrade fail for that reason and cost nothing, and the next ones succeed.
#[track_caller]
fn fails(case: &Case, fault: Fault) {
    let (bench, before) = serving(case);
    bench.kernel.fail(fault);
    let reload = bench.master.ask(&json!({"command": "reload", "id": 1}));
    for told in [reload, last(&bench)] {
        assert_eq!(told["error"], "reload_failed", "{told}");
        assert!(told["message"].as_str().unwrap().contains(&case.reason()), "{told}");
    }
    bench.lift();
    assert_eq!(bench.master.command("reload", &[]), "reloaded, generation 1");
    assert_eq!(pids(&bench.master.wait_for_up(2)), before);
    succeeds(&bench, &before);
}

#[track_caller]
fn succeeds(bench: &Bench, before: &[i32]) {
    let told = last(bench);
    assert_eq!(told["error"], Json::Null, "{told}");
    let after = pids(&bench.master.wait_for_up(2));
    assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
}

/// It makes no difference.
#[track_caller]
fn passes(case: &Case, fault: Fault) {
    let (bench, before) = serving(case);
    bench.kernel.fail(fault);
    succeeds(&bench, &before);
    bench.lift();
}

fn making_the_pipe_of_the_check(case: &Case) {
    fails(case, case.fault());
}

fn starting_the_check(case: &Case) {
    fails(case, case.fault());
}

fn making_the_state_file(case: &Case) {
    fails(case, case.fault());
    fails_before_a_stranger(case);
}

/// Another master's caller is answered before the re-exec, but not before that can be.
fn fails_before_a_stranger(case: &Case) {
    let folder = Folder::new();
    // Passes the check in silence, and takes no option that it does not know.
    let next = folder.script("next", "case \"$*\" in *--no-*) exit 1 ;; esac; exit 0");
    let options = ["-n", "2", "-m", "0", "--reexec-as", &next];
    let bench = case.launch(Launch::within(folder, &options, &IDLE), Vec::new());
    let before = pids(&bench.master.wait_for_up(2));
    bench.kernel.fail(case.fault());
    let told = bench.master.ask(&json!({"command": "reload", "id": 1}));
    assert_eq!(told["error"], "reload_failed", "{told}");
    assert!(told["message"].as_str().unwrap().contains(&case.reason()), "{told}");
    bench.lift();
    bench.has_kept(&before);
}

fn writing_the_state(case: &Case) {
    fails(case, case.fault().descriptor(0, "/memfd:einhorn-state"));
}

fn writing_the_state_in_pieces(case: &Case) {
    passes(case, case.fault().descriptor(0, "/memfd:einhorn-state").times(9));
}

fn sealing_the_state(case: &Case) {
    fails(case, case.fault().argument(1, libc::F_ADD_SEALS.into()));
}

fn rewinding_the_state(case: &Case) {
    fails(case, case.fault().descriptor(0, "/memfd:einhorn-state"));
}

fn reading_the_state_back(case: &Case) {
    fails(case, case.fault().descriptor(0, "/memfd:einhorn-state"));
}

fn reading_the_state_in_pieces(case: &Case) {
    passes(case, case.fault().descriptor(0, "/memfd:einhorn-state").times(9));
}

fn waiting_for_the_state(case: &Case) {
    passes(case, case.fault().times(4));
}

fn becoming_the_next(case: &Case) {
    fails(case, case.fault());
}

fn keeping_descriptors_open(case: &Case) {
    fails(case, case.fault().argument(1, libc::F_SETFD.into()).argument(2, 0));
}

/// The next image has no way back: it goes on as soon as it can.
#[track_caller]
fn goes_on(case: &Case, fault: Fault) {
    let (bench, before) = serving(case);
    bench.kernel.fail(fault.times(1));
    let mark = bench.master.log.mark();
    succeeds(&bench, &before);
    bench.lift();
    let line = bench.master.log.wait_for_from(mark, "trying again every second, for a minute");
    assert!(line.contains(&case.reason()), "{line}");
}

fn listing_what_crossed(case: &Case) {
    goes_on(case, case.fault().path(1, "/proc/self/fd").argument(2, OPEN_FOLDER));
}

fn listening_anew(case: &Case) {
    goes_on(case, case.fault());
}

fn polling_anew(case: &Case) {
    goes_on(case, case.fault());
}

fn watching_anew(case: &Case) {
    goes_on(case, case.fault().descriptor(2, "[signalfd]"));
}

fn reading_what_crossed(case: &Case) {
    goes_on(case, case.fault());
}
