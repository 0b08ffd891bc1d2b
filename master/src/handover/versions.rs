//! What versions run, between images: written down, and taken over.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::inherited::Inherited;
use crate::instance::Environment;
use crate::pool::{PendingReload, Restored, Version};
use crate::spawn::deployed::Print;
use crate::spawn::{Deployed, Source, Versions, WorkingFolder};
use crate::state::{Bytes, OurFile, OurVersion, Snapshot};
use crate::sys::reason;

/// Each version that may be started. One that an upgrade has left, or is about to leave,
/// keeps its environment; any other has the next image's.
pub(super) fn capture(versions: &Versions, pool: &Restored) -> Vec<OurVersion> {
    let is_left = pool.pending_reload.is_some_and(PendingReload::is_for_upgrade);
    versions
        .sources()
        .map(|(version, source)| OurVersion {
            version,
            command: source.command.iter().map(|word| word.as_bytes().to_vec()).collect(),
            environment: (source.kept || (is_left && version == pool.committed))
                .then(|| variables(&source.environment)),
            folder: source
                .folder
                .as_ref()
                .map(|folder| folder.path().as_os_str().as_bytes().to_vec()),
            folder_fd: source.folder.as_ref().map(WorkingFolder::number),
            files: source.files.iter().map(our_file).collect(),
        })
        .collect()
}

fn variables(environment: &Environment) -> Vec<Bytes> {
    environment
        .iter()
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect()
}

fn our_file(file: &Deployed) -> OurFile {
    OurFile {
        word: u32::try_from(file.word).unwrap_or(u32::MAX),
        real: file.real.as_os_str().as_bytes().to_vec(),
        device: file.print.device,
        inode: file.print.inode,
        size: file.print.size,
        modified: file.print.modified,
    }
}

/// What the former image had. `own` is this image's environment.
pub(super) fn take_over(
    snapshot: &Snapshot,
    inherited: &mut Inherited,
    own: &Environment,
) -> Vec<(Version, Source)> {
    let known = snapshot.ours.iter().flat_map(|ours| &ours.versions);
    known.map(|known| (known.version, source(known, inherited, own))).collect()
}

fn source(known: &OurVersion, inherited: &mut Inherited, own: &Environment) -> Source {
    let kept = known.environment.as_deref();
    Source {
        command: known.command.iter().cloned().map(OsString::from_vec).collect(),
        environment: kept.map_or_else(|| own.clone(), environment),
        kept: kept.is_some(),
        folder: folder(known, inherited),
        files: known.files.iter().map(deployed).collect(),
        seen: true,
    }
}

fn environment(variables: &[Bytes]) -> Environment {
    variables
        .iter()
        .filter_map(|variable| {
            // A name may begin with the sign; its value begins after the next one.
            let sign = variable.iter().skip(1).position(|byte| *byte == b'=')? + 1;
            let (name, value) = variable.split_at_checked(sign)?;
            Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.get(1..)?.to_vec())))
        })
        .collect()
}

/// Its folder, or the one that its path leads to now.
fn folder(known: &OurVersion, inherited: &mut Inherited) -> Option<WorkingFolder> {
    let path = PathBuf::from(OsString::from_vec(known.folder.clone()?));
    let number = known.folder_fd.unwrap_or(-1);
    let crossed = inherited.take(number).map_err(|error| reason(&error)).and_then(|descriptor| {
        WorkingFolder::take_over(path.clone(), descriptor).map_err(|error| error.to_string())
    });
    let reason = match crossed {
        Ok(folder) => return Some(folder),
        Err(reason) => reason,
    };
    ::log::error!("descriptor {number}, said to be a working folder, is lost: {reason}");
    WorkingFolder::open(&path).map_err(|error| ::log::error!("{error}")).ok()
}

fn deployed(known: &OurFile) -> Deployed {
    Deployed {
        word: usize::try_from(known.word).unwrap_or(usize::MAX),
        real: PathBuf::from(OsString::from_vec(known.real.clone())),
        print: Print {
            device: known.device,
            inode: known.inode,
            size: known.size,
            modified: known.modified,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_reads_as_it_was_written() {
        let pairs = [("A", "1=2"), ("EMPTY", ""), ("=C:", "x"), ("LINES", "a\nb")];
        let written: Environment =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(environment(&variables(&written)), written);
        assert_eq!(environment(&[b"none".to_vec(), Vec::new()]), Environment::default());
    }
}
