//! What `-b` takes: `[NAME=](IPv4:PORT | [IPv6]:PORT | HOST:PORT | unix:PATH)[,OPT…]`.
//!
//! Pure parsing: nothing is resolved, opened or looked at. Invariant: a [`BindAddress`] has
//! been checked as far as its text goes, and remembers the text.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use einhorn_protocol::limit::UNIX_PATH_BYTES_MAX;

use crate::log::shown;

/// Longest name of a host (RFC 1035, 2.3.4), without the final stop.
const HOST_BYTES_MAX: usize = 253;

/// A listening socket as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// `NAME=`, by which it can be referred to.
    pub name: Option<String>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Option `r` or `so_reuseaddr`.
    pub reuse_address: bool,
    /// Option `n` or `o_nonblock`.
    pub non_blocking: bool,
    /// Option `balance`: each worker has a queue of its own.
    pub balanced: bool,
    /// What was typed, for messages.
    pub typed: OsString,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A literal address; port 0 takes a free one.
    Ip(SocketAddr),
    /// A name to be looked up; its first address counts.
    Host {
        /// The name, not empty.
        host: String,
        /// The port; 0 takes a free one.
        port: u16,
    },
    /// A path in the file system, 1 to 107 bytes.
    Unix(PathBuf),
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing at all, or nothing before the options.
    #[error("the address is empty (write HOST:PORT, [IPv6]:PORT or unix:PATH)")]
    Empty,
    /// No colon before a port.
    #[error("there is no port (write HOST:PORT, [IPv6]:PORT or unix:PATH)")]
    NoPort,
    /// The part after the colon is no port.
    #[error("bad port \"{0}\" (a port is 0 to 65535, 0 for any free one)")]
    Port(String),
    /// Nothing before the port.
    #[error("there is no host before the port (for every address write 0.0.0.0 or [::])")]
    NoHost,
    /// Characters that no host name has, or too many of them.
    #[error("bad host \"{0}\"")]
    Host(String),
    /// Four numbers that are no address.
    #[error("\"{0}\" is not an IPv4 address")]
    Ipv4(String),
    /// Not an IPv6 address between the brackets.
    #[error("\"{0}\" is not an IPv6 address")]
    Ipv6(String),
    /// More than one colon.
    #[error("an IPv6 address goes in brackets: [::1]:PORT")]
    NoBrackets,
    /// `unix:` alone, or a NUL in the path.
    #[error("unix: is followed by no usable path")]
    UnixPath,
    /// More than fits into an address.
    #[error("the path is {0} bytes long (a unix socket's path has at most 107)")]
    UnixPathTooLong(usize),
    /// An option that no socket has.
    #[error(
        "unknown socket option \"{0}\" (the options are r or so_reuseaddr, n or o_nonblock, balance)"
    )]
    Option(String),
    /// Linux has no groups of unix sockets.
    #[error("balance is for internet addresses: a unix socket has one queue for all workers")]
    BalancedPath,
    /// A name of other characters.
    #[error("bad name \"{0}\" (a name has letters, digits and _ . -)")]
    Name(String),
    /// Two addresses with one name.
    #[error("the name \"{0}\" is given to two addresses")]
    DuplicateName(String),
    /// Two sockets cannot listen at the same place.
    #[error("this address is given twice")]
    DuplicateEndpoint,
}

impl BindAddress {
    /// Reads one address.
    ///
    /// # Errors
    /// Says which part of it is wrong.
    pub fn parse(typed: &OsStr) -> Result<Self, AddressError> {
        let (name, rest) = split_name(typed.as_bytes())?;
        let mut parts = rest.split(|&byte| byte == b',');
        let mut address = Self {
            name,
            endpoint: Endpoint::parse(parts.next().unwrap_or_default())?,
            reuse_address: false,
            non_blocking: false,
            balanced: false,
            typed: typed.to_owned(),
        };
        for option in parts {
            match option.to_ascii_lowercase().as_slice() {
                b"r" | b"so_reuseaddr" => address.reuse_address = true,
                b"n" | b"o_nonblock" => address.non_blocking = true,
                b"balance" if matches!(address.endpoint, Endpoint::Unix(_)) => {
                    return Err(AddressError::BalancedPath);
                }
                b"balance" => address.balanced = true,
                _ => return Err(AddressError::Option(text(option))),
            }
        }
        Ok(address)
    }
}

