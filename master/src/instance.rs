//! What this master is for as long as this process image runs: its command line with the state
//! of a former image merged in, its files, its sockets, the environment that it started with.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;

use crate::options::{Files, Launch};
use crate::start::Listener;
use crate::sys::files::Identity;
use crate::sys::limits::OpenFiles;

/// An environment in its own order; a name stands once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_os_str())
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The same without the variables named.
    #[must_use]
    pub fn without(&self, names: &[OsString]) -> Self {
        Self(self.0.iter().filter(|(name, _)| !names.contains(name)).cloned().collect())
    }

    /// The same with `name` set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.into(), value.into()));
        self
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(variables: T) -> Self {
        let mut unique: Vec<(OsString, OsString)> = Vec::new();
        for (name, value) in variables {
            // Of a name that stands twice, getenv(3) finds the first.
            if unique.iter().all(|(other, _)| *other != name) {
                unique.push((name, value));
            }
        }
        Self(unique)
    }
}

/// Everything that stays as it is until the next image.
#[derive(Debug)]
pub struct Instance {
    /// The options, with those of the state where there was one.
    pub launch: Launch,
    /// The program that workers run, resolved, and its arguments.
    pub cmd: Vec<OsString>,
    /// Command socket, pid file, lock file, by absolute paths.
    pub files: Files,
    /// The bound sockets in the order of `-b`.
    pub listeners: Vec<Listener>,
    /// The socket that clients connect to.
    pub command_socket: OwnedFd,
    /// Which file of that name is this master's.
    pub command_socket_identity: Option<Identity>,
    /// How often the master has re-executed itself.
    pub generation: u64,
    /// What this image was started with.
    pub environment: Environment,
    /// The limit of open descriptors that this image was started with; its own is higher.
    pub open_files: Option<OpenFiles>,
    /// The first word of this image's own command line, as typed.
    pub own_name: OsString,
}

impl Instance {
    /// The words that the next image is started with, before its options.
    pub fn reexec_words(&self) -> Vec<OsString> {
        match &self.launch.reexec_as {
            Some(words) => words.clone(),
            None => vec![self.own_name.clone()],
        }
    }

    /// The environment of the next image.
    pub fn reload_environment(&self) -> Environment {
        self.environment.without(&self.launch.drop_env_vars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once() {
        let pairs = [("A", "1"), ("B", "2"), ("A", "3")];
        let environment: Environment =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(environment.get("A"), Some(OsStr::new("1")));
        assert_eq!(environment.iter().count(), 2);
        let changed = environment.with("A", "4").without(&["B".into()]);
        assert_eq!(changed.iter().collect::<Vec<_>>(), [(OsStr::new("A"), OsStr::new("4"))]);
    }
}
