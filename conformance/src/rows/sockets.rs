//! How a worker finds its sockets.

use super::Row;
use crate::{
    columns::Column,
    master::{Launch, Master},
    output::{Failure, must},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

pub(super) const NONE: Row = Row { sentence: "no sockets: the count is 0", holds: none };
pub(super) const ONE: Row = Row { sentence: "one socket: it serves", holds: one };
pub(super) const SEVERAL: Row =
    Row { sentence: "several sockets: IPv4, IPv6, unix, in their order", holds: several };
pub(super) const FROM_ONE: Row =
    Row { sentence: "numbering from 1 is understood", holds: from_one };

fn none(column: &Column) -> Result<(), Failure> {
    let master = Launch::new(column, "", "facts fd:0 idle").start()?;
    master.expect("facts worker=yes index=0 sockets=0")?;
    let error = master.expect_start("fd:0 error ")?;
    must(error.starts_with("there is no socket 0: EINHORN_FD_COUNT is 0"), || error)
}

/// The port of socket `n`, from a line of the worker.
pub(super) fn port(master: &Master, start: &str) -> Result<u16, Failure> {
    let rest = master.expect_start(start)?;
    rest.parse().map_err(|_| format!("{rest:?} is no port"))
}

/// A connection to `port` on this machine.
pub(super) fn connect(port: u16) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(crate::output::LONG)).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// Sends a line and reads all until the other side closes: the pid of who answered.
pub(super) fn last_line(stream: &mut TcpStream, line: &str) -> Result<u32, Failure> {
    let mut answer = String::new();
    stream
        .write_all(line.as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|error| format!("no answer: {error}"))?;
    answer.trim_end().parse().map_err(|_| format!("{answer:?} is no pid"))
}

fn one(column: &Column) -> Result<(), Failure> {
    let master = Launch::new(column, "-b 127.0.0.1:0", "facts listener:0 stop serve").start()?;
    master.expect("facts worker=yes index=0 sockets=1")?;
    let port = port(&master, "listener:0 inet ")?;
    let worker = master.expect("stop registered")?;
    let answered = last_line(&mut connect(port)?, "hello\n")?;
    must(answered == worker, || format!("{answered} answered, not {worker}"))
}

fn several(column: &Column) -> Result<(), Failure> {
    let options = "-b 127.0.0.1:0 -b [::1]:0 -b unix:{}/s";
    let words = "facts listener:0 listener:1 listener:2 fd:3 idle";
    let master = Launch::new(column, options, words).start()?;
    master.expect("facts worker=yes index=0 sockets=3")?;
    let first = port(&master, "listener:0 inet ")?;
    let second = port(&master, "listener:1 inet6 ")?;
    master.expect("listener:2 unix")?;
    master.expect_start("fd:3 error there is no socket 3: EINHORN_FD_COUNT is 3")?;
    must(connect(first).is_ok(), || "the first does not listen".to_owned())?;
    must(TcpStream::connect(("::1", second)).is_ok(), || "the second does not listen".to_owned())
}

fn from_one(column: &Column) -> Result<(), Failure> {
    let renumber = "export EINHORN_FD_2=$EINHORN_FD_1 EINHORN_FD_1=$EINHORN_FD_0; \
                    unset EINHORN_FD_0; exec \"$@\"";
    let master =
        Launch::new(column, "-b 127.0.0.1:0 -b unix:{}/s", "listener:0 listener:1 fd:2 idle")
            .through(&["/bin/sh", "-c", renumber, "sh"])
            .start()?;
    connect(port(&master, "listener:0 inet ")?)?;
    master.expect("listener:1 unix")?;
    master.expect_start("fd:2 error there is no socket 2: EINHORN_FD_COUNT is 2")?;
    Ok(())
}
