//! Upgrades: their beginnings, their interplay, and that every one of them ends.

use super::script::{check, four};
use crate::settings::Settings;

fn two() -> Settings {
    Settings { number: 2, ..four() }
}

const TWO_UP: &str = "
0 start
    spawn w0 index 0 v0
    spawn w1 index 1 v0
0.1 ack w0
0.1 ack w1
    fleet up
";

#[test]
fn a_plain_reload_leaves_workers_and_version_alone() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 reload
            check and re-exec
        5 reloaded
        5 next
            never
        6 exit w0
            spawn w2 index 0 v0"
        ),
    );
}

#[test]
fn an_upgrade_during_an_upgrade_starts_over_and_tells_the_first_caller() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 smooth
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
        5.5 smooth
            check and re-exec
        5.5 reloaded
            superseded v0 to v2, callers up to 1
            USR2 w2
        6 tick
            spawn w3 index 3 v2
        6.1 ack w3
            USR2 w0
        7 tick
            spawn w4 index 4 v2
        7.1 ack w4
            USR2 w1
            committed v0 to v2, callers up to 2"
        ),
    );
}

#[test]
fn the_latest_request_decides_the_mode_also_while_the_check_runs() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 smooth
            check and re-exec
        5 fleet
        5 reloaded
            superseded v0 to v1, callers up to 1
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        6 ack w2
        6 ack w3
            USR2 w0
            USR2 w1
            committed v0 to v1, callers up to 2"
        ),
    );
}

#[test]
fn a_reload_that_fails_leaves_everything_as_it_was() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 smooth
            check and re-exec
        5 exit w0
            spawn w2 index 0 v0
        6 reload failed
            reload failed v0 to v1, callers after 0
        6 ack w2
        6 next
            never"
        ),
    );
}

#[test]
fn a_reload_that_fails_during_an_upgrade_lets_that_upgrade_go_on() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 smooth
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
        5.5 fleet
            check and re-exec
        5.6 reload failed
            reload failed v1 to v2, callers after 1
        6 tick
            spawn w3 index 3 v1
        6.1 ack w2
            USR2 w0
        6.1 ack w3
            USR2 w1
            committed v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn abort_stops_the_newcomers_and_the_version_falls_back() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 fleet
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        6 abort
            USR2 w2
            USR2 w3
        7 exit w2
        7 exit w3
            aborted v0 to v1, callers up to 1
        8 exit w0
            spawn w4 index 0 v0"
        ),
    );
}

#[test]
fn abort_brings_the_old_version_back_before_newcomers_that_serve_are_stopped() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 smooth
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
        5.1 ack w2
            USR2 w0
        5.2 exit w0
        5.3 abort
            spawn w3 index 0 v0
        6.1 ack w3
            USR2 w2
        6.2 exit w2
            aborted v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn abort_while_the_check_runs_cancels_it() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 smooth
            check and re-exec
        5 abort
            cancel the check
            aborted v0 to v1, callers up to 1
        5 next
            never"
        ),
    );
}

#[test]
fn abort_during_a_rollback_ends_the_upgrade_that_was_asked_for_meanwhile() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 fleet
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        6 abort
            USR2 w2
            USR2 w3
        6 smooth
            check and re-exec
        6 abort
            cancel the check
            aborted v0 to v2, callers after 1
        7 exit w2
        7 exit w3
            aborted v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn after_an_abort_the_next_upgrade_is_of_a_version_that_no_living_worker_has() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 fleet
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        6 abort
            USR2 w2
            USR2 w3
        6 fleet
            check and re-exec
        6 reloaded
            superseded v0 to v2, callers up to 1
            spawn w4 index 4 v2
            spawn w5 index 5 v2"
        ),
    );
}

#[test]
fn newcomers_that_keep_dying_leave_the_old_fleet_serving() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 smooth
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
        5 exit w2
        6.5 tick
            spawn w3 index 2 v1
        6.5 exit w3
        8.75 tick
            spawn w4 index 2 v1
        8.75 abort
            USR2 w4
        8.75 exit w4
            aborted v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn an_upgrade_resets_the_back_off() {
    check(
        Settings { number: 1, ..four() },
        "
        0 start
            spawn w0 index 0 v0
        0 exit w0
        1.5 tick
            spawn w1 index 0 v0
        1.5 exit w1
        1.6 next
            at 3.75
        1.7 smooth
            check and re-exec
        1.7 reloaded
        1.7 next
            at 2.5",
    );
}

#[test]
fn an_upgrade_reminds_of_whom_it_waits_for() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 fleet
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        5 next
            at 15
        15 tick
        15 next
            at 25"
        ),
    );
}
