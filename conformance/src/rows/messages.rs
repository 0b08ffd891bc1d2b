//! What a worker tells its master.

use super::Row;
use crate::{
    columns::Column,
    master::Launch,
    output::{Failure, must},
};
use rustix::process::Signal;

pub(super) const ACK_BY_PATH: Row = Row { sentence: "ack by path", holds: by_path };
pub(super) const ACK_BY_DESCRIPTOR: Row =
    Row { sentence: "ack by descriptor", holds: by_descriptor };
pub(super) const LATE_ACK: Row = Row { sentence: "a late ack counts", holds: late };
pub(super) const DOUBLE_ACK: Row = Row { sentence: "a second ack is harmless", holds: double };
pub(super) const ACK_IN_RELOAD: Row =
    Row { sentence: "an ack while the master reloads is taken", holds: in_reload };
pub(super) const PING: Row = Row { sentence: "a ping is recorded", holds: ping };
pub(super) const SILENT: Row =
    Row { sentence: "a worker that never acknowledges is not counted up", holds: silent };

fn by_path(column: &Column) -> Result<(), Failure> {
    let mut master = Launch::new(column, "-m manual", "stop ack wait").start()?;
    master.expect("stop registered")?;
    let worker = master.expect("ack ok")?;
    // Success means taken: it shows at once.
    let acked = master.value(worker, ":acked")?;
    must(acked == "true", || format!("acked is {acked}"))
}

fn by_descriptor(column: &Column) -> Result<(), Failure> {
    let mut master = Launch::new(column, "-m manual -g", "stop ack-fd ack-fd wait")
        .through(&["/usr/bin/env", "EINHORN_SOCK_PATH=/nonexistent/einhorn.sock"])
        .start()?;
    master.expect("stop registered")?;
    let worker = master.expect("ack ok")?;
    master.expect("ack ok")?;
    master.wait_for(worker, ":acked", "true")
}

fn late(column: &Column) -> Result<(), Failure> {
    let mut master = Launch::new(column, "-m manual", "stop read ack wait").start()?;
    let worker = master.expect("stop registered")?;
    let acked = master.value(worker, ":acked")?;
    must(acked == "false", || format!("acked is {acked} before it said so"))?;
    master.tell("now")?;
    master.expect("read now")?;
    master.expect("ack ok")?;
    let acked = master.value(worker, ":acked")?;
    must(acked == "true", || format!("acked is {acked}"))
}

fn double(column: &Column) -> Result<(), Failure> {
    let mut master = Launch::new(column, "-m manual", "stop ack ack ack facts wait").start()?;
    let worker = master.expect("stop registered")?;
    for _ in 0..3 {
        master.expect("ack ok")?;
    }
    master.expect("facts worker=yes index=0 sockets=0")?;
    let acked = master.value(worker, ":acked")?;
    must(acked == "true", || format!("acked is {acked}"))
}

fn in_reload(column: &Column) -> Result<(), Failure> {
    let mut master = Launch::new(column, "-m manual", "stop read ack wait").start()?;
    let worker = master.expect("stop registered")?;
    // While the master stands still the reload and the acknowledgement queue up behind it.
    master.signal(Signal::STOP)?;
    let replies = master.send("reload");
    master.tell("now")?;
    master.expect("read now")?;
    master.signal(Signal::CONT)?;
    replies?.last()?;
    master.expect("ack ok")?;
    master.wait_for(worker, ":acked", "true")
}

fn ping(column: &Column) -> Result<(), Failure> {
    let mut master = Launch::new(column, "", "ping:50%25_of_abc idle").start()?;
    let worker = master.expect("ping ok")?;
    let recorded = master.value(worker, ":pinged_request_id")?;
    must(recorded.trim_matches(['"', '\'']) == "50%25_of_abc", || recorded)
}

fn silent(column: &Column) -> Result<(), Failure> {
    let mut master = Launch::new(column, "-m manual", "stop facts wait").start()?;
    let worker = master.expect("stop registered")?;
    master.expect("facts worker=yes index=0 sockets=0")?;
    let acked = master.value(worker, ":acked")?;
    must(acked == "false", || format!("acked is {acked}"))
}
