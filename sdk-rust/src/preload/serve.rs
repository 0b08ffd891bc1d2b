//! The preloading process from its first word to its end.

use super::{
    channel::Channel,
    fork::{self, Forked, OnlyThread},
    request::Request,
};
use crate::{
    error::{Error, Result},
    variables::{self, Environment, Variables},
};
use einhorn_protocol::{environment as names, preload};

pub(super) fn become_worker() -> Result<()> {
    let Some(value) = Environment.get(names::PRELOAD_FD) else { return Ok(()) };
    let number = variables::descriptor(names::PRELOAD_FD, &value)?;
    let channel = Channel::take_over(number).map_err(|problem| Error::BadDescriptor {
        variable: names::PRELOAD_FD.to_owned(),
        value: number,
        problem,
    })?;
    let only = OnlyThread::check().map_err(|count| {
        let error = Error::Threads { count };
        // Nobody is left to be told if this fails too.
        let _ = channel.send(preload::FAILED, &[(preload::REASON, &error.to_string())]);
        error
    })?;
    only.forget_variables(&[names::PRELOAD_FD, names::PRELOAD_GC]);
    let edition = preload::EDITION.to_string();
    if channel.send(preload::READY, &[(preload::EDITION_KEY, &edition)]).is_err() {
        // The master is gone, and with it whoever wants workers.
        fork::end(1);
    }
    only.begin(serve(&only, channel));
    Ok(())
}

/// Forks workers until the master has had enough. Returns in each of them.
fn serve(only: &OnlyThread, mut channel: Channel) -> Request {
    loop {
        let (message, descriptors) = match channel.receive() {
            Ok(Some(received)) => received,
            Ok(None) => fork::end(0),
            Err(_) => fork::end(preload::EXIT_CHANNEL_LOST),
        };
        let Some(request) = Request::read(&message, descriptors) else { continue };
        let id = request.id.clone();
        let (back, worker) = match only.fork_worker(channel, request) {
            Forked::Worker(request) => return request,
            Forked::Here(back, worker) => (back, worker),
        };
        channel = back;
        let sent = match &worker {
            Ok(worker) => {
                let pid = worker.pid.to_string();
                channel.send(preload::FORKED, &[(preload::ID, &id), (preload::PID, &pid)])
            }
            Err(error) => {
                let reason = error.to_string();
                channel.send(preload::REFUSED, &[(preload::ID, &id), (preload::REASON, &reason)])
            }
        };
        match (sent, worker) {
            (Ok(()), Ok(worker)) => worker.release(),
            (Ok(()), Err(_)) => {}
            // What waits for its release ends with this process.
            (Err(_), _) => fork::end(1),
        }
    }
}
