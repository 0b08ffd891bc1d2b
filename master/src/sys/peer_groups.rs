//! The groups of whoever is at the other end of a unix socket.
#![allow(unsafe_code, reason = "neither nix nor rustix knows SO_PEERGROUPS")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// More than almost anybody is in.
const FIRST_GUESS: usize = 32;

/// The supplementary groups that the other end had at its connect(2).
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let socket = socket.as_fd();
    let mut groups = vec![0_u32; FIRST_GUESS];
    loop {
        let room = size_of_val(groups.as_slice());
        let mut length = libc::socklen_t::try_from(room).unwrap_or(libc::socklen_t::MAX);
        // SAFETY: the kernel writes at most `length` bytes, which is the room that `groups`
        // has, and `length` itself; both live until the call returns.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = usize::try_from(length).unwrap_or(0) / size_of::<u32>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // With ERANGE it says how much room it takes.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    #[test]
    fn they_are_those_of_the_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let mut found = super::peer_groups(&one).unwrap();
        let own = rustix::process::getgroups().unwrap();
        let mut own: Vec<u32> = own.into_iter().map(rustix::process::Gid::as_raw).collect();
        found.sort_unstable();
        own.sort_unstable();
        assert_eq!(found, own);
    }
}
