//! Pipes on which workers say that they are ready, looked at one by one.

use std::os::fd::{AsFd, OwnedFd};

use super::inherited::Inherited;
use crate::pool::Pid;
use crate::state::Snapshot;
use crate::sys::{descriptor, reason};

/// A pipe that was handed over.
#[derive(Debug)]
pub struct AdoptedPipe {
    /// The worker that has the other end.
    pub pid: Pid,
    /// This master's end.
    pub reader: OwnedFd,
}

/// Those that are there; the others are named in the log.
pub(super) fn take_over(snapshot: &Snapshot, inherited: &mut Inherited) -> Vec<AdoptedPipe> {
    let workers = snapshot.ours.iter().flat_map(|ours| &ours.workers);
    let named = workers.filter_map(|(&pid, worker)| Some((pid, worker.ready_fd?)));
    let mut adopted = Vec::new();
    for (pid, number) in named {
        match take_over_one(number, inherited) {
            Ok(reader) => adopted.push(AdoptedPipe { pid, reader }),
            Err(reason) => ::log::error!(
                "descriptor {number}, on which worker {pid} says that it is ready, is lost: {reason}"
            ),
        }
    }
    adopted
}

fn take_over_one(number: i32, inherited: &mut Inherited) -> Result<OwnedFd, String> {
    let reader = inherited.take(number).map_err(|error| reason(&error))?;
    match descriptor::is_pipe(reader.as_fd()) {
        Ok(true) => Ok(reader),
        Ok(false) => Err("it is no pipe".to_string()),
        Err(error) => Err(reason(&error)),
    }
}
