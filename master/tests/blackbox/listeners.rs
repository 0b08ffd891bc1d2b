//! Listening sockets: addresses, options, unix paths, and serving through them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::process::Signal;

use crate::support::{Folder, IDLE, LONG, Launch, Master};
use crate::worker::told;

fn address(master: &Master, index: usize) -> SocketAddr {
    let status = master.status();
    let text = status["listeners"][index]["address"].as_str().unwrap().to_owned();
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn ask(address: SocketAddr) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.write_all(b"who\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// Whether the worker's descriptor does not block.
fn is_nonblocking(master: &Master, index: usize) -> bool {
    let number = &master.status()["listeners"][index]["fd"];
    let path = format!("/proc/{}/fdinfo/{number}", master.running()[0]);
    let info = fs::read_to_string(path).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    u32::from_str_radix(flags, 8).unwrap() & nonblocking != 0
}

#[test]
fn a_free_port_is_found_logged_told_and_served() {
    let options = ["-b", "127.0.0.1:0", "-b", "127.0.0.1:0", "-m", "manual"];
    let master = Master::start(&options, &told(&["ack", "version=a", "serve"]));
    let status = master.wait_for_up(1);
    let state = master.state();
    let ports = state.split(":bound_ports:\n").nth(1).unwrap();
    for index in 0..2 {
        let address = address(&master, index);
        assert_ne!(address.port(), 0);
        assert_eq!(status["listeners"][index]["port"], address.port());
        master.wait_for_line(&format!("listening on {address}"));
        assert_eq!(ports.lines().nth(index), Some(format!("- {}", address.port()).as_str()));
        assert_eq!(ask(address), format!("{} 0 a\n", master.only_pid()));
    }
}

#[test]
fn ipv6_sockets_are_ipv6_only() {
    let master = Master::start(&["-b", "[::]:0"], &IDLE);
    let port = address(&master, 0).port();
    // The same port of the other family is free, unless somebody else just has it.
    let is_free = (0..20).any(|_| {
        let other = Master::start(&["-b", "[::]:0"], &IDLE);
        TcpListener::bind(("0.0.0.0", address(&other, 0).port())).is_ok()
    });
    assert!(is_free);
    let same = format!("[::]:{port}");
    let line = Launch::new(&["-b", &same], &IDLE).run().refused(&[]);
    assert!(line.contains(&same), "{line}");
}

#[test]
fn a_host_name_takes_its_first_address() {
    let master = Master::start(&["-b", "localhost:0"], &IDLE);
    assert!(address(&master, 0).ip().is_loopback());
    let line = Launch::new(&["-b", "no-such-host.invalid:80"], &IDLE).run().refused(&[]);
    assert!(line.contains("no-such-host.invalid"), "{line}");
}

#[test]
fn options_count_in_any_case_and_sockets_block_unless_asked() {
    let addresses = ["127.0.0.1:0", "127.0.0.1:0,N", "127.0.0.1:0,R,O_NonBlock", "127.0.0.1:0,r"];
    let options: Vec<&str> = addresses.iter().flat_map(|address| ["-b", address]).collect();
    let master = Master::start(&options, &IDLE);
    let found: Vec<bool> = (0..4).map(|index| is_nonblocking(&master, index)).collect();
    assert_eq!(found, [false, true, true, false]);
}

#[test]
fn a_unix_socket_is_served_and_removed_at_the_end() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    let options = ["-b", &format!("web=unix:{}", path.display()), "-b", "127.0.0.1:0"];
    let mut master = Launch::within(folder, &options, &IDLE).start();
    drop(UnixStream::connect(&path).unwrap());
    let status = master.status();
    assert_eq!(status["listeners"][0]["name"], "web");
    assert_eq!(status["listeners"][0]["port"], serde_json::Value::Null);
    let state = master.state();
    let ports = state.split(":bound_ports:\n").nth(1).unwrap();
    assert_eq!(ports.lines().next(), Some("-"), "aligned with :bind\n{state}");
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_that_is_no_longer_ours_stays() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    let options = ["-b", &format!("unix:{}", path.display())];
    let mut master = Launch::within(folder, &options, &IDLE).start();
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    drop(other);
}

#[test]
fn a_stale_unix_socket_is_replaced_and_a_live_one_refused() {
    let folder = Folder::new();
    let path = folder.dead_socket("web.sock");
    let address = format!("unix:{}", path.display());
    let master = Launch::within(folder, &["-b", &address], &IDLE).start();
    drop(UnixStream::connect(&path).unwrap());

    let line = Launch::new(&["-b", &address], &IDLE).run().refused(&[]);
    assert!(line.contains(&address) && line.contains("listening"), "{line}");
    drop(UnixStream::connect(&path).unwrap());
    drop(master);

    let folder = Folder::new();
    let plain = folder.write("plain", "precious");
    let address = format!("unix:{}", plain.display());
    let finished = Launch::within(folder, &["-b", &address], &IDLE).run();
    let line = finished.refused(&["plain"]);
    assert!(line.contains(&address), "{line}");
    assert_eq!(finished.folder.read("plain"), "precious");
}

/// How many connections a unix socket takes that nobody accepts.
fn queue_length(path: &std::path::Path, waiting: &mut Vec<rustix::fd::OwnedFd>) -> usize {
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    };
    let address = SocketAddrUnix::new(path).unwrap();
    loop {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&client, &address) {
            Ok(()) => waiting.push(client),
            Err(rustix::io::Errno::AGAIN) => return waiting.len(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_backlog_is_as_long_as_asked_and_may_be_changed() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    let options = ["-b", &format!("unix:{}", path.display()), "-l", "2", "-m", "0"];
    let master = Launch::within(folder, &options, &IDLE).start();
    let mut waiting = Vec::new();
    // The system takes one more than it is told.
    assert_eq!(queue_length(&path, &mut waiting), 3);
    master.command("config", &["{backlog: 5}"]);
    assert_eq!(queue_length(&path, &mut waiting), 6);
    master.command("reload", &[]);
    master.wait_for("the next generation", |status| status["generation"] == 1);
    assert_eq!(queue_length(&path, &mut waiting), 6);
}
