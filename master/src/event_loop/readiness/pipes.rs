//! `-m fd`: each worker has the write end of a pipe, and a newline on it says that it is ready.
//!
//! A pipe ends with the newline, with the worker, or when nobody can write to it any more; the
//! latter alone says nothing about the worker. It is read on until then, since a reader that
//! leaves early would kill whoever writes.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::super::Master;
use crate::handover::AdoptedPipe;
use crate::pool::{Event, Pid, SpawnId};
use crate::settings::AckMode;
use crate::state::Ours;
use crate::sys::{descriptor, reason};

/// Tokens from here on are those of pipes; clients count up from far below.
const FIRST_TOKEN: usize = usize::MAX / 2;
/// Read at once; more waits for its turn.
const READ_BYTES: usize = 4096;

/// The read ends.
pub(super) struct ReadyPipes {
    registry: Registry,
    by_worker: HashMap<SpawnId, File>,
    /// They may have something to read.
    unheard: VecDeque<SpawnId>,
}

/// What was found in a pipe.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Newline,
    /// Something else, and there may be more.
    Noise,
    Nothing,
    End,
}

fn token_of(id: SpawnId) -> Option<Token> {
    Some(Token(FIRST_TOKEN.checked_add(usize::try_from(id.0).ok()?)?))
}

/// Reads once.
fn look(mut pipe: impl Read) -> Found {
    let mut buffer = [0; READ_BYTES];
    match pipe.read(&mut buffer) {
        Ok(0) => Found::End,
        Ok(length) if buffer.iter().take(length).any(|byte| *byte == b'\n') => Found::Newline,
        Ok(_) => Found::Noise,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Found::Nothing,
        Err(error) if error.kind() == ErrorKind::Interrupted => Found::Noise,
        Err(_) => Found::End,
    }
}

impl ReadyPipes {
    pub(super) fn new(registry: Registry) -> Self {
        Self { registry, by_worker: HashMap::new(), unheard: VecDeque::new() }
    }

    /// Begins to listen to a worker.
    fn insert(&mut self, id: SpawnId, reader: OwnedFd) -> io::Result<()> {
        descriptor::set_nonblocking(reader.as_fd(), true)?;
        let token = token_of(id).ok_or(ErrorKind::OutOfMemory)?;
        let source = &mut SourceFd(&reader.as_raw_fd());
        self.registry.register(source, token, Interest::READABLE)?;
        self.by_worker.insert(id, reader.into());
        Ok(())
    }

    pub(super) fn note_readable(&mut self, token: Token) -> bool {
        let Some(number) = token.0.checked_sub(FIRST_TOKEN) else { return false };
        let id = u64::try_from(number).map(SpawnId);
        if let Some(id) = id.ok().filter(|id| self.by_worker.contains_key(id)) {
            self.unheard.push_back(id);
        }
        true
    }

    pub(super) fn is_someone_unheard(&self) -> bool {
        !self.unheard.is_empty()
    }

    pub(super) fn forget(&mut self, id: SpawnId) {
        self.by_worker.remove(&id);
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.by_worker.values().map(AsFd::as_fd)
    }
}

impl Master {
    /// Whether workers get a pipe.
    pub(in super::super) fn gives_ready_pipes(&self) -> bool {
        self.pool.settings().ack_mode == AckMode::Descriptor
    }

    /// The write end for the worker `id`, if it is to have one. A worker without it could never
    /// say that it is ready.
    pub(in super::super) fn ready_pipe_for_worker(
        &mut self,
        id: SpawnId,
    ) -> io::Result<Option<OwnedFd>> {
        if !self.gives_ready_pipes() {
            return Ok(None);
        }
        let (reader, writer) = descriptor::pipe()?;
        self.readiness.pipes.insert(id, reader)?;
        Ok(Some(writer))
    }

    /// One turn for each pipe that may have something in it.
    pub(super) fn read_ready_pipes(&mut self) {
        for _ in 0..self.readiness.pipes.unheard.len() {
            let pipes = &mut self.readiness.pipes;
            let Some(id) = pipes.unheard.pop_front() else { return };
            let Some(pipe) = pipes.by_worker.get_mut(&id) else { continue };
            match look(pipe) {
                Found::Newline => {
                    pipes.forget(id);
                    self.tell_pool(Event::Acknowledged { id });
                }
                Found::Noise => pipes.unheard.push_back(id),
                Found::Nothing => {}
                Found::End => {
                    pipes.forget(id);
                    self.note_unsaid(id);
                }
            }
        }
    }

    /// Nobody can say any more, on its descriptor, that a worker is ready.
    fn note_unsaid(&self, id: SpawnId) {
        let Some(worker) = self.pool.worker(id).filter(|worker| !worker.acked) else { return };
        // One that has ended is about to be reaped, which says more.
        ::log::debug!(
            "worker {worker} has closed its descriptor without having said that it is up"
        );
    }

    /// Tells the next image, if it is ours, which pipe is whose.
    pub(in super::super) fn write_ready_pipes_down(&self, ours: &mut Ours) {
        for (&id, pipe) in &self.readiness.pipes.by_worker {
            let pid = self.pool.worker(id).and_then(|worker| worker.pid);
            if let Some(worker) = pid.and_then(|pid| ours.workers.get_mut(&pid)) {
                worker.ready_fd = Some(pipe.as_raw_fd());
            }
        }
    }

    /// Takes in the pipes of the former image.
    pub fn take_over_ready_pipes(&mut self, pipes: Vec<AdoptedPipe>) {
        for AdoptedPipe { pid, reader } in pipes {
            if let Err(error) = self.take_over_ready_pipe(pid, reader) {
                ::log::error!("worker {pid} cannot say that it is ready: {}", reason(&error));
            }
        }
    }

    fn take_over_ready_pipe(&mut self, pid: Pid, reader: OwnedFd) -> io::Result<()> {
        match self.pool.find(pid).map(|worker| worker.id) {
            Some(id) => self.readiness.pipes.insert(id, reader),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &[u8], expect: &[Found]) {
        let mut pipe = said;
        let found: Vec<Found> = expect.iter().map(|_| look(&mut pipe)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn a_newline_is_all_that_counts() {
        check(b"\n", &[Found::Newline, Found::End]);
        check(b"ready\n", &[Found::Newline]);
        check(b"ready", &[Found::Noise, Found::End]);
        check(b"\0\xff\x0b\r", &[Found::Noise, Found::End]);
        check(b"", &[Found::End]);
        let mut long = vec![b'x'; 2 * READ_BYTES];
        check(&long, &[Found::Noise, Found::Noise, Found::End]);
        long.push(b'\n');
        check(&long, &[Found::Noise, Found::Noise, Found::Newline]);
    }

    #[test]
    fn tokens_are_told_from_those_of_clients() {
        assert_eq!(token_of(SpawnId(0)), Some(Token(FIRST_TOKEN)));
        assert!(token_of(SpawnId(u64::MAX)).is_none());
    }
}
