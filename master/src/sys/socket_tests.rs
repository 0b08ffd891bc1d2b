use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;

use super::*;
use crate::sys::descriptor::{is_close_on_exec, is_nonblocking};
use crate::sys::own_process::alone;
use crate::sys::{credentials, process};

const OPTIONS: ListenOptions =
    ListenOptions { reuse_address: false, nonblocking: false, backlog: 100 };

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn tcp(address: &str, options: ListenOptions) -> (OwnedFd, SocketAddr) {
    let socket = listen_internet(address.parse().unwrap(), options).unwrap();
    match local_address(&socket).unwrap() {
        LocalAddress::Internet(address) => (socket, address),
        other => panic!("{other}"),
    }
}

#[test]
fn a_port_of_the_systems_choice_is_told() {
    let (socket, address) = tcp("127.0.0.1:0", OPTIONS);
    assert_ne!(address.port(), 0);
    assert!(is_close_on_exec(socket.as_fd()).unwrap());
    assert!(!is_nonblocking(socket.as_fd()));
    assert!(!sockopt::socket_reuseaddr(&socket).unwrap());
    TcpStream::connect(address).unwrap();
    let again = listen_internet(address, OPTIONS);
    assert_eq!(errno(again), Some(libc::EADDRINUSE));
}

#[test]
fn options_are_set() {
    let options = ListenOptions { reuse_address: true, nonblocking: true, backlog: 5 };
    let (socket, address) = tcp("127.0.0.1:0", options);
    assert!(is_nonblocking(socket.as_fd()));
    assert!(sockopt::socket_reuseaddr(&socket).unwrap());
    assert!(accept(&socket).unwrap().is_none());
    set_backlog(&socket, 50).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    set_backlog(&socket, SYSTEM_BACKLOG_MAX).unwrap();
}

#[test]
fn ipv6_takes_ipv6_only() {
    let (socket, address) = tcp("[::]:0", OPTIONS);
    assert!(sockopt::ipv6_v6only(&socket).unwrap());
    TcpStream::connect(("::1", address.port())).unwrap();
    let description = describe(socket.as_fd()).unwrap();
    assert_eq!(description.family, Family::Inet6);
    assert_eq!(Family::of(address).name(), "AF_INET6");
}

#[test]
fn names_are_resolved() {
    assert_eq!(resolve("127.0.0.1", 80).unwrap(), "127.0.0.1:80".parse().unwrap());
    assert_eq!(resolve("::1", 80).unwrap(), "[::1]:80".parse().unwrap());
    assert!(resolve("localhost", 80).unwrap().ip().is_loopback());
    assert!(resolve("no such name", 80).is_err());
}

#[test]
fn a_unix_listener_has_its_mode_and_identity() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (socket, identity) = listen_unix(&path, 0o600, OPTIONS).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(files::look(&path).unwrap(), Some((files::FileKind::Socket, identity)));
    assert_eq!(local_address(&socket).unwrap(), LocalAddress::Path(path.clone()));
    let description = describe(socket.as_fd()).unwrap();
    assert_eq!(
        description,
        Description {
            family: Family::Unix,
            stream: true,
            listening: true,
            connected: false,
            local: LocalAddress::Path(path.clone()),
        }
    );
    assert_eq!(errno(listen_unix(&path, 0o600, OPTIONS)), Some(libc::EADDRINUSE));
    assert!(path.exists());
    let link = folder.path().join("link");
    let target = folder.path().join("target");
    symlink(&target, &link).unwrap();
    assert_eq!(errno(listen_unix(&link, 0o600, OPTIONS)), Some(libc::EADDRINUSE));
    assert!(!target.exists());
}

#[test]
fn paths_have_a_length() {
    let folder = tempfile::tempdir().unwrap();
    let room = 107 - folder.path().as_os_str().len() - 1;
    let longest = folder.path().join("x".repeat(room));
    let (socket, _) = listen_unix(&longest, 0o600, OPTIONS).unwrap();
    assert_eq!(local_address(&socket).unwrap(), LocalAddress::Path(longest.clone()));
    connect_unix(&longest).unwrap();
    let longer = folder.path().join("x".repeat(room + 1));
    assert_eq!(errno(listen_unix(&longer, 0o600, OPTIONS)), Some(libc::ENAMETOOLONG));
    assert_eq!(errno(connect_unix(&longer)), Some(libc::ENAMETOOLONG));
}

#[test]
fn both_ends_know_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let options = ListenOptions { nonblocking: true, ..OPTIONS };
    let (listener, _) = listen_unix(&path, 0o600, options).unwrap();
    let client = connect_unix(&path).unwrap();
    assert!(!is_nonblocking(client.as_fd()));
    assert!(is_close_on_exec(client.as_fd()).unwrap());
    let server = accept(&listener).unwrap().unwrap();
    assert!(is_nonblocking(server.as_fd()));
    assert!(is_close_on_exec(server.as_fd()).unwrap());
    let myself =
        Peer { pid: process::own_pid(), uid: credentials::own_uid(), gid: credentials::own_gid() };
    assert_eq!(peer(&server).unwrap(), myself);
    assert_eq!(peer(&client).unwrap(), myself);
    assert!(describe(server.as_fd()).unwrap().connected);
    assert!(!describe(server.as_fd()).unwrap().listening);
    let mut client = UnixStream::from(client);
    client.write_all(b"x").unwrap();
    let mut byte = [0];
    UnixStream::from(server).read_exact(&mut byte).unwrap();
}

#[test]
fn a_dead_socket_refuses() {
    alone!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(listen_unix(&path, 0o600, OPTIONS).unwrap());
    assert!(path.exists());
    assert_eq!(errno(connect_unix(&path)), Some(libc::ECONNREFUSED));
    assert_eq!(errno(connect_unix(&folder.path().join("none"))), Some(libc::ENOENT));
}

#[test]
fn a_full_backlog_does_not_hold_us_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (_listener, _) =
        listen_unix(&path, 0o600, ListenOptions { backlog: 0, ..OPTIONS }).unwrap();
    let _waits = connect_unix(&path).unwrap();
    assert_eq!(errno(connect_unix(&path)), Some(libc::EAGAIN));
}

#[test]
fn sending_never_waits() {
    alone!();
    let (near, far) = UnixStream::pair().unwrap();
    let much = vec![0; 1 << 20];
    while send_without_waiting(&near, &much).is_ok() {}
    assert_eq!(errno(send_without_waiting(&near, b"x")), Some(libc::EAGAIN));
    drop(far);
    assert_eq!(errno(send_without_waiting(&near, b"x")), Some(libc::EPIPE));
}

#[test]
fn what_is_no_socket_is_told() {
    let file = tempfile::tempfile().unwrap();
    assert_eq!(errno(describe(file.as_fd())), Some(libc::ENOTSOCK));
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let description = describe(udp.as_fd()).unwrap();
    assert!(!description.stream);
    assert!(!description.listening);
}
