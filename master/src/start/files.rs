//! Where this master's files are: what the options say, else the defaults, always absolute.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use einhorn_protocol::environment::MASTER_PID;
use einhorn_protocol::limit::UNIX_PATH_BYTES_MAX;

use crate::log::shown;
use crate::options::{Files, Launch, default_files};
use crate::settings::AckMode;
use crate::sys::process::{Pid, own_pid, parent_pid};
use crate::sys::{files, reason};

/// A command socket in a folder that was given with `-d`.
const SOCKET_IN_FOLDER: &str = "einhorn.sock";

/// The files that a master wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFiles {
    /// By the options and the defaults.
    pub files: Files,
    /// Only where this master is a worker of another one: names with its own pid in the place
    /// of each default, for when the defaults are in use. The master above has the same ones,
    /// and so has the next version of this one while both live.
    pub fallback: Option<Files>,
    /// Whether there is to be a socket that workers notify.
    pub notify: bool,
}

/// Why it cannot be said where the files are.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no working directory to start a relative path from.
    #[error("cannot make {path} absolute: {} (the working directory may be gone)", reason(source))]
    Relative {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Longer than the address of a unix socket.
    #[error(
        "the command socket's path {path} has {length} bytes, and at most 107 fit (use -d PATH \
         for a shorter one)"
    )]
    TooLong {
        /// The path.
        path: String,
        /// Its length.
        length: usize,
    },
}

impl WantedFiles {
    /// What `launch` asks for; `lookup` reads a variable of this master's own environment.
    ///
    /// # Errors
    /// A path cannot be made absolute, or is too long then.
    pub fn of(
        launch: &Launch,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, FilesError> {
        let is_worker = is_of_master(lookup(MASTER_PID).as_deref(), parent_pid());
        let name = launch.command_name.as_deref();
        let defaults = default_files(name, lookup, files::is_writable_folder);
        let with = |defaults: Files| -> Result<Files, FilesError> {
            let socket = launch.socket_path.as_deref().map(|path| {
                if path.is_dir() { path.join(SOCKET_IN_FOLDER) } else { path.to_owned() }
            });
            Ok(Files {
                command_socket: short(absolute(&socket.unwrap_or(defaults.command_socket))?)?,
                pidfile: absolute(launch.pidfile.as_deref().unwrap_or(&defaults.pidfile))?,
                lockfile: absolute(launch.lockfile.as_deref().unwrap_or(&defaults.lockfile))?,
            })
        };
        let own = own_pid();
        let own_defaults = || Files {
            command_socket: with_pid(&defaults.command_socket, own),
            pidfile: with_pid(&defaults.pidfile, own),
            lockfile: with_pid(&defaults.lockfile, own),
        };
        let fallback = is_worker.then(own_defaults).map(with).transpose()?;
        let notify = launch.settings.ack_mode == AckMode::Notify;
        Ok(Self { files: with(defaults)?, fallback, notify })
    }
}

/// Whether a value of `EINHORN_MASTER_PID` names this process's parent.
fn is_of_master(value: Option<&OsStr>, parent: Pid) -> bool {
    let named = value.and_then(OsStr::to_str).and_then(|text| text.parse::<Pid>().ok());
    parent > 0 && named == Some(parent)
}

/// `einhorn.sock` to `einhorn.812.sock`.
fn with_pid(path: &Path, pid: Pid) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{pid}."));
    name.push(path.extension().unwrap_or_default());
    path.with_file_name(name)
}

fn absolute(path: &Path) -> Result<PathBuf, FilesError> {
    std::path::absolute(path)
        .map_err(|source| FilesError::Relative { path: shown(&path.to_string_lossy()), source })
}

fn short(path: PathBuf) -> Result<PathBuf, FilesError> {
    let length = path.as_os_str().len();
    if length > UNIX_PATH_BYTES_MAX {
        return Err(FilesError::TooLong { path: shown(&path.to_string_lossy()), length });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::options::{self, Invocation};

    fn wanted(arguments: &[&str], environment: &[(&str, &str)]) -> Result<WantedFiles, FilesError> {
        let words = arguments.iter().copied().chain(["program"]).map(OsString::from);
        let Ok(Invocation::Run(launch)) = options::parse(words, NonZeroU32::MIN) else {
            panic!("{arguments:?}");
        };
        WantedFiles::of(&launch, |name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn options_win_over_defaults_and_all_is_absolute() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let here = std::env::current_dir().unwrap();
        let found = wanted(&["-c", "web", "-e", "some.pid"], &[("TMPDIR", path)]).unwrap();
        assert_eq!(found.files.command_socket, folder.path().join("einhorn-web.sock"));
        assert_eq!(found.files.lockfile, folder.path().join("einhorn-web.lock"));
        assert_eq!(found.files.pidfile, here.join("some.pid"));
        assert_eq!(found.fallback, None);
        let found = wanted(&["-d", "./a.sock", "-f", "/b.lock"], &[]).unwrap();
        assert_eq!(found.files.command_socket, here.join("a.sock"));
        assert_eq!(found.files.lockfile, Path::new("/b.lock"));
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_passed_over() {
        let found = wanted(&[], &[("TMPDIR", "/no/such/folder")]).unwrap();
        assert_eq!(found.files.command_socket, Path::new("/tmp/einhorn.sock"));
    }

    #[test]
    fn a_folder_for_the_command_socket_gets_it_inside() {
        let folder = tempfile::tempdir().unwrap();
        let found = wanted(&["-d", folder.path().to_str().unwrap()], &[]).unwrap();
        assert_eq!(found.files.command_socket, folder.path().join("einhorn.sock"));
    }

    #[test]
    fn a_relative_path_may_be_too_long_once_absolute() {
        let message = wanted(&["-d", &"x".repeat(105)], &[]).unwrap_err().to_string();
        assert!(message.starts_with("the command socket's path /"), "{message}");
        assert!(message.ends_with("(use -d PATH for a shorter one)"), "{message}");
    }

    #[test]
    fn a_worker_of_another_master_has_names_of_its_own_in_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let parent = parent_pid().to_string();
        let environment =
            [("TMPDIR", folder.path().to_str().unwrap()), ("EINHORN_MASTER_PID", &parent)];
        let own = |extension| folder.path().join(format!("einhorn.{}.{extension}", own_pid()));
        let fallback = wanted(&["-e", "/a.pid"], &environment).unwrap().fallback.unwrap();
        assert_eq!(fallback.command_socket, own("sock"));
        assert_eq!(fallback.lockfile, own("lock"));
        assert_eq!(fallback.pidfile, Path::new("/a.pid"));
        // What a grandchild inherits says nothing about itself.
        let environment = [("EINHORN_MASTER_PID", "1x")];
        assert_eq!(wanted(&[], &environment).unwrap().fallback, None);
        assert!(!is_of_master(Some(OsStr::new("0")), 0));
        assert!(!is_of_master(Some(OsStr::new("12")), 13));
    }
}
