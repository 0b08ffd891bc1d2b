//! Slots: in a balanced pool each worker lives in one of the places 0…target−1, and each place
//! has queues of its own, from which its workers serve.
//!
//! A newcomer takes the slot of the worker that it will replace, and the two live there side by
//! side; whoever dies is replaced in their slot. So a queue always has its next worker. The
//! last worker of a slot that goes is asked to stop only when nobody waits there any more
//! (*draining*): new connections are led elsewhere meanwhile, by whoever carries out what the
//! policy says.
//!
//! Invariants: a slot has two workers that serve and are of the current version only after a
//! rollback in the middle of a replacement, while both are needed; a worker never changes its
//! slot; a pool that is not balanced has no slots at all.

use std::collections::{BTreeMap, BTreeSet};

use einhorn_protocol::limit;

use super::census::Standing;
use super::order::{by_rank, descending};
use super::report::{Report, Why};
use super::worker::{SpawnId, Version, Worker};
use super::{Pool, standing};
use crate::moment::Moment;

/// A place in a balanced pool.
pub type Slot = u32;

/// A worker whose queue is served to its end before it is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draining {
    /// Since when.
    pub since: Moment,
    /// Why it will be asked to stop.
    pub why: Why,
}

/// Who lives where.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Slots {
    /// How many slots there are to be.
    target: Slot,
    residents: BTreeMap<Slot, BTreeMap<SpawnId, Resident>>,
    /// Those below the target without a worker of the current version.
    vacant: BTreeSet<Slot>,
    /// Those below the target where nobody serves or is about to as before.
    deserted: BTreeSet<Slot>,
    /// Of the vacant, those where nobody goes on: who waits there waits for the next worker.
    abandoned: BTreeSet<Slot>,
    /// Those with more than one worker that has the slot and goes on: a rollback in the middle
    /// of a replacement makes them.
    crowded: BTreeSet<Slot>,
    draining: BTreeSet<SpawnId>,
    /// Counts changes.
    revision: u64,
    /// Of the draining, those that are still to go.
    confirmed: BTreeSet<SpawnId>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Resident {
    standing: Standing,
    draining: bool,
}

impl Resident {
    /// It has the slot for the current version.
    fn holds(self) -> bool {
        match self.standing {
            Standing::ModernUnacked
            | Standing::ModernSoaking
            | Standing::ModernServing
            | Standing::ModernStopping => true,
            Standing::ModernRecycling
            | Standing::ModernRecycled
            | Standing::OldUnproven
            | Standing::OldServing
            | Standing::OldStopping => false,
        }
    }

    /// It takes connections, or will once it is up.
    fn goes_on(self) -> bool {
        match self.standing {
            Standing::ModernStopping | Standing::ModernRecycled | Standing::OldStopping => false,
            Standing::ModernUnacked
            | Standing::ModernSoaking
            | Standing::ModernServing
            | Standing::ModernRecycling
            | Standing::OldUnproven
            | Standing::OldServing => true,
        }
    }

    /// It has the slot and goes on.
    fn is_main(self) -> bool {
        match self.standing {
            Standing::ModernUnacked | Standing::ModernSoaking | Standing::ModernServing => true,
            Standing::ModernRecycling
            | Standing::ModernStopping
            | Standing::ModernRecycled
            | Standing::OldUnproven
            | Standing::OldServing
            | Standing::OldStopping => false,
        }
    }

    /// It takes connections.
    fn is_up(self) -> bool {
        match self.standing {
            Standing::ModernSoaking
            | Standing::ModernServing
            | Standing::ModernRecycling
            | Standing::OldServing => true,
            Standing::ModernUnacked
            | Standing::ModernStopping
            | Standing::ModernRecycled
            | Standing::OldUnproven
            | Standing::OldStopping => false,
        }
    }

