//! An upgrade either happens or it did not happen: canaries, soak, attempts, timeout, rollback.

use std::num::NonZeroU32;
use std::time::Duration;

use super::script::{check, four};
use crate::settings::{AckTimeout, Settings, UpgradeRules};

/// Two workers, and upgrades by the rules that hold unless somebody says otherwise.
fn two() -> Settings {
    Settings { number: 2, upgrade: UpgradeRules::default(), ..four() }
}

fn two_with(upgrade: UpgradeRules) -> Settings {
    Settings { upgrade, ..two() }
}

const TWO_UP: &str = "
0 start
    spawn w0 index 0 v0
    spawn w1 index 1 v0
0.1 ack w0
0.1 ack w1
    fleet up
5 smooth
    check and re-exec
5 reloaded
    spawn w2 index 2 v1
";

#[test]
fn a_smooth_upgrade_waits_for_one_canary() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        7 tick
        8 ack w2
            spawn w3 index 3 v1
            USR2 w0
        9 ack w3
            USR2 w1
            committed v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn canaries_before_a_fleet() {
    let settings = two_with(UpgradeRules { canary: Some(1), ..UpgradeRules::default() });
    check(
        settings,
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        0.1 ack w0
        0.1 ack w1
            fleet up
        5 fleet
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
        7 ack w2
            spawn w3 index 3 v1
        8 ack w3
            USR2 w0
            USR2 w1
            committed v0 to v1, callers up to 1",
    );
}

#[test]
fn a_newcomer_counts_when_it_has_soaked() {
    let soak = Duration::from_secs(5);
    check(
        two_with(UpgradeRules { soak, ..UpgradeRules::default() }),
        &format!(
            "{TWO_UP}
        6 ack w2
        6 next
            at 11
        11 tick
            spawn w3 index 3 v1
            USR2 w0
        12 ack w3
        17 tick
            USR2 w1
            committed v0 to v1, callers up to 1
        18 exit w2
            spawn w4 index 2 v1
        18.5 ack w4"
        ),
    );
}

