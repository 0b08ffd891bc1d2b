//! What those who follow an upgrade are told of it.

use std::num::NonZeroU32;

use super::script::four;
use super::told::play;
use crate::pool::{Event, Pool, Report, SpawnId, UpgradeMode};
use crate::settings::Settings;

/// So many workers that are up, and a fleet upgrade of them that has just been asked for.
fn upgrading(number: u32) -> Pool {
    let max_unacked = NonZeroU32::new(1000).unwrap();
    let mut pool = Pool::new(Settings { number, max_unacked, ..four() });
    play(&mut pool, 0.0, Event::Start);
    for id in 0..u64::from(number) {
        play(&mut pool, 0.0, Event::Acknowledged { id: SpawnId(id) });
    }
    let (mode, rules, request) = (UpgradeMode::Fleet, four().upgrade, pool.next_request());
    play(&mut pool, 1.0, Event::UpgradeRequested { mode, rules, request });
    pool
}

/// How many are up, for whom is waited, and whether that has been said before.
fn progress(reports: &[Report]) -> Vec<(usize, Vec<String>, bool)> {
    let told = reports.iter().filter_map(|report| match report {
        Report::UpgradeProgress { acked, waiting_for, again, .. } => {
            Some((*acked, waiting_for.clone(), *again))
        }
        _ => None,
    });
    told.collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn progress_is_told_when_it_is_made_and_again_for_whom_it_waits() {
    let mut pool = upgrading(2);
    let (third, fourth) = ("1002 (index 2)", "1003 (index 3)");
    let begun = play(&mut pool, 1.0, Event::Adopted);
    assert_eq!(progress(&begun), [(0, names(&[third, fourth]), false)], "once they run");
    let pinged = play(&mut pool, 2.0, Event::Pinged { id: SpawnId(2), request_id: None });
    assert!(progress(&pinged).is_empty(), "nothing has changed");
    let first = play(&mut pool, 3.0, Event::Acknowledged { id: SpawnId(2) });
    assert_eq!(progress(&first), [(1, names(&[fourth]), false)]);
    let early = play(&mut pool, 10.5, Event::DeadlineReached);
    assert!(progress(&early).is_empty());
    let reminded = play(&mut pool, 11.0, Event::DeadlineReached);
    assert_eq!(progress(&reminded), [(1, names(&[fourth]), true)]);
}

#[test]
fn only_so_many_are_named() {
    let waiting_for = |number: u32| {
        let mut pool = upgrading(number);
        let begun = progress(&play(&mut pool, 1.0, Event::Adopted));
        begun.into_iter().next().expect("progress").1
    };
    let all = waiting_for(10);
    assert_eq!(all.len(), 10);
    assert_eq!(all[9], "1019 (index 19)");
    let more = waiting_for(11);
    assert_eq!(more.len(), 11);
    assert_eq!(more[9..], ["1020 (index 20)", "and 1 more"]);
    assert_eq!(waiting_for(300)[10], "and 290 more");
}
