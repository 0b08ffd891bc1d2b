//! A balanced pool: a slot in which nobody goes on, and who waits there.

use std::num::NonZeroU32;

use super::script::{check, check_balanced, four};
use crate::settings::Settings;

fn two() -> Settings {
    Settings { number: 2, ..four() }
}

fn one_more() -> Settings {
    Settings { max_upgrade_additional: NonZeroU32::new(1), ..two() }
}

/// Old workers that take their time do not hold the replacement back, though more live than may.
#[test]
fn a_slot_that_loses_its_newcomer_after_the_commit_does_not_wait_for_old_workers_that_linger() {
    check_balanced(
        one_more(),
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
        3 ack w2
        3 ack w3
            USR2 w0
            USR2 w1
            committed v0 to v1, callers up to 1
        4 exit w3
            spawn w4 index 3 v1 slot 1
        4.5 exit w4
        4.5 next
            at 5.5
        5.5 tick
            spawn w5 index 3 v1 slot 1",
    );
}

/// The stale one serves its queue meanwhile; the other queue has nobody.
#[test]
fn a_slot_without_anybody_has_the_next_worker_before_one_whose_stale_worker_is_replaced() {
    check_balanced(
        Settings { max_unacked: NonZeroU32::MIN, ..two() },
        "
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        0.1 ack w0
        0.1 ack w1
            fleet up
        0.5 recycle w0
        0.6 exit w1
        1 tick
            spawn w2 index 1 v0 slot 1
        2 ack w2
            spawn w3 index 2 v0 slot 0",
    );
}

#[test]
fn while_the_last_of_a_slot_drains_its_next_worker_keeps_to_the_budget() {
    check_balanced(
        Settings { seconds: 2.0, ..one_more() },
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
        3 ack w3
        3.5 exit w2
        3.6 target 1
            drain w0
            USR2 w1
            committed v0 to v1, callers up to 1
        5 tick
        5.1 drained 0
            USR2 w0
            spawn w4 index 2 v1 slot 0",
    );
}

/// It had the only place for newcomers that are not up.
#[test]
fn when_a_start_above_the_target_is_given_up_a_slot_without_anybody_has_its_turn() {
    check_balanced(
        Settings { max_unacked: NonZeroU32::MIN, ..two() },
        "
        0 fork waits
        0 start
            spawn w0 index 0 v0 slot 0
            spawn w1 index 1 v0 slot 1
        0.1 forked w0
        0.5 ack w0
        0.6 exit w0
        3 target 1
            spawn w2 index 0 v0 slot 0
        4 forked w1
            USR2 w1",
    );
}

/// They share the queue of those that live on, so nobody waits for ever.
#[test]
fn without_balance_the_budget_holds_also_after_a_fleet_upgrade() {
    check(
        one_more(),
        "
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 ack w0
        1 ack w1
            fleet up
        2 fleet
            check and re-exec
        2 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        3 ack w2
        3 ack w3
            USR2 w0
            USR2 w1
            committed v0 to v1, callers up to 1
        4 exit w3
        5 exit w0
            spawn w4 index 0 v1",
    );
}
