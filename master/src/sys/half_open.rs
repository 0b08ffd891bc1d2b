//! Handshakes that have begun and are not over: the kernel tells of them by address, not by the
//! socket that will have the connection (`sock_diag(7)`).

use std::collections::BTreeSet;
use std::io;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::socket::Family;

/// `SOCK_DIAG_BY_FAMILY` (`linux/sock_diag.h`).
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP` (netlink(7)).
const DUMP: u16 = 0x301;
/// `NLMSG_ERROR` and `NLMSG_DONE` (netlink(7)).
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The bit of the state `SYN_RECV` (`sock_diag(7)`).
const SYN_RECV: u32 = 1 << 3;
const HEADER_BYTES: usize = 16;
/// Where the ports and addresses stand in an `inet_diag_msg`, and how long they are.
const ENDPOINTS: std::ops::Range<usize> = 4..4 + 36;

/// Ports and addresses of both ends, as the kernel writes them.
pub type Endpoints = Vec<u8>;

/// The handshakes in progress at a local port.
///
/// # Errors
/// Those of socket(2), where netlink is not allowed, and those that the kernel answers with.
pub fn handshakes(family: Family, port: u16) -> io::Result<BTreeSet<Endpoints>> {
    let family = match family {
        Family::Inet => libc::AF_INET,
        Family::Inet6 => libc::AF_INET6,
        Family::Unix => return Ok(BTreeSet::new()),
    };
    let channel = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let family = u8::try_from(family).map_err(|_| io::ErrorKind::InvalidInput)?;
    send(&channel, &request(family, port), SendFlags::empty())?;
    let mut found = BTreeSet::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // The kernel has the answer ready when send returns, so this never waits for it.
        let (length, _) = recv(&channel, buffer.as_mut_slice(), RecvFlags::DONTWAIT)?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                DONE => return Ok(found),
                ERROR => return Err(failure(body)),
                _ => found.extend(body.get(ENDPOINTS).map(<[u8]>::to_vec)),
            }
            rest = next;
        }
    }
}

/// A netlink header and an `inet_diag_req_v2`.
fn request(family: u8, port: u16) -> Vec<u8> {
    let tcp = libc::IPPROTO_TCP.to_le_bytes()[0];
    let mut body = vec![family, tcp, 0, 0];
    body.extend(SYN_RECV.to_ne_bytes());
    body.extend(port.to_be_bytes());
    // No other port, no address, any interface, any cookie.
    body.extend([0; 2 + 32 + 4]);
    body.extend([0xff; 8]);
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(DUMP.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// The first message: its kind, its body, and what comes after it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER_BYTES..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn failure(body: &[u8]) -> io::Error {
    let number = body.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    io::Error::from_raw_os_error(number.unwrap_or_default().saturating_neg())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[allow(unsafe_code, reason = "an option that no library here knows")]
    fn defer_accept(listener: &TcpListener) {
        let seconds: libc::c_int = 30;
        let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap();
        // SAFETY: the kernel reads an integer of that length.
        let result = unsafe {
            libc::setsockopt(
                listener.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_DEFER_ACCEPT,
                (&raw const seconds).cast(),
                length,
            )
        };
        assert_eq!(result, 0);
    }

    #[test]
    fn a_handshake_is_found_until_it_is_over() {
        for (host, family) in [("127.0.0.1:0", Family::Inet), ("[::1]:0", Family::Inet6)] {
            let listener = TcpListener::bind(host).unwrap();
            // The kernel takes the client's last word only with what comes after it.
            defer_accept(&listener);
            let address = listener.local_addr().unwrap();
            let mut client = TcpStream::connect(address).unwrap();
            assert_eq!(handshakes(family, address.port()).unwrap().len(), 1, "{host}");
            client.write_all(b"x").unwrap();
            let _accepted = listener.accept().unwrap();
            assert!(handshakes(family, address.port()).unwrap().is_empty(), "{host}");
        }
    }

    #[test]
    fn an_idle_port_has_none() {
        for family in [Family::Inet, Family::Inet6, Family::Unix] {
            assert!(handshakes(family, 1).unwrap().is_empty());
        }
    }

    #[test]
    fn what_the_kernel_does_not_know_is_an_error() {
        let error = failure(&(-libc::ENOENT).to_ne_bytes());
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        assert!(message(&[1, 0, 0]).is_none());
        assert!(message(&[0xff; 20]).is_none());
    }
}
