//! Replacing workers that are stale: start, acknowledgement, then retire.

use super::script::{check, four};
use crate::settings::{Settings, UpgradeRules};

/// Four workers that are up, at second 0.
const UP: &str = "
    0 start
        spawn w0 index 0 v0
        spawn w1 index 1 v0
        spawn w2 index 2 v0
        spawn w3 index 3 v0
    0 ack w0
    0 ack w1
    0 ack w2
    0 ack w3
        fleet up
";

#[track_caller]
fn check_up(settings: Settings, script: &str) {
    check(settings, &format!("{UP}{script}"));
}

#[test]
fn the_stale_worker_stops_once_its_replacement_is_up() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        20 ack w4
            USR2 w1
        21 exit w1
        21 next
            never
        ",
    );
}

#[test]
fn it_is_asked_for_once() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        11 recycle w1
        12 ack w4
            USR2 w1
        13 recycle w1
        14 exit w1
        14 next
            never
        ",
    );
}

#[test]
fn all_are_replaced_one_after_the_other() {
    check_up(
        four(),
        "
        10 recycle all
            spawn w4 index 4 v0
        10.5 ack w4
            USR2 w0
        11 tick
            spawn w5 index 5 v0
        11.5 exit w0
        12 tick
            spawn w6 index 0 v0
        12.5 ack w5
            USR2 w1
        12.5 ack w6
            USR2 w2
        13 exit w1
            spawn w7 index 1 v0
        13.5 ack w7
            USR2 w3
        14 exit w2
        14 exit w3
        14 next
            never
        ",
    );
}

#[test]
fn there_are_no_more_at_a_time_than_may_be_unacknowledged() {
    check_up(
        four(),
        "
        9 unacked 1
        10 recycle all
            spawn w4 index 4 v0
        12 ack w4
            USR2 w0
        13 tick
        14 exit w0
            spawn w5 index 0 v0
        ",
    );
}

#[test]
fn the_budget_holds_and_a_slow_stopper_delays_the_next() {
    check_up(
        four(),
        "
        9 additional 1
        10 recycle all
            spawn w4 index 4 v0
        12 ack w4
            USR2 w0
        13 tick
        20 exit w0
            spawn w5 index 0 v0
        ",
    );
}

#[test]
fn a_death_beside_a_slow_stopper_is_made_good_at_once() {
    check_up(
        four(),
        "
        9 additional 1
        10 recycle w0
            spawn w4 index 4 v0
        12 ack w4
            USR2 w0
        13 exit w2
            spawn w5 index 2 v0
        ",
    );
}

#[test]
fn a_replacement_that_does_not_come_up_leaves_the_stale_one_and_is_told_once() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        10.1 exit w4
            the stale ones stay
        11.4 tick
        11.5 tick
            spawn w5 index 4 v0
        11.6 exit w5
        13.7 tick
        13.8 tick
            spawn w6 index 4 v0
        14 ack w6
            USR2 w1
        14 exit w1
        20 recycle w2
            spawn w7 index 1 v0
        20.1 exit w7
            the stale ones stay
        ",
    );
}

#[test]
fn a_replacement_that_hangs_has_failed_after_the_time_of_an_upgrade() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        10 next
            at 310
        310 tick
            USR2 w4
            the stale ones stay
        310 next
            at 320
        320 tick
            KILL w4
        320 exit w4
            spawn w5 index 4 v0
        ",
    );
}

#[test]
fn a_replacement_that_cannot_be_forked_leaves_the_stale_one() {
    check_up(
        four(),
        "
        9 fork fails
        10 recycle w1
            cannot spawn index 4
            the stale ones stay
        11.5 tick
            cannot spawn index 4
        12 fork works
        13.8 tick
            spawn w6 index 4 v0
        13.8 ack w6
            USR2 w1
        ",
    );
}

#[test]
fn a_replacement_has_to_soak() {
    let settings = Settings {
        upgrade: UpgradeRules { soak: std::time::Duration::from_secs(5), ..four().upgrade },
        ..four()
    };
    check_up(
        settings,
        "
        10 recycle w1
            spawn w4 index 4 v0
        11 ack w4
        12 exit w4
            the stale ones stay
            spawn w5 index 4 v0
        13 ack w5
        13 next
            at 18
        18 tick
            USR2 w1
        ",
    );
}

#[test]
fn a_stale_worker_that_dies_is_replaced_all_the_same() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        11 exit w1
        12 ack w4
        12 next
            never
        ",
    );
}

