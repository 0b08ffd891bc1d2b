//! The listening sockets that workers inherit.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use einhorn_protocol::limit::UNIX_PATH_BYTES_MAX;

use super::StartError;
use super::command_socket::is_live;
use crate::log::shown;
use crate::options::{BindAddress, Endpoint};
use crate::pool::Slot;
use crate::spawn::WorkerSocket;
use crate::sys::credentials;
use crate::sys::files::{self, FileKind, Identity};
use crate::sys::reuseport::{self, Choice};
use crate::sys::socket::{self, Family, ListenOptions, LocalAddress};

/// Permissions of a unix socket before the umask, as bind(2) makes it by itself.
const MODE: u32 = 0o777;

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    /// What was asked for.
    pub address: BindAddress,
    /// Its family.
    pub family: Family,
    /// The socket, listening.
    pub descriptor: OwnedFd,
    /// Where it is bound in fact; a path is absolute.
    pub local: LocalAddress,
    /// With `balance`, the sockets of the slots from 1 on; slot 0 has `descriptor`. They are a
    /// group whose members the kernel numbers as the slots are.
    pub further: Vec<OwnedFd>,
    /// Which file a unix socket made; none where that was another master's.
    pub identity: Option<Identity>,
}

impl Listener {
    /// The port in fact; none for a unix socket.
    pub fn bound_port(&self) -> Option<u16> {
        self.local.port()
    }

    /// Whether each slot has a socket of its own.
    pub fn is_balanced(&self) -> bool {
        self.address.balanced
    }

    /// All its sockets, that of slot 0 first.
    pub fn sockets(&self) -> impl DoubleEndedIterator<Item = &OwnedFd> {
        std::iter::once(&self.descriptor).chain(&self.further)
    }

    /// The socket that a worker in `slot` gets.
    pub fn socket_of(&self, slot: Option<Slot>) -> Option<BorrowedFd<'_>> {
        let place = slot.filter(|_| self.is_balanced()).unwrap_or_default();
        self.sockets().nth(usize::try_from(place).ok()?).map(AsFd::as_fd)
    }

    /// Sees to it that `slot` and all below have a socket. A new one gets no connections before
    /// it is chosen.
    ///
    /// # Errors
    /// Those of opening a socket.
    pub fn grow(&mut self, slot: Slot, backlog: i32) -> io::Result<()> {
        let LocalAddress::Internet(address) = self.local else { return Ok(()) };
        while self.is_balanced() && self.further.len() < usize::try_from(slot).unwrap_or_default() {
            self.further.push(reuseport::join(address, self.options(backlog))?);
        }
        Ok(())
    }

    fn options(&self, backlog: i32) -> ListenOptions {
        options(&self.address, backlog)
    }

    /// What a worker is told of it.
    pub fn worker_socket(&self) -> WorkerSocket {
        WorkerSocket {
            number: self.descriptor.as_raw_fd(),
            family: self.family,
            name: self.address.name.clone(),
        }
    }

    /// The file that it made.
    pub fn file(&self) -> Option<(PathBuf, Identity)> {
        match (&self.local, self.identity) {
            (LocalAddress::Path(path), Some(identity)) => Some((path.clone(), identity)),
            _ => None,
        }
    }
}

/// Opens one of the sockets asked for with `-b`.
///
/// # Errors
/// What it is about, why, and what can be done.
pub fn open(address: &BindAddress, backlog: i32) -> Result<Listener, StartError> {
    let options = options(address, backlog);
    match &address.endpoint {
        Endpoint::Ip(ip) => internet(address, *ip, ip.to_string(), options),
        Endpoint::Host { host, port } => {
            let asked = format!("{}:{port}", shown(host));
            let ip = socket::resolve(host, *port).map_err(|source| StartError::Resolve {
                address: asked.clone(),
                host: shown(host),
                source,
            })?;
            internet(address, ip, format!("{asked} ({ip})"), options)
        }
        Endpoint::Unix(path) => unix(address, path, options),
    }
}

fn options(address: &BindAddress, backlog: i32) -> ListenOptions {
    ListenOptions {
        reuse_address: address.reuse_address,
        nonblocking: address.non_blocking,
        backlog,
    }
}

/// The first socket of a group, in which the kernel lets itself be told which member is next.
fn listen_balanced(ip: SocketAddr, options: ListenOptions) -> Result<OwnedFd, (bool, io::Error)> {
    let socket = reuseport::listen_first(ip, options).map_err(|error| (false, error))?;
    let only = Choice::of([0]).ok_or((true, io::ErrorKind::InvalidInput.into()))?;
    reuseport::steer(&socket, &only).map_err(|error| (true, error))?;
    Ok(socket)
}

fn internet(
    address: &BindAddress,
    ip: SocketAddr,
    name: String,
    options: ListenOptions,
) -> Result<Listener, StartError> {
    let opened = if address.balanced {
        listen_balanced(ip, options)
    } else {
        socket::listen_internet(ip, options).map_err(|error| (false, error))
    };
    let bound = opened.and_then(|descriptor| {
        let local = socket::local_address(&descriptor).map_err(|error| (false, error))?;
        Ok((descriptor, local))
    });
    match bound {
        Ok((descriptor, local)) => Ok(Listener {
            address: address.clone(),
            family: Family::of(ip),
            descriptor,
            local,
            further: Vec::new(),
            identity: None,
        }),
        Err((true, source)) => Err(StartError::Balance { address: name, source }),
        Err((false, source)) => Err(StartError::Bind { address: name, port: ip.port(), source }),
    }
}

fn unix(
    address: &BindAddress,
    path: &Path,
    options: ListenOptions,
) -> Result<Listener, StartError> {
    let name = || format!("unix:{}", shown(&path.to_string_lossy()));
    let failed = |source| StartError::BindPath { address: name(), source };
    let absolute = std::path::absolute(path).map_err(failed)?;
    match files::look(path).map_err(failed)? {
        None => {}
        Some((FileKind::Socket, identity)) => {
            if is_live(path).map_err(failed)? {
                return Err(StartError::PathLive(name()));
            }
            let uid = files::owner(path).map_err(failed)?;
            if uid != credentials::own_uid() {
                return Err(StartError::PathOfAnother { address: name(), uid });
            }
            files::unlink_if_same(path, identity).map_err(failed)?;
        }
        Some((kind, _)) => {
            return Err(StartError::PathNotASocket { address: name(), what: kind.text() });
        }
    }
    // A relative path may fit where the absolute one does not.
    let fits = absolute.as_os_str().len() <= UNIX_PATH_BYTES_MAX;
    let bound = if fits { &absolute } else { path };
    let (descriptor, identity) = socket::listen_unix(bound, MODE, options).map_err(failed)?;
    Ok(Listener {
        address: address.clone(),
        family: Family::Unix,
        descriptor,
        local: LocalAddress::Path(absolute),
        further: Vec::new(),
        identity: Some(identity),
    })
}