    /// It counts towards what must not become less.
    fn serves(self) -> bool {
        match self.standing {
            Standing::ModernServing
            | Standing::ModernRecycling
            | Standing::OldServing
            | Standing::OldUnproven => true,
            Standing::ModernUnacked
            | Standing::ModernSoaking
            | Standing::ModernStopping
            | Standing::ModernRecycled
            | Standing::OldStopping => false,
        }
    }
}

impl Slots {
    /// None yet, for a pool with that target.
    pub(super) fn new(target: Slot) -> Self {
        let mut slots = Self::default();
        slots.set_target(target);
        slots
    }

    pub(super) fn set_target(&mut self, target: Slot) {
        let (low, high) = (self.target.min(target), self.target.max(target));
        self.target = target;
        for slot in low..high {
            self.refresh(slot);
        }
    }

    pub(super) fn file(&mut self, worker: &Worker, current: Version) {
        let Some(slot) = worker.slot else { return };
        let draining = worker.draining.is_some();
        let resident = Resident { standing: standing(worker, current), draining };
        self.residents.entry(slot).or_default().insert(worker.id, resident);
        if draining {
            self.draining.insert(worker.id);
        }
        self.refresh(slot);
    }

    pub(super) fn unfile(&mut self, worker: &Worker) {
        let Some(slot) = worker.slot else { return };
        if let Some(residents) = self.residents.get_mut(&slot) {
            residents.remove(&worker.id);
            if residents.is_empty() {
                self.residents.remove(&slot);
            }
        }
        self.draining.remove(&worker.id);
        self.refresh(slot);
    }

    fn refresh(&mut self, slot: Slot) {
        self.revision = self.revision.wrapping_add(1);
        let is_wanted = slot < self.target;
        let residents = self.residents.get(&slot);
        let has = |is: fn(Resident) -> bool| {
            residents.is_some_and(|residents| residents.values().any(|resident| is(*resident)))
        };
        let (is_vacant, is_deserted) =
            (is_wanted && !has(Resident::holds), is_wanted && !has(Resident::serves));
        let is_abandoned = is_vacant && !has(Resident::goes_on);
        let main = |resident: &&Resident| resident.is_main();
        let mains = residents.map_or(0, |residents| residents.values().filter(main).count());
        set(&mut self.crowded, slot, mains > 1);
        set(&mut self.vacant, slot, is_vacant);
        set(&mut self.deserted, slot, is_deserted);
        set(&mut self.abandoned, slot, is_abandoned);
    }

    /// A place for a worker that is to be started, of the current version or of the one before.
    fn for_newcomer(&self, is_modern: bool) -> Slot {
        let free = if is_modern { &self.vacant } else { &self.deserted };
        // There is one whenever somebody is missing; a state from elsewhere may say otherwise.
        self.abandoned.first().or(free.first()).copied().unwrap_or_else(|| self.first_beyond())
    }

    fn first_beyond(&self) -> Slot {
        let last = self.residents.last_key_value().map_or(0, |(slot, _)| slot.saturating_add(1));
        last.max(self.target)
    }

    fn others_in(
        &self,
        worker: &Worker,
        is: impl Fn(Resident) -> bool,
    ) -> impl Iterator<Item = (SpawnId, Resident)> {
        let residents = worker.slot.and_then(|slot| self.residents.get(&slot));
        let residents = residents.into_iter().flatten().map(|(&id, &resident)| (id, resident));
        residents.filter(move |&(id, resident)| id != worker.id && is(resident))
    }
}

fn set(slots: &mut BTreeSet<Slot>, slot: Slot, is_in: bool) {
    if is_in {
        slots.insert(slot);
    } else {
        slots.remove(&slot);
    }
}

impl Pool {
    /// Workers live in slots.
    pub fn is_balanced(&self) -> bool {
        self.slots.is_some()
    }

    /// Another number after each change of anything about slots; none where there are none.
    pub fn slots_revision(&self) -> Option<u64> {
        self.slots.as_ref().map(|slots| slots.revision)
    }

