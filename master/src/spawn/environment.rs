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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSocket {
    /// Its descriptor's number, the same in master and worker.
    pub number: RawFd,
    /// Its family.
    pub family: Family,
}

/// What all workers of a version have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedEnvironment {
    variables: Vec<CString>,
}

impl SharedEnvironment {
    /// `start` is the environment that the master itself was started with; `socket_path` is
    /// absolute; `sockets` are in the order of `-b`.
    pub fn new<'a>(
        start: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
        master: Pid,
        socket_path: &Path,
        sockets: &[WorkerSocket],
        base: FdBase,
    ) -> Self {
        let mut variables: Vec<CString> = start
            .into_iter()
            .filter(|(name, _)| is_passed_on(name.as_bytes()))
            .filter_map(|(name, value)| variable(name.as_bytes(), value.as_bytes()))
            .collect();
        let mut set = |name: &str, value: &[u8]| {
            variables.extend(variable(name.as_bytes(), value));
        };
        set(names::MASTER_PID, master.to_string().as_bytes());
        set(names::SOCK_PATH, socket_path.as_os_str().as_bytes());
        set(names::FD_COUNT, sockets.len().to_string().as_bytes());
        let numbers: Vec<String> = sockets.iter().map(|socket| socket.number.to_string()).collect();
        set(names::FDS, numbers.join(" ").as_bytes());
        for (index, socket) in numbered(sockets, base) {
            let number = socket.number.to_string();
            set(&format!("{}{index}", names::FD_PREFIX), number.as_bytes());
            let family = socket.family.name();
            set(&format!("{}{index}", names::FD_FAMILY_PREFIX), family.as_bytes());
        }
        Self { variables }
    }

    /// `NAME=value` each.
    pub fn variables(&self) -> impl Iterator<Item = &CStr> {
        self.variables.iter().map(CString::as_c_str)
    }

    /// What one worker has for itself: its index and, with `-g`, the number of its connection
    /// to the command socket.
    pub fn of_one_worker(index: u32, command_socket: Option<RawFd>) -> Vec<CString> {
        let index = (names::CHILD_INDEX, index.to_string());
        let connection = command_socket.map(|number| (names::SOCK_FD, number.to_string()));
        [Some(index), connection]
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| variable(name.as_bytes(), value.as_bytes()))
            .collect()
    }
}

