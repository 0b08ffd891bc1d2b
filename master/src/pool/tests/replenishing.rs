//! `protocol.md §7`: first start and gradual replenishing.

use std::num::NonZeroU32;
use std::time::Duration;

use super::script::{check, four};
use crate::pool::pace::interval;
use crate::settings::Settings;

const FOUR_UP: &str = "
0 start
    spawn w0 index 0 v0
    spawn w1 index 1 v0
    spawn w2 index 2 v0
    spawn w3 index 3 v0
0.1 ack w0
0.1 ack w1
0.1 ack w2
0.1 ack w3
    fleet up
";

#[test]
fn first_start_spawns_all_missing_at_once() {
    let settings = Settings { max_unacked: NonZeroU32::MIN, ..four() };
    check(settings, FOUR_UP);
}

#[test]
fn a_death_long_after_the_last_spawn_is_replaced_at_once() {
    check(
        four(),
        &format!(
            "{FOUR_UP}
        5 exit w2
            spawn w4 index 2 v0
        5 next
            never"
        ),
    );
}

#[test]
fn one_spawn_an_interval() {
    check(
        four(),
        &format!(
            "{FOUR_UP}
        5 exit w1
            spawn w4 index 1 v0
        5 ack w4
        5.2 exit w2
        5.3 exit w3
        5.3 next
            at 6
        6 tick
            spawn w5 index 2 v0
        6 next
            at 7
        7 tick
            spawn w6 index 3 v0
        7 next
            never"
        ),
    );
}

#[test]
fn back_off_grows_with_each_early_death_and_an_ack_resets_it() {
    check(
        Settings { number: 1, ..four() },
        "
        0 start
            spawn w0 index 0 v0
        0.1 exit w0
        0.1 next
            at 1.5
        1.5 tick
            spawn w1 index 0 v0
        1.6 exit w1
        1.6 next
            at 3.75
        3.75 tick
            spawn w2 index 0 v0
        4 ack w2
            fleet up
        4.1 exit w2
        4.1 next
            at 4.75",
    );
}

#[test]
fn back_off_is_one_and_a_half_to_the_n_capped_at_30_seconds() {
    let check = |seconds: f64, deaths: u32, expect: f64| {
        assert_eq!(
            interval(seconds, deaths),
            Duration::from_secs_f64(expect),
            "{seconds} {deaths}"
        );
    };
    check(1.0, 0, 1.0);
    check(1.0, 1, 1.5);
    check(1.0, 2, 2.25);
    check(0.5, 3, 1.6875);
    check(1.0, 8, 25.628_906_25);
    check(1.0, 9, 30.0);
    check(1.0, u32::MAX, 30.0);
    check(31.0, 0, 30.0);
    check(f64::MAX, 5, 30.0);
}

#[test]
fn max_unacked_holds_gradual_spawning_back() {
    let settings = Settings { max_unacked: NonZeroU32::new(2).unwrap(), ..four() };
    check(
        settings,
        &format!(
            "{FOUR_UP}
        5 target 8
            spawn w4 index 4 v0
        6 tick
            spawn w5 index 5 v0
        6 next
            never
        9 ack w4
            spawn w6 index 6 v0
        9.5 exit w5
        9.5 next
            at 10.5
        10.5 tick
            spawn w7 index 5 v0"
        ),
    );
}

#[test]
fn max_upgrade_additional_counts_stopping_workers_too() {
    let settings = Settings { max_upgrade_additional: Some(NonZeroU32::MIN), ..four() };
    check(
        settings,
        &format!(
            "{FOUR_UP}
        5 smooth
            check and re-exec
        5 reloaded
            spawn w4 index 4 v1
        6 next
            at 15
        7 ack w4
            USR2 w0
        7 next
            at 15
        8 exit w0
            spawn w5 index 0 v1"
        ),
    );
}

#[test]
fn a_fork_that_fails_backs_off_and_forgets_nobody() {
    check(
        Settings { number: 1, ..four() },
        "
        0 fork fails
        0 start
            cannot spawn index 0
        0 next
            at 1.5
        1.5 tick
            cannot spawn index 0
        1.5 next
            at 3.75
        1.5 fork works
        3.75 tick
            spawn w2 index 0 v0
        4 ack w2
            fleet up
        4.1 exit w2
        4.1 next
            at 4.75",
    );
}

#[test]
fn slow_stoppers_do_not_multiply() {
    check(
        four(),
        &format!(
            "{FOUR_UP}
        5 target 2
            USR2 w3
            USR2 w2
        6 target 4
        6 next
            at 305
        7 exit w3
            spawn w4 index 3 v0"
        ),
    );
}

#[test]
fn the_smallest_index_that_nobody_living_has_is_taken() {
    check(
        four(),
        &format!(
            "{FOUR_UP}
        5 exit w0
            spawn w4 index 0 v0
        7 exit w2
            spawn w5 index 2 v0
        9 target 5
            spawn w6 index 4 v0"
        ),
    );
}

/// It is a whole second set anyway.
#[test]
fn the_budget_does_not_hold_for_a_fleet_upgrade() {
    let settings = Settings { max_upgrade_additional: Some(NonZeroU32::MIN), ..four() };
    check(
        settings,
        &format!(
            "{FOUR_UP}
        5 fleet
            check and re-exec
        5 reloaded
            spawn w4 index 4 v1
            spawn w5 index 5 v1
            spawn w6 index 6 v1
            spawn w7 index 7 v1
        7 exit w5
            spawn w8 index 5 v1"
        ),
    );
}