impl Endpoint {
    fn parse(bytes: &[u8]) -> Result<Self, AddressError> {
        if bytes.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some(path) = bytes.strip_prefix(b"unix:") {
            return parse_unix(path);
        }
        let Ok(address) = std::str::from_utf8(bytes) else {
            return Err(AddressError::Host(text(bytes)));
        };
        if let Some(rest) = address.strip_prefix('[') {
            return parse_ipv6(rest);
        }
        let (host, port) = address.rsplit_once(':').ok_or(AddressError::NoPort)?;
        if host.contains(':') {
            return Err(AddressError::NoBrackets);
        }
        let port = parse_port(port)?;
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(SocketAddr::V4(SocketAddrV4::new(ip, port))));
        }
        check_host(host)?;
        Ok(Self::Host { host: host.to_owned(), port })
    }

    /// Whether two sockets asked for here would be in each other's way.
    pub(super) fn is_one_place(&self) -> bool {
        match self {
            Self::Ip(address) => address.port() != 0,
            Self::Host { port, .. } => *port != 0,
            Self::Unix(_) => true,
        }
    }

    /// The host as the state has it (`:bind`): no brackets, `unix:PATH` for a path.
    pub fn host(&self) -> OsString {
        match self {
            Self::Ip(SocketAddr::V6(address)) if address.scope_id() != 0 => {
                format!("{}%{}", address.ip(), address.scope_id()).into()
            }
            Self::Ip(address) => IpAddr::to_string(&address.ip()).into(),
            Self::Host { host, .. } => host.into(),
            Self::Unix(path) => {
                let mut host = OsString::from("unix:");
                host.push(path);
                host
            }
        }
    }

    /// The port asked for; none for a path.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) => Some(address.port()),
            Self::Host { port, .. } => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

/// A name stands before the first `=`, and that before the first colon.
fn split_name(bytes: &[u8]) -> Result<(Option<String>, &[u8]), AddressError> {
    let end = bytes.iter().position(|byte| matches!(byte, b'=' | b':' | b'['));
    let Some((name, [b'=', rest @ ..])) = end.map(|end| bytes.split_at(end)) else {
        return Ok((None, bytes));
    };
    let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    if name.is_empty() || !name.iter().all(is_name_byte) {
        return Err(AddressError::Name(text(name)));
    }
    Ok((Some(text(name)), rest))
}

fn parse_unix(path: &[u8]) -> Result<Endpoint, AddressError> {
    if path.is_empty() || path.contains(&0) {
        return Err(AddressError::UnixPath);
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        return Err(AddressError::UnixPathTooLong(path.len()));
    }
    Ok(Endpoint::Unix(OsString::from_vec(path.to_vec()).into()))
}

fn parse_ipv6(rest: &str) -> Result<Endpoint, AddressError> {
    let (host, port) = rest.rsplit_once(']').ok_or_else(|| AddressError::Ipv6(shown(rest)))?;
    let port = parse_port(port.strip_prefix(':').ok_or(AddressError::NoPort)?)?;
    // The standard library reads a scope (`fe80::1%2`) only as part of a socket's address.
    let mut address: SocketAddrV6 =
        format!("[{host}]:0").parse().map_err(|_| AddressError::Ipv6(shown(host)))?;
    address.set_port(port);
    Ok(Endpoint::Ip(address.into()))
}

fn parse_port(digits: &str) -> Result<u16, AddressError> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number).ok_or_else(|| AddressError::Port(shown(digits)))
}

fn check_host(host: &str) -> Result<(), AddressError> {
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if host.len() > HOST_BYTES_MAX || !host.bytes().all(is_host_byte) || host.starts_with('-') {
        return Err(AddressError::Host(shown(host)));
    }
    let is_number = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    if host.split('.').count() == 4 && host.split('.').all(is_number) {
        return Err(AddressError::Ipv4(shown(host)));
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests;
