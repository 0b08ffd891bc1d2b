//! Balanced addresses: which slots get new connections, when a slot that goes is empty, and
//! when its sockets are closed.
//!
//! The policy says who lives in which slot (`pool::slots`). Here the kernel is told by it, and
//! asked what the policy cannot know: who waits in a queue. A slot without a worker that is up
//! gets no new connections; those that wait there already are the next worker's.
//!
//! Invariants: the kernel's number of a socket in its group is its slot, so only the last socket
//! of a group is ever closed; nothing is looked at again unless a slot drains.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::log::Level;

use super::Master;
use crate::log::repeated;
use crate::pool::{Event, Slot};
use crate::start::Listener;
use crate::sys::half_open::{self, Endpoints};
use crate::sys::reuseport::{self, Choice};
use crate::sys::{clock, reason};

/// First look at a queue that drains: packets that were on their way when the kernel was told
/// have long arrived by then.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// Longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(320);
/// Where handshakes cannot be seen, they have this long to end.
const HANDSHAKE_GRACE: Duration = Duration::from_secs(1);

/// What the kernel was told, and which queues are watched.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// The state of the pool's slots that all this is for.
    seen: Option<u64>,
    /// By listener.
    told: BTreeMap<usize, Choice>,
    draining: BTreeMap<Slot, Watch>,
    said_blind: bool,
}

/// A queue that drains.
#[derive(Debug)]
struct Watch {
    since: Duration,
    next: Duration,
    pause: Duration,
    /// Handshakes that may end in it: those that were in progress at the first look.
    begun: Option<BTreeSet<Handshake>>,
}

/// A listener's place, and both ends of the connection.
type Handshake = (usize, Endpoints);

impl Watch {
    fn new(now: Duration) -> Self {
        Self { since: now, next: now.saturating_add(FIRST_LOOK), pause: FIRST_LOOK, begun: None }
    }
}

impl Balance {
    /// When to look at a queue.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.draining.values().map(|watch| watch.next).min()
    }
}

impl Master {
    /// Brings the kernel up to date, if anything has changed in the pool's slots.
    pub(super) fn settle_balance(&mut self) {
        let revision = self.pool.slots_revision();
        if revision.is_none() || self.balance.seen == revision {
            return;
        }
        self.balance.seen = revision;
        if self.pool.is_stopping() {
            self.balance.draining.clear();
            return;
        }
        if !self.steer() {
            // Until the kernel knows where connections go, no queue is closed.
            self.balance.seen = None;
            self.ask_again_later();
            return;
        }
        let now = clock::now().monotonic;
        let draining: BTreeSet<Slot> = self.pool.draining_slots().collect();
        self.balance.draining.retain(|slot, _| draining.contains(slot));
        for slot in draining {
            self.balance.draining.entry(slot).or_insert_with(|| Watch::new(now));
        }
        self.close_left_slots();
    }

    /// Leads new connections to the slots with a worker that takes them; while there is none,
    /// to those that will have one. Says whether the kernel knows it all.
    fn steer(&mut self) -> bool {
        let mut is_told = true;
        let mut wanted: Vec<Slot> = self.pool.open_slots().collect();
        if wanted.is_empty() {
            wanted = self.pool.inhabited_slots().collect();
        }
        for (place, listener) in balanced(&self.instance.listeners) {
            let sockets = Slot::try_from(listener.further.len()).unwrap_or(Slot::MAX);
            let members = wanted.iter().copied().filter(|&slot| slot <= sockets);
            let Some(choice) = Choice::of(members) else { continue };
            if self.balance.told.get(&place) == Some(&choice) {
                continue;
            }
            match reuseport::steer(&listener.descriptor, &choice) {
                Ok(()) => drop(self.balance.told.insert(place, choice)),
                Err(error) => {
                    let (address, why) = (&listener.local, reason(&error));
                    let line = format!(
                        "cannot choose who gets the connections of {address}: {why}; trying again \
                         every second"
                    );
                    repeated(Level::Error, "failures to spread connections", 2, &line);
                    is_told = false;
                }
            }
        }
        is_told
    }

