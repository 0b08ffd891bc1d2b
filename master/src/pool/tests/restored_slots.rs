//! The slots of a pool that was restored from a state, whatever that says of them.

use einhorn_protocol::limit;

use super::script::{four, moment, pid_of};
use crate::pool::{Event, Pool, SpawnId};
use crate::settings::Settings;

/// Two workers of a pool without slots, for one that has some, with what the state says of the
/// first one's slot.
fn restored_slots(slot: Option<u32>, number: u32) -> Vec<Option<u32>> {
    let mut pool = Pool::new(Settings { number: 2, ..four() });
    pool.handle(moment(0.0), Event::Start);
    for id in [SpawnId(0), SpawnId(1)] {
        pool.handle(moment(0.0), Event::Spawned { id, pid: pid_of(id) });
    }
    let mut state = pool.to_restored();
    state.balanced = true;
    state.settings.number = number;
    state.workers[0].slot = slot;
    Pool::restore(state).workers().map(|worker| worker.slot).collect()
}

#[test]
fn a_state_that_knows_no_slots_is_given_some() {
    assert_eq!(restored_slots(None, 2), [Some(0), Some(1)]);
    assert_eq!(restored_slots(Some(1), 2), [Some(1), Some(0)]);
    assert_eq!(restored_slots(None, 1), [Some(0), Some(1)], "there are more than slots");
    assert_eq!(restored_slots(Some(4), 1), [Some(4), Some(0)]);
    assert_eq!(restored_slots(Some(4), 0), [Some(4), Some(5)]);
}

#[test]
fn a_slot_that_nobody_can_have_had_is_not_given_again() {
    let last = limit::WORKERS_MAX - 1;
    assert_eq!(restored_slots(Some(last), 2), [Some(last), Some(0)]);
    assert_eq!(restored_slots(Some(last + 1), 2), [Some(0), Some(1)]);
}
