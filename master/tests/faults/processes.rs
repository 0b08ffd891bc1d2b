//! Workers started and reaped, signals sent and received.

use rustix::process::Signal;

use crate::support::process::send;
use crate::support::{IDLE, pids};
use crate::table::{Case, rows};

rows! {
    reaping: "a child is reaped", ["children::reap_next"], "wait", [EINTR]
        => "it asks again; a death is never missed";
    reading_signals: "signals are read", ["signals::SignalSource::read_all"], "read", [EINTR]
        => "it reads again; no signal is lost";
    starting_a_worker: "a worker is started", ["process::spawn"], "fork", [EAGAIN, ENOMEM]
        => "the others serve on; it says so and tries again, less and less often (at most every \
            30 s), until it can";
    running_the_program: "a worker becomes its program", ["process::spawn"], "execve",
        [EACCES, ENOENT, ENOEXEC, ENOMEM, E2BIG, ETXTBSY, EIO]
        => "that worker ends with status 126 (127: not found) and a line about why; the others \
            serve on, and another start is tried, less and less often";
    signalling_a_worker: "a worker is sent a signal", ["signals::send"], "kill", [EPERM]
        => "it says so; the others are not touched, and with `-t` the worker is killed in time";
}

fn reaping(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0", "-s", "0.01"], &IDLE);
    let before = pids(&bench.master.wait_for_up(2));
    bench.kernel.fail(case.fault().times(2));
    send(before[0], Signal::KILL);
    let after = pids(&bench.master.wait_for("another worker", |status| {
        let now = pids(status);
        now.len() == 2 && !now.contains(&before[0])
    }));
    assert!(after.contains(&before[1]));
    bench.lift();
}

fn reading_signals(case: &Case) {
    let bench = case.start(&["-n", "1", "-m", "0", "-s", "0.01"], &IDLE);
    bench.master.wait_for_up(1);
    bench.kernel.fail(case.fault().descriptor(0, "anon_inode:[signalfd]").times(2));
    bench.master.signal(Signal::TTIN);
    bench.master.wait_for_up(2);
    bench.lift();
}

fn starting_a_worker(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0", "-s", "0.1"], &IDLE);
    let before = pids(&bench.master.wait_for_up(2));
    let mark = bench.master.log.mark();
    bench.kernel.fail(case.fault());
    send(before[0], Signal::KILL);
    let line = bench.master.log.wait_for_from(mark, "cannot start");
    assert!(line.contains(&case.reason()), "{line}");
    bench.kernel.wait_for(3);
    bench.idles();
    assert_eq!(pids(&bench.master.status()), [before[1]]);
    bench.lift();
    let after = pids(&bench.master.wait_for_up(2));
    assert!(after.contains(&before[1]));
}

fn running_the_program(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0.2", "-s", "0.01"], &IDLE);
    let before = pids(&bench.master.wait_for_up(2));
    let mark = bench.master.log.mark();
    bench.kernel.fail(case.fault().of_children().times(2));
    send(before[0], Signal::KILL);
    bench.kernel.wait_for(2);
    bench.master.log.wait_for_from(mark, "einhorn: cannot run ");
    let status = if case.name == "ENOENT" { "status 127" } else { "status 126" };
    bench.master.log.wait_for_from(mark, status);
    let after = pids(&bench.master.wait_for_up(2));
    assert!(after.contains(&before[1]));
    bench.lift();
}

fn signalling_a_worker(case: &Case) {
    let options = ["-n", "2", "-m", "0", "-s", "0.01", "-t", "1"];
    let bench = case.start(&options, &IDLE);
    let before = pids(&bench.master.wait_for_up(2));
    bench.kernel.fail(case.fault().times(1));
    let mark = bench.master.log.mark();
    bench.master.command("dec", &[]);
    let line = bench.master.log.wait_for_from(mark, "cannot send");
    assert!(line.contains(&case.reason()), "{line}");
    let status = bench.master.wait_for_up(1);
    assert!(before.contains(&pids(&status)[0]));
    bench.lift();
}
