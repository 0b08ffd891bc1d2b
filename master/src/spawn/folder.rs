//! The folder that workers run in (`--chdir`), held open.
//!
//! A path is followed once, symlinks and all, when a version begins. From then on the version's
//! workers run in that very folder, wherever a link leads and whatever the folder is called.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use crate::log::shown;
use crate::sys::{files, reason};

/// Why workers cannot run there.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot run workers in {} (--chdir): {}",
    shown(&.path.to_string_lossy()),
    reason(.source)
)]
pub struct FolderError {
    path: PathBuf,
    source: io::Error,
}

/// A folder that stays the same one whatever happens to its path.
#[derive(Debug)]
pub struct WorkingFolder {
    path: PathBuf,
    descriptor: OwnedFd,
}

impl WorkingFolder {
    /// Follows `path` to the folder that it leads to now.
    ///
    /// # Errors
    /// It is missing, no folder, or may not be entered.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        match files::open_folder(path) {
            Ok(descriptor) => Ok(Self { path: path.to_path_buf(), descriptor }),
            Err(source) => Err(FolderError { path: path.to_path_buf(), source }),
        }
    }

    /// The folder that a former image opened by `path`.
    ///
    /// # Errors
    /// The descriptor is that of something else.
    pub fn take_over(path: PathBuf, descriptor: OwnedFd) -> Result<Self, FolderError> {
        match files::is_folder(descriptor.as_fd()) {
            Ok(true) => Ok(Self { path, descriptor }),
            Ok(false) => Err(FolderError { path, source: io::ErrorKind::NotADirectory.into() }),
            Err(source) => Err(FolderError { path, source }),
        }
    }

    /// As it was typed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its descriptor's number.
    pub fn number(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl AsFd for WorkingFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// `path`, as a program in `folder` would follow it, as this process reaches it.
pub fn locate(folder: Option<&WorkingFolder>, path: &Path) -> PathBuf {
    match folder {
        Some(folder) if path.is_relative() => {
            Path::new("/proc/self/fd").join(folder.number().to_string()).join(path)
        }
        Some(_) | None => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_stays_the_one_that_its_path_led_to() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for release in ["1", "2"] {
            std::fs::create_dir(path(release)).unwrap();
            std::fs::write(path(release).join("program"), release).unwrap();
        }
        symlink("1", path("current")).unwrap();
        let folder = WorkingFolder::open(&path("current")).unwrap();
        std::fs::remove_file(path("current")).unwrap();
        symlink("2", path("current")).unwrap();
        std::fs::rename(path("1"), path("old")).unwrap();
        let found = locate(Some(&folder), Path::new("./program"));
        assert_eq!(std::fs::read_to_string(found).unwrap(), "1");
        assert_eq!(locate(Some(&folder), Path::new("/bin/sh")), Path::new("/bin/sh"));
        assert_eq!(locate(None, Path::new("./program")), Path::new("./program"));
    }

    #[test]
    fn what_is_no_folder_is_named() {
        let place = tempfile::tempdir().unwrap();
        let missing = WorkingFolder::open(&place.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("/none (--chdir): "), "{missing}");
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(WorkingFolder::open(&file).is_err());
        let descriptor = std::fs::File::open(&file).unwrap().into();
        assert!(WorkingFolder::take_over(file, descriptor).is_err());
    }
}
