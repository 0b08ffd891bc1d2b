//! Who is what: the words *modern*, *old*, *acked*, *missing* as functions.
//!
//! Workers are filed by standing whenever they change, so every count is O(1) and every
//! choice O(log n), also with ten thousand of them.
//!
//! Invariant: a worker is in exactly one of the sets, the one that [`standing`] says.

use std::collections::BTreeSet;

use super::worker::{SpawnId, Version, Worker};

/// Where a worker is in its life, seen from the current version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Of the current version, not yet up.
    ModernUnacked,
    /// Of the current version, up, but its soak is not over.
    ModernSoaking,
    /// Of the current version, and it counts.
    ModernServing,
    /// Of the current version, and it serves until its replacement counts.
    ModernRecycling,
    /// Of the current version, asked to stop.
    ModernStopping,
    /// Of the current version, asked to stop because its replacement counts.
    ModernRecycled,
    /// Of another version, and it never came to count.
    OldUnproven,
    /// Of another version, and it serves.
    OldServing,
    /// Of another version, asked to stop.
    OldStopping,
}

/// What `worker` is when `current` is the current version.
pub fn standing(worker: &Worker, current: Version) -> Standing {
    match (worker.version == current, worker.is_stopping(), worker.counts) {
        (true, true, _) if worker.recycling => Standing::ModernRecycled,
        (true, true, _) => Standing::ModernStopping,
        (true, false, true) if worker.recycling => Standing::ModernRecycling,
        (true, false, true) => Standing::ModernServing,
        (true, false, false) if worker.acked => Standing::ModernSoaking,
        (true, false, false) => Standing::ModernUnacked,
        (false, true, _) => Standing::OldStopping,
        (false, false, true) => Standing::OldServing,
        (false, false, false) => Standing::OldUnproven,
    }
}

/// All workers, filed by standing, each set in the order of starting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Census {
    filed: [BTreeSet<SpawnId>; 9],
}

impl Census {
    pub(super) fn file(&mut self, id: SpawnId, standing: Standing) {
        self.filed[standing as usize].insert(id);
    }

    pub(super) fn unfile(&mut self, id: SpawnId, standing: Standing) {
        self.filed[standing as usize].remove(&id);
    }

    /// The workers of one standing, the oldest first.
    pub fn of(&self, standing: Standing) -> impl DoubleEndedIterator<Item = SpawnId> + '_ {
        self.filed[standing as usize].iter().copied()
    }

    fn count(&self, standing: Standing) -> usize {
        self.filed[standing as usize].len()
    }

    /// All that live or are about to, those asked to stop included.
    pub fn alive(&self) -> usize {
        self.filed.iter().map(BTreeSet::len).sum()
    }

    /// Of the current version, those asked to stop included (slow stoppers must not multiply),
    /// but without those that others take the place of.
    pub fn modern(&self) -> usize {
        self.modern_unsignaled() + self.count(Standing::ModernStopping)
    }

    /// Of the current version, not asked to stop and not being replaced.
    pub fn modern_unsignaled(&self) -> usize {
        self.unacked() + self.acked()
    }

    /// Of the current version, not asked to stop and not yet up.
    pub fn unacked(&self) -> usize {
        self.count(Standing::ModernUnacked)
    }

    /// Of the current version, not asked to stop and up.
    pub fn acked(&self) -> usize {
        self.soaking() + self.counted()
    }

    /// Of the current version, not asked to stop, up and still to prove that it stays so.
    pub fn soaking(&self) -> usize {
        self.count(Standing::ModernSoaking)
    }

    /// Of the current version, not asked to stop, and they count.
    pub fn counted(&self) -> usize {
        self.count(Standing::ModernServing)
    }

    /// Of the current version, and they serve until their replacements count.
    pub fn recycling(&self) -> usize {
        self.count(Standing::ModernRecycling)
    }

    /// Asked to stop because their replacements count, and still alive.
    pub fn recycled_stopping(&self) -> usize {
        self.count(Standing::ModernRecycled)
    }

    /// Of another version and not asked to stop.
    pub fn old(&self) -> usize {
        self.count(Standing::OldUnproven) + self.count(Standing::OldServing)
    }

    /// Of another version, asked to stop and still alive.
    pub fn old_stopping(&self) -> usize {
        self.count(Standing::OldStopping)
    }

    /// Asked to stop and still alive, of whatever version.
    pub fn stopping(&self) -> usize {
        self.count(Standing::ModernStopping) + self.recycled_stopping() + self.old_stopping()
    }

    /// How many workers of the current version are to be started for `goal`.
    pub fn missing(&self, goal: usize) -> usize {
        goal.saturating_sub(self.modern())
    }

    /// Old workers that nobody asked to stop: those that never came to count first, then the
    /// oldest.
    pub fn old_in_order_of_retirement(&self) -> impl Iterator<Item = SpawnId> + '_ {
        self.of(Standing::OldUnproven).chain(self.of(Standing::OldServing))
    }
}
