//! The master's log: one line an event, on stderr.
//!
//! Answers for the format, the levels and for what happens when nobody takes the lines: the
//! master neither waits nor dies, a bounded number is kept, and the rest is counted. Decides
//! nothing about what is worth a line. It works through the macros of crate `log`
//! (`log::info!`), starts no thread and never changes the inherited descriptor.
//!
//! Invariant: no byte of a message ends a line or reaches a terminal as a control character.

mod escape;
mod line;
mod queue;
mod repeats;
mod timestamp;
mod writer;

use std::io;
use std::os::fd::{AsFd as _, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::log::{Level, LevelFilter, Log, Metadata, Record};
use einhorn_protocol::default;

use crate::moment::WallTime;
use crate::sys::clock;
use crate::sys::log_sink::LogSink;
use repeats::Repeats;
use writer::Writer;

pub use escape::{escaped, shown};

/// The highest verbosity value: errors only.
pub const VERBOSITY_MAX: u8 = 2;

static VERBOSITY: AtomicU8 = AtomicU8::new(default::VERBOSITY);
static WRITER: Mutex<Option<Writer>> = Mutex::new(None);
static REPEATS: Mutex<Repeats> = Mutex::new(Repeats::new());
static FACADE: Facade = Facade;

/// Starts logging to stderr as it is now. `clock` dates the lines; `pid` is the master's.
/// Before this, and where stderr is closed, lines go nowhere.
pub fn init(verbosity: u8, clock: fn() -> WallTime, pid: u32) {
    let sink = LogSink::new(io::stderr().as_fd());
    *writer() = Some(Writer::new(sink, clock, pid));
    set_verbosity(verbosity);
    // It fails where a logger is set already, and that is this one.
    let _ = ::log::set_logger(&FACADE);
}

/// Lines that nobody has taken yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// The rest of a line that was begun, then whole lines.
    pub bytes: Vec<u8>,
    /// Lines that were dropped before these, and not reported yet.
    pub dropped: u64,
}

/// Keeps lines back until [`release`]: those of the former image come first.
pub fn hold() {
    if let Some(writer) = writer().as_mut() {
        writer.hold();
    }
}

/// Goes on where the former image of this process has ended.
pub fn release(former: &Unwritten) {
    if let Some(writer) = writer().as_mut() {
        writer.release(former);
    }
}

/// What the next image is to write first.
pub fn unwritten() -> Unwritten {
    writer().as_ref().map(Writer::unwritten).unwrap_or_default()
}

/// 0: everything; 1: what happens, and warnings; 2: errors only. More counts as 2.
pub fn set_verbosity(verbosity: u8) {
    let verbosity = verbosity.min(VERBOSITY_MAX);
    VERBOSITY.store(verbosity, Ordering::Relaxed);
    ::log::set_max_level(match verbosity {
        0 => LevelFilter::Debug,
        1 => LevelFilter::Info,
        _ => LevelFilter::Error,
    });
}

/// The verbosity, 0 to [`VERBOSITY_MAX`].
pub fn verbosity() -> u8 {
    VERBOSITY.load(Ordering::Relaxed)
}

/// The descriptor whose readiness for writing [`flush`] waits for; `None` while nothing waits,
/// and where waiting would not help.
pub fn pending_fd() -> Option<RawFd> {
    writer().as_ref()?.pending_fd()
}

/// Writes the lines that wait, as far as that can be done at once: when [`pending_fd`] is
/// ready, before a re-exec, and at the end.
pub fn flush() {
    if let Some(writer) = writer().as_mut() {
        writer.flush();
    }
}

/// A line of a kind of which there may be very many: of those only `allowed` are written in a
/// span of [`LOG_REPEATS_SECONDS`](einhorn_protocol::limit::LOG_REPEATS_SECONDS), the rest is
/// counted. Where everything is wanted (verbosity 0) all are written.
pub fn repeated(level: Level, kind: &'static str, allowed: usize, message: &str) {
    if level > ::log::max_level() {
        return;
    }
    let now = clock::now().monotonic;
    tell_repeats(Some(now));
    let is_printed = verbosity() == 0 || repeats().admits(now, kind, allowed, level, message);
    if is_printed {
        ::log::log!(level, "{message}");
    }
}

/// When [`tell_repeats`] has something to tell, by the monotonic clock.
pub fn repeats_deadline() -> Option<Duration> {
    repeats().deadline()
}

/// Tells how many lines were not written in spans that are over; without a time, in all.
pub fn tell_repeats(now: Option<Duration>) {
    let due = repeats().take_due(now);
    for (level, text) in due {
        ::log::log!(level, "{text}");
    }
}

fn repeats() -> MutexGuard<'static, Repeats> {
    REPEATS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writer. A panic while it was held left it whole: it is lines and counts.
fn writer() -> MutexGuard<'static, Option<Writer>> {
    WRITER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What crate `log` calls.
struct Facade;

impl Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= ::log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Outside the lock: an argument's own formatting may log.
        let message = record.args().to_string();
        if let Some(writer) = writer().as_mut() {
            writer.line(record.level(), &message);
        }
    }

    fn flush(&self) {
        flush();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// The only test that uses the process-wide log; lines of others are passed over.
    #[test]
    fn the_macros_reach_the_descriptor_and_levels_change_at_run_time() {
        init(1, || WallTime { nanoseconds: 0 }, 7);
        assert_eq!((verbosity(), pending_fd()), (1, None));
        let (mut reader, inherited) = io::pipe().unwrap();
        let sink = LogSink::new(inherited.as_fd());
        *writer() = Some(Writer::new(sink, || WallTime { nanoseconds: 0 }, 7));
        drop(inherited);
        for verbosity in 0..4 {
            set_verbosity(verbosity);
            ::log::debug!("debug at {verbosity}");
            ::log::info!("info at {verbosity}");
            ::log::warn!("warn at {verbosity}");
            ::log::error!("error at {verbosity}");
        }
        assert_eq!(verbosity(), VERBOSITY_MAX);
        set_verbosity(default::VERBOSITY);
        flush();
        *writer() = None;
        let mut out = String::new();
        reader.read_to_string(&mut out).unwrap();
        let said: Vec<_> = out
            .lines()
            .filter_map(|line| line.strip_prefix("1970-01-01T00:00:00.000Z "))
            .filter(|line| line.contains(" at "))
            .collect();
        assert_eq!(
            said,
            [
                "DEBUG 7 einhorn: debug at 0",
                " INFO 7 einhorn: info at 0",
                " WARN 7 einhorn: warn at 0",
                "ERROR 7 einhorn: error at 0",
                " INFO 7 einhorn: info at 1",
                " WARN 7 einhorn: warn at 1",
                "ERROR 7 einhorn: error at 1",
                "ERROR 7 einhorn: error at 2",
                "ERROR 7 einhorn: error at 3",
            ]
        );
    }
}
