//! The title that `ps` shows: the memory in which the kernel put the arguments and the
//! environment at exec, written over, as setproctitle(3) does it elsewhere.
//!
//! Whoever sets a title has taken copies of the arguments before. `getenv` goes on working:
//! the variables are moved to the heap first.
#![allow(unsafe_code, reason = "writes over memory that the kernel handed to the process")]

use std::ffi::{CStr, c_char};
use std::io::{self, Read as _};
use std::ops::Range;
use std::ptr;

/// Longest title in bytes; what is longer is cut. The kernel shows no more than a page.
pub const TITLE_BYTES_MAX: usize = 2048;
/// More than the kernel writes into `/proc/PID/stat`: 52 numbers and a short name. It gives all
/// of it at the first read.
const STAT_BYTES_MAX: usize = 2048;

unsafe extern "C" {
    /// The C library's list of variables, environ(7).
    static mut environ: *mut *mut c_char;
}

/// The memory that holds the title.
#[derive(Debug)]
pub struct Title {
    /// The first byte of the first argument.
    start: *mut u8,
    /// Bytes of the arguments. If the last of them is no NUL, the kernel shows the text from
    /// `start` to the first NUL instead.
    arguments: usize,
    /// Bytes up to which a title may reach, its NUL included.
    room: usize,
    /// Bytes that are known to be written over.
    written: usize,
}

impl Title {
    /// Finds the memory and moves the environment out of it.
    ///
    /// At most one may exist in a process, made while it has one thread: nobody else may look
    /// at the arguments or the environment meanwhile.
    ///
    /// # Errors
    /// Those of reading `/proc/self/stat`; `ENOTSUP`: it does not tell, or makes no sense.
    pub fn take() -> io::Result<Self> {
        let mut stat = [0; STAT_BYTES_MAX];
        let length = std::fs::File::open("/proc/self/stat")?.read(&mut stat)?;
        let stat = String::from_utf8_lossy(stat.get(..length).unwrap_or_default());
        let areas =
            Areas::parse(&stat).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOTSUP))?;
        // SAFETY: by this function's contract there is one thread, so nobody else uses it.
        unsafe { move_environment() };
        Ok(Self {
            start: ptr::with_exposed_provenance_mut(areas.arguments.start),
            arguments: areas.arguments.len(),
            room: areas.room(),
            written: 0,
        })
    }

    /// Sets what `ps` shows as the command line, cut where it does not fit.
    pub fn set(&mut self, title: &[u8]) {
        let title = title.split(|byte| *byte == 0).next().unwrap_or_default();
        let room = self.room.saturating_sub(1).min(TITLE_BYTES_MAX);
        let title = title.get(..room).unwrap_or(title);
        let cleared = self.arguments.max(self.written).max(title.len() + 1).min(self.room);
        // SAFETY: `room` bytes from `start` are this process's argument and environment
        // memory, writable and mapped for its whole life, and by the contract of `take` used
        // by nobody else. `title` is shorter than `cleared`, which is at most `room`.
        unsafe {
            ptr::write_bytes(self.start, 0, cleared);
            ptr::copy_nonoverlapping(title.as_ptr(), self.start, title.len());
        }
        self.written = title.len();
    }
}

/// Where the kernel put arguments and environment.
#[derive(Debug, PartialEq, Eq)]
struct Areas {
    arguments: Range<usize>,
    environment: Range<usize>,
}

impl Areas {
    /// Reads fields 48 to 51 of `/proc/PID/stat`, proc(5). The second one, a name in
    /// parentheses, may hold anything, blanks and parentheses too.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(45).map(str::parse::<usize>);
        let mut next = || fields.next()?.ok();
        let areas = Self { arguments: next()?..next()?, environment: next()?..next()? };
        (areas.arguments.start > 0 && !areas.arguments.is_empty()).then_some(areas)
    }

    /// The environment counts only if it follows directly.
    fn room(&self) -> usize {
        let follows = self.environment.start == self.arguments.end && !self.environment.is_empty();
        self.arguments.len() + if follows { self.environment.len() } else { 0 }
    }
}

/// Makes the C library's variables point to copies, which live as long as the process.
///
/// # Safety
/// Nobody may use the environment meanwhile.
unsafe fn move_environment() {
    let mut copies = Vec::new();
    // SAFETY: environ is null or a NULL-terminated array of NUL-terminated strings.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            copies.push(CStr::from_ptr(*next).to_owned().into_raw());
            next = next.add(1);
        }
        if copies.is_empty() {
            return;
        }
        copies.push(ptr::null_mut());
        environ = copies.leak().as_mut_ptr();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::own_process::alone;

    #[track_caller]
    fn check(stat_tail: &str, expect: Option<(usize, usize)>) {
        let stat = format!("12 (a) R (b)) S {} {stat_tail}", "0 ".repeat(44));
        let found = Areas::parse(&stat).map(|areas| (areas.arguments.start, areas.room()));
        assert_eq!(found, expect, "{stat_tail}");
    }

    #[test]
    fn the_kernels_fields_are_read() {
        check("100 150 150 190 0", Some((100, 90)));
        check("100 150 160 190 0", Some((100, 50)));
        check("100 150 150 150 0", Some((100, 50)));
        check("100 150 150 120 0", Some((100, 50)));
        check("0 0 0 0 0", None);
        check("150 100 150 190 0", None);
        check("100 150 150", None);
        check("100 150 150 x", None);
        assert_eq!(Areas::parse(""), None);
    }

    fn shown() -> Vec<u8> {
        let shown = std::fs::read("/proc/self/cmdline").unwrap();
        let end = shown.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        shown[..end].to_vec()
    }

    #[test]
    fn the_title_is_shown_and_the_environment_lives_on() {
        alone!();
        let before: Vec<_> = std::env::vars_os().collect();
        let mut title = Title::take().unwrap();
        for text in ["einhorn: web", "", "einhorn: a much longer name ä than before", "e"] {
            title.set(text.as_bytes());
            assert_eq!(String::from_utf8(shown()).unwrap(), text);
        }
        let long = "x".repeat(100_000);
        title.set(long.as_bytes());
        let length = shown().len();
        assert!(length > 0 && length <= TITLE_BYTES_MAX, "{length}");
        assert!(shown().iter().all(|byte| *byte == b'x'));
        title.set(b"cut\0here");
        assert_eq!(shown(), b"cut");
        let after: Vec<_> = std::env::vars_os().collect();
        assert_eq!(before, after);
        assert!(crate::sys::own_process::is_alone());
    }
}