#[test]
fn one_that_is_not_up_yet_waits_until_it_is() {
    check(
        Settings { number: 1, ..four() },
        "
        0 start
            spawn w0 index 0 v0
        5 recycle w0
        6 ack w0
            spawn w1 index 1 v0
            fleet up
        7 ack w1
            USR2 w0
        ",
    );
}

#[test]
fn fewer_workers_are_wanted_so_the_stale_one_goes_first() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        11 target 3
            USR2 w1
            USR2 w4
        ",
    );
}

#[test]
fn an_upgrade_replaces_them_anyway() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        11 smooth
            check and re-exec
        12 reloaded
            spawn w5 index 5 v1
            USR2 w4
        12 recycle w2
        12.5 ack w5
            USR2 w0
        13 tick
            spawn w6 index 6 v1
        13.5 ack w6
            USR2 w1
        14 tick
            spawn w7 index 7 v1
        14.5 ack w7
            USR2 w2
        15 tick
            spawn w8 index 8 v1
        15 ack w8
            USR2 w3
            committed v0 to v1, callers up to 1
        16 exit w0
        16 exit w1
        16 exit w2
        16 exit w3
        16 exit w4
        16 next
            never
        ",
    );
}

#[test]
fn what_an_upgrade_leaves_behind_has_its_turn_afterwards() {
    check_up(
        four(),
        "
        11 smooth
            check and re-exec
        12 reloaded
            spawn w4 index 4 v1
        12 recycle w2
        13 abort
            USR2 w4
        14 exit w4
            aborted v0 to v1, callers up to 1
            spawn w5 index 4 v0
        15 ack w5
            USR2 w2
        ",
    );
}

#[test]
fn a_reload_in_the_middle_changes_nothing() {
    check_up(
        four(),
        "
        10 recycle all
            spawn w4 index 4 v0
        10.5 reload
            check and re-exec
        11 reloaded
            spawn w5 index 5 v0
        11.5 ack w4
            USR2 w0
        12 reload
            check and re-exec
            spawn w6 index 6 v0
        12 reloaded
        12.5 ack w5
            USR2 w1
        ",
    );
}

#[test]
fn a_stopping_master_replaces_nobody() {
    check_up(
        four(),
        "
        10 stop TERM
            TERM w0
            TERM w1
            TERM w2
            TERM w3
        11 recycle w1
        12 exit w1
        ",
    );
}

#[test]
fn a_replacement_that_comes_up_is_a_reason_to_tell_of_the_next_that_does_not() {
    check_up(
        four(),
        "
        10 recycle w0
            spawn w4 index 4 v0
        11 recycle w1
            spawn w5 index 5 v0
        11.1 exit w4
            the stale ones stay
        11.2 ack w5
            USR2 w0
        12.5 tick
            spawn w6 index 4 v0
        12.6 exit w6
            the stale ones stay
        ",
    );
}

#[test]
fn the_death_of_another_worker_is_no_failed_replacement() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        11.2 exit w2
            spawn w5 index 2 v0
        ",
    );
}

#[test]
fn the_death_of_an_earlier_replacement_is_no_failed_one() {
    check_up(
        four(),
        "
        10 recycle w1
            spawn w4 index 4 v0
        11 ack w4
            USR2 w1
        12 exit w1
        20 recycle w2
            spawn w5 index 1 v0
        21.2 exit w4
            spawn w6 index 4 v0
        ",
    );
}

/// It was new once, and has served since.
#[test]
fn the_death_of_one_that_an_upgrade_brought_is_no_failed_replacement() {
    check_up(
        four(),
        "
        1 fleet
            check and re-exec
        1 reloaded
            spawn w4 index 4 v1
            spawn w5 index 5 v1
            spawn w6 index 6 v1
            spawn w7 index 7 v1
        2 ack w4
        2 ack w5
        2 ack w6
        2 ack w7
            USR2 w0
            USR2 w1
            USR2 w2
            USR2 w3
            committed v0 to v1, callers up to 1
        3 exit w0
        3 exit w1
        3 exit w2
        3 exit w3
        10 recycle w4
            spawn w8 index 0 v1
        11.2 exit w5
            spawn w9 index 1 v1
        ",
    );
}

#[test]
fn what_is_worst_for_those_who_wait_goes_first() {
    check_up(
        four(),
        "
        9 rules rss 500
        10 recycle w0
            spawn w4 index 4 v0
        11 has w1 501
            spawn w5 index 5 v0
        12 ack w4
            USR2 w1
        13 ack w5
            USR2 w0
        ",
    );
}