#[test]
fn a_newcomer_that_dies_within_its_soak_has_failed() {
    let rules =
        UpgradeRules { soak: Duration::from_secs(5), attempts: 1, ..UpgradeRules::default() };
    check(
        two_with(rules),
        &format!(
            "{TWO_UP}
        6 ack w2
        8 exit w2
            rolled back v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn after_so_many_failures_the_old_version_comes_back() {
    check(
        two_with(UpgradeRules { attempts: 2, ..UpgradeRules::default() }),
        &format!(
            "{TWO_UP}
        5 exit w2
        6.5 tick
            spawn w3 index 2 v1
        6.6 exit w3
            rolled back v0 to v1, callers up to 1
        6.6 next
            never"
        ),
    );
}

#[test]
fn any_number_of_failures_where_none_is_given() {
    check(
        two_with(UpgradeRules { attempts: 0, ..UpgradeRules::default() }),
        &format!(
            "{TWO_UP}
        5 exit w2
        6.5 tick
            spawn w3 index 2 v1
        6.5 exit w3
        8.75 tick
            spawn w4 index 2 v1
        8.75 exit w4
        12.125 tick
            spawn w5 index 2 v1"
        ),
    );
}

#[test]
fn an_upgrade_that_takes_too_long_is_given_up() {
    let timeout = Some(Duration::from_secs(8));
    check(
        two_with(UpgradeRules { timeout, ..UpgradeRules::default() }),
        &format!(
            "{TWO_UP}
        5 next
            at 13
        13 tick
            USR2 w2
        13 next
            at 15
        14 exit w2
            rolled back v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn a_newcomer_that_does_not_stop_does_not_keep_the_caller_for_ever() {
    let timeout = Some(Duration::from_secs(8));
    check(
        two_with(UpgradeRules { timeout, ..UpgradeRules::default() }),
        &format!(
            "{TWO_UP}
        13 tick
            USR2 w2
        18 tick
            rolled back v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn an_old_worker_that_dies_before_the_commit_is_replaced_by_the_old_version() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        6 exit w0
            spawn w3 index 0 v0
        6.1 ack w3
        7 ack w2
            spawn w4 index 3 v1
            USR2 w1
        8 ack w4
            USR2 w3
            committed v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn newcomers_that_crash_do_not_delay_the_old_versions_replacements() {
    check(
        two_with(UpgradeRules { attempts: 9, ..UpgradeRules::default() }),
        &format!(
            "{TWO_UP}
        5 exit w2
        6.5 tick
            spawn w3 index 2 v1
        6.5 exit w3
        8.75 tick
            spawn w4 index 2 v1
        8.75 exit w4
        8.8 exit w1
            spawn w5 index 1 v0"
        ),
    );
}

/// The old version's back-off is its own, and crosses a reload in the middle of an upgrade.
#[test]
fn the_pace_of_the_old_version_survives_a_reload() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        6 exit w0
            spawn w3 index 0 v0
        6.1 exit w3
        6.2 next
            at 7.5
        6.3 reload
            check and re-exec
        6.4 reloaded
        6.5 next
            at 7.5
        7.4 tick
        7.5 tick
            spawn w2 index 0 v0"
        ),
    );
}

/// The version that serves again while an upgrade is rolled back is what the next one replaces.
#[test]
fn an_upgrade_in_a_rollback_takes_its_pace_over() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        6 exit w0
            spawn w3 index 0 v0
        6.5 abort
            USR2 w2
        8 exit w3
            spawn w4 index 0 v0
        8.1 exit w4
        8.2 smooth
            check and re-exec
        8.3 reloaded
            superseded v0 to v2, callers up to 1
        8.4 next
            at 9
        9 tick
            spawn w2 index 0 v2
        10.2 tick
        10.25 tick
            spawn w3 index 3 v0"
        ),
    );
}

#[test]
fn the_budget_holds_for_both_versions_together() {
    let settings = Settings { max_upgrade_additional: Some(NonZeroU32::MIN), ..two() };
    check(
        settings,
        &format!(
            "{TWO_UP}
        6 exit w0
            spawn w3 index 0 v0
        6.5 exit w3
        8 tick
            spawn w4 index 0 v0
        8.1 ack w4
        9 ack w2
            USR2 w1
        9.5 exit w1
            spawn w5 index 1 v1
        10 ack w5
            USR2 w4
            committed v0 to v1, callers up to 1"
        ),
    );
}

#[test]
fn a_rollback_stops_a_newcomer_that_serves_for_each_old_worker_that_is_back() {
    let settings = Settings { number: 3, ..two() };
    check(
        settings,
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
            spawn w2 index 2 v0
        0.1 ack w0
        0.1 ack w1
        0.1 ack w2
            fleet up
        5 smooth
            check and re-exec
        5 reloaded
            spawn w3 index 3 v1
        6 ack w3
            spawn w4 index 4 v1
            USR2 w0
        6.1 exit w0
        7 ack w4
            spawn w5 index 0 v1
            USR2 w1
        7.1 exit w1
        7.5 abort
            spawn w6 index 1 v0
            USR2 w5
        8 ack w6
            USR2 w3
        8.5 tick
            spawn w7 index 5 v0
        8.6 exit w5
        8.6 ack w7
            USR2 w4
        9 exit w3
        9 exit w4
            aborted v0 to v1, callers up to 1",
    );
}

#[test]
fn a_rollback_whose_old_version_does_not_start_ends_too() {
    let settings = Settings { seconds: 0.001, ..two() };
    check(
        settings,
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        0.1 ack w0
        0.1 ack w1
            fleet up
        5 smooth
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
        5.1 ack w2
            spawn w3 index 3 v1
            USR2 w0
        5.2 exit w0
        5.5 abort
            spawn w4 index 0 v0
            USR2 w3
        5.6 exit w3
        6 exit w4
            spawn w5 index 0 v0
        7 exit w5
            spawn w6 index 0 v0
        8 exit w6
            spawn w7 index 0 v0
        9 exit w7
            spawn w8 index 0 v0
        10 exit w8
            spawn w9 index 0 v0
            USR2 w2
        11 exit w2
            aborted v0 to v1, callers up to 1",
    );
}

#[test]
fn a_newcomer_that_is_not_up_in_time_has_failed() {
    let rules = UpgradeRules { attempts: 1, ..UpgradeRules::default() };
    check(
        Settings { ack_timeout: AckTimeout::After(Duration::from_secs(5)), ..two_with(rules) },
        &format!(
            "{TWO_UP}
        10 tick
            USR2 w2
        11 exit w2
            rolled back v0 to v1, callers up to 1"
        ),
    );
}

/// It was up, so the next one is not kept waiting for it.
#[test]
fn the_death_of_a_newcomer_that_soaks_is_no_reason_to_slow_down() {
    let soak = Duration::from_secs(5);
    check(
        two_with(UpgradeRules { soak, attempts: 2, ..UpgradeRules::default() }),
        &format!(
            "{TWO_UP}
        5.5 ack w2
        6.2 exit w2
            spawn w3 index 2 v1"
        ),
    );
}
