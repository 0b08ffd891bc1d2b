//! Sockets: listening, connecting, and what a descriptor from elsewhere really is.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use einhorn_protocol::limit::UNIX_PATH_BYTES_MAX;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    getpeername, getsockname, listen, socket_with, sockopt,
};

use super::descriptor::{duplicate, set_nonblocking};
use super::files::{self, Identity};
use super::process::Pid;

/// The family of a socket, as far as the protocol knows families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// A path, or no address at all.
    Unix,
}

impl Family {
    /// The name under which workers are told of it (`protocol.md §2`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Inet => "AF_INET",
            Self::Inet6 => "AF_INET6",
            Self::Unix => "AF_UNIX",
        }
    }

    /// The family of an internet address.
    pub fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::Inet } else { Self::Inet6 }
    }
}

/// Where a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// An address and a port.
    Internet(SocketAddr),
    /// A path, as it was given to bind(2).
    Path(PathBuf),
    /// Nowhere, or in Linux's abstract namespace.
    Unnamed,
}

impl LocalAddress {
    /// The port of an internet address.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Internet(address) => Some(address.port()),
            Self::Path(_) | Self::Unnamed => None,
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(out),
            Self::Path(path) => write!(out, "unix:{}", path.display()),
            Self::Unnamed => out.write_str("an unnamed unix socket"),
        }
    }
}

/// What a socket really is, asked of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its family.
    pub family: Family,
    /// Whether it is a stream socket.
    pub stream: bool,
    /// Whether it listens.
    pub listening: bool,
    /// Whether it is connected.
    pub connected: bool,
    /// Where it is bound.
    pub local: LocalAddress,
}

/// How a listening socket is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// `SO_REUSEADDR`.
    pub reuse_address: bool,
    /// `O_NONBLOCK`.
    pub nonblocking: bool,
    /// How many connections wait to be accepted, at most.
    pub backlog: i32,
}

/// Who is at the other end of a unix socket, as of its connect(2) or listen(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pid; 0 if it is outside of this pid namespace.
    pub pid: Pid,
    /// Its effective uid.
    pub uid: u32,
    /// Its effective gid.
    pub gid: u32,
}

/// The first address of a host name or a written-out address. A name may take as long as the
/// system's resolver takes.
///
/// # Errors
/// The resolver's; `NotFound`: the name has no address.
pub fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    (host, port).to_socket_addrs()?.next().ok_or_else(none)
}

/// A TCP socket that listens at `address`; an IPv6 one takes IPv6 only.
///
/// # Errors
/// Those of socket(2), bind(2) and listen(2).
pub fn listen_internet(address: SocketAddr, options: ListenOptions) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = stream_socket(family, options.nonblocking)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if options.reuse_address {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, options.backlog)?;
    Ok(socket)
}

