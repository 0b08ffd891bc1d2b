//! How a worker stops when it is asked to.

use super::{Row, sockets};
use crate::{
    columns::Column,
    master::Launch,
    output::{Failure, LONG, Running, must, until},
    proc,
};
use rustix::process::Signal;
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
};

pub(super) const IN_FLIGHT: Row =
    Row { sentence: "an upgrade: the request in flight is answered", holds: in_flight };
pub(super) const EXIT_STATUS: Row =
    Row { sentence: "asked to stop, it finishes and exits with 0", holds: exits_well };
pub(super) const TWICE: Row =
    Row { sentence: "a second request to stop is harmless", holds: twice };

/// Begins a request that takes as long as the other side likes.
fn begin(stream: &mut TcpStream) -> Result<(), Failure> {
    stream.write_all(b"slow\n").map_err(|error| error.to_string())?;
    let mut line = String::new();
    let copy = stream.try_clone().map_err(|error| error.to_string())?;
    BufReader::new(copy).read_line(&mut line).map_err(|error| format!("not begun: {error}"))?;
    must(line == "begun\n", || format!("{line:?}, not begun"))
}

fn in_flight(column: &Column) -> Result<(), Failure> {
    let words = "listener:0 stop ack serve";
    let master = Launch::new(column, "-b 127.0.0.1:0 -m manual", words).start()?;
    let port = sockets::port(&master, "listener:0 inet ")?;
    let old = master.expect("stop registered")?;
    master.expect("ack ok")?;
    let mut request = sockets::connect(port)?;
    begin(&mut request)?;
    let upgrade = master.send("upgrade")?;
    sockets::port(&master, "listener:0 inet ")?;
    let new = master.expect("stop registered")?;
    must(new != old, || "no new worker".to_owned())?;
    master.expect("ack ok")?;
    upgrade.last()?;
    let answered = sockets::last_line(&mut request, "more\n")?;
    must(answered == old, || format!("{answered} answered, not {old}"))?;
    let ended = master.expect("serve ended")?;
    must(ended == old, || format!("{ended} ended, not {old}"))?;
    until("the old worker did not end", || (!proc::is_alive(old)).then_some(()))?;
    let answered = sockets::last_line(&mut sockets::connect(port)?, "hello\n")?;
    must(answered == new, || format!("{answered} answered, not {new}"))
}

/// A worker under this very process, which serves on its standard input.
fn serving(column: &Column) -> Result<(Running, TcpStream), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mut command = column.worker("stop serve");
    command
        .env("EINHORN_MASTER_PID", std::process::id().to_string())
        .env("EINHORN_FD_COUNT", "1")
        .env("EINHORN_FD_0", "0")
        .stdin(OwnedFd::from(listener));
    let worker = Running::start(&mut command)?;
    drop(command);
    worker.expect("stop registered")?;
    let request = TcpStream::connect(address).map_err(|error| error.to_string())?;
    request.set_read_timeout(Some(LONG)).map_err(|error| error.to_string())?;
    Ok((worker, request))
}

fn stops_after(column: &Column, requests: usize) -> Result<(), Failure> {
    let (mut worker, mut request) = serving(column)?;
    begin(&mut request)?;
    for _ in 0..requests {
        worker.signal(Signal::USR2)?;
    }
    let answered = sockets::last_line(&mut request, "more\n")?;
    must(answered == worker.pid(), || format!("{answered} answered"))?;
    worker.expect("serve ended")?;
    worker.end_well()
}

fn exits_well(column: &Column) -> Result<(), Failure> {
    stops_after(column, 1)
}

fn twice(column: &Column) -> Result<(), Failure> {
    stops_after(column, 5)
}
