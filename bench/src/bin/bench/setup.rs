//! What every part is given: the built programs, a folder, and how much time there is.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use einhorn_bench::acknowledgements::{DONE_VARIABLE, DoneSocket, take_acknowledgements};
use einhorn_bench::programs;
use tempfile::TempDir;

/// The same for all parts.
pub(crate) struct Setup {
    /// The master, as it is shipped.
    pub(crate) einhorn: PathBuf,
    /// A server that answers slowly when asked to.
    pub(crate) time_server: PathBuf,
    /// The least that a worker can be.
    pub(crate) worker: PathBuf,
    /// Fewer rounds, for a look in under two minutes.
    pub(crate) is_quick: bool,
    /// Workers report here once they were acknowledged.
    pub(crate) done: DoneSocket,
    folder: TempDir,
}

impl Setup {
    pub(crate) fn new(is_quick: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("einhorn-bench-").tempdir()?;
        take_acknowledgements(&folder.path().join("acknowledge"))?;
        Ok(Self {
            einhorn: programs::find("einhorn", "EINHORN")?,
            time_server: programs::find("time_server", "TIME_SERVER")?,
            worker: programs::find("bench_worker", "BENCH_WORKER")?,
            is_quick,
            done: DoneSocket::bind(&folder.path().join("done"))?,
            folder,
        })
    }

    /// Where workers without a master acknowledge.
    pub(crate) fn acknowledge_path(&self) -> PathBuf {
        self.path("acknowledge")
    }

    /// The variable that makes a worker report to [`Self::done`].
    pub(crate) fn report_to(&self) -> (&'static str, OsString) {
        (DONE_VARIABLE, self.path("done").into())
    }

    /// A name in the run's own folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How many of `full` rounds that take seconds each there is time for.
    pub(crate) fn long_rounds(&self, full: usize) -> usize {
        if self.is_quick { 1 } else { full }
    }

    /// How many of `full` rounds there is time for.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.is_quick { (full / 5).max(3).min(full) } else { full }
    }
}
