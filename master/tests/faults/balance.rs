//! Addresses with a queue for each worker (`-b ADDR,balance`).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::support::{IDLE, LONG, pids};
use crate::table::{Bench, Case, rows};

rows! {
    adding_a_queue: "a new slot gets its queue", ["reuseport::join"], "socket",
        [EMFILE, ENFILE, ENOMEM, ENOBUFS]
        => "the worker is not started; the others serve on, and the start is tried again";
    steering_anew: "the kernel is told which queues get connections", ["reuseport::steer"],
        "setsockopt", [ENOMEM, EPERM]
        => "it says so and tells it again every second; no queue is closed before the kernel knows";
    seeing_handshakes: "handshakes on their way to a queue that goes are looked for",
        ["half_open::handshakes"], "socket", [EACCES, EMFILE, EPROTONOSUPPORT]
        => "it says so once, and gives them a second instead";
    counting_those_who_wait: "a queue that goes is asked who waits in it", ["reuseport::waiting"],
        "getsockopt", [ENOBUFS]
        => "it says so and asks again; the queue is not closed before it is known to be empty";
    leaving_the_group: "a queue that is empty is closed", ["reuseport::leave"], "shutdown",
        [ENOTCONN] => "it is closed nevertheless";
}

fn balanced(case: &Case) -> (Bench, Vec<i32>) {
    let options = ["-n", "2", "-m", "0", "-s", "0.1", "-b", "127.0.0.1:0,balance", "-v"];
    let bench = case.start(&options, &IDLE);
    let pids = pids(&bench.master.wait_for_up(2));
    (bench, pids)
}

fn adding_a_queue(case: &Case) {
    let (bench, before) = balanced(case);
    bench.kernel.fail(case.fault().argument(0, libc::AF_INET.into()));
    bench.master.signal(Signal::TTIN);
    let line = bench.master.wait_for_line("cannot start a worker");
    assert!(line.contains(&case.reason()), "{line}");
    assert_eq!(pids(&bench.master.status()), before);
    bench.lift();
    bench.master.wait_for_up(3);
}

fn steering_anew(case: &Case) {
    let (bench, _) = balanced(case);
    let attach = libc::SO_ATTACH_REUSEPORT_CBPF.into();
    bench.kernel.fail(case.fault().argument(2, attach));
    let mark = bench.master.log.mark();
    bench.master.signal(Signal::TTOU);
    let line = bench.master.log.wait_for_from(mark, "cannot choose who gets the connections");
    assert!(line.contains(&case.reason()), "{line}");
    bench.kernel.wait_for(2);
    // The worker of the queue that goes takes connections as long as any may come there.
    assert_eq!(pids(&bench.master.status()).len(), 2);
    bench.idles();
    bench.lift();
    bench.master.wait_for_up(1);
}

fn seeing_handshakes(case: &Case) {
    let (bench, _) = balanced(case);
    bench.kernel.fail(case.fault().argument(0, libc::AF_NETLINK.into()));
    bench.master.signal(Signal::TTOU);
    let line = bench.master.wait_for_line("cannot see handshakes in progress");
    assert!(line.contains(&case.reason()), "{line}");
    bench.master.wait_for_up(1);
    bench.lift();
}

fn counting_those_who_wait(case: &Case) {
    let (bench, _) = balanced(case);
    bench.kernel.fail(case.fault().argument(2, libc::TCP_INFO.into()));
    bench.master.signal(Signal::TTOU);
    let line = bench.master.wait_for_line("cannot tell who waits");
    assert!(line.contains(&case.reason()), "{line}");
    bench.kernel.wait_for(2);
    assert_eq!(pids(&bench.master.status()).len(), 2);
    bench.lift();
    bench.master.wait_for_up(1);
}

fn leaving_the_group(case: &Case) {
    let (bench, _) = balanced(case);
    bench.kernel.fail(case.fault());
    bench.master.signal(Signal::TTOU);
    bench.master.wait_for_up(1);
    bench.kernel.wait_for(1);
    bench.lift();
    let port = bench.master.status()["listeners"][0]["port"].as_u64().unwrap();
    let port = u16::try_from(port).unwrap();
    // Nobody answers, but whoever comes is let in.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"x").unwrap();
    drop(bench);
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}
