//! `protocol.md §5` and the signal timeout of `§7`.

use std::time::Duration;

use super::script::{check, four, moment};
use crate::pool::{
    Action, Callers, Event, PendingReload, Pool, Report, Restored, UpgradeEnd, UpgradeMode,
};
use crate::settings::{AckTimeout, Settings};
use crate::signal::Signal;

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
fn stopping_signals_all_respawns_nobody_and_leaves_with_the_last() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 stop USR2
            USR2 w0
            USR2 w1
        6 exit w0
        6 next
            at 305
        7 exit w1
            finish 0"
        ),
    );
}

#[test]
fn said_again_it_signals_again_without_moving_the_deadline() {
    let settings = Settings { signal_timeout: Some(Duration::from_secs(10)), ..two() };
    check(
        settings,
        &format!(
            "{TWO_UP}
        5 stop USR2
            USR2 w0
            USR2 w1
        9 stop USR2
            USR2 w0
            USR2 w1
        9 next
            at 15
        15 tick
            KILL w0
            KILL w1
        15 next
            never"
        ),
    );
}

#[test]
fn with_nobody_left_the_master_leaves_at_once() {
    check(
        Settings { number: 1, ..four() },
        "
        0 start
            spawn w0 index 0 v0
        0.1 exit w0
        0.2 stop TERM
            finish 0",
    );
}

#[test]
fn quit_signals_all_and_leaves_with_status_one() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 quit
            QUIT w0
            QUIT w1
            finish 1
        6 exit w0"
        ),
    );
}

#[test]
fn a_plain_signal_asks_nobody_to_stop() {
    let settings = Settings { signal_timeout: Some(Duration::from_secs(1)), ..two() };
    check(
        settings,
        &format!(
            "{TWO_UP}
        5 signal USR1
            USR1 w0
            USR1 w1
        5 next
            never"
        ),
    );
}

#[test]
fn the_signal_timeout_survives_a_reload() {
    let settings = Settings { signal_timeout: Some(Duration::from_secs(10)), ..two() };
    check(
        settings,
        &format!(
            "{TWO_UP}
        5 target 1
            USR2 w1
        8 reload
            check and re-exec
        8 reloaded
        8 next
            at 15
        15 tick
            KILL w1"
        ),
    );
}

#[test]
fn a_signal_timeout_of_zero_kills_at_once() {
    let settings = Settings { signal_timeout: Some(Duration::ZERO), ..two() };
    check(
        settings,
        &format!(
            "{TWO_UP}
        5 target 1
            USR2 w1
        5 next
            at 5
        5 tick
            KILL w1"
        ),
    );
}

#[test]
fn a_new_signal_timeout_holds_for_those_asked_already() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 target 1
            USR2 w1
        5 next
            at 305
        6 timeout 3
        6 next
            at 8"
        ),
    );
}

#[test]
fn stopping_ends_an_upgrade_and_whoever_waits_is_told() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 fleet
            check and re-exec
        5 reloaded
            spawn w2 index 2 v1
            spawn w3 index 3 v1
        6 stop TERM
            shutting down v0 to v1, callers up to 1
            TERM w0
            TERM w1
            TERM w2
            TERM w3"
        ),
    );
}

#[test]
fn stopping_cancels_a_check_that_runs() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 smooth
            check and re-exec
        6 stop TERM
            cancel the check
            shutting down v0 to v1, callers up to 1
            TERM w0
            TERM w1"
        ),
    );
}

#[test]
fn a_request_while_stopping_gets_a_last_word() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 stop TERM
            TERM w0
            TERM w1
        6 reload
            shutting down v0 to v1, callers up to 0"
        ),
    );
}

#[test]
fn a_stopping_master_that_reloaded_anyway_goes_on_stopping() {
    check(
        two(),
        &format!(
            "{TWO_UP}
        5 stop TERM
            TERM w0
            TERM w1
        6 exit w0
        6 reloaded
        6 exit w0
            finish 0"
        ),
    );
}

#[test]
fn an_upgrade_that_a_stopping_master_hands_over_has_an_end() {
    let pending_reload = Some(PendingReload::Upgrade {
        mode: UpgradeMode::Smooth,
        rules: two().upgrade,
        request: 1,
        superseding: false,
    });
    let restored = Pool::new(two()).to_restored();
    let mut pool =
        Pool::restore(Restored { stopping: true, pending_reload, last_request: 1, ..restored });
    pool.handle(moment(0.0), Event::Adopted);
    let ended = std::iter::from_fn(|| pool.poll_action()).any(|action| {
        let end = UpgradeEnd::ShuttingDown;
        let callers = Callers::UpTo(1);
        matches!(action, Action::Report(Report::UpgradeEnded { end: of, callers: to, .. })
            if of == end && to == callers)
    });
    assert!(ended);
    assert_eq!(pool.pending_reload(), None);
}

#[test]
fn who_is_stopped_before_the_start_is_signalled_when_it_has_started() {
    check(
        two(),
        "0 fork waits
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 forked w0
        2 stop USR2
            USR2 w0
        3 forked w1
            USR2 w1
        4 exit w0
        4 exit w1
            finish 0",
    );
}

#[test]
fn who_is_not_wanted_any_more_need_not_be_started() {
    check(
        two(),
        "0 fork waits
        0 start
            spawn w0 index 0 v0
            spawn w1 index 1 v0
        1 target 1
        1 not forked w1
        1 next
            never
        2 stop USR2
        2 not forked w0
            finish 0",
    );
}

#[test]
fn the_stop_signal_asks_everywhere() {
    let settings = Settings {
        stop_signal: Some(Signal::QUIT),
        ack_timeout: AckTimeout::After(Duration::from_secs(5)),
        signal_timeout: Some(Duration::from_secs(10)),
        ..two()
    };
    check(
        settings,
        &format!(
            "{TWO_UP}
        1 target 1
            QUIT w1
        1 next
            at 11
        2 exit w1
        3 smooth
            check and re-exec
        3 reloaded
            spawn w1 index 1 v1
        8 tick
            QUIT w1
        9 exit w1
            spawn w2 index 1 v1
        10 ack w2
            QUIT w0
            committed v0 to v1, callers up to 1
        10 next
            at 20
        20 tick
            KILL w0"
        ),
    );
}
