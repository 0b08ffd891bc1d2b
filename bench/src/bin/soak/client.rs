//! One request on a connection of its own over one of the three transports, each end of which
//! can be recognised in a worker's hands.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use einhorn_bench::http::{self, Loss, Server};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
};

use crate::accounts::Label;

/// Longest that a request may take: a SYN that a full queue drops is sent again later and later.
const LIMIT: Duration = Duration::from_secs(60);

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where to ask.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(SocketAddr::V4(_)) => "TCP",
            Self::Tcp(SocketAddr::V6(_)) => "TCP over IPv6",
            Self::Unix(_) => "unix",
        })
    }
}

/// A lost request, and the connection if there was one.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) loss: Loss,
    pub(crate) label: Option<Label>,
}

impl Place {
    /// Asks for `target`; the answer must be whole.
    pub(crate) fn get(&self, target: &str) -> Result<Server, Lost> {
        let unconnected = |error: io::Error| Lost { loss: Loss::of(&error), label: None };
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, LIMIT).map_err(unconnected)?;
                let label = stream.local_addr().map_err(unconnected)?.to_string();
                let limits = stream
                    .set_read_timeout(Some(LIMIT))
                    .and_then(|()| stream.set_write_timeout(Some(LIMIT)));
                limits.map_err(unconnected)?;
                http::get_over(stream, target).map_err(|loss| Lost { loss, label: Some(label) })
            }
            Self::Unix(path) => {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let label = format!("einhorn-soak-{}-{number}", std::process::id());
                let stream = connect_named(path, &label).map_err(unconnected)?;
                http::get_over(stream, target).map_err(|loss| Lost { loss, label: Some(label) })
            }
        }
    }
}

/// A connection whose client's end has an abstract name.
fn connect_named(path: &PathBuf, name: &str) -> io::Result<UnixStream> {
    let socket: OwnedFd =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    // Bounds the connecting too.
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_read_timeout(Some(LIMIT))?;
    connect(&stream, &SocketAddrUnix::new(path)?)?;
    Ok(stream)
}
