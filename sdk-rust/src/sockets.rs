//! The listening sockets that this process inherited.
//!
//! They are found by variables and descriptors alone, so a grandchild may serve too. Whatever
//! is handed out as a listener is a duplicate: dropping it leaves the inherited descriptor as
//! it was, and each call gives another. Nothing here closes or shuts down what was inherited.

use crate::{
    error::{Error, Result},
    signal::borrow_inherited,
    variables::{self, Environment, Variables},
};
use einhorn_protocol::{environment as names, limit};
use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};
use std::{
    net::TcpListener,
    os::{
        fd::{OwnedFd, RawFd},
        unix::net::UnixListener,
    },
};

/// How many listening sockets the master opened for its workers.
///
/// `0` outside a master, when it bound none, and where `EINHORN_FD_COUNT` makes no sense.
/// Never fails: [`socket_fd`] says what is wrong.
pub fn socket_count() -> usize {
    count(&Environment).unwrap_or(0)
}

/// The number of the inherited descriptor of socket `n`, from 0 in the order of the master's
/// `-b` options.
///
/// Both numberings of the variables are understood, from `EINHORN_FD_0` and from
/// `EINHORN_FD_1`; `n` counts from 0 in either case. The descriptor is open, a stream socket
/// and listening. It stays inherited: it is not close-on-exec, so that a program may exec
/// itself, and all workers share it, its `O_NONBLOCK` too.
///
/// # Errors
/// [`Error::NoSuchSocket`] when there are fewer, [`Error::Missing`] and [`Error::Malformed`]
/// when a variable is absent or no number, [`Error::BadDescriptor`] when the descriptor is
/// closed, no socket or not listening.
pub fn socket_fd(n: usize) -> Result<RawFd> {
    find(&Environment, n).map(|found| found.number)
}

/// A close-on-exec duplicate of socket `n`, of any family, which the caller owns.
///
/// # Errors
/// As [`socket_fd`], and [`Error::Descriptor`] when the system has no descriptor to spare.
pub fn owned_fd(n: usize) -> Result<OwnedFd> {
    find(&Environment, n)?.duplicate()
}

/// Socket `n` as a TCP listener which the caller owns; each call duplicates it anew.
///
/// It blocks unless the master was told otherwise; an async runtime wants
/// `set_nonblocking(true)`. With several workers on one socket a readiness event may find the
/// connection taken by another: `WouldBlock` from `accept` is normal.
///
/// # Errors
/// As [`owned_fd`], and [`Error::WrongFamily`] when the socket is a unix socket.
pub fn tcp_listener(n: usize) -> Result<TcpListener> {
    let found = find(&Environment, n)?;
    found.expect("a TCP socket", &[AddressFamily::INET, AddressFamily::INET6])?;
    found.duplicate().map(TcpListener::from)
}

/// Socket `n` as a unix listener which the caller owns; each call duplicates it anew.
///
/// Dropping it leaves the socket's file alone.
///
/// # Errors
/// As [`owned_fd`], and [`Error::WrongFamily`] when the socket is a TCP socket.
pub fn unix_listener(n: usize) -> Result<UnixListener> {
    let found = find(&Environment, n)?;
    found.expect("a unix socket", &[AddressFamily::UNIX])?;
    found.duplicate().map(UnixListener::from)
}

/// A listening socket and the variable that led to it.
#[derive(Debug)]
struct Found {
    variable: String,
    number: RawFd,
    family: AddressFamily,
}

impl Found {
    fn expect(&self, wanted: &'static str, families: &[AddressFamily]) -> Result<()> {
        if families.contains(&self.family) {
            return Ok(());
        }
        let found = match self.family {
            AddressFamily::INET | AddressFamily::INET6 => "a TCP socket",
            AddressFamily::UNIX => "a unix socket",
            _ => "a socket of another family",
        };
        let (variable, value) = (self.variable.clone(), self.number);
        Err(Error::WrongFamily { variable, value, found, wanted })
    }

    fn duplicate(&self) -> Result<OwnedFd> {
        let copy = borrow_inherited(self.number).and_then(|fd| fd.try_clone_to_owned());
        copy.map_err(|source| Error::Descriptor {
            variable: self.variable.clone(),
            value: self.number,
            source,
        })
    }
}

fn count(from: &dyn Variables) -> Result<usize> {
    let value = variables::required(from, names::FD_COUNT)?;
    let max = u32::try_from(limit::SOCKETS_MAX).unwrap_or(u32::MAX);
    let count = variables::number(names::FD_COUNT, &value, max, "a number of sockets")?;
    Ok(usize::try_from(count).unwrap_or(limit::SOCKETS_MAX))
}

/// The variable of socket `n` and its value; numbering starts where the first one is.
fn named(from: &dyn Variables, n: usize) -> Result<(String, RawFd)> {
    let count = count(from)?;
    if n >= count {
        return Err(Error::NoSuchSocket { index: n, count });
    }
    let name = |number: usize| format!("{}{number}", names::FD_PREFIX);
    let base = usize::from(from.get(&name(0)).is_none() && from.get(&name(1)).is_some());
    let variable = name(n + base);
    let value = variables::required(from, &variable)?;
    let number = variables::descriptor(&variable, &value)?;
    Ok((variable, number))
}

fn find(from: &dyn Variables, n: usize) -> Result<Found> {
    let (variable, number) = named(from, n)?;
    match listening_family(number) {
        Ok(family) => Ok(Found { variable, number, family }),
        Err(problem) => Err(Error::BadDescriptor { variable, value: number, problem }),
    }
}

