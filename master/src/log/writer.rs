//! Lines on their way to a descriptor.

use std::io;
use std::os::fd::RawFd;

use ::log::Level;

use super::Unwritten;
use super::line::compose;
use super::queue::Queue;
use crate::moment::WallTime;
use crate::sys::log_sink::LogSink;

/// Writes lines to a sink as far as that can be done at once, and keeps the rest.
#[derive(Debug)]
pub(super) struct Writer {
    sink: LogSink,
    queue: Queue,
    clock: fn() -> WallTime,
    pid: u32,
    /// The sink takes no more for now, but may later.
    is_full: bool,
    /// Nothing is written yet: older lines may have to come first.
    is_held: bool,
}

impl Writer {
    pub(super) fn new(sink: LogSink, clock: fn() -> WallTime, pid: u32) -> Self {
        Self { sink, queue: Queue::default(), clock, pid, is_full: false, is_held: false }
    }

    pub(super) fn line(&mut self, level: Level, message: &str) {
        self.report_dropped();
        self.queue.push(compose((self.clock)(), level, self.pid, message));
        self.flush();
    }

    /// Writes what can be written at once. Where the sink is broken the lines are given up:
    /// they are reported with the next one that it takes.
    pub(super) fn flush(&mut self) {
        if self.is_held {
            return;
        }
        self.is_full = false;
        loop {
            while let Some(bytes) = self.queue.front() {
                match self.sink.write(bytes) {
                    Ok(count) if count > 0 => self.queue.advance(count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.is_full = true;
                        return;
                    }
                    _ => return self.queue.abandon(),
                }
            }
            if self.queue.dropped() == 0 {
                return;
            }
            self.report_dropped();
        }
    }

    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Writes those lines first, and whatever was held back.
    pub(super) fn release(&mut self, former: &Unwritten) {
        self.is_held = false;
        self.queue.put_first(&former.bytes, former.dropped);
        self.flush();
    }

    pub(super) fn unwritten(&self) -> Unwritten {
        Unwritten { bytes: self.queue.unwritten(), dropped: self.queue.dropped() }
    }

    /// The descriptor to wait for before [`Self::flush`], while lines wait for it.
    pub(super) fn pending_fd(&self) -> Option<RawFd> {
        self.is_full.then(|| self.sink.descriptor()).flatten()
    }

    fn report_dropped(&mut self) {
        let (clock, pid) = (self.clock, self.pid);
        self.queue.push_report(|count| {
            let lines = if count == 1 { "line was" } else { "lines were" };
            compose(clock(), Level::Warn, pid, &format!("{count} log {lines} dropped"))
        });
    }
}

#[cfg(test)]
mod tests;
