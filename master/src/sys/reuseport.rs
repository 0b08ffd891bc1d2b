//! Groups of sockets that listen at one address (`SO_REUSEPORT`), and the program by which the
//! kernel chooses among them.
//!
//! The kernel numbers the members of a group in the order in which they began to listen. One
//! that stops listening leaves its number to the last member, so only the last one may leave if
//! the numbers are to stay. The program is kept while members come and go.
#![allow(unsafe_code, reason = "setsockopt and getsockopt with structures of their own")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, Shutdown, bind, listen, shutdown, sockopt};

use super::socket::{ListenOptions, stream_socket};

/// Most ranges that a program leaves out: a program's size is limited by the kernel
/// (`net.core.optmem_max`, 20 KiB where it is least).
const GAPS_MAX: usize = 512;

/// Which members of a group take new connections: each as likely as any other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// How many of them there are.
    count: u32,
    /// Where members are left out: how many are taken or left out before, and how many here.
    gaps: Vec<(u32, u32)>,
}

impl Choice {
    /// Those members, in order; none at all if there are none, or more gaps between them than a
    /// program has room for.
    pub fn of(members: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut choice = Self::default();
        let mut next = 0;
        for member in members {
            if member > next {
                choice.gaps.push((next, member - next));
            }
            choice.count += 1;
            next = member.saturating_add(1);
        }
        (choice.count > 0 && choice.gaps.len() <= GAPS_MAX).then_some(choice)
    }

    /// A random number below the count, and what it is with the gaps before it.
    fn program(&self) -> Vec<libc::sock_filter> {
        let code = |code: u32| u16::try_from(code).unwrap_or_default();
        let plain =
            |operation: u32, k: u32| libc::sock_filter { code: code(operation), jt: 0, jf: 0, k };
        let random = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned();
        let mut program = vec![
            plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, random),
            plain(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, self.count),
        ];
        for &(start, length) in &self.gaps {
            let is_below = code(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K);
            program.push(libc::sock_filter { code: is_below, jt: 0, jf: 1, k: start });
            program.push(plain(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K, length));
        }
        program.push(plain(libc::BPF_RET | libc::BPF_A, 0));
        program
    }
}

/// The first socket of a group. It is bound as if it were to be alone, so that it does not join
/// a group of another process.
///
/// # Errors
/// Those of socket(2), bind(2), listen(2) and setsockopt(2).
pub fn listen_first(address: SocketAddr, options: ListenOptions) -> io::Result<OwnedFd> {
    let socket = prepared(address, options)?;
    bind(&socket, &address)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    listen(&socket, options.backlog)?;
    Ok(socket)
}

/// A further socket of the group at `address`; it is the last member.
///
/// # Errors
/// As [`listen_first`].
pub fn join(address: SocketAddr, options: ListenOptions) -> io::Result<OwnedFd> {
    let socket = prepared(address, options)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, options.backlog)?;
    Ok(socket)
}

fn prepared(address: SocketAddr, options: ListenOptions) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = stream_socket(family, options.nonblocking)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if options.reuse_address {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    Ok(socket)
}

/// Leads new connections to the members of `choice`, whichever member `socket` is. Handshakes
/// that have begun stay where they are.
///
/// # Errors
/// Those of setsockopt(2): `ENOPROTOOPT` from a kernel that cannot do it (before Linux 4.6).
pub fn steer(socket: impl AsFd, choice: &Choice) -> io::Result<()> {
    let mut program = choice.program();
    let value = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_mut_ptr(),
    };
    let length = u32::try_from(size_of::<libc::sock_fprog>()).unwrap_or_default();
    // SAFETY: `value` is of the type that this option takes, and `program`, which it points
    // into, outlives the call; the kernel only reads both.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const value).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many connections wait to be accepted.
///
/// # Errors
/// Those of getsockopt(2).
pub fn waiting(socket: impl AsFd) -> io::Result<u32> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = u32::try_from(size_of::<libc::tcp_info>()).unwrap_or_default();
    // SAFETY: the kernel writes at most `length` bytes into `info`, which is that large.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it consists of integers, for which the zeros that it began with are good too.
    Ok(unsafe { info.assume_init() }.tcpi_unacked)
}

