//! The lock file: at most one master at a time replaces a command socket.

use std::fs::File;
use std::path::Path;

use super::StartError;
use crate::sys::files::{self, FileKind};

/// Takes the lock without waiting; it is free again when the file is dropped, and the file
/// stays.
pub(super) fn take(path: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::Lock { path: path.to_owned(), source };
    match files::look(path).map_err(failed)? {
        None | Some((FileKind::Regular, _)) => {}
        Some((kind, _)) => {
            return Err(StartError::LockNotAFile { path: path.to_owned(), what: kind.text() });
        }
    }
    // What was put there since the look is not followed either.
    let file = files::open_or_create(path, 0o600).map_err(failed)?;
    if files::try_lock(&file).map_err(failed)? {
        Ok(file)
    } else {
        Err(StartError::LockHeld(path.to_owned()))
    }
}
