//! Looking at the memory of very many workers.

use std::num::NonZeroU32;
use std::time::Duration;

use super::script::{four, moment, pid_of};
use crate::pool::{Action, Event, Pool};
use crate::settings::{RecycleRules, Settings};

/// Whose memory is looked at after `seconds`.
fn looks(pool: &mut Pool, seconds: f64) -> Vec<u64> {
    let now = moment(seconds);
    pool.handle(now, Event::DeadlineReached);
    let actions = std::iter::from_fn(|| pool.poll_action());
    actions
        .filter_map(|action| match action {
            Action::Measure { id, .. } => Some(id.0),
            _ => None,
        })
        .collect()
}

/// So many workers that run, with a rule about their memory since second 0.
fn pool(number: u32) -> Pool {
    let recycle = RecycleRules { max_rss: Some(1 << 30), ..RecycleRules::default() };
    let max_unacked = NonZeroU32::new(10_000).unwrap();
    let mut pool = Pool::new(Settings { number, max_unacked, recycle, ..four() });
    pool.handle(moment(0.0), Event::Start);
    while let Some(action) = pool.poll_action() {
        if let Action::Spawn { id, .. } = action {
            pool.handle(moment(0.0), Event::Spawned { id, pid: pid_of(id) });
        }
    }
    pool
}

#[track_caller]
fn check_next(pool: &Pool, seconds: f64) {
    assert_eq!(pool.next_deadline(), Some(moment(seconds).monotonic));
}

#[test]
fn as_many_as_may_be_are_looked_at_at_once() {
    let mut pool = pool(256);
    assert!(looks(&mut pool, 4.9).is_empty());
    for time in [5.0, 10.0] {
        check_next(&pool, time);
        assert_eq!(looks(&mut pool, time), (0..256).collect::<Vec<u64>>());
    }
}

#[test]
fn more_have_their_turns_within_the_interval() {
    let mut pool = pool(600);
    let third = 5.0_f64 / 3.0;
    assert_eq!(looks(&mut pool, 5.0), (0..256).collect::<Vec<u64>>());
    let at = Duration::from_secs(5) / 3;
    assert_eq!(pool.next_deadline(), Some(moment(5.0).monotonic + at));
    assert_eq!(looks(&mut pool, 5.0 + third + 0.001), (256..512).collect::<Vec<u64>>());
    assert_eq!(looks(&mut pool, 5.0 + 2.0 * third + 0.002), (512..600).collect::<Vec<u64>>());
    assert_eq!(looks(&mut pool, 10.003), (0..256).collect::<Vec<u64>>(), "and from the start");
}
