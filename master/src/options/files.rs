//! Where the master's files are when nobody says so (`protocol.md §9`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use einhorn_protocol::default;

/// The three files of a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The command socket.
    pub command_socket: PathBuf,
    /// The file that holds the master's pid.
    pub pidfile: PathBuf,
    /// The lock that is held while the command socket is replaced.
    pub lockfile: PathBuf,
}

/// The default files of a master with the command name `name`: in the first folder of
/// `TMPDIR`, `TMP`, `TEMP` that `usable` agrees to, else in `/tmp`. `lookup` reads a variable
/// of the environment.
pub fn default_files(
    name: Option<&OsStr>,
    lookup: impl Fn(&str) -> Option<OsString>,
    usable: impl Fn(&Path) -> bool,
) -> Files {
    let folder = default::FOLDER_VARIABLES
        .iter()
        .filter_map(|variable| lookup(variable))
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .find(|folder| usable(folder))
        .unwrap_or_else(|| PathBuf::from(default::FOLDER));
    let path = |extension: &str| {
        let mut file = OsString::from(default::FILE_STEM);
        if let Some(name) = name {
            file.push("-");
            file.push(name);
        }
        file.push(extension);
        folder.join(file)
    };
    Files { command_socket: path(".sock"), pidfile: path(".pid"), lockfile: path(".lock") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: Option<&str>, environment: &[(&str, &str)], unusable: &[&str], socket: &str) {
        let files = default_files(
            name.map(OsStr::new),
            |variable| {
                let found = environment.iter().find(|(key, _)| *key == variable);
                found.map(|(_, value)| OsString::from(value))
            },
            |folder| !unusable.iter().any(|path| Path::new(path) == folder),
        );
        assert_eq!(files.command_socket, Path::new(socket));
        assert_eq!(files.pidfile, Path::new(socket).with_extension("pid"));
        assert_eq!(files.lockfile, Path::new(socket).with_extension("lock"));
    }

    #[test]
    fn the_first_usable_folder_counts() {
        check(None, &[], &[], "/tmp/einhorn.sock");
        check(None, &[("TEMP", "/c"), ("TMPDIR", "/a"), ("TMP", "/b")], &[], "/a/einhorn.sock");
        check(None, &[("TMPDIR", "/a"), ("TMP", "/b")], &["/a"], "/b/einhorn.sock");
        check(None, &[("TMPDIR", ""), ("TEMP", "/c")], &[], "/c/einhorn.sock");
        check(None, &[("TMPDIR", "/a")], &["/a", "/tmp"], "/tmp/einhorn.sock");
    }

    #[test]
    fn a_command_name_is_part_of_each_name() {
        check(Some("web"), &[("TMP", "/b")], &[], "/b/einhorn-web.sock");
        check(Some("v1.2"), &[], &[], "/tmp/einhorn-v1.2.sock");
    }
}
