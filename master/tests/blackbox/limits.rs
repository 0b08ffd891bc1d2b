//! Clients at the limits of their number.

use std::time::Duration;

use einhorn_protocol::limit::{CLIENTS_PER_UID_MAX, SILENT_CLIENTS_MAX};
use serde_json::json;

use crate::support::process::raise_open_files;
use crate::support::{Client, IDLE, Master};

/// This process needs a descriptor for each, and the master does too.
fn one() -> Master {
    raise_open_files();
    Master::start(&["-n", "1"], &IDLE)
}

#[test]
fn as_many_clients_of_one_user_as_there_may_be() {
    let master = one();
    let mut clients: Vec<Client> = Vec::new();
    for id in 0..CLIENTS_PER_UID_MAX {
        let mut client = master.client();
        assert_eq!(client.ask(&json!({"command": "ehlo", "id": id}))["request_id"], id);
        clients.push(client);
    }
    let mut late = master.client();
    let reply = late.reply();
    assert_eq!(reply["error"], "overloaded", "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("too many clients"), "{reply}");
    assert!(late.is_closed());
    // Who is in is served, and who leaves makes room.
    assert_eq!(clients[7].ask(&json!({"command": "ehlo", "id": "x"}))["request_id"], "x");
    drop(clients.split_off(CLIENTS_PER_UID_MAX / 2));
    master.wait_until("room again", || {
        let mut client = master.client();
        client.try_send(b"{\"command\":\"ehlo\"}\n").ok()?;
        client.line().filter(|line| line.contains("Welcome"))
    });
}

#[test]
fn who_is_silent_for_the_longest_makes_room() {
    let master = one();
    let mut first = master.client();
    let mut second = master.client();
    let mut polite = master.client();
    assert_eq!(polite.ask(&json!({"command": "ehlo", "id": 1}))["request_id"], 1);
    let mut silent: Vec<Client> = (2..SILENT_CLIENTS_MAX).map(|_| master.client()).collect();
    // All of them are in: nobody had to go yet.
    assert_eq!(
        silent.last_mut().unwrap().ask(&json!({"command": "ehlo", "id": 2}))["request_id"],
        2
    );
    assert!(!is_closed(&first));
    let _newer = (master.client(), master.client());
    assert!(first.is_closed());
    master
        .wait_for_line("is cut off: it has asked for nothing yet, and newer clients need the room");
    assert_eq!(second.ask(&json!({"command": "ehlo", "id": 3}))["request_id"], 3);
    assert_eq!(polite.ask(&json!({"command": "ehlo", "id": 4}))["request_id"], 4);
}

/// Whether the other end is gone, without waiting for it.
fn is_closed(client: &Client) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut events = [PollFd::new(client.stream(), PollFlags::IN)];
    poll(&mut events, Some(&Timespec::try_from(Duration::ZERO).unwrap())).unwrap() == 1
}
