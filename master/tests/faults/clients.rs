//! Clients of the command socket.

use serde_json::json;

use crate::support::IDLE;
use crate::table::{Case, rows};

rows! {
    taking_a_client_in: "a client is taken in", ["socket::accept"], "accept",
        [EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM]
        => "it says so, once; workers are not touched. Clients wait, or are turned away with a \
            closed connection where one descriptor is left for that, and it tries again every \
            second: whoever waits is taken in when it can be";
    a_client_that_has_gone: "a client is taken in", ["socket::accept"], "accept",
        [ECONNABORTED, EINTR] => "it takes the next one in";
}

fn taking_a_client_in(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let master = &bench.master;
    let pids = crate::support::pids(&master.wait_for_up(2));
    bench.kernel.fail(case.fault());
    let mark = master.log.mark();
    let mut waiting = master.client();
    waiting.send_json(&json!({"command": "ehlo"}));
    let line = master.log.wait_for_from(mark, "cannot take a client");
    assert!(line.contains(&case.reason()), "{line}");
    bench.idles();
    bench.lift();
    // It says nothing more, so nothing but the master's own patience can help it.
    assert!(waiting.reply()["message"].is_string());
    bench.has_kept(&pids);
    let said = master.log.lines()[mark..].to_vec();
    assert_eq!(said.iter().filter(|line| line.contains("cannot take")).count(), 1, "{said:?}");
}

fn a_client_that_has_gone(case: &Case) {
    let bench = case.start(&["-n", "2", "-m", "0"], &IDLE);
    let pids = crate::support::pids(&bench.master.wait_for_up(2));
    bench.kernel.fail(case.fault().times(3));
    assert!(bench.master.ask(&json!({"command": "ehlo"}))["message"].is_string());
    bench.has_kept(&pids);
    bench.lift();
}
