//! A balanced pool: who gets which slot, and who goes when.

use std::time::Duration;

use super::script::{check, check_balanced, four};
use crate::settings::{AckTimeout, Settings};

fn two() -> Settings {
    Settings { number: 2, ..four() }
}

#[test]
fn whoever_dies_is_replaced_in_their_slot() {
    check_balanced(
        Settings { number: 3, ..four() },
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
            spawn w2 index 2 v0 slot 2
        1 ack w0
        1 ack w1
        1 ack w2
            fleet up
        2 exit w1
            spawn w3 index 1 v0 slot 1
        2.5 exit w3
        2.6 exit w0
        5 tick
            spawn w4 index 0 v0 slot 0
        5 ack w4
        6 tick
            spawn w5 index 1 v0 slot 1",
    );
}

#[test]
fn in_a_smooth_upgrade_a_newcomer_takes_over_the_slot_of_the_one_that_it_replaces() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        2 smooth
            check and re-exec
        2 reloaded
            spawn w2 index 2 v1 slot 0
        3 tick
            spawn w3 index 3 v1 slot 1
        4 ack w3
            USR2 w1
        5 ack w2
            USR2 w0
            committed v0 to v1, callers up to 1
        5 exit w0
        5 exit w1
        5 next
            never",
    );
}

#[test]
fn in_a_fleet_upgrade_old_and_new_live_side_by_side_and_nobody_drains() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        2 fleet
            check and re-exec
        2 reloaded
            spawn w2 index 2 v1 slot 0
            spawn w3 index 3 v1 slot 1
        4 ack w3
        5 ack w2
            USR2 w0
            USR2 w1
            committed v0 to v1, callers up to 1",
    );
}

#[test]
fn a_rollback_gives_the_slots_back() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        2 smooth
            check and re-exec
        2 reloaded
            spawn w2 index 2 v1 slot 0
        3 ack w2
            spawn w3 index 3 v1 slot 1
            USR2 w0
        3 exit w0
        4 abort
            spawn w4 index 0 v0 slot 0
            USR2 w3
        5 ack w4
            USR2 w2
        5 exit w3
        5 exit w2
            aborted v0 to v1, callers up to 1",
    );
}

#[test]
fn when_the_target_shrinks_the_highest_slots_go_once_their_queues_are_empty() {
    check_balanced(
        four(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
            spawn w2 index 2 v0 slot 2
            spawn w3 index 3 v0 slot 3
        1 ack w0
        1 ack w1
        1 ack w2
        1 ack w3
            fleet up
        2 target 2
            drain w3
            drain w2
        2.1 drained 2
            USR2 w2
        2.2 drained 0
        2.3 target 3
            keep w3
        3 exit w2
            spawn w4 index 2 v0 slot 2
        4 ack w4
            drain w3",
    );
}

#[test]
fn who_is_needed_again_while_draining_goes_on() {
    check_balanced(
        four(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
            spawn w2 index 2 v0 slot 2
            spawn w3 index 3 v0 slot 3
        1 ack w0
        1 ack w1
        1 ack w2
        1 ack w3
            fleet up
        2 target 3
            drain w3
        3 target 4
            keep w3
        3 drained 3
        3 next
            never",
    );
}

#[test]
fn draining_has_an_end() {
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
        2 next
            at 12
        12 tick
            not drained w1
            USR2 w1
        12 exit w1
        12 next
            never",
    );
}

#[test]
fn a_slot_below_the_target_that_lost_its_worker_is_filled_before_one_above_goes() {
    check_balanced(
        Settings { number: 3, ..four() },
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
            spawn w2 index 2 v0 slot 2
        0.2 ack w0
        0.2 ack w1
        0.2 ack w2
            fleet up
        0.5 exit w1
        0.6 target 2
        1 tick
            spawn w3 index 1 v0 slot 1
        2 ack w3
            drain w2
        2 drained 2
            USR2 w2",
    );
}

#[test]
fn all_are_asked_to_stop_at_once_when_the_master_stops_while_some_drain() {
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
        2.1 stop TERM
            TERM w0
            TERM w1
        2.2 drained 1
        2.3 exit w0
        2.3 exit w1
            finish 0",
    );
}

