//! A worker's environment (`protocol.md §2`), as data.
//!
//! The protocol's own variables are all set or all absent as this master has it: whatever a
//! master above, or a service manager, said to this master is not passed on.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use einhorn_protocol::environment as names;

use crate::options::FdBase;
use crate::sys::process::Pid;
use crate::sys::socket::Family;

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

/// A listening socket as a worker is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSocket {
    /// Its descriptor's number in the master; in a worker [`Numbering::number`].
    pub number: RawFd,
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: Option<String>,
}

/// How a worker's descriptors and the variables about them are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// Number of the first `EINHORN_FD_` variable.
    pub base: FdBase,
    /// With `--listen-fds`: sockets from descriptor 3 on, by systemd's convention too.
    pub listen_fds: bool,
}

impl Numbering {
    /// The number in a worker of the descriptor that has the number `here` in the master.
    /// Places count the sockets in order, then what else the worker gets.
    pub fn number(self, place: usize, here: RawFd) -> RawFd {
        if !self.listen_fds {
            return here;
        }
        RawFd::try_from(place)
            .ok()
            .and_then(|place| names::LISTEN_FDS_START.checked_add(place))
            .unwrap_or(RawFd::MAX)
    }
}

/// A variable of the protocol for a worker whose descriptors' numbers are not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// What stands in a [`Variable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// These bytes.
    Text(Vec<u8>),
    /// The numbers that descriptors have in the worker, separated by blanks. They are named by
    /// their places: the sockets in order, then those that are the worker's own.
    Numbers(Vec<usize>),
}

/// What all workers of a version have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedEnvironment {
    /// The variables of the protocol last.
    variables: Vec<CString>,
    protocol: Vec<Variable>,
    /// The sockets' numbers in a worker.
    numbers: Vec<RawFd>,
    numbering: Numbering,
    own_pid_in: Option<CString>,
}

impl SharedEnvironment {
    /// `start` is the environment that the master itself was started with; `socket_path` is
    /// absolute; `sockets` are in the order of `-b`.
    pub fn new<'a>(
        start: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
        master: Pid,
        socket_path: &Path,
        sockets: &[WorkerSocket],
        numbering: Numbering,
    ) -> Self {
        let text = |name: &str, value: &[u8]| Variable {
            name: name.to_owned(),
            value: Value::Text(value.to_vec()),
        };
        let numbers = |name: String, places| Variable { name, value: Value::Numbers(places) };
        let mut protocol = vec![
            text(names::MASTER_PID, master.to_string().as_bytes()),
            text(names::SOCK_PATH, socket_path.as_os_str().as_bytes()),
            text(names::FD_COUNT, sockets.len().to_string().as_bytes()),
            numbers(names::FDS.to_owned(), (0..sockets.len()).collect()),
        ];
        for (index, place, socket) in numbered(sockets, numbering.base) {
            protocol.push(numbers(format!("{}{index}", names::FD_PREFIX), vec![place]));
            let family = socket.family.name().as_bytes();
            protocol.push(text(&format!("{}{index}", names::FD_FAMILY_PREFIX), family));
        }
        let places = sockets.iter().enumerate();
        let numbers: Vec<RawFd> =
            places.map(|(place, socket)| numbering.number(place, socket.number)).collect();
        let own = protocol.iter().filter_map(|variable| in_a_worker(variable, &numbers));
        // As a service manager does it, nothing is said where there are no sockets.
        let listens = numbering.listen_fds && !sockets.is_empty();
        let convention = listens.then(|| of_the_convention(sockets)).into_iter().flatten();
        let variables = inherited_variables(start).chain(own).chain(convention).collect();
        let own_pid_in = listens.then(|| CString::new(names::LISTEN_PID).ok()).flatten();
        Self { variables, protocol, numbers, numbering, own_pid_in }
    }

    /// The same with one more variable, whose value is a path.
    #[must_use]
    pub fn with_path(mut self, name: &str, path: &Path) -> Self {
        let value = path.as_os_str().as_bytes();
        self.variables.extend(variable(name.as_bytes(), value));
        self.protocol.push(Variable { name: name.to_owned(), value: Value::Text(value.to_vec()) });
        self
    }

    /// The variable in which a worker finds its own pid, if there is one.
    pub fn own_pid_in(&self) -> Option<&CStr> {
        self.own_pid_in.as_deref()
    }

    /// The number in a worker of the descriptor `here`: that of the socket in its place, whichever
    /// slot's socket it is, else as the numbering has it.
    pub fn number(&self, place: usize, here: RawFd) -> RawFd {
        let known = self.numbers.get(place).copied();
        known.unwrap_or_else(|| self.numbering.number(place, here))
    }

    /// `NAME=value` each.
    pub fn variables(&self) -> impl Iterator<Item = &CStr> {
        self.variables.iter().map(CString::as_c_str)
    }

    /// What one worker has for itself: its index, and the numbers of descriptors of its own with
    /// the variables that name them.
    pub fn of_one_worker(
        index: u32,
        own: impl IntoIterator<Item = (&'static str, RawFd)>,
    ) -> Vec<CString> {
        let own = own.into_iter().map(|(name, number)| (name, number.to_string()));
        [(names::CHILD_INDEX, index.to_string())]
            .into_iter()
            .chain(own)
            .filter_map(|(name, value)| variable(name.as_bytes(), value.as_bytes()))
            .collect()
    }

    /// The variables of the protocol for a worker that gets its descriptors under other
    /// numbers; `own` are the variables of those that are its own, in their order.
    pub fn of_forked_worker(
        &self,
        index: u32,
        own: impl IntoIterator<Item = &'static str>,
    ) -> Vec<Variable> {
        let index = Value::Text(index.to_string().into_bytes());
        let mut variables = self.protocol.clone();
        variables.push(Variable { name: names::CHILD_INDEX.to_owned(), value: index });
        variables.extend(own.into_iter().zip(self.numbers.len()..).map(|(name, place)| Variable {
            name: name.to_owned(),
            value: Value::Numbers(vec![place]),
        }));
        variables
    }
}

