//! The pid file: the master's pid in decimal and a newline, written as a whole.

use std::path::Path;

use super::StartError;
use crate::sys::files::{self, FileKind};
use crate::sys::process::{Pid, own_pid};
use crate::sys::signals;

/// Permissions: everyone may read it.
const MODE: u32 = 0o644;
/// More than any pid file holds.
const BYTES_MAX: usize = 64;

/// Makes the pid file name this process. A symlink there is replaced, never followed.
pub(super) fn write(path: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::Pidfile { path: path.to_owned(), source };
    match files::look(path).map_err(failed)? {
        None | Some((FileKind::Regular | FileKind::Symlink, _)) => {}
        Some((kind, _)) => {
            return Err(StartError::PidfileNotAFile { path: path.to_owned(), what: kind.text() });
        }
    }
    let content = format!("{}\n", own_pid());
    files::write_beside_and_rename(path, content.as_bytes(), MODE).map_err(failed)?;
    Ok(())
}

/// Whom a pid file names, if there is a plain file that names anyone.
pub(crate) fn names(path: &Path) -> Option<Pid> {
    let content = files::read_plain(path, BYTES_MAX).ok()?;
    std::str::from_utf8(&content).ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// The living process, not this one, that a pid file names.
pub(super) fn other_living_process(path: &Path) -> Option<Pid> {
    names(path).filter(|pid| *pid != own_pid() && signals::exists(*pid))
}
