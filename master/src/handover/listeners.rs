//! Bound sockets between images: as the Ruby format has them, and as they are taken over.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::inherited::Inherited;
use crate::options::BindAddress;
use crate::start::Listener;
use crate::state::{Bind, OurListener, Snapshot};
use crate::sys::files::Identity;
use crate::sys::reason;
use crate::sys::socket::{self, Description, Family};

/// How a unix socket's path stands where a Ruby master expects a host.
const UNIX_PREFIX: &[u8] = b"unix:";

/// A listener as an entry of `:bind`.
pub(super) fn bind_of(listener: &Listener) -> Bind {
    let address = &listener.address;
    let flags = [("r", address.reuse_address), ("n", address.non_blocking)];
    Bind {
        host: address.endpoint.host().into_vec(),
        port: address.endpoint.port().unwrap_or(0),
        flags: flags.iter().filter(|(_, set)| *set).map(|(flag, _)| (*flag).to_string()).collect(),
    }
}

/// What the Ruby format has no room for.
pub(super) fn ours_of(listener: &Listener) -> OurListener {
    OurListener {
        name: listener.address.name.clone(),
        typed: listener.address.typed.as_bytes().to_vec(),
        unix_file: listener.identity.map(|identity| (identity.device, identity.inode)),
    }
}

/// Takes over every bound socket that is one; the others are named in the log.
pub(super) fn take_over(snapshot: &Snapshot, inherited: &mut Inherited) -> Vec<Listener> {
    let known: BTreeMap<usize, &OurListener> =
        snapshot.ours.iter().flat_map(|ours| ours.listeners.iter().enumerate()).collect();
    let mut listeners = Vec::new();
    for (index, &number) in snapshot.bind_fds.iter().enumerate() {
        let bind = snapshot.bind.get(index).cloned().unwrap_or_default();
        let known = known.get(&index).copied().cloned().unwrap_or_default();
        match take_over_one(number, inherited)
            .and_then(|(fd, found)| adopted(fd, found, &bind, &known))
        {
            Ok(listener) => listeners.push(listener),
            Err(reason) => ::log::error!(
                "descriptor {number}, said to be bound socket {index}, is lost: {reason}"
            ),
        }
    }
    listeners
}

/// Takes a descriptor for the listening socket that it is said to be.
fn take_over_one(
    number: RawFd,
    inherited: &mut Inherited,
) -> Result<(OwnedFd, Description), String> {
    let socket = inherited.take(number).map_err(|error| reason(&error))?;
    let found = socket::describe(socket.as_fd()).map_err(|error| reason(&error))?;
    if found.listening && found.stream {
        Ok((socket, found))
    } else {
        Err("it is no listening stream socket".to_string())
    }
}

fn adopted(
    descriptor: OwnedFd,
    found: Description,
    bind: &Bind,
    known: &OurListener,
) -> Result<Listener, String> {
    let typed = if known.typed.is_empty() { typed(bind) } else { known.typed.clone() };
    let typed = OsString::from_vec(typed);
    // Its address was valid when it was bound; what it says now is what the socket says.
    let address = BindAddress::parse(&typed)
        .or_else(|_| BindAddress::parse(OsStr::new(&found.local.to_string())))
        .map_err(|error| error.to_string())?;
    let identity = known.unix_file.map(|(device, inode)| Identity { device, inode });
    Ok(Listener { address, family: found.family, descriptor, local: found.local, identity })
}

/// The address as it would be typed.
fn typed(bind: &Bind) -> Vec<u8> {
    let mut typed = if bind.host.starts_with(UNIX_PREFIX) {
        bind.host.clone()
    } else if bind.host.contains(&b':') {
        [b"[", bind.host.as_slice(), b"]:", bind.port.to_string().as_bytes()].concat()
    } else {
        [bind.host.as_slice(), b":", bind.port.to_string().as_bytes()].concat()
    };
    for flag in &bind.flags {
        typed.push(b',');
        typed.extend_from_slice(flag.as_bytes());
    }
    typed
}

/// Whether a descriptor is a unix stream socket that listens.
pub(super) fn take_over_command_socket(
    number: RawFd,
    inherited: &mut Inherited,
) -> Result<OwnedFd, String> {
    let (socket, found) = take_over_one(number, inherited)?;
    match found.family {
        Family::Unix => Ok(socket),
        other => Err(format!("its family is {}", other.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, port: u16, flags: &[&str], expect: &str) {
        let flags = flags.iter().map(ToString::to_string).collect();
        let bind = Bind { host: host.as_bytes().to_vec(), port, flags };
        assert_eq!(String::from_utf8(typed(&bind)).unwrap(), expect);
        assert!(BindAddress::parse(OsStr::new(expect)).is_ok(), "{expect}");
    }

    #[test]
    fn an_entry_of_the_state_reads_as_it_would_be_typed() {
        check("127.0.0.1", 0, &[], "127.0.0.1:0");
        check("127.0.0.1", 80, &["r", "n"], "127.0.0.1:80,r,n");
        check("localhost", 80, &["so_reuseaddr"], "localhost:80,so_reuseaddr");
        check("::1", 80, &["r"], "[::1]:80,r");
        check("unix:/run/a.sock", 0, &[], "unix:/run/a.sock");
    }
}