#[test]
fn an_upgrade_while_some_drain_retires_them_too() {
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
        2.1 smooth
            check and re-exec
        2.1 reloaded
            spawn w2 index 2 v1 slot 0
            drain w1
        3 drained 1
            USR2 w1
        4 ack w2
            USR2 w0
            committed v0 to v1, callers up to 1",
    );
}

#[test]
fn who_pings_again_goes_all_the_same_once_its_replacement_has_the_slot() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        1 rules silence 10
        5 ping w1
        15 tick
            inspect w1
            spawn w2 index 2 v0 slot 1
        16 ping w1
        17 ack w2
            USR2 w1",
    );
}

/// A worker serves from the queue that it was given, whatever a reload finds beside it.
#[test]
fn two_that_a_rollback_left_in_a_slot_stay_there_in_a_reload() {
    check_balanced(
        Settings { number: 2, ..four() },
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        0.1 ack w0
        0.1 ack w1
            fleet up
        1 recycle w0
            spawn w2 index 2 v0 slot 0
        1.1 fleet
            check and re-exec
        1.2 reloaded
            spawn w3 index 3 v1 slot 0
            spawn w4 index 4 v1 slot 1
        1.3 ack w2
        1.4 exit w1
        1.5 abort
            USR2 w3
            drain w4
        1.8 reload
            check and re-exec
        1.9 reloaded
            drain w4
        3 tick
            spawn w4 index 1 v0 slot 1
            USR2 w3
        3.1 ack w4
            USR2 w0
        ",
    );
}

#[test]
fn without_balance_nobody_has_a_slot_and_nobody_drains() {
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
            USR2 w1",
    );
}

/// Beside a newcomer that has not taken it over yet.
#[test]
fn an_old_worker_that_dies_in_an_upgrade_is_replaced_in_its_slot() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        2 fleet
            check and re-exec
        2 reloaded
            spawn w2 index 2 v1 slot 0
            spawn w3 index 3 v1 slot 1
        3 exit w1
            spawn w4 index 1 v0 slot 1",
    );
}

#[test]
fn of_the_old_workers_one_that_is_not_up_goes_first() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        2 smooth
            check and re-exec
        2 reloaded
            spawn w2 index 2 v1 slot 0
        2.5 exit w1
            spawn w3 index 1 v0 slot 1
        4 ack w2
            spawn w4 index 3 v1 slot 1
            USR2 w3",
    );
}

#[test]
fn who_pings_again_stays_if_its_replacement_is_stopping() {
    check_balanced(
        Settings { ack_timeout: AckTimeout::After(Duration::from_secs(5)), ..two() },
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        1 rules silence 10
        5 ping w1
        15 tick
            inspect w1
            spawn w2 index 2 v0 slot 1
        20 tick
            USR2 w2
            the stale ones stay
        21 ping w1
        22 exit w2
        22 next
            at 31",
    );
}

#[test]
fn of_two_stale_ones_the_one_whose_slot_has_a_replacement_goes() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        1 ack w0
        1 ack w1
            fleet up
        2 recycle w0
            spawn w2 index 2 v0 slot 0
        3 recycle w1
            spawn w3 index 3 v0 slot 1
        4 ack w3
            USR2 w1
        5 ack w2
            USR2 w0",
    );
}

#[test]
fn of_two_in_a_slot_after_a_rollback_the_one_that_serves_nobody_goes() {
    check_balanced(
        two(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        0.1 ack w0
        0.1 ack w1
            fleet up
        1 recycle w0
            spawn w2 index 2 v0 slot 0
        1.1 fleet
            check and re-exec
        1.2 reloaded
            spawn w3 index 3 v1 slot 0
            spawn w4 index 4 v1 slot 1
        1.5 abort
            USR2 w3
            USR2 w4
            USR2 w2",
    );
}

#[test]
fn no_more_go_than_are_too_many() {
    check_balanced(
        four(),
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
            spawn w2 index 2 v0 slot 2
            spawn w3 index 3 v0 slot 3
        0.1 ack w0
        0.1 ack w1
        0.1 ack w2
        0.1 ack w3
            fleet up
        0.5 exit w0
        0.6 target 2
            drain w3
        1 tick
            spawn w4 index 0 v0 slot 0
        2 ack w4
            drain w2",
    );
}
