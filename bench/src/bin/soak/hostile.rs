//! Clients of the command socket that do what they must not. None of it is anybody else's
//! trouble, and whatever they get back is none of ours.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::random::Random;
use crate::shared::{Shared, count};

/// Longer than a line may be.
const LONG_LINE_BYTES: usize = (1 << 20) + (1 << 16);
/// Connections that one flood opens.
const FLOOD_CONNECTIONS: u64 = 60;
/// Requests of a client that never reads.
const UNREAD_REQUESTS: u64 = 300;

/// Until the run is over.
pub(crate) fn run(shared: &Shared) {
    let mut random = Random::new(shared.seed, 3);
    while !shared.is_ending() {
        shared.pause(Duration::from_millis(random.between(100, 900)));
        attack(shared, &mut random);
        count(&shared.attacks);
    }
}

fn attack(shared: &Shared, random: &mut Random) {
    match random.between(0, 7) {
        0 => send(shared, &vec![b'x'; LONG_LINE_BYTES]),
        1 => send(shared, format!("{}\n", "[".repeat(5000)).as_bytes()),
        2 => send(shared, b"{\"command\": \"upg"),
        3 => send(shared, &noise(random)),
        4 => send(shared, b"command: &a [*b, *c]\n--- !ruby/object:Set {}\n\xff\xfe\n"),
        5 => never_read(shared, random),
        6 => flood(shared),
        _ => send(shared, b"{\"command\":\"worker:ack\",\"pid\":1}\n"),
    }
}

/// Says it, reads a little if there is anything, and leaves.
fn send(shared: &Shared, bytes: &[u8]) {
    let Some(mut client) = connect(shared) else { return };
    let _ = client.write_all(bytes);
    let _ = client.read(&mut [0; 256]);
}

/// Asks for much and never reads; stays a while, perhaps across an upgrade.
fn never_read(shared: &Shared, random: &mut Random) {
    let Some(mut client) = connect(shared) else { return };
    let _ = client.set_nonblocking(true);
    for _ in 0..UNREAD_REQUESTS {
        let _ = client.write(b"{\"command\": \"state\", \"id\": 1}\n");
    }
    shared.pause(Duration::from_millis(random.between(50, 2000)));
}

/// Many at once, each in the middle of a message.
fn flood(shared: &Shared) {
    let clients: Vec<UnixStream> = (0..FLOOD_CONNECTIONS)
        .filter_map(|_| {
            let mut client = connect(shared)?;
            client.write_all(b"{\"command\":").ok()?;
            Some(client)
        })
        .collect();
    shared.pause(Duration::from_millis(100));
    drop(clients);
}

fn noise(random: &mut Random) -> Vec<u8> {
    let length = random.between(1, 500);
    let bytes = (0..length).flat_map(|_| random.next().to_le_bytes());
    bytes.chain(*b"\n").collect()
}

/// A slow master delays nobody here for long.
fn connect(shared: &Shared) -> Option<UnixStream> {
    let client = UnixStream::connect(&shared.socket).ok()?;
    let limit = Some(Duration::from_millis(500));
    client.set_read_timeout(limit).and_then(|()| client.set_write_timeout(limit)).ok()?;
    Some(client)
}
