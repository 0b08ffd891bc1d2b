//! Who is a worker, and which.

use super::{Row, sockets};
use crate::{
    columns::Column,
    master::Launch,
    output::{Failure, Running, must, until},
    proc,
};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;

pub(super) const INDEX: Row = Row { sentence: "each worker has its own index", holds: index };
pub(super) const GRANDCHILD: Row =
    Row { sentence: "a grandchild is not a worker, and may serve", holds: grandchild };
pub(super) const OUTSIDE: Row =
    Row { sentence: "outside a master a program runs, and is told so", holds: outside };
pub(super) const ORPHAN: Row =
    Row { sentence: "a worker whose master was killed serves on", holds: orphan };

fn index(column: &Column) -> Result<(), Failure> {
    let master = Launch::new(column, "-n 3", "facts idle").start()?;
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        let said = master.next()?.text;
        if said != "idle" {
            must(seen.insert(said.clone()), || format!("{said:?} twice"))?;
        }
    }
    let expected: BTreeSet<_> =
        (0..3).map(|index| format!("facts worker=yes index={index} sockets=0")).collect();
    must(seen == expected, || format!("{seen:?}"))
}

fn grandchild(column: &Column) -> Result<(), Failure> {
    let words = "facts ack listener:0 stop serve";
    let mut master = Launch::new(column, "-b 127.0.0.1:0", words)
        .through(&["/bin/sh", "-c", "\"$@\"; :", "sh"])
        .start()?;
    let child = master.expect("facts worker=no index=none sockets=1")?;
    let parent = master.state()?.keys().next().copied().unwrap_or_default();
    let (pid, error) = (master.pid(), master.expect_start("ack error ")?);
    let expected =
        format!("not a worker: its parent is {parent}, but EINHORN_MASTER_PID is {pid}; start");
    must(error.starts_with(&expected), || error)?;
    let port = sockets::port(&master, "listener:0 inet ")?;
    master.expect("stop registered")?;
    let answered = sockets::last_line(&mut sockets::connect(port)?, "hello\n")?;
    must(answered == child, || format!("{answered} answered, not {child}"))?;
    signal(child)?;
    master.expect("serve ended").map(drop)
}

fn signal(worker: u32) -> Result<(), Failure> {
    let pid = i32::try_from(worker).ok().and_then(Pid::from_raw).ok_or("no pid")?;
    kill_process(pid, Signal::USR2).map_err(|error| error.to_string())
}

fn outside(column: &Column) -> Result<(), Failure> {
    let mut program = Running::start(&mut column.worker("facts fd:0 ack ping:x stop"))?;
    program.expect("facts worker=no index=none sockets=0")?;
    program.expect("fd:0 error EINHORN_FD_COUNT is not set, which every einhorn master does")?;
    for word in ["ack", "ping"] {
        program
            .expect_start(&format!("{word} error not a worker: EINHORN_MASTER_PID is not set"))?;
    }
    program.expect("stop registered")?;
    program.end_well()
}

fn orphan(column: &Column) -> Result<(), Failure> {
    let words = "facts listener:0 stop ack read facts ack serve";
    let mut master = Launch::new(column, "-b 127.0.0.1:0 -m manual", words).start()?;
    let worker = master.expect("facts worker=yes index=0 sockets=1")?;
    let port = sockets::port(&master, "listener:0 inet ")?;
    master.expect("stop registered")?;
    master.expect("ack ok")?;
    master.wait_for(worker, ":acked", "true")?;
    master.signal(Signal::KILL)?;
    master.end()?;
    master.tell("go on")?;
    master.expect("read go on")?;
    master.expect("facts worker=no index=none sockets=1")?;
    let error = master.expect_start("ack error ")?;
    must(error.starts_with("not a worker: its parent is "), || error)?;
    let answered = sockets::last_line(&mut sockets::connect(port)?, "hello\n")?;
    must(answered == worker, || format!("{answered} answered, not {worker}"))?;
    signal(worker)?;
    master.expect("serve ended")?;
    until("it did not end", || (!proc::is_alive(worker)).then_some(()))
}
