//! A pair of connected sockets for messages that keep their borders and may carry descriptors
//! (`SOCK_SEQPACKET`, unix(7)).

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use einhorn_protocol::limit::PRELOAD_DESCRIPTORS_MAX;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, getpeername, recv, sendmsg, socketpair, sockopt,
};

use super::descriptor::set_nonblocking;

/// Two ends: the first does not block, the second does.
///
/// # Errors
/// Those of socketpair(2).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    set_nonblocking(near.as_fd(), true)?;
    Ok((near, far))
}

/// Whether a descriptor is an end of such a pair.
///
/// # Errors
/// `ENOTSOCK`; those of getsockopt(2).
pub fn is_end(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let is_unix = sockopt::socket_domain(descriptor)? == AddressFamily::UNIX;
    let is_packets = sockopt::socket_type(descriptor)? == SocketType::SEQPACKET;
    Ok(is_unix && is_packets && getpeername(descriptor).is_ok())
}

/// Sends one message with these descriptors, whole or not at all, without waiting and without
/// SIGPIPE.
///
/// # Errors
/// Those of sendmsg(2): `EPIPE`: the other end is closed; `EAGAIN`: it does not read;
/// `EINVAL`: more descriptors than [`PRELOAD_DESCRIPTORS_MAX`].
pub fn send(end: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    const SPACE: usize = rustix::cmsg_space!(ScmRights(PRELOAD_DESCRIPTORS_MAX));
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL.into());
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(end, &[IoSlice::new(message)], &mut control, flags)?;
    Ok(())
}

/// What [`receive`] has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message; descriptors that came with it are closed.
    Message(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The other end is closed, and everything that was sent has been received.
    End,
}

/// Receives one message without waiting.
///
/// # Errors
/// Those of recv(2); `EMSGSIZE`: the message is longer than `bytes_max`, and lost.
pub fn receive(end: impl AsFd, bytes_max: usize) -> io::Result<Received> {
    // A byte more shows that a message did not fit.
    let mut message = vec![0; bytes_max.saturating_add(1)];
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
    loop {
        return match recv(&end, message.as_mut_slice(), flags) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => Ok(Received::End),
            Ok((_, length)) if length > bytes_max => Err(Errno::MSGSIZE.into()),
            Ok((_, length)) => {
                message.truncate(length);
                Ok(Received::Message(message))
            }
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Ok(Received::Nothing),
            Err(error) => Err(error.into()),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::sys::descriptor::{self, is_close_on_exec, is_nonblocking};
    use crate::sys::own_process::alone;

    fn text(received: Received) -> String {
        match received {
            Received::Message(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_keep_their_borders_and_the_end_comes_last() {
        alone!();
        let (near, far) = pair().unwrap();
        assert!(is_nonblocking(near.as_fd()));
        assert!(!is_nonblocking(far.as_fd()));
        for end in [&near, &far] {
            assert!(is_close_on_exec(end.as_fd()).unwrap());
            assert!(is_end(end.as_fd()).unwrap());
        }
        assert_eq!(receive(&near, 10).unwrap(), Received::Nothing);
        send(&far, b"one", &[]).unwrap();
        send(&far, b"0123456789", &[]).unwrap();
        drop(far);
        assert_eq!(text(receive(&near, 10).unwrap()), "one");
        assert_eq!(text(receive(&near, 10).unwrap()), "0123456789");
        assert_eq!(receive(&near, 10).unwrap(), Received::End);
        let error = send(&near, b"x", &[]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
    }

    #[test]
    fn a_message_that_is_too_long_is_an_error_and_the_next_one_is_read() {
        let (near, far) = pair().unwrap();
        send(&far, &[b'x'; 11], &[]).unwrap();
        send(&far, b"next", &[]).unwrap();
        assert_eq!(receive(&near, 10).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(text(receive(&near, 10).unwrap()), "next");
    }

    #[test]
    fn a_reader_that_does_not_read_costs_no_time() {
        let (near, _far) = pair().unwrap();
        let error = loop {
            if let Err(error) = send(&near, &[b'x'; 4096], &[]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn descriptors_cross_up_to_the_limit_and_are_closed_with_a_message_that_nobody_reads() {
        alone!();
        let (near, far) = pair().unwrap();
        let (reader, writer) = descriptor::pipe().unwrap();
        let many = vec![writer.as_fd(); PRELOAD_DESCRIPTORS_MAX];
        send(&near, b"many", &many).unwrap();
        let more = vec![writer.as_fd(); PRELOAD_DESCRIPTORS_MAX + 1];
        assert_eq!(send(&near, b"more", &more).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        drop(writer);
        drop((near, far));
        // Were one of them left, this would wait for ever.
        let mut byte = [0];
        assert_eq!(rustix::io::read(&reader, &mut byte).unwrap(), 0);
    }

    #[test]
    fn other_descriptors_are_no_ends() {
        let (reader, _writer) = descriptor::pipe().unwrap();
        assert_eq!(is_end(reader.as_fd()).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
        let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!is_end(stream.as_fd()).unwrap());
        assert!(stream.as_raw_fd() > 2);
    }
}
