//! The queue of what is to be done.

use std::collections::VecDeque;

use super::script::four;
use crate::pool::{ACTIONS_KEPT_MAX, Action, Pool};

/// What a queue with room for so many keeps of it once it is empty.
fn kept(room: usize) -> usize {
    let mut pool = Pool::new(four());
    pool.actions = VecDeque::with_capacity(room);
    pool.actions.extend([Action::Finish(0), Action::Finish(1)]);
    assert_eq!(pool.poll_action(), Some(Action::Finish(0)));
    assert_eq!(pool.poll_action(), Some(Action::Finish(1)), "none is lost");
    assert_eq!(pool.poll_action(), None);
    pool.actions.capacity()
}

#[test]
fn a_moment_with_much_to_do_leaves_no_room_behind() {
    assert_eq!(kept(ACTIONS_KEPT_MAX), ACTIONS_KEPT_MAX);
    assert_eq!(kept(ACTIONS_KEPT_MAX + 1), 0);
}
