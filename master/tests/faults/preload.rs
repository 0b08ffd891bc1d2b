//! Preloading (`-p`): what fails there ends in workers that are started by exec, or later.

use rustix::process::Signal;

use crate::support::{Folder, Launch, pids};
use crate::table::{Bench, Case, rows};

rows! {
    opening_a_channel: "a preloader is started", ["channel::pair"], "socketpair",
        [EMFILE, ENFILE, ENOMEM] => "it says so, and workers are started by exec";
    adopting_orphans: "the same", ["children::set_subreaper"], "prctl", [EINVAL] => "the same";
    forking_a_preloader: "the same", ["process::spawn"], "fork", [EAGAIN, ENOMEM] => "the same";
    handing_the_script_over: "the same", ["memory_file::with_content"], "memfd_create",
        [EMFILE, ENOMEM] => "the same";
    listening_to_a_preloader: "the same", [], "epoll_ctl", [ENOMEM, ENOSPC] => "the same";
    asking_a_preloader: "a preloader is asked for a worker", ["channel::send"], "sendmsg",
        [EAGAIN, ENOBUFS, EPIPE, ETOOMANYREFS]
        => "the preloader is ended and a new one started, or the worker is started by exec; the \
            others serve on";
    hearing_a_preloader: "a preloader answers", ["channel::receive"], "recv", [EINTR]
        => "it reads again";
    not_hearing_a_preloader: "the same", ["channel::receive"], "recv", [ENOMEM, ENOBUFS]
        => "the preloader is ended and a new one started, or workers are started by exec; the \
            others serve on";
}

const CODE: &str = "\
import os, time
def einhorn_main():
    open(os.path.join(os.path.dirname(__file__), f'runs-{os.getpid()}'), 'w').close()
    time.sleep(1000000)
";

fn launch() -> Launch {
    let folder = Folder::new();
    let code = folder.write("app.py", CODE);
    let program = folder.script("worker", "exec sleep 1000000");
    let options = ["-n", "2", "-m", "0", "-s", "0.1", "-p", code.to_str().unwrap()];
    Launch::within(folder, &options, &[program])
}

/// It starts all the same.
#[track_caller]
fn starts_by_exec(case: &Case, fault: crate::kernel::Fault) {
    let bench = case.launch(launch(), vec![fault]);
    let line = bench.master.wait_for_line("workers are started by exec");
    assert!(line.contains(&case.reason()), "{line}");
    bench.master.wait_for_up(2);
    bench.lift();
}

fn opening_a_channel(case: &Case) {
    starts_by_exec(case, case.fault());
}

fn adopting_orphans(case: &Case) {
    let option = case.fault().argument(0, libc::PR_SET_CHILD_SUBREAPER.into());
    starts_by_exec(case, option.times(1));
}

fn forking_a_preloader(case: &Case) {
    starts_by_exec(case, case.fault().times(1));
}

fn handing_the_script_over(case: &Case) {
    starts_by_exec(case, case.fault());
}

fn listening_to_a_preloader(case: &Case) {
    starts_by_exec(case, case.fault().descriptor(2, "socket:").after(1).times(1));
}

/// Its workers run the code: until then they wait for a word of the preloader.
pub(crate) fn preloaded(case: &Case) -> (Bench, Vec<i32>) {
    let bench = case.launch(launch(), Vec::new());
    let pids = pids(&bench.master.wait_for_up(2));
    bench.master.wait_until("the workers to run the code", || {
        let names = bench.master.folder.names();
        pids.iter().all(|pid| names.contains(&format!("runs-{pid}"))).then_some(())
    });
    (bench, pids)
}

/// One more worker is up in the end.
#[track_caller]
fn is_up_in_the_end(case: &Case) {
    let (bench, before) = preloaded(case);
    bench.kernel.fail(case.fault().times(1));
    bench.master.signal(Signal::TTIN);
    bench.kernel.wait_for(1);
    let after = pids(&bench.master.wait_for_up(3));
    assert!(before.iter().all(|pid| after.contains(pid)));
    bench.lift();
}

fn asking_a_preloader(case: &Case) {
    is_up_in_the_end(case);
}

fn hearing_a_preloader(case: &Case) {
    is_up_in_the_end(case);
}

fn not_hearing_a_preloader(case: &Case) {
    is_up_in_the_end(case);
}
