//! Becoming the next image of this process.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::answer::Kind;
use super::check::{block, to_c};
use crate::instance::Instance;
use crate::spawn::Versions;
use crate::start::Listener;
use crate::state::Snapshot;
use crate::sys::exec::{self, Mask};
use crate::sys::{memory_file, reason};

/// Hands `snapshot` and every descriptor in it to the next image. Returns only if that fails,
/// with the reason; then everything is as it was. `program` is what has passed the check.
pub fn reexec(
    instance: &Instance,
    snapshot: &Snapshot,
    (next, program): (Kind, &CStr),
    versions: &Versions,
    clients: &[BorrowedFd<'_>],
) -> String {
    match try_reexec(instance, snapshot, (next, program), versions, clients) {
        Ok(never) => match never {},
        Err(reason) => reason,
    }
}

fn try_reexec(
    instance: &Instance,
    snapshot: &Snapshot,
    (next, program): (Kind, &CStr),
    versions: &Versions,
    clients: &[BorrowedFd<'_>],
) -> Result<std::convert::Infallible, String> {
    let file = write_down(snapshot)?;
    let environment = instance.reload_environment();
    let words = instance.reexec_words();
    let mut arguments: Vec<CString> = words.iter().map(to_c).collect::<Result<_, _>>()?;
    arguments.push(to_c("--with-state-fd")?);
    arguments.push(to_c(file.as_raw_fd().to_string())?);
    arguments.push(to_c("--")?);
    for word in &instance.cmd {
        arguments.push(to_c(word)?);
    }
    let mut keep: Vec<BorrowedFd<'_>> = vec![file.as_fd(), instance.command_socket.as_fd()];
    keep.extend(instance.listeners.iter().flat_map(Listener::sockets).map(AsFd::as_fd));
    keep.extend(clients);
    let mask = match next {
        Kind::Ours { .. } => {
            // Another master would hand them on to its workers.
            keep.extend(versions.folders());
            keep.extend(instance.notify_socket.as_ref().map(AsFd::as_fd));
            Mask::Kept
        }
        Kind::Silent => Mask::Cleared,
    };
    let error = exec::exec(program, &arguments, &block(&environment), &keep, mask);
    Err(format!("cannot execute {}: {}", program.to_string_lossy(), reason(&error)))
}

/// Writes `snapshot` down as [`reexec`] would, to see whether that can be done.
///
/// # Errors
/// Why it cannot.
pub fn rehearse(snapshot: &Snapshot) -> Result<(), String> {
    write_down(snapshot).map(drop)
}

fn write_down(snapshot: &Snapshot) -> Result<OwnedFd, String> {
    let text = snapshot.to_yaml();
    verify(snapshot, &text)?;
    let file = memory_file::with_content("einhorn-state", text.as_bytes())
        .map_err(|error| format!("cannot keep the state in memory: {}", reason(&error)))?;
    let written = memory_file::read_everything(file.as_fd(), text.len(), Duration::ZERO)
        .map_err(|error| format!("cannot read the state back: {}", reason(&error)))?;
    if written != text.as_bytes() {
        return Err("the state in memory is not what was written".to_string());
    }
    Ok(file)
}

/// What the next image would read must be what is meant: there is no second try.
fn verify(snapshot: &Snapshot, text: &str) -> Result<(), String> {
    match Snapshot::from_yaml(text.as_bytes()) {
        Ok((read, _)) if read == *snapshot => Ok(()),
        Ok(_) => Err("the state does not read as it was written".to_string()),
        Err(error) => Err(format!("the state cannot be read back: {error}")),
    }
}