/// A unix socket that listens at `path`, with the file's permissions `mode` less the umask
/// from its first moment on, and which file it made.
///
/// # Errors
/// Those of socket(2), bind(2) and listen(2); `EADDRINUSE`: anything at all is at `path`, a
/// symlink included; `ENAMETOOLONG`: `path` has more than 107 bytes.
pub fn listen_unix(
    path: &Path,
    mode: u32,
    options: ListenOptions,
) -> io::Result<(OwnedFd, Identity)> {
    let address = unix_address(path)?;
    let socket = stream_socket(AddressFamily::UNIX, options.nonblocking)?;
    // Linux gives the file the permissions of the socket: no moment in which they are wider.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(mode))?;
    bind(&socket, &address)?;
    let listening = listen(&socket, options.backlog).map_err(io::Error::from);
    let gone = || io::Error::from_raw_os_error(libc::ENOENT);
    let looked = listening.and_then(|()| files::look(path)?.ok_or_else(gone));
    match looked {
        Ok((_, identity)) => Ok((socket, identity)),
        Err(error) => {
            // The file is this call's own; the first error is the one to tell.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

pub(super) fn stream_socket(family: AddressFamily, nonblocking: bool) -> io::Result<OwnedFd> {
    let mut flags = SocketFlags::CLOEXEC;
    flags.set(SocketFlags::NONBLOCK, nonblocking);
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

/// Changes the backlog of a socket that listens already; nothing that waits is lost.
///
/// # Errors
/// Those of listen(2).
pub fn set_backlog(socket: impl AsFd, backlog: i32) -> io::Result<()> {
    Ok(listen(socket, backlog)?)
}

/// The longest backlog that the system allows: listen(2) cuts every number down to that.
pub const SYSTEM_BACKLOG_MAX: i32 = i32::MAX;

/// Where a socket is bound.
///
/// # Errors
/// Those of getsockname(2); `EAFNOSUPPORT`: of a family that is not in [`Family`].
pub fn local_address(socket: impl AsFd) -> io::Result<LocalAddress> {
    if sockopt::socket_domain(&socket)? == AddressFamily::UNIX {
        // The standard library reads every form that such an address can have.
        let socket = UnixListener::from(duplicate(socket.as_fd())?);
        let address = socket.local_addr()?;
        let path = address.as_pathname().map(Path::to_path_buf);
        return Ok(path.map_or(LocalAddress::Unnamed, LocalAddress::Path));
    }
    Ok(LocalAddress::Internet(SocketAddr::try_from(getsockname(socket)?)?))
}

pub(super) fn unix_address(path: &Path) -> io::Result<SocketAddrUnix> {
    if path.as_os_str().len() > UNIX_PATH_BYTES_MAX {
        return Err(Errno::NAMETOOLONG.into());
    }
    Ok(SocketAddrUnix::new(path)?)
}

/// What a descriptor really is, to be compared with what someone says of it.
///
/// # Errors
/// `ENOTSOCK`; `EAFNOSUPPORT`: of a family that is not in [`Family`]; those of
/// getsockopt(2).
pub fn describe(descriptor: BorrowedFd<'_>) -> io::Result<Description> {
    let family = match sockopt::socket_domain(descriptor)? {
        AddressFamily::INET => Family::Inet,
        AddressFamily::INET6 => Family::Inet6,
        AddressFamily::UNIX => Family::Unix,
        _ => return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
    };
    Ok(Description {
        family,
        stream: sockopt::socket_type(descriptor)? == SocketType::STREAM,
        listening: sockopt::socket_acceptconn(descriptor)?,
        connected: matches!(getpeername(descriptor), Ok(Some(_))),
        local: local_address(descriptor)?,
    })
}

/// Whether [`describe`] failed because the descriptor is that of something else.
pub fn is_about_no_socket(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOTSOCK)
}

/// The next connection that waits, non-blocking; none if none does.
///
/// # Errors
/// Those of accept4(2): `EMFILE` and `ENFILE` when descriptors have run out.
pub fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        return match accept_with(&listener, flags) {
            Ok(connection) => Ok(Some(connection)),
            Err(Errno::AGAIN) => Ok(None),
            // That client has gone again; the next one may be there.
            Err(Errno::CONNABORTED | Errno::INTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

/// Whether a call failed because there are no descriptors left, here or in the whole system.
pub fn is_about_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether a call failed for want of something that others may give back: it may be tried again.
pub fn may_pass(error: &io::Error) -> bool {
    let passing = [libc::EAGAIN, libc::EINTR, libc::ENOMEM, libc::ENOBUFS];
    is_about_descriptors(error) || error.raw_os_error().is_some_and(|is| passing.contains(&is))
}

/// Connects to a unix socket without ever waiting for it; the result blocks as usual.
///
/// # Errors
/// Those of connect(2): `ECONNREFUSED`: nobody listens there; `ENOENT`; `EAGAIN`: its
/// backlog is full; `ENAMETOOLONG`: `path` has more than 107 bytes.
pub fn connect_unix(path: &Path) -> io::Result<OwnedFd> {
    let address = unix_address(path)?;
    let socket = stream_socket(AddressFamily::UNIX, true)?;
    connect(&socket, &address)?;
    set_nonblocking(socket.as_fd(), false)?;
    Ok(socket)
}

/// Who is at the other end of a unix socket.
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    // Not rustix: its pid cannot be 0, which it is for a peer of another pid namespace.
    let found = nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::PeerCredentials)?;
    Ok(Peer { pid: found.pid(), uid: found.uid(), gid: found.gid() })
}

/// Sends what fits without waiting, whatever the socket's own flags, and without SIGPIPE.
///
/// # Errors
/// Those of send(2): `EAGAIN`: nothing fits.
pub fn send_without_waiting(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    use rustix::net::{SendFlags, send};
    Ok(send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