/// The family of a listening stream socket, or what the descriptor is instead.
fn listening_family(number: RawFd) -> Result<AddressFamily, &'static str> {
    let fd = borrow_inherited(number).map_err(|_| "not open")?;
    let kind = sockopt::socket_type(fd).map_err(|_| "not a socket")?;
    if kind != SocketType::STREAM {
        return Err("not a stream socket");
    }
    // Apple's systems declare SO_ACCEPTCONN without implementing it.
    #[cfg(not(target_vendor = "apple"))]
    if !sockopt::socket_acceptconn(fd).unwrap_or(false) {
        return Err("a socket that is not listening");
    }
    Ok(getsockname(fd).map_err(|_| "a socket without a family")?.address_family())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::BTreeMap,
        fs::File,
        net::{TcpStream, UdpSocket},
        os::fd::AsRawFd,
    };

    fn one(number: RawFd) -> BTreeMap<&'static str, &'static str> {
        let value = String::leak(number.to_string());
        BTreeMap::from([("EINHORN_FD_COUNT", "1"), ("EINHORN_FD_0", value)])
    }

    #[track_caller]
    fn check_names(variables: &[(&str, &str)], n: usize, expected: Result<(&str, RawFd), &str>) {
        let from: BTreeMap<_, _> = variables.iter().copied().collect();
        let said = named(&from, n).map_err(|error| error.to_string());
        let expected = expected.map(|(name, number)| (name.to_owned(), number));
        assert_eq!(said, expected.map_err(str::to_owned));
    }

    #[test]
    fn both_numberings_count_from_zero() {
        let from_0 = [("EINHORN_FD_COUNT", "2"), ("EINHORN_FD_0", "5"), ("EINHORN_FD_1", "6")];
        check_names(&from_0, 0, Ok(("EINHORN_FD_0", 5)));
        check_names(&from_0, 1, Ok(("EINHORN_FD_1", 6)));
        let from_1 = [("EINHORN_FD_COUNT", "2"), ("EINHORN_FD_1", "5"), ("EINHORN_FD_2", "6")];
        check_names(&from_1, 0, Ok(("EINHORN_FD_1", 5)));
        check_names(&from_1, 1, Ok(("EINHORN_FD_2", 6)));
        let both = [("EINHORN_FD_COUNT", "1"), ("EINHORN_FD_0", "5"), ("EINHORN_FD_1", "5")];
        check_names(&both, 0, Ok(("EINHORN_FD_0", 5)));
    }

    #[test]
    fn variables_that_lie_are_named() {
        check_names(&[], 0, Err("EINHORN_FD_COUNT is not set, which every einhorn master does"));
        check_names(
            &[("EINHORN_FD_COUNT", "abc")],
            0,
            Err("EINHORN_FD_COUNT is \"abc\", but must be a number of sockets"),
        );
        check_names(
            &[("EINHORN_FD_COUNT", "65537")],
            0,
            Err("EINHORN_FD_COUNT is \"65537\", but must be a number of sockets"),
        );
        let two = [("EINHORN_FD_COUNT", "2"), ("EINHORN_FD_0", "-3")];
        check_names(&two, 0, Err("EINHORN_FD_0 is \"-3\", but must be the number of a descriptor"));
        check_names(&two, 1, Err("EINHORN_FD_1 is not set, which every einhorn master does"));
        check_names(
            &two,
            2,
            Err("there is no socket 2: EINHORN_FD_COUNT is 2, and indexes count from 0 (give \
                 the master a -b for each socket)"),
        );
        check_names(
            &[("EINHORN_FD_COUNT", "0")],
            usize::MAX,
            Err("there is no socket 18446744073709551615: EINHORN_FD_COUNT is 0, and indexes \
                 count from 0 (give the master a -b for each socket)"),
        );
    }

    #[test]
    fn a_descriptor_must_be_a_listening_socket() {
        let problem = |number| match find(&one(number), 0).unwrap_err() {
            Error::BadDescriptor { variable, value, problem } => {
                assert_eq!((variable.as_str(), value), ("EINHORN_FD_0", number));
                problem
            }
            other => panic!("{other}"),
        };
        assert_eq!(problem(i32::MAX), "not open");
        let file = File::open("/dev/null").unwrap();
        assert_eq!(problem(file.as_raw_fd()), "not a socket");
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(problem(datagrams.as_raw_fd()), "not a stream socket");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(problem(connected.as_raw_fd()), "a socket that is not listening");
        assert_eq!(find(&one(listener.as_raw_fd()), 0).unwrap().number, listener.as_raw_fd());
    }

    #[test]
    fn a_family_that_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(folder.path().join("s")).unwrap();
        let found = find(&one(unix.as_raw_fd()), 0).unwrap();
        let error = found.expect("a TCP socket", &[AddressFamily::INET]).unwrap_err();
        let number = unix.as_raw_fd();
        assert_eq!(
            error.to_string(),
            format!("EINHORN_FD_0 is {number}, which is a unix socket, not a TCP socket")
        );
        assert!(found.expect("a unix socket", &[AddressFamily::UNIX]).is_ok());
    }

    #[test]
    fn a_duplicate_is_close_on_exec_and_dropping_it_closes_nothing_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = find(&one(listener.as_raw_fd()), 0).unwrap();
        let (first, second) = (found.duplicate().unwrap(), found.duplicate().unwrap());
        assert_ne!(first.as_raw_fd(), second.as_raw_fd());
        let flags = rustix::io::fcntl_getfd(&first).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        drop((first, second));
        assert!(find(&one(listener.as_raw_fd()), 0).is_ok());
    }
}