/// Ends the listening of a socket for everyone who holds it, and with it its membership.
///
/// # Errors
/// Those of shutdown(2).
pub fn leave(socket: &OwnedFd) -> io::Result<()> {
    Ok(shutdown(socket, Shutdown::Read)?)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::sys::socket;

    const OPTIONS: ListenOptions =
        ListenOptions { reuse_address: false, nonblocking: true, backlog: 1000 };

    /// A group of that many, and its address.
    fn group(host: &str, members: usize) -> (Vec<OwnedFd>, SocketAddr) {
        let first = listen_first(host.parse().unwrap(), OPTIONS).unwrap();
        let address = match socket::local_address(&first).unwrap() {
            socket::LocalAddress::Internet(address) => address,
            other => panic!("{other}"),
        };
        let mut group = vec![first];
        while group.len() < members {
            group.push(join(address, OPTIONS).unwrap());
        }
        (group, address)
    }

    /// How many of `count` connections each member gets; they are gone afterwards.
    fn spread(group: &[OwnedFd], address: SocketAddr, count: u32) -> Vec<u32> {
        let clients: Vec<TcpStream> =
            (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut looks = 0..1_000_000;
        let found = loop {
            let found: Vec<u32> = group.iter().map(|socket| waiting(socket).unwrap()).collect();
            if found.iter().sum::<u32>() == count || looks.next().is_none() {
                break found;
            }
            std::thread::yield_now();
        };
        drop(clients);
        for member in group {
            while socket::accept(member).unwrap().is_some() {}
        }
        found
    }

    fn steered(group: &[OwnedFd], address: SocketAddr, members: &[u32]) -> Vec<bool> {
        let choice = Choice::of(members.iter().copied()).unwrap();
        steer(group.last().unwrap(), &choice).unwrap();
        spread(group, address, 100).iter().map(|found| *found > 0).collect()
    }

    #[test]
    fn connections_go_to_the_members_chosen() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (group, address) = group(host, 5);
            for members in [&[0, 1, 2, 3, 4][..], &[0], &[4], &[1, 3], &[0, 2, 3], &[3, 4]] {
                let expect: Vec<bool> = (0..5).map(|member| members.contains(&member)).collect();
                assert_eq!(steered(&group, address, members), expect, "{host} {members:?}");
            }
        }
    }

    #[test]
    fn the_program_stays_while_members_come_and_the_last_one_goes() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (mut group, address) = group(host, 3);
            assert_eq!(steered(&group, address, &[1]), [false, true, false]);
            group.push(join(address, OPTIONS).unwrap());
            assert_eq!(spread(&group, address, 20), [0, 20, 0, 0]);
            // A copy that somebody else holds keeps no member in the group.
            let last = group.pop().unwrap();
            let copy = last.try_clone().unwrap();
            leave(&last).unwrap();
            assert_eq!(spread(&group, address, 20), [0, 20, 0]);
            group.push(join(address, OPTIONS).unwrap());
            assert_eq!(steered(&group, address, &[3]), [false, false, false, true]);
            drop(copy);
        }
    }

    #[test]
    fn nobody_else_joins_a_group_by_accident() {
        let (_group, address) = group("127.0.0.1:0", 2);
        let error = listen_first(address, OPTIONS).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
        let error = socket::listen_internet(address, OPTIONS).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    }

    #[test]
    fn a_choice_has_an_end() {
        assert_eq!(Choice::of([]), None);
        let every_second = |count: u32| (0..count).map(|member| 2 * member + 1);
        let gaps_max = u32::try_from(GAPS_MAX).unwrap();
        let largest = Choice::of(every_second(gaps_max)).unwrap();
        assert_eq!(Choice::of(every_second(gaps_max + 1)), None);
        let (group, address) = group("127.0.0.1:0", 2);
        steer(&group[0], &largest).unwrap();
        // Of members that do not exist the kernel takes any that does.
        assert_eq!(spread(&group, address, 20).iter().sum::<u32>(), 20);
    }
}
