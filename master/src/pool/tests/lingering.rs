//! Workers that do not stop, where nothing ends them.

use std::time::Duration;

use super::script::{check, check_balanced, four};
use crate::settings::Settings;

fn two() -> Settings {
    Settings { number: 2, ..four() }
}

#[test]
fn one_that_does_not_stop_is_told_of_once() {
    check(
        two(),
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        2 target 1
            USR2 w1
        2 next
            at 302
        302 tick
            w1 lingers since 300 s
        303 next
            never",
    );
}

#[test]
fn a_reload_does_not_tell_of_it_again_and_keeps_the_time_of_others() {
    check(
        two(),
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        2 recycle w1
            spawn w2 index 2 v0
        3 ack w2
            USR2 w1
        100 recycle w2
            spawn w3 index 3 v0
        101 ack w3
            USR2 w2
        303 tick
            w1 lingers since 300 s
        310 reload
            check and re-exec
        310 reloaded
        310 next
            at 401",
    );
}

#[test]
fn while_the_master_stops_it_says_for_whom_it_waits() {
    check(
        Settings { number: 1, ..four() },
        "
        0 start
            spawn w0 index 0 v0
        1 ack w0
            fleet up
        2 stop TERM
            TERM w0
        302 tick
            w0 lingers since 300 s
        400 exit w0
            finish 0",
    );
}

/// Then it is killed, and that is told.
#[test]
fn where_something_ends_it_there_is_nothing_to_tell() {
    check(
        Settings { signal_timeout: Some(Duration::from_secs(400)), ..two() },
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        2 target 1
            USR2 w1
        302 tick
        402 tick
            KILL w1
        402 next
            never",
    );
}

#[test]
fn a_limit_that_comes_later_ends_one_that_was_told_of() {
    check(
        two(),
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        2 target 1
            USR2 w1
        302 tick
            w1 lingers since 300 s
        303 timeout 350
        352 tick
            KILL w1",
    );
}

/// Its time is that from when it was asked, not from when it drained.
#[test]
fn one_that_drained_has_the_same_time() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        2 target 1
            drain w1
        5 drained 1
            USR2 w1
        302 tick
        305 tick
            w1 lingers since 300 s",
    );
}
