//! Datagram sockets of the unix family whose receiver is told who has sent (`SO_PASSCRED`,
//! unix(7)).
#![allow(unsafe_code, reason = "recvmsg with the sender's credentials")]

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr;

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use super::files::{self, Identity};
use super::process::Pid;
use super::socket::{LocalAddress, local_address, unix_address};

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes of the buffer it has filled.
    pub length: usize,
    /// It was longer than the buffer, and the rest is lost.
    pub truncated: bool,
    /// Who has sent it, as the kernel says; 0 if that is outside of this pid namespace.
    pub sender: Pid,
}

/// A non-blocking socket that receives at `path`, with the file's permissions `mode` less the
/// umask, and which file it made.
///
/// # Errors
/// Those of socket(2) and bind(2); `EADDRINUSE`: anything at all is at `path`; `ENAMETOOLONG`.
pub fn receive_at(path: &Path, mode: u32) -> io::Result<(OwnedFd, Identity)> {
    let address = unix_address(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_passcred(&socket, true)?;
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(mode))?;
    bind(&socket, &address)?;
    match files::look(path) {
        Ok(Some((_, identity))) => Ok((socket, identity)),
        Ok(None) => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        Err(error) => Err(error),
    }
}

/// Whether a descriptor is a socket of [`receive_at`] for `path`.
///
/// # Errors
/// `ENOTSOCK`; those of getsockopt(2).
pub fn receives_at(descriptor: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
    let is_unix = sockopt::socket_domain(descriptor)? == AddressFamily::UNIX;
    let is_datagram = sockopt::socket_type(descriptor)? == SocketType::DGRAM;
    Ok(is_unix
        && is_datagram
        && sockopt::socket_passcred(descriptor)?
        && local_address(descriptor)? == LocalAddress::Path(path.to_owned()))
}

/// Room for the sender's credentials and nothing else: descriptors that come along are closed
/// by the kernel.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    space: [u8; CONTROL_BYTES],
}

// SAFETY: CMSG_SPACE only computes.
const CONTROL_BYTES: usize = unsafe { libc::CMSG_SPACE(CREDENTIALS_BYTES) } as usize;
#[expect(clippy::cast_possible_truncation, reason = "a few bytes")]
const CREDENTIALS_BYTES: u32 = size_of::<libc::ucred>() as u32;

/// The next datagram, without waiting; none if none is there.
///
/// # Errors
/// Those of recvmsg(2).
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<Received>> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = MaybeUninit::<Control>::zeroed();
    // SAFETY: all zeros is an empty message header.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_BYTES as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let number = socket.as_fd().as_raw_fd();
    let length = loop {
        // SAFETY: the header points to one buffer and one control space that live as long as
        // the call, with their lengths.
        let length = unsafe { libc::recvmsg(number, &raw mut message, flags) };
        if let Ok(length) = usize::try_from(length) {
            break length;
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(None),
            _ => return Err(error),
        }
    };
    let truncated = message.msg_flags & libc::MSG_TRUNC != 0;
    Ok(Some(Received { length, truncated, sender: sender_of(&message) }))
}

/// 0 where the kernel does not say.
fn sender_of(message: &libc::msghdr) -> Pid {
    // SAFETY: the header is as recvmsg has left it, so its control part holds whole messages;
    // the data of one of this type is a ucred, read without assuming its alignment.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        if header.is_null()
            || (*header).cmsg_level != libc::SOL_SOCKET
            || (*header).cmsg_type != libc::SCM_CREDENTIALS
        {
            return 0;
        }
        ptr::read_unaligned(libc::CMSG_DATA(header).cast::<libc::ucred>()).pid
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;
    use crate::sys::descriptor;
    use crate::sys::own_process::alone;
    use crate::sys::process::own_pid;

    fn connected(path: &Path) -> UnixDatagram {
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(path).unwrap();
        sender
    }

    #[test]
    fn a_datagram_tells_its_sender_and_whether_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (socket, identity) = receive_at(&path, 0o600).unwrap();
        assert_eq!(files::look(&path).unwrap().unwrap().1, identity);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(receives_at(socket.as_fd(), &path).unwrap());
        assert!(!receives_at(socket.as_fd(), folder.path()).unwrap());
        let mut buffer = [0; 4];
        assert_eq!(receive(&socket, &mut buffer).unwrap(), None);
        let sender = connected(&path);
        for text in ["", "four", "and more", "next"] {
            sender.send(text.as_bytes()).unwrap();
        }
        for (length, truncated) in [(0, false), (4, false), (4, true), (4, false)] {
            let expect = Received { length, truncated, sender: own_pid() };
            assert_eq!(receive(&socket, &mut buffer).unwrap(), Some(expect));
        }
        assert_eq!(&buffer, b"next");
        assert!(receive_at(&path, 0o600).is_err());
    }

    #[test]
    fn descriptors_that_come_along_are_closed() {
        alone!();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (socket, _) = receive_at(&path, 0o600).unwrap();
        let (reader, writer) = descriptor::pipe().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let three = [writer.as_fd(); 3];
        assert!(control.push(SendAncillaryMessage::ScmRights(&three)));
        let parts = [io::IoSlice::new(b"x")];
        sendmsg(connected(&path), &parts, &mut control, SendFlags::empty()).unwrap();
        drop(writer);
        let expect = Received { length: 1, truncated: false, sender: own_pid() };
        assert_eq!(receive(&socket, &mut [0; 8]).unwrap(), Some(expect));
        // Were one of them left, this would wait for ever.
        assert_eq!(File::from(reader).read(&mut [0]).unwrap(), 0);
    }
}
