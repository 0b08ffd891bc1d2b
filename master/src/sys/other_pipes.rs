//! Looking into the pipes of another process, without taking anything out of them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, tee};

use super::memory_file::read_everything;
use super::{descriptor, process::Pid};

/// As large as a pipe may be without privileges, where nobody has changed that.
const PIPE_BYTES_MAX: usize = 1 << 20;

/// A pipe of another process.
#[derive(Debug)]
pub struct OtherPipe(File);

/// The pipes that process `pid` has open, apart from those that this process has.
///
/// # Errors
/// Its descriptors cannot be listed.
pub fn of_process(pid: Pid) -> io::Result<Vec<OtherPipe>> {
    let names = |folder: &str| -> io::Result<Vec<(PathBuf, PathBuf)>> {
        let listed = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
        Ok(listed.filter_map(|path| Some((fs::read_link(&path).ok()?, path))).collect())
    };
    let own = names("/proc/self/fd")?.into_iter().map(|(what, _)| what);
    let mut known: BTreeSet<PathBuf> = own.collect();
    let mut found = Vec::new();
    for (what, path) in names(&format!("/proc/{pid}/fd"))? {
        if what.to_string_lossy().starts_with("pipe:") && known.insert(what) {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            // One that was closed in between is none of those that are wanted.
            found.extend(rustix::fs::open(path, flags, Mode::empty()).ok().map(File::from));
        }
    }
    Ok(found.into_iter().map(OtherPipe).collect())
}

impl OtherPipe {
    /// What is in it and stays there.
    ///
    /// # Errors
    /// Those of pipe2(2) and tee(2).
    pub fn content(&self) -> io::Result<Vec<u8>> {
        let (copy, end) = descriptor::pipe()?;
        // A smaller copy is cut off, and read as what it is.
        let _ = fcntl_setpipe_size(&end, PIPE_BYTES_MAX);
        match tee(&self.0, &end, PIPE_BYTES_MAX, SpliceFlags::NONBLOCK) {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        drop(end);
        read_everything(copy.as_fd(), PIPE_BYTES_MAX, Duration::ZERO)
    }

    /// Waits until all who write to it have closed it; false if they have not within `limit`.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait_for_end(&self, limit: Duration) -> io::Result<bool> {
        // Who has more to say than fits may say it.
        let _ = fcntl_setpipe_size(&self.0, PIPE_BYTES_MAX);
        let limit = Timespec::try_from(limit).ok();
        // Without an event asked for, only the end is one.
        match poll(&mut [PollFd::new(&self.0, PollFlags::empty())], limit.as_ref()) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::sys::own_process::alone;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_looked_at_stays() {
        alone!();
        let (reader, writer) = descriptor::pipe().unwrap();
        let mut writer = File::from(writer);
        let other = OtherPipe(File::from(reader).try_clone().unwrap());
        descriptor::set_nonblocking(other.0.as_fd(), true).unwrap();
        assert_eq!(other.content().unwrap(), b"");
        writer.write_all(b"as it is").unwrap();
        for _ in 0..2 {
            assert_eq!(other.content().unwrap(), b"as it is");
        }
        assert!(!other.wait_for_end(Duration::from_millis(1)).unwrap());
        drop(writer);
        assert!(other.wait_for_end(LONG).unwrap());
        let mut text = String::new();
        (&other.0).read_to_string(&mut text).unwrap();
        assert_eq!(text, "as it is");
    }

    #[test]
    fn more_than_a_pipe_holds_is_let_in() {
        alone!();
        let (reader, writer) = descriptor::pipe().unwrap();
        let other = OtherPipe(File::from(reader));
        let content = vec![b'x'; 500_000];
        let mut writer = File::from(writer);
        let writing = std::thread::spawn({
            let content = content.clone();
            move || writer.write_all(&content)
        });
        assert!(other.wait_for_end(LONG).unwrap());
        writing.join().unwrap().unwrap();
        assert_eq!(other.content().unwrap(), content);
    }

    #[test]
    fn own_ones_are_none_of_another_process() {
        let (_reader, _writer) = descriptor::pipe().unwrap();
        assert!(of_process(crate::sys::process::own_pid()).unwrap().is_empty());
        assert!(of_process(0).is_err());
    }
}
