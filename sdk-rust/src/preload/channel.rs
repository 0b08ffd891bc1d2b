//! The socket to the master: packets that may carry descriptors.

use super::fork::own;
use crate::signal::borrow_inherited;
use einhorn_protocol::limit::{PRELOAD_DESCRIPTORS_MAX, PRELOAD_MESSAGE_BYTES_MAX};
use rustix::{
    io::{Errno, FdFlags, fcntl_setfd},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketType,
        recvmsg, send, sockopt,
    },
};
use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{OwnedFd, RawFd},
};

/// This process's end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

/// A message and what came with it.
pub(super) type Received = (Vec<u8>, Vec<OwnedFd>);

impl Channel {
    /// Takes over the descriptor that the master has given, or says what is wrong with it.
    pub(super) fn take_over(number: RawFd) -> Result<Self, &'static str> {
        let fd = borrow_inherited(number).map_err(|_| "not open")?;
        let family = sockopt::socket_domain(fd).map_err(|_| "not a socket")?;
        let kind = sockopt::socket_type(fd).map_err(|_| "not a socket")?;
        if family != AddressFamily::UNIX || kind != SocketType::SEQPACKET {
            return Err("not a channel to a master");
        }
        fcntl_setfd(fd, FdFlags::CLOEXEC).map_err(|_| "not open")?;
        Ok(Self(own(number)))
    }

    pub(super) fn send(&self, kind: &str, fields: &[(&str, &str)]) -> io::Result<()> {
        let mut message = kind.as_bytes().to_vec();
        for (word, rest) in fields {
            message.push(0);
            message.extend_from_slice(word.as_bytes());
            message.push(b' ');
            message.extend(rest.bytes().filter(|byte| *byte != 0));
        }
        message.truncate(PRELOAD_MESSAGE_BYTES_MAX);
        loop {
            match send(&self.0, &message, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                result => return Ok(result.map(drop)?),
            }
        }
    }

    /// The next message; none at the end.
    pub(super) fn receive(&self) -> io::Result<Option<Received>> {
        let mut message = vec![0; PRELOAD_MESSAGE_BYTES_MAX];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PRELOAD_DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            let mut parts = [IoSliceMut::new(&mut message)];
            match recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                result => break result?.bytes,
            }
        };
        let mut descriptors = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = part {
                descriptors.extend(received);
            }
        }
        message.truncate(length);
        Ok((length > 0).then_some((message, descriptors)))
    }
}
