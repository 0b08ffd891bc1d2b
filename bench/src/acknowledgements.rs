//! The other side of `bench_worker`: where it acknowledges when no master is there, and where
//! it says that it is done.

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::interrupt;

/// Names the socket on which a `bench_worker` says that its acknowledgement was taken.
pub const DONE_VARIABLE: &str = "BENCH_DONE_PATH";

/// Counts workers whose acknowledgement was taken.
pub struct DoneSocket(UnixListener);

impl DoneSocket {
    /// Listens at `path`.
    ///
    /// # Errors
    /// Those of bind.
    pub fn bind(path: &Path) -> Result<Self> {
        Ok(Self(UnixListener::bind(path).context("cannot listen for workers")?))
    }

    /// Returns once `count` more workers are done, with their pids.
    ///
    /// # Errors
    /// They are not within `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Result<Vec<u32>> {
        let deadline = Instant::now() + limit;
        let mut pids = Vec::with_capacity(count);
        for number in 0..count {
            while !self.is_ready()? {
                interrupt::check()?;
                if Instant::now() > deadline {
                    bail!("only {number} of {count} workers were acknowledged in time");
                }
            }
            let (worker, _) = self.0.accept()?;
            pids.extend(u32::try_from(getsockopt(&worker, PeerCredentials)?.pid()));
        }
        Ok(pids)
    }

    /// Forgets those that are done and were not waited for.
    ///
    /// # Errors
    /// Those of accept.
    pub fn drain(&self) -> Result<()> {
        while self.is_ready()? {
            self.0.accept()?;
        }
        Ok(())
    }

    fn is_ready(&self) -> Result<bool> {
        let slice = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let listener = self.0.as_fd();
        match poll(&mut [PollFd::new(&listener, PollFlags::IN)], Some(&slice)) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Takes acknowledgements at `path` as a master does, for as long as the process lives.
///
/// # Errors
/// Those of bind.
pub fn take_acknowledgements(path: &Path) -> Result<()> {
    let listener = UnixListener::bind(path).context("cannot listen for acknowledgements")?;
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // The worker waits for the end of the connection.
            let _ = BufReader::new(connection).skip_until(b'\n');
        }
    });
    Ok(())
}
