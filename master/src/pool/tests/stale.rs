//! What makes a worker stale: age, memory, silence.

use super::script::{check, four};
use crate::settings::Settings;

const TWO_UP: &str = "
    0 start
        spawn w0 index 0 v0
        spawn w1 index 1 v0
    0 ack w0
    0 ack w1
        fleet up
";

#[track_caller]
fn check_two(script: &str) {
    check(Settings { number: 2, ..four() }, &format!("{TWO_UP}{script}"));
}

#[test]
fn no_rule_no_deadline() {
    check_two(
        "
        1 ping w0
        2 has w0 5000
        3 next
            never
        ",
    );
}

/// Index 0 has its full age, index 1 0.618 of a tenth less.
#[test]
fn workers_of_one_age_are_not_replaced_together() {
    check_two(
        "
        0 rules age 1000
        0 next
            at 938.196601125
        938 tick
        939 tick
            spawn w2 index 2 v0
        940 ack w2
            USR2 w1
        941 exit w1
        941 next
            at 1000
        1000 tick
            spawn w3 index 1 v0
        1001 ack w3
            USR2 w0
        ",
    );
}

#[test]
fn a_shorter_age_holds_for_those_that_live_already() {
    check_two(
        "
        500 rules age 100
        500 tick
            spawn w2 index 2 v0
        501 ack w2
            spawn w3 index 3 v0
            USR2 w0
        ",
    );
}

#[test]
fn a_longer_age_takes_back_what_has_not_begun() {
    check_two(
        "
        499 unacked 1
        500 rules age 100
        500 tick
            spawn w2 index 2 v0
        501 rules age 1000
        502 ack w2
            USR2 w0
        503 exit w0
        503 next
            at 938.196601125
        ",
    );
}

#[test]
fn memory_is_looked_at_every_five_seconds() {
    check_two(
        "
        1 rules rss 500
        1 next
            at 6
        6 tick
            measure w0
            measure w1
        6 has w0 500
        6 has w1 501
            spawn w2 index 2 v0
        6.5 has w1 700
        7 ack w2
            USR2 w1
        11 tick
            measure w0
            measure w2
        12 rules
        12 next
            at 307
        ",
    );
}

#[test]
fn a_worker_that_is_gone_when_it_was_looked_at_changes_nothing() {
    check_two(
        "
        1 rules rss 500
        6 tick
            measure w0
            measure w1
        6 exit w1
            spawn w2 index 1 v0
        6 has w1 9000
        ",
    );
}

#[test]
fn only_who_has_pinged_can_fall_silent() {
    check_two(
        "
        0 rules silence 10 dump QUIT
        5 ping w1
        12 ping w1
        15 tick
        22 tick
            inspect w1
            QUIT w1
            spawn w2 index 2 v0
        23 ack w2
            USR2 w1
        23 next
            at 33
        24 ping w1
        33 tick
            KILL w1
        ",
    );
}

#[test]
fn who_pings_again_may_stay() {
    check_two(
        "
        0 rules silence 10
        5 ping w1
        15 tick
            inspect w1
            spawn w2 index 2 v0
        16 ping w1
            USR2 w2
        17 exit w2
        17 next
            at 26
        ",
    );
}

#[test]
fn a_stale_worker_that_falls_silent_stays_stale() {
    check_two(
        "
        0 rules silence 10
        5 ping w1
        6 recycle w1
            spawn w2 index 2 v0
        15 tick
            inspect w1
        16 ping w1
        17 ack w2
            USR2 w1
        17 next
            at 317
        ",
    );
}

/// It was suspended itself: what was said meanwhile is not read yet.
#[test]
fn a_master_that_is_late_calls_nobody_silent() {
    check_two(
        "
        0 rules silence 10
        5 ping w0
        5 ping w1
        3600 tick
        3600 next
            at 3610
        3601 ping w0
        3610 tick
            inspect w1
            spawn w2 index 2 v0
        ",
    );
}

#[test]
fn silence_counts_from_a_reload_at_the_earliest() {
    check_two(
        "
        0 rules silence 10
        5 ping w1
        14.9 reload
            check and re-exec
        15 reloaded
        15 next
            at 25
        ",
    );
}

#[test]
fn a_rule_waits_for_the_end_of_an_upgrade() {
    check_two(
        "
        0 unacked 1
        0 rules age 100
        95 smooth
            check and re-exec
        95 reloaded
            spawn w2 index 2 v1
        100 tick
        100 abort
            USR2 w2
        101 exit w2
            aborted v0 to v1, callers up to 1
            spawn w3 index 2 v0
        102 ack w3
            USR2 w0
        ",
    );
}

#[test]
fn all_at_once_are_replaced_within_the_limits() {
    check_two(
        "
        0 additional 1
        1 rules rss 100
        6 tick
            measure w0
            measure w1
        6 has w0 200
            spawn w2 index 2 v0
        6 has w1 200
        7 tick
        8 ack w2
            USR2 w0
        9 exit w0
            spawn w3 index 0 v0
        10 ack w3
            USR2 w1
        ",
    );
}

#[test]
fn a_master_that_stops_looks_at_nobody() {
    check_two(
        "
        1 rules age 100 rss 500 silence 10
        2 ping w0
        3 stop TERM
            TERM w0
            TERM w1
        3 next
            at 303
        ",
    );
}

#[test]
fn a_second_late_is_not_too_late_to_hear_that_nothing_was_said() {
    check_two(
        "
        0 rules silence 10
        5 ping w1
        16 tick
            inspect w1
            spawn w2 index 2 v0
        ",
    );
    check_two(
        "
        0 rules silence 10
        5 ping w1
        16.000000001 tick
        16.000000001 next
            at 26.000000001
        ",
    );
}

#[test]
fn other_rules_leave_alone_what_an_operator_asked_for() {
    check_two(
        "
        1 unacked 1
        2 recycle all
            spawn w2 index 2 v0
        3 rules age 1000
        4 ack w2
            USR2 w0
        5 exit w0
            spawn w3 index 0 v0
        6 ack w3
            USR2 w1
        ",
    );
}
