//! `protocol.md §7`: culling.

use super::script::{check, check_balanced, four};
use crate::settings::Settings;

#[test]
fn fewer_workers_retire_the_unacknowledged_first_then_the_highest_index() {
    check(
        four(),
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
            spawn w2 index 2 v0
            spawn w3 index 3 v0
        1 ack w0
        1 ack w2
        1 ack w3
        2 target 3
            USR2 w1
            fleet up
        3 target 1
            USR2 w3
            USR2 w2",
    );
}

#[test]
fn a_smooth_upgrade_retires_one_old_worker_for_each_that_is_up_the_oldest_first() {
    check(
        Settings { number: 2, ..four() },
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        2 smooth
            check and re-exec
        2 reloaded
            spawn w2 index 2 v1
        3 tick
            spawn w3 index 3 v1
        4 ack w3
            USR2 w0
        5 ack w2
            USR2 w1
            committed v0 to v1, callers up to 1
        5 exit w0
        5 exit w1
        5 next
            never",
    );
}

#[test]
fn a_fleet_upgrade_retires_nobody_before_all_are_up() {
    check(
        Settings { number: 2, ..four() },
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        1 fleet
            check and re-exec
        1 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        2 ack w2
        3 ack w3
            USR2 w0
            USR2 w1
            committed v0 to v1, callers up to 1",
    );
}

#[test]
fn old_workers_that_never_came_up_go_before_those_that_serve() {
    check(
        Settings { number: 2, ..four() },
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        1 fleet
            check and re-exec
        1 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        2 smooth
            check and re-exec
        2 reloaded
            superseded v0 to v2, callers up to 1
            spawn w4 index 4 v2
            USR2 w2
            USR2 w3",
    );
}

#[test]
fn a_smaller_target_in_a_smooth_upgrade_retires_old_workers_first() {
    check(
        Settings { number: 3, ..four() },
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
            spawn w2 index 2 v0
        1 ack w0
        1 ack w1
        1 ack w2
            fleet up
        1 smooth
            check and re-exec
        1 reloaded
            spawn w3 index 3 v1
        1.5 target 2
            USR2 w0
        2 ack w3
            spawn w4 index 4 v1
            USR2 w1
        3 ack w4
            USR2 w2
            committed v0 to v1, callers up to 1",
    );
}

/// They serve nobody, and there is no upgrade any more that they could be part of.
#[test]
fn newcomers_of_a_superseded_fleet_upgrade_go_at_once() {
    check(
        Settings { number: 2, ..four() },
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        1 fleet
            check and re-exec
        1 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        2 fleet
            check and re-exec
        2 reloaded
            superseded v0 to v2, callers up to 1
            spawn w4 index 4 v2
            spawn w5 index 5 v2
            USR2 w2
            USR2 w3",
    );
}

/// One that stops takes nobody from the queue any more.
#[test]
fn the_last_of_a_slot_drains_also_beside_one_that_stops() {
    check_balanced(
        Settings { number: 2, ..four() },
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        2 recycle w1
            spawn w2 index 2 v0 slot 1
        3 ack w2
            USR2 w1
        4 target 1
            drain w2",
    );
}