    /// The slots that anybody lives in, in order.
    pub fn inhabited_slots(&self) -> impl DoubleEndedIterator<Item = Slot> + '_ {
        self.slots.iter().flat_map(|slots| slots.residents.keys().copied())
    }

    /// The slots with a worker that takes connections and is to go on doing so, in order.
    pub fn open_slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let residents = self.slots.iter().flat_map(|slots| &slots.residents);
        let is_open = |resident: &Resident| resident.is_up() && !resident.draining;
        residents
            .filter(move |(_, residents)| residents.values().any(is_open))
            .map(|(&slot, _)| slot)
    }

    /// The slots whose last worker waits for an empty queue.
    pub fn draining_slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let ids = self.slots.iter().flat_map(|slots| &slots.draining);
        ids.filter_map(|id| self.workers.get(id)?.slot)
    }

    /// How many workers of the current version are to be started for `goal`.
    pub(super) fn missing(&self, goal: usize) -> usize {
        match &self.slots {
            Some(slots) => goal.saturating_sub(self.target().saturating_sub(slots.vacant.len())),
            None => self.census.missing(goal),
        }
    }

    /// A slot has nobody who goes on.
    pub(super) fn has_abandoned_slot(&self) -> bool {
        self.slots.as_ref().is_some_and(|slots| !slots.abandoned.is_empty())
    }

    pub(super) fn slot_for(&self, version: Version) -> Option<Slot> {
        self.slots.as_ref().map(|slots| slots.for_newcomer(version == self.version))
    }

    /// The slot of a worker that comes from a state; another one if it cannot have had that.
    /// Two may have the same one after a rollback: each serves from the queue that it was given.
    pub(super) fn slot_for_restored(&self, worker: &Worker) -> Option<Slot> {
        let slots = self.slots.as_ref()?;
        let known = worker.slot.filter(|&slot| slot < limit::WORKERS_MAX);
        known.or_else(|| Some(slots.for_newcomer(true)))
    }

    pub(super) fn file_again(&mut self) {
        let (workers, current) = (&self.workers, self.version);
        if let Some(slots) = &mut self.slots {
            for worker in workers.values() {
                slots.unfile(worker);
                slots.file(worker, current);
            }
        }
    }

    /// Asks a worker to stop. In a balanced pool the last one of a slot serves who waits in its
    /// queue first.
    pub(super) fn retire(&mut self, now: Moment, id: SpawnId, why: Why) {
        let Some(worker) = self.workers.get(&id) else { return };
        let is_last = self
            .slots
            .as_ref()
            .is_some_and(|slots| slots.others_in(worker, Resident::goes_on).next().is_none());
        // One that is not started yet serves nobody.
        if !is_last || worker.pid.is_none() {
            self.ask_to_stop(now, id, self.settings.stop_signal(), why);
            return;
        }
        if let Some(slots) = &mut self.slots {
            slots.confirmed.insert(id);
        }
        if worker.draining.is_none() {
            self.change(id, |worker| worker.draining = Some(Draining { since: now, why }));
            self.report(Report::Draining { worker: self.name(id) });
        }
    }

    /// Nobody waits in the queue of a slot any more.
    pub(super) fn note_drained(&mut self, now: Moment, slot: Slot) {
        let Some(slots) = &self.slots else { return };
        let residents = slots.residents.get(&slot).into_iter().flat_map(BTreeMap::keys);
        let drained: Vec<SpawnId> =
            residents.filter(|id| slots.draining.contains(id)).copied().collect();
        for id in drained {
            self.end_draining(now, id);
        }
    }

    /// It took too long: whoever still waits is left to the worker's own way of stopping.
    pub(super) fn give_draining_up(&mut self, now: Moment, id: SpawnId) {
        self.report(Report::NotDrained { worker: self.name(id) });
        self.end_draining(now, id);
    }

    fn end_draining(&mut self, now: Moment, id: SpawnId) {
        let draining = self.workers.get(&id).and_then(|worker| worker.draining);
        self.change(id, |worker| worker.draining = None);
        if let Some(Draining { why, .. }) = draining {
            self.ask_to_stop(now, id, self.settings.stop_signal(), why);
        }
    }

    /// Those that drain and need not go any more serve on.
    pub(super) fn keep_unconfirmed(&mut self) {
        let Some(slots) = &mut self.slots else { return };
        let confirmed = std::mem::take(&mut slots.confirmed);
        let kept: Vec<SpawnId> = slots.draining.difference(&confirmed).copied().collect();
        for id in kept {
            self.change(id, |worker| worker.draining = None);
            self.report(Report::Kept { worker: self.name(id) });
        }
    }

    /// The next old workers to go. In a balanced pool: after those that never came to count
    /// those whose slot goes, or has a newcomer that counts.
    pub(super) fn old_to_retire(&self, count: usize) -> Vec<SpawnId> {
        let in_order = self.census.old_in_order_of_retirement();
        let Some(slots) = self.slots.as_ref().filter(|_| count < self.census.old()) else {
            return in_order.take(count).collect();
        };
        if count == 0 {
            return Vec::new();
        }
        let mut chosen = by_rank(in_order, |id| {
            let Some(worker) = self.workers.get(&id) else { return [0, 0] };
            match worker.slot {
                _ if !worker.counts => [0, 0],
                Some(slot) if slot >= slots.target => [1, descending(slot)],
                _ if self.is_covered(id) => [2, 0],
                _ => [3, 0],
            }
        });
        chosen.truncate(count);
        chosen
    }

    /// A worker beside which another one of its slot counts.
    pub(super) fn is_covered(&self, id: SpawnId) -> bool {
        let counts = |resident: Resident| resident.standing == Standing::ModernServing;
        self.slots
            .as_ref()
            .zip(self.workers.get(&id))
            .is_some_and(|(slots, worker)| slots.others_in(worker, counts).next().is_some())
    }

    /// A worker whose slot has been given to another one that goes on.
    pub(super) fn is_replaced_in_its_slot(&self, id: SpawnId) -> bool {
        self.slots.as_ref().zip(self.workers.get(&id)).is_some_and(|(slots, worker)| {
            slots.others_in(worker, Resident::is_main).next().is_some()
        })
    }

    /// Workers of the current version beside others in their slot, and those in slots that go:
    /// those that serve nobody at once, the others as far as there are enough without them, the
    /// highest slot first.
    pub(super) fn retire_beyond(&mut self, now: Moment) {
        let Some(slots) = &self.slots else { return };
        let rivals = slots.crowded.iter().filter_map(|slot| slots.residents.get(slot));
        let rivals = rivals.flat_map(|residents| {
            let modern = residents.iter().filter(|(_, resident)| resident.is_main());
            let in_order = by_rank(modern.map(|(&id, _)| id), |id| {
                let serves = |resident: &Resident| resident.standing == Standing::ModernServing;
                let stale = self.workers.get(&id).is_some_and(|worker| worker.stale.is_some());
                [u64::from(!residents.get(&id).is_some_and(serves)), u64::from(stale)]
            });
            in_order.into_iter().skip(1).filter_map(|id| residents.get_key_value(&id))
        });
        let beyond = slots.residents.range(slots.target..).rev();
        let beyond = beyond.flat_map(|(_, residents)| residents).filter(|(_, r)| r.is_main());
        let mut spare = self.census.counted().saturating_sub(self.target());
        let (mut chosen, mut seen) = (Vec::new(), BTreeSet::new());
        for (&id, resident) in rivals.chain(beyond) {
            let serves = resident.standing == Standing::ModernServing;
            if (!serves || spare > 0) && seen.insert(id) {
                spare -= usize::from(serves);
                chosen.push(id);
            }
        }
        for id in chosen {
            self.retire(now, id, Why::AboveTarget);
        }
    }
}
