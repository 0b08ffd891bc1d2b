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
mod tests {
    use super::*;

    const INET: fn(RawFd) -> WorkerSocket =
        |number| WorkerSocket { number, family: Family::Inet, name: None };

    fn plain(base: FdBase) -> Numbering {
        Numbering { base, listen_fds: false }
    }

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
        check_numbered(start, sockets, plain(base), expect);
    }

    #[track_caller]
    fn check_numbered(
        start: &[(&str, &str)],
        sockets: &[WorkerSocket],
        numbering: Numbering,
        expect: &[&str],
    ) {
        let start = start.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value)));
        let path = Path::new("/run/e.sock");
        let shared = SharedEnvironment::new(start, 812, path, sockets, numbering);
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
            WorkerSocket { number: 5, family: Family::Inet6, name: Some("six".into()) },
            WorkerSocket { number: 12, family: Family::Unix, name: None },
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
    fn by_the_convention_sockets_count_from_three_and_have_names() {
        let named = |number, name: &str| WorkerSocket { name: Some(name.into()), ..INET(number) };
        let numbering = Numbering { base: FdBase::Zero, listen_fds: true };
        let sockets = [named(9, "web"), INET(3), named(4, "admin")];
        let expect = [
            MASTER,
            SOCK,
            "EINHORN_FD_COUNT=3",
            "EINHORN_FDS=3 4 5",
            "EINHORN_FD_0=3",
            "EINHORN_FD_FAMILY_0=AF_INET",
            "EINHORN_FD_1=4",
            "EINHORN_FD_FAMILY_1=AF_INET",
            "EINHORN_FD_2=5",
            "EINHORN_FD_FAMILY_2=AF_INET",
            "LISTEN_FDS=3",
            "LISTEN_FDNAMES=web:unknown:admin",
        ];
        let inherited = [("LISTEN_FDS", "9"), ("LISTEN_FDNAMES", "x"), ("LISTEN_PID", "1")];
        check_numbered(&inherited, &sockets, numbering, &expect);
        let none = [MASTER, SOCK, "EINHORN_FD_COUNT=0", "EINHORN_FDS="];
        check_numbered(&inherited, &[], numbering, &none);
        assert_eq!([numbering.number(0, 9), numbering.number(3, 4)], [3, 6]);
        assert_eq!(plain(FdBase::Zero).number(3, 4), 4);
    }

    #[test]
    fn what_was_said_to_the_master_is_not_passed_on() {
        let start = [
            ("HOME", "/home"),
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
            "HOME=/home",
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
        let shared = SharedEnvironment::new([(name, value)], 1, path, &[], plain(FdBase::Zero));
        let found: Vec<&[u8]> = shared.variables().map(CStr::to_bytes).collect();
        assert_eq!(found[0], b"N\xff=\xfe=\n");
        assert_eq!(found[2], b"EINHORN_SOCK_PATH=/run/\xe4.sock");
    }

    #[test]
    fn a_worker_has_an_index_and_perhaps_descriptors_of_its_own() {
        assert_eq!(
            SharedEnvironment::of_one_worker(3, []),
            [CString::from(c"EINHORN_CHILD_INDEX=3")]
        );
        assert_eq!(
            SharedEnvironment::of_one_worker(0, [(names::SOCK_FD, 17), (names::READY_FD, 5)]),
            [
                CString::from(c"EINHORN_CHILD_INDEX=0"),
                c"EINHORN_SOCK_FD=17".into(),
                c"EINHORN_READY_FD=5".into()
            ]
        );
    }

    #[test]
    fn a_forked_worker_has_the_same_variables_with_places_for_numbers() {
        let sockets = [INET(9), INET(5)];
        let none: [(&OsStr, &OsStr); 0] = [];
        let path = Path::new("/run/e.sock");
        let shared = SharedEnvironment::new(none, 812, path, &sockets, plain(FdBase::One));
        let shown = |variable: &Variable| match &variable.value {
            Value::Text(text) => format!("{}={}", variable.name, String::from_utf8_lossy(text)),
            Value::Numbers(places) => format!("{}={places:?}", variable.name),
        };
        let found: Vec<String> = shared
            .of_forked_worker(3, [names::SOCK_FD, names::READY_FD])
            .iter()
            .map(shown)
            .collect();
        let expect = [
            MASTER,
            SOCK,
            "EINHORN_FD_COUNT=2",
            "EINHORN_FDS=[0, 1]",
            "EINHORN_FD_1=[0]",
            "EINHORN_FD_FAMILY_1=AF_INET",
            "EINHORN_FD_2=[1]",
            "EINHORN_FD_FAMILY_2=AF_INET",
            "EINHORN_CHILD_INDEX=3",
            "EINHORN_SOCK_FD=[2]",
            "EINHORN_READY_FD=[3]",
        ];
        assert_eq!(found, expect);
        assert_eq!(shared.of_forked_worker(3, []).len(), expect.len() - 2);
    }
}
