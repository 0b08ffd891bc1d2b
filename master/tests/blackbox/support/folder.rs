//! A folder of a test's own, which is also the mark by which its processes are found.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::process::no_fork;

/// Removed at the end of its test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("einhorn-test-").tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as text, for command lines.
    pub(crate) fn word(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, whole or not at all.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.join(name);
        let beside = self.join(&format!("{name}.new"));
        fs::write(&beside, content).unwrap();
        fs::rename(&beside, &path).unwrap();
        path
    }

    /// Writes a program for `/bin/sh` and says where it is.
    pub(crate) fn script(&self, name: &str, body: &str) -> String {
        self.program(name, format!("#!/bin/sh\n{body}\n"))
    }

    /// Writes a file that may be executed. Whoever runs a former one of that name keeps it.
    pub(crate) fn program(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let beside = self.join(&format!("{name}.new"));
        // What is open for writing cannot be executed.
        let _alone = no_fork();
        fs::write(&beside, content).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&beside, self.join(name)).unwrap();
        self.word(name)
    }

    /// Copies a program.
    pub(crate) fn copy(&self, program: impl AsRef<Path>, name: &str) -> PathBuf {
        let _alone = no_fork();
        fs::copy(program, self.join(name)).unwrap();
        fs::set_permissions(self.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        self.join(name)
    }

    /// A socket that nobody listens to any more.
    pub(crate) fn dead_socket(&self, name: &str) -> PathBuf {
        let _alone = no_fork();
        drop(UnixListener::bind(self.join(name)).unwrap());
        self.join(name)
    }

    /// A pipe whose readers wait until it is opened for writing ([`Gate::open`]).
    pub(crate) fn gate(&self, name: &str) -> Gate {
        let path = self.join(name);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        Gate { path }
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names of everything in it, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The variable that every process of this test has.
    pub(crate) fn mark(&self) -> OsString {
        let mut mark = b"TMPDIR=".to_vec();
        mark.extend_from_slice(self.path().as_os_str().as_encoded_bytes());
        OsString::from_vec(mark)
    }
}

/// Whoever opens it for reading waits, and all go on together.
pub(crate) struct Gate {
    path: PathBuf,
}

impl Gate {
    /// It is open as long as what is returned lives.
    pub(crate) fn open(&self) -> fs::File {
        fs::File::options().read(true).write(true).open(&self.path).unwrap()
    }
}