/// The sockets with the numbers of their variables. A single one has both the number 0 and
/// the number 1, which satisfies both editions of the protocol (`protocol.md §1`, Numbering).
fn numbered(
    sockets: &[WorkerSocket],
    base: FdBase,
) -> impl Iterator<Item = (usize, &WorkerSocket)> {
    let both = match sockets {
        [single] => Some([(FdBase::Zero.number(), single), (FdBase::One.number(), single)]),
        _ => None,
    };
    let several = if both.is_some() { &[] } else { sockets };
    both.into_iter().flatten().chain((base.number()..).zip(several))
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
mod tests {
    use super::*;

    const INET: fn(RawFd) -> WorkerSocket = |number| WorkerSocket { number, family: Family::Inet };

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

    #[track_caller]
    fn check(start: &[(&str, &str)], sockets: &[WorkerSocket], base: FdBase, expect: &[&str]) {
        let start = start.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value)));
        let shared = SharedEnvironment::new(start, 812, Path::new("/run/e.sock"), sockets, base);
        let found: Vec<&str> = shared.variables().map(|text| text.to_str().unwrap()).collect();
        assert_eq!(found, expect);
    }

    const MASTER: &str = "EINHORN_MASTER_PID=812";
    const SOCK: &str = "EINHORN_SOCK_PATH=/run/e.sock";

    #[test]
    fn without_sockets_the_count_is_zero() {
        check(&[], &[], FdBase::Zero, &[MASTER, SOCK, "EINHORN_FD_COUNT=0", "EINHORN_FDS="]);
        check(&[], &[], FdBase::One, &[MASTER, SOCK, "EINHORN_FD_COUNT=0", "EINHORN_FDS="]);
    }

    #[test]
    fn a_single_socket_is_numbered_both_ways() {
        for base in [FdBase::Zero, FdBase::One] {
            let expect = [
                MASTER,
                SOCK,
                "EINHORN_FD_COUNT=1",
                "EINHORN_FDS=7",
                "EINHORN_FD_0=7",
                "EINHORN_FD_FAMILY_0=AF_INET",
                "EINHORN_FD_1=7",
                "EINHORN_FD_FAMILY_1=AF_INET",
            ];
            check(&[], &[INET(7)], base, &expect);
        }
    }

    #[test]
    fn several_sockets_keep_their_order_and_count_from_the_base() {
        let sockets = [
            INET(9),
            WorkerSocket { number: 5, family: Family::Inet6 },
            WorkerSocket { number: 12, family: Family::Unix },
        ];
        let expect = [
            MASTER,
            SOCK,
            "EINHORN_FD_COUNT=3",
            "EINHORN_FDS=9 5 12",
            "EINHORN_FD_0=9",
            "EINHORN_FD_FAMILY_0=AF_INET",
            "EINHORN_FD_1=5",
            "EINHORN_FD_FAMILY_1=AF_INET6",
            "EINHORN_FD_2=12",
            "EINHORN_FD_FAMILY_2=AF_UNIX",
        ];
        check(&[], &sockets, FdBase::Zero, &expect);
        let expect = [
            MASTER,
            SOCK,
            "EINHORN_FD_COUNT=2",
            "EINHORN_FDS=9 5",
            "EINHORN_FD_1=9",
            "EINHORN_FD_FAMILY_1=AF_INET",
            "EINHORN_FD_2=5",
            "EINHORN_FD_FAMILY_2=AF_INET6",
        ];
        check(&[], &sockets[..2], FdBase::One, &expect);
    }

    #[test]
    fn what_was_said_to_the_master_is_not_passed_on() {
        let start = [
            ("HOME", "/root"),
            ("EINHORN_MASTER_PID", "1"),
            ("EINHORN_FD_3", "44"),
            ("EINHORN_FD_FAMILY_3", "AF_INET"),
            ("EINHORN_SOCK_FD", "9"),
            ("EINHORN_UPGRADE_CHECK_FD", "5"),
            ("EINHORN_OF_LATER", "x"),
            ("LISTEN_FDS", "2"),
            ("LISTEN_PID", "3"),
            ("LISTEN_PIDFDID", "3"),
            ("LISTEN_FDNAMES", "a:b"),
            ("NOTIFY_SOCKET", "/run/notify"),
            ("WATCHDOG_USEC", "1"),
            ("WATCHDOG_PID", "1"),
            ("LISTEN_ADDRESS", "of the program's own"),
            ("EINHORN", "no prefix"),
            ("EMPTY", ""),
        ];
        let expect = [
            "HOME=/root",
            "LISTEN_ADDRESS=of the program's own",
            "EINHORN=no prefix",
            "EMPTY=",
            MASTER,
            SOCK,
            "EINHORN_FD_COUNT=0",
            "EINHORN_FDS=",
        ];
        check(&start, &[], FdBase::Zero, &expect);
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let name = OsStr::from_bytes(b"N\xff");
        let value = OsStr::from_bytes(b"\xfe=\n");
        let path = Path::new(OsStr::from_bytes(b"/run/\xe4.sock"));
        let shared = SharedEnvironment::new([(name, value)], 1, path, &[], FdBase::Zero);
        let found: Vec<&[u8]> = shared.variables().map(CStr::to_bytes).collect();
        assert_eq!(found[0], b"N\xff=\xfe=\n");
        assert_eq!(found[2], b"EINHORN_SOCK_PATH=/run/\xe4.sock");
    }

    #[test]
    fn a_worker_has_an_index_and_perhaps_a_connection() {
        assert_eq!(
            SharedEnvironment::of_one_worker(3, None),
            [CString::from(c"EINHORN_CHILD_INDEX=3")]
        );
        assert_eq!(
            SharedEnvironment::of_one_worker(0, Some(17)),
            [CString::from(c"EINHORN_CHILD_INDEX=0"), c"EINHORN_SOCK_FD=17".into()]
        );
    }
}
