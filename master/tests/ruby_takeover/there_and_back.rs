//! From a Ruby master into ours, back, and into ours again, while thousands of connections
//! come in: none is lost, and whoever asked for an upgrade hears of its end each time.

use rustix::process::Signal;

use crate::stand_in::{self, MANUAL, edited, follow, ports_in, yaml_request};
use crate::support::load::Load;
use crate::support::process::descriptors;
use crate::support::workers;
use crate::worker::told;

/// Fewer connections in all are no load.
const CONNECTIONS_MIN: usize = 3000;

/// Clients that have said half of what they want.
const HALVES: usize = 200;
/// Descriptors that a master may have beside its sockets and clients.
const OWN_MAX: usize = 20;

/// Waits for a number of further connections to be served.
#[track_caller]
fn some_more(process: &stand_in::Process, load: &Load, number: usize) {
    let wanted = load.answered() + number;
    process.master.wait_until("connections", || (load.answered() >= wanted).then_some(()));
}

#[test]
fn nothing_is_lost() {
    let dump = edited(MANUAL, &[(":seconds: 1", ":seconds: 0.01"), (":number: 2", ":number: 3")]);
    let process = stand_in::replaying(&dump, &told(&["ack", "serve"]));
    let told = process.told("replays");
    let sockets = process.listening(&told);
    let load = Load::heavy(ports_in(&told)[0]);
    some_more(&process, &load, 100);
    let mut idle = process.master.client();
    // Many who wait, each with half a line, and one with more of it than fits into a pipe.
    let mut halves: Vec<_> = (0..HALVES).map(|_| process.master.client()).collect();
    for (number, half) in halves.iter_mut().enumerate() {
        let user = "x".repeat(if number == 0 { 200_000 } else { number });
        half.send(format!("{{\"command\":\"ehlo\",\"user\":\"{user}"));
    }
    for (round, command) in ["upgrade", "upgrade_fleet", "upgrade"].into_iter().enumerate() {
        // Into ours.
        let mut caller = process.master.client();
        caller.send(yaml_request(command, "there"));
        assert_eq!(follow(&mut caller, &"there".into()).error, None, "round {round}");
        process.is_ours();
        let version = 2 * round + 1;
        process.master.wait_for("the new version alone", |status| {
            let all = workers(status);
            all.len() == 3 && all.iter().all(|worker| worker["version"] == version)
        });
        idle.send("{\"command\":\"ehlo\",\"id\":1}\n");
        assert_eq!(idle.reply()["request_id"], 1);
        some_more(&process, &load, 200);
        if round == 2 {
            break;
        }
        // Into the other.
        process.next_is_ruby();
        let mark = process.master.log.mark();
        caller.send(yaml_request(command, "back"));
        assert_eq!(follow(&mut caller, &"back".into()).error, None, "round {round}");
        process.told_from(mark, "upgraded");
        process.next_is_ours();
        some_more(&process, &load, 200);
    }
    // A HUP from ours into ours ends it.
    process.master.signal(Signal::HUP);
    process.master.wait_for("one version more", |status| {
        workers(status).len() == 3 && workers(status).iter().all(|worker| worker["version"] == 6)
    });
    let missing = CONNECTIONS_MIN.saturating_sub(load.answered());
    some_more(&process, &load, missing);
    assert_eq!(process.listening(&told), sockets);
    load.finish(&["-"]);
    for (number, mut half) in halves.into_iter().enumerate() {
        half.send(format!("\",\"id\":{number}}}\n"));
        assert_eq!(half.reply()["request_id"], number);
    }
    process.had_no_complaints();
    // Nothing piles up.
    process.master.wait_until("the clients are gone", || {
        (descriptors(process.master.pid()).len() < OWN_MAX).then_some(())
    });
}