    /// Looks at the queues whose time it is.
    pub(super) fn watch_draining(&mut self, now: Duration) {
        let due: Vec<Slot> = self
            .balance
            .draining
            .iter()
            .filter_map(|(&slot, watch)| (watch.next <= now).then_some(slot))
            .collect();
        if due.is_empty() {
            return;
        }
        let in_progress = self.handshakes();
        for slot in due {
            let waits = self.waiting_in(slot);
            let Some(watch) = self.balance.draining.get_mut(&slot) else { continue };
            let is_over = match &in_progress {
                Some(in_progress) => {
                    let begun = watch.begun.get_or_insert_with(|| in_progress.clone());
                    begun.retain(|handshake| in_progress.contains(handshake));
                    begun.is_empty()
                }
                None => now.saturating_sub(watch.since) >= HANDSHAKE_GRACE,
            };
            if is_over && waits == Some(0) {
                self.balance.draining.remove(&slot);
                self.tell_pool(Event::Drained { slot });
            } else {
                watch.next = now.saturating_add(watch.pause);
                watch.pause = watch.pause.saturating_mul(2).min(PAUSE_MAX);
            }
        }
    }

    /// The handshakes in progress at all balanced addresses; none if they cannot be seen.
    fn handshakes(&mut self) -> Option<BTreeSet<Handshake>> {
        let mut all = BTreeSet::new();
        for (place, listener) in balanced(&self.instance.listeners) {
            let port = listener.bound_port().unwrap_or_default();
            match half_open::handshakes(listener.family, port) {
                Ok(found) => all.extend(found.into_iter().map(|endpoints| (place, endpoints))),
                Err(error) => {
                    if !std::mem::replace(&mut self.balance.said_blind, true) {
                        ::log::warn!(
                            "cannot see handshakes in progress: {}; a queue is taken for empty \
                             when nobody waits in it after {} s",
                            reason(&error),
                            HANDSHAKE_GRACE.as_secs()
                        );
                    }
                    return None;
                }
            }
        }
        Some(all)
    }

    /// None if it cannot be told, which is said.
    fn waiting_in(&self, slot: Slot) -> Option<u32> {
        let mut all = 0_u32;
        for (_, listener) in balanced(&self.instance.listeners) {
            let Some(socket) = listener.socket_of(Some(slot)) else { continue };
            match reuseport::waiting(socket) {
                Ok(count) => all = all.saturating_add(count),
                Err(error) => {
                    let (address, why) = (&listener.local, reason(&error));
                    let line = format!("cannot tell who waits in slot {slot} of {address}: {why}");
                    repeated(Level::Warn, "failures to look into queues", 2, &line);
                    return None;
                }
            }
        }
        Some(all)
    }

    /// Closes the sockets of slots that nobody lives in and that are above the target.
    fn close_left_slots(&mut self) {
        let kept = self.pool.inhabited_slots().last().map_or(0, |slot| slot.saturating_add(1));
        let kept = kept.max(self.pool.settings().number);
        for listener in self.instance.listeners.iter_mut().filter(|one| one.is_balanced()) {
            // Slot 0 is not among them.
            let further = usize::try_from(kept.saturating_sub(1)).unwrap_or(usize::MAX);
            while listener.further.len() > further {
                let slot = listener.further.len();
                let Some(socket) = listener.further.pop() else { break };
                let lost = reuseport::waiting(&socket).unwrap_or_default();
                if lost > 0 {
                    let address = &listener.local;
                    ::log::warn!("{lost} connections of slot {slot} of {address} found no worker");
                }
                // Whatever else holds it, it must not keep its number in the group.
                if let Err(error) = reuseport::leave(&socket) {
                    ::log::debug!("slot {slot} of {}: {}", listener.local, reason(&error));
                }
            }
        }
    }
}

fn balanced(listeners: &[Listener]) -> impl Iterator<Item = (usize, &Listener)> {
    listeners.iter().enumerate().filter(|(_, listener)| listener.is_balanced())
}
