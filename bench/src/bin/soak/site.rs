//! Release folders and the link to the current one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Result;
use einhorn_bench::soaked::{Conduct, RELEASE_FILE};
use tempfile::TempDir;

/// What is deployed.
pub(crate) struct Site {
    folder: TempDir,
    last: u64,
}

impl Site {
    /// A site with one good release.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("einhorn-soak-").tempdir()?;
        let mut site = Self { folder, last: 0 };
        site.release(Conduct::Good)?;
        Ok(site)
    }

    /// The folder that the link names.
    pub(crate) fn current(&self) -> PathBuf {
        self.folder.path().join("current")
    }

    /// Where the workers' unix socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("http.sock")
    }

    /// Makes a release and points to it; returns what was pointed to.
    pub(crate) fn release(&mut self, conduct: Conduct) -> Result<Option<PathBuf>> {
        let before = fs::read_link(self.current()).ok();
        self.last += 1;
        let release = self.folder.path().join(self.last.to_string());
        fs::create_dir(&release)?;
        fs::write(release.join(RELEASE_FILE), format!("{} {}", self.last, conduct.name()))?;
        self.point(&release)?;
        Ok(before)
    }

    /// Makes a release the current one, at one stroke.
    pub(crate) fn point(&self, release: &Path) -> Result<()> {
        let beside = self.folder.path().join("current.new");
        symlink(release, &beside)?;
        Ok(fs::rename(beside, self.current())?)
    }
}
