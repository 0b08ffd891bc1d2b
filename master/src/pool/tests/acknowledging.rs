//! `protocol.md §6`: timer and manual acknowledgement, and workers that fail to come up.

use std::time::Duration;

use super::script::{check, four};
use crate::settings::{AckMode, AckTimeout, Settings};

fn one() -> Settings {
    Settings { number: 1, ..four() }
}

#[test]
fn with_a_timer_a_worker_is_up_when_it_has_lived_that_long() {
    let settings = Settings { ack_mode: AckMode::Timer(Duration::from_secs(2)), ..one() };
    check(
        settings,
        "
        0 start
            spawn w0 index 0 v0
        0 next
            at 2
        1.9 tick
        2 tick
            fleet up
        2 next
            never",
    );
}

#[test]
fn a_timer_of_zero_seconds_is_up_at_once() {
    let settings = Settings { ack_mode: AckMode::Timer(Duration::ZERO), ..one() };
    check(
        settings,
        "
        0 start
            spawn w0 index 0 v0
        0 next
            at 0
        0 tick
            fleet up",
    );
}

#[test]
fn an_acknowledgement_in_timer_mode_changes_nothing() {
    let settings = Settings { ack_mode: AckMode::Timer(Duration::from_secs(2)), ..one() };
    check(
        settings,
        "
        0 start
            spawn w0 index 0 v0
        1 ack w0
        1 next
            at 2",
    );
}

#[test]
fn a_second_acknowledgement_changes_nothing() {
    check(
        one(),
        "
        0 start
            spawn w0 index 0 v0
        1 ack w0
            fleet up
        2 ack w0",
    );
}

#[test]
fn at_first_start_nobody_fails_for_being_slow() {
    check(
        one(),
        "
        0 start
            spawn w0 index 0 v0
        0 next
            never",
    );
}

#[test]
fn a_worker_that_is_not_up_in_time_is_stopped_and_counts_as_an_early_death() {
    let settings = Settings { ack_timeout: AckTimeout::After(Duration::from_secs(5)), ..one() };
    check(
        settings,
        "
        0 start
            spawn w0 index 0 v0
        0 next
            at 5
        5 tick
            USR2 w0
        5 exit w0
            spawn w1 index 0 v0
        6 exit w1
        6 next
            at 7.25",
    );
}

#[test]
fn a_worker_that_failed_and_does_not_stop_is_killed() {
    let settings = Settings { ack_timeout: AckTimeout::After(Duration::from_secs(5)), ..one() };
    check(
        settings,
        "
        0 start
            spawn w0 index 0 v0
        5 tick
            USR2 w0
        5 next
            at 15
        15 tick
            KILL w0
        15 next
            never
        15 exit w0
            spawn w1 index 0 v0",
    );
}

#[test]
fn newcomers_of_an_upgrade_have_300_seconds() {
    check(
        one(),
        "
        0 start
            spawn w0 index 0 v0
        1 ack w0
            fleet up
        1 smooth
            check and re-exec
        1 reloaded
            spawn w1 index 1 v1
        300.9 tick
        301 tick
            USR2 w1
        302 exit w1
            spawn w2 index 1 v1
        303 ack w2
            USR2 w0
            committed v0 to v1, callers up to 1",
    );
}

#[test]
fn an_ack_timeout_of_none_lets_an_upgrade_wait() {
    check(
        Settings { ack_timeout: AckTimeout::Never, ..one() },
        "
        0 start
            spawn w0 index 0 v0
        1 ack w0
            fleet up
        1 smooth
            check and re-exec
        1 reloaded
            spawn w1 index 1 v1
        1000 tick
        1000 ack w1
            USR2 w0
            committed v0 to v1, callers up to 1",
    );
}
