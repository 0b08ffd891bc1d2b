//! The listening sockets that workers inherit.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use einhorn_protocol::limit::UNIX_PATH_BYTES_MAX;

use super::StartError;
use super::command_socket::is_live;
use crate::log::shown;
use crate::options::{BindAddress, Endpoint};
use crate::spawn::WorkerSocket;
use crate::sys::credentials;
use crate::sys::files::{self, FileKind, Identity};
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
    /// Which file a unix socket made; none where that was another master's.
    pub identity: Option<Identity>,
}

impl Listener {
    /// The port in fact; none for a unix socket.
    pub fn bound_port(&self) -> Option<u16> {
        self.local.port()
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
    let options = ListenOptions {
        reuse_address: address.reuse_address,
        nonblocking: address.non_blocking,
        backlog,
    };
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

fn internet(
    address: &BindAddress,
    ip: SocketAddr,
    name: String,
    options: ListenOptions,
) -> Result<Listener, StartError> {
    let bound = socket::listen_internet(ip, options).and_then(|descriptor| {
        let local = socket::local_address(&descriptor)?;
        Ok((descriptor, local))
    });
    match bound {
        Ok((descriptor, local)) => Ok(Listener {
            address: address.clone(),
            family: Family::of(ip),
            descriptor,
            local,
            identity: None,
        }),
        Err(source) => Err(StartError::Bind { address: name, port: ip.port(), source }),
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
        identity: Some(identity),
    })
}
