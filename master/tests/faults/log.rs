//! The log.

use rustix::process::Signal;

use crate::calls::numbers;
use crate::kernel::{Failure, Fault};
use crate::support::{IDLE, Launch, pids};
use crate::table::{Bench, Case, rows};

rows! {
    losing_lines: "a line is written to the log", ["log_sink::LogSink::write"], "write",
        [EPIPE, EIO, ENOSPC]
        => "it neither waits nor ends; lines are lost, and how many is said as soon as lines are \
            taken again";
    delaying_lines: "the same", ["log_sink::LogSink::write"], "write", [EAGAIN, EINTR]
        => "the line is written later; none is lost";
    writing_lines_in_pieces: "the same", ["log_sink::LogSink::write"], "write", [short]
        => "it writes the rest";
    opening_standard_error_anew: "standard error is opened anew",
        ["descriptor::reopen_for_nonblocking_writes"], "open", [EACCES, EMFILE, ENOENT]
        => "it writes to the one that it was started with, without waiting";
    having_no_log: "standard error is looked at", ["log_sink::LogSink::new"], "fstat", [EIO]
        => "it starts and works, without a log";
    asking_not_to_wait: "a line is written to a standard error that cannot be opened anew",
        ["log_sink::LogSink::write"], "pwritev2", [ENOSYS, EOPNOTSUPP]
        => "it asks for room first, as under older kernels; no line is lost";
}

/// A master that says something for each USR1.
fn talking(case: &Case) -> (Bench, Vec<i32>) {
    let bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let pids = pids(&bench.master.wait_for_up(2));
    bench.master.wait_for_line("2 workers up");
    (bench, pids)
}

const SAID: &str = "SIGUSR1: nothing is done for it";

fn losing_lines(case: &Case) {
    let (bench, before) = talking(case);
    bench.kernel.fail(case.fault().descriptor(0, "pipe:"));
    let mark = bench.master.log.mark();
    bench.master.signal(Signal::USR1);
    bench.kernel.wait_for(1);
    bench.has_kept(&before);
    bench.idles();
    bench.lift();
    bench.master.signal(Signal::USR1);
    bench.master.log.wait_for_from(mark, SAID);
    let said = bench.master.log.lines()[mark..].to_vec();
    assert!(said[0].contains("1 log line was dropped"), "{said:?}");
    bench.has_kept(&before);
}

fn delaying_lines(case: &Case) {
    let (bench, before) = talking(case);
    bench.kernel.fail(case.fault().descriptor(0, "pipe:").times(1));
    let mark = bench.master.log.mark();
    bench.master.signal(Signal::USR1);
    bench.master.log.wait_for_from(mark, SAID);
    bench.lift();
    bench.has_kept(&before);
}

fn writing_lines_in_pieces(case: &Case) {
    let (bench, before) = talking(case);
    bench.kernel.fail(case.fault().descriptor(0, "pipe:").times(9));
    let mark = bench.master.log.mark();
    bench.master.signal(Signal::USR1);
    let line = bench.master.log.wait_for_from(mark, SAID);
    assert!(line.ends_with(SAID) && line.starts_with("20"), "{line}");
    bench.lift();
    bench.has_kept(&before);
}

fn opening_standard_error_anew(case: &Case) {
    let fault = case.fault().path(1, "/proc/self/fd/2");
    let bench = case.launch(Launch::new(&["-m", "0"], &IDLE), vec![fault]);
    bench.master.wait_for_up(1);
    bench.lift();
    bench.master.wait_for_line("1 worker up");
}

fn having_no_log(case: &Case) {
    let fault = case.fault().argument(0, 2);
    let bench = case.launch(Launch::new(&["-m", "0"], &IDLE), vec![fault]);
    bench.master.wait_for_up(1);
    bench.lift();
    assert_eq!(bench.master.log.mark(), 0);
}

fn asking_not_to_wait(case: &Case) {
    let hidden = Fault::new(numbers("open"), Failure::Error(libc::EACCES));
    let faults = vec![hidden.path(1, "/proc/self/fd/2"), case.fault()];
    let bench = case.launch(Launch::new(&["-m", "0"], &IDLE), faults);
    bench.master.wait_for_up(1);
    bench.master.wait_for_line("1 worker up");
    bench.lift();
}
