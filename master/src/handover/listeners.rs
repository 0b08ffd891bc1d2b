//! Bound sockets between images: as the Ruby format has them, and as they are taken over.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::inherited::Inherited;
use super::patience::insist;
use crate::options::BindAddress;
use crate::start::{self, Listener};
use crate::state::{Bind, OurListener, Snapshot};
use crate::sys::files::Identity;
use crate::sys::socket::{self, Description, Family, LocalAddress};
use crate::sys::{descriptor, reason};

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
        slot_fds: listener
            .is_balanced()
            .then(|| listener.further.iter().map(AsRawFd::as_raw_fd).collect()),
    }
}

/// A place in the numbering of bound sockets, and the socket that belongs there.
#[derive(Debug)]
pub(super) struct Place {
    index: usize,
    bind: Bind,
    port: Option<u16>,
    known: OurListener,
    listener: Option<Listener>,
}

/// Takes over every bound socket that is one; the others are named in the log.
pub(super) fn take_over(snapshot: &Snapshot, inherited: &mut Inherited) -> Vec<Place> {
    let ours: &[OurListener] = snapshot.ours.as_ref().map_or(&[], |ours| &ours.listeners);
    let mut places: Vec<Place> = Vec::new();
    let mut place_of = BTreeMap::new();
    for (index, &number) in snapshot.bind_fds.iter().enumerate() {
        let mut place = Place {
            index,
            bind: snapshot.bind.get(index).cloned().unwrap_or_default(),
            port: snapshot.bound_ports.get(index).copied().flatten(),
            known: ours.get(index).cloned().unwrap_or_default(),
            listener: None,
        };
        let first = place_of.get(&number).and_then(|&first: &usize| places.get(first));
        let taken = match first.and_then(|first| first.listener.as_ref()) {
            Some(listener) => again(listener),
            None => take_over_one(number, inherited),
        };
        match taken.and_then(|(socket, found)| place.adopt(socket, found)) {
            Ok(()) => {
                place.take_over_slots(inherited);
                place_of.insert(number, index);
            }
            Err(reason) => {
                ::log::error!("descriptor {number} is not bound socket {index}: {reason}");
            }
        }
        places.push(place);
    }
    places
}

/// Looks among the descriptors that nobody has named for sockets that were not found.
pub(super) fn find_lost(places: &mut [Place], inherited: &mut Inherited) {
    for place in places.iter_mut().filter(|place| place.listener.is_none()) {
        let Some((socket, found)) = inherited.find(|found| place.is(found)) else { continue };
        let number = socket.as_raw_fd();
        if place.adopt(socket, found).is_ok() {
            ::log::warn!("bound socket {} is descriptor {number}", place.index);
        }
    }
}

/// Opens what is still not found anew, so that the numbering of the others stays.
pub(super) fn open_lost(places: Vec<Place>, backlog: i32) -> Vec<Listener> {
    let opened = |mut place: Place| {
        if place.listener.is_none() {
            match place.open(backlog) {
                Ok(()) => ::log::warn!("bound socket {} is opened anew", place.index),
                Err(reason) => ::log::error!("bound socket {} is lost: {reason}", place.index),
            }
        }
        place.listener
    };
    places.into_iter().filter_map(opened).collect()
}

impl Place {
    fn address(&self, found: Option<&Description>) -> Result<BindAddress, String> {
        let typed =
            if self.known.typed.is_empty() { typed(&self.bind) } else { self.known.typed.clone() };
        // It was valid when it was bound; if it is not any more, what the socket says counts.
        match (BindAddress::parse(&OsString::from_vec(typed)), found) {
            (Err(_), Some(found)) => BindAddress::parse(OsStr::new(&found.local.to_string())),
            (address, _) => address,
        }
        .map_err(|error| error.to_string())
        // An inherited socket's name need not be one that can be typed.
        .map(|address| BindAddress { name: self.known.name.clone().or(address.name), ..address })
    }

    fn adopt(&mut self, descriptor: OwnedFd, found: Description) -> Result<(), String> {
        let address = self.address(Some(&found))?;
        let identity = self.known.unix_file.map(|(device, inode)| Identity { device, inode });
        let Description { family, local, .. } = found;
        let further = Vec::new();
        self.listener = Some(Listener { address, family, descriptor, local, further, identity });
        Ok(())
    }

    /// Takes over the sockets of the further slots. Where one is missing the kernel has given its
    /// number to another one, and which one no slot can tell.
    fn take_over_slots(&mut self, inherited: &mut Inherited) {
        let Some(listener) = self.listener.as_mut().filter(|listener| listener.is_balanced())
        else {
            return;
        };
        for (slot, &number) in (1..).zip(self.known.slot_fds.iter().flatten()) {
            match take_over_one(number, inherited) {
                Ok((socket, found)) if found.local == listener.local => {
                    listener.further.push(socket);
                }
                Ok((_, found)) => {
                    let (place, local) = (self.index, found.local);
                    ::log::error!("descriptor {number} is no socket {place}: it is at {local}");
                    return;
                }
                Err(reason) => {
                    let place = self.index;
                    ::log::error!("slot {slot} of bound socket {place} is lost: {reason}");
                    return;
                }
            }
        }
    }

    /// Whether a socket is the one that belongs here.
    fn is(&self, found: &Description) -> bool {
        let host = String::from_utf8_lossy(&self.bind.host);
        found.listening
            && found.stream
            && match &found.local {
                LocalAddress::Internet(address) => {
                    self.port == Some(address.port())
                        && host.parse().is_ok_and(|ip: IpAddr| ip == address.ip())
                }
                LocalAddress::Path(path) => {
                    let typed = host.strip_prefix("unix:").unwrap_or_default();
                    match (std::path::absolute(typed), std::path::absolute(path)) {
                        (Ok(typed), Ok(path)) => typed == path,
                        _ => false,
                    }
                }
                LocalAddress::Unnamed => false,
            }
    }

    fn open(&mut self, backlog: i32) -> Result<(), String> {
        let port = self.port.unwrap_or(self.bind.port);
        let asked = OsString::from_vec(typed(&Bind { port, ..self.bind.clone() }));
        let mut asked = BindAddress::parse(&asked).map_err(|error| error.to_string())?;
        asked.balanced = self.known.slot_fds.is_some();
        let opened = start::open_listener(&asked, backlog).map_err(|error| error.to_string())?;
        let address = self.address(None).unwrap_or(asked);
        self.listener = Some(Listener { address, ..opened });
        Ok(())
    }
}

/// A socket that stands in the list a second time.
fn again(listener: &Listener) -> Result<(OwnedFd, Description), String> {
    let socket = descriptor::duplicate(listener.descriptor.as_fd());
    let socket = socket.map_err(|error| reason(&error))?;
    let found = insist(|| socket::describe(socket.as_fd())).map_err(|error| reason(&error))?;
    Ok((socket, found))
}

/// Takes a descriptor for the listening socket that it is said to be.
fn take_over_one(
    number: RawFd,
    inherited: &mut Inherited,
) -> Result<(OwnedFd, Description), String> {
    let socket = inherited.take(number).map_err(|error| reason(&error))?;
    let found = insist(|| socket::describe(socket.as_fd())).map_err(|error| reason(&error))?;
    if found.listening && found.stream {
        Ok((socket, found))
    } else {
        Err("it is no listening stream socket".to_string())
    }
}

/// The address as it would be typed.
pub(crate) fn typed(bind: &Bind) -> Vec<u8> {
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