/// What a master hands on of the environment `start` that it was itself started with.
pub fn inherited_variables<'a>(
    start: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
) -> impl Iterator<Item = CString> {
    start
        .into_iter()
        .filter(|(name, _)| is_passed_on(name.as_bytes()))
        .filter_map(|(name, value)| variable(name.as_bytes(), value.as_bytes()))
}

/// As a worker finds it that has its sockets under these numbers.
fn in_a_worker(of: &Variable, numbers: &[RawFd]) -> Option<CString> {
    let value = match &of.value {
        Value::Text(text) => text.clone(),
        Value::Numbers(places) => {
            let numbers: Vec<String> = places
                .iter()
                .filter_map(|place| numbers.get(*place))
                .map(RawFd::to_string)
                .collect();
            numbers.join(" ").into_bytes()
        }
    };
    variable(of.name.as_bytes(), &value)
}

/// What `sd_listen_fds(3)` and its like read, but for the worker's own pid.
fn of_the_convention(sockets: &[WorkerSocket]) -> impl Iterator<Item = CString> {
    let name = |socket: &WorkerSocket| {
        socket.name.clone().unwrap_or_else(|| names::LISTEN_FD_UNNAMED.to_owned())
    };
    let names: Vec<String> = sockets.iter().map(name).collect();
    [(names::LISTEN_FDS, sockets.len().to_string()), (names::LISTEN_FDNAMES, names.join(":"))]
        .into_iter()
        .filter_map(|(name, value)| variable(name.as_bytes(), value.as_bytes()))
}

/// The sockets with the numbers of their variables and their places. A single one has both the
/// number 0 and the number 1, which satisfies both editions of the protocol (`protocol.md §1`,
/// Numbering).
fn numbered(
    sockets: &[WorkerSocket],
    base: FdBase,
) -> impl Iterator<Item = (usize, usize, &WorkerSocket)> {
    let both = match sockets {
        [single] => Some([FdBase::Zero, FdBase::One].map(|base| (base.number(), 0, single))),
        _ => None,
    };
    let several = if both.is_some() { &[] } else { sockets };
    let several = several.iter().enumerate();
    let numbers = base.number()..;
    let several = numbers.zip(several).map(|(number, (place, socket))| (number, place, socket));
    both.into_iter().flatten().chain(several)
}

fn is_passed_on(name: &[u8]) -> bool {
    !name.starts_with(names::PREFIX.as_bytes())
        && !names::SERVICE_MANAGER.iter().any(|theirs| theirs.as_bytes() == name)
}

/// None if it holds a NUL, which no environment can.
fn variable(name: &[u8], value: &[u8]) -> Option<CString> {
    CString::new([name, b"=", value].concat()).ok()
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
