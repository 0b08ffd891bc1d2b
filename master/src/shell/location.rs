//! Where the master's socket is (`protocol.md §9`, `§11`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use einhorn_protocol::default;

use super::arguments::Arguments;
use crate::options::default_files;

/// The path of the socket: `-d` if given, else the default for the command name. `lookup`
/// reads a variable of the environment; `usable` says whether a master puts its files into a
/// folder.
pub fn socket_path(
    arguments: &Arguments,
    lookup: impl Fn(&str) -> Option<OsString>,
    usable: impl Fn(&Path) -> bool,
) -> PathBuf {
    match &arguments.socket_path {
        Some(folder) if folder.is_dir() => folder.join(format!("{}.sock", default::FILE_STEM)),
        Some(path) => path.clone(),
        None => default_files(arguments.command_name.as_deref(), lookup, usable).command_socket,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: Option<&str>, path: Option<&Path>, expect: &Path) {
        let arguments = Arguments {
            command_name: name.map(OsString::from),
            socket_path: path.map(PathBuf::from),
            execute: None,
        };
        let lookup = |variable: &str| (variable == "TMPDIR").then(|| "/run/x".into());
        assert_eq!(socket_path(&arguments, lookup, |_| true), expect);
    }

    #[test]
    fn a_path_goes_before_a_name() {
        check(None, None, Path::new("/run/x/einhorn.sock"));
        check(Some("web"), None, Path::new("/run/x/einhorn-web.sock"));
        check(Some("web"), Some(Path::new("/a/b")), Path::new("/a/b"));
        let folder = tempfile::tempdir().unwrap();
        check(None, Some(folder.path()), &folder.path().join("einhorn.sock"));
    }
}
