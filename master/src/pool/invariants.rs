//! What holds of every pool that has settled, wherever it came from: the simulation asks after
//! every event, the fuzzer of every state that it has read.

use std::collections::BTreeSet;

use super::{Pool, SpawnId, Standing, standing};

/// Each worker has an index of its own and is in one place of the census.
///
/// # Panics
/// Where that is not so.
pub fn check_census(pool: &Pool) {
    let mut indexes = BTreeSet::new();
    for worker in pool.workers() {
        assert!(indexes.insert(worker.index), "index {} is there twice", worker.index);
        let filed = standing(worker, pool.version());
        let is_filed = pool.census().of(filed).any(|id| id == worker.id);
        assert!(is_filed, "{worker} is not filed as {filed:?}");
    }
    assert_eq!(pool.census().alive(), indexes.len(), "each is filed once");
}

/// Nobody is there too many, and who is old is there for an upgrade.
///
/// # Panics
/// Where that is not so.
pub fn check_settled(pool: &Pool) {
    if pool.is_stopping() {
        assert!(pool.upgrade().is_none() && pool.pending_reload().is_none());
        return;
    }
    let target = pool.settings().number as usize;
    let modern = [Standing::ModernServing, Standing::ModernSoaking, Standing::ModernUnacked];
    // A worker of a slot that goes stays until the newcomer that it stands in for counts.
    let counted = if pool.is_balanced() { &modern[..1] } else { &modern };
    let kept = staying(pool, counted).count();
    assert!(kept <= target, "{kept} stay where {target} are wanted: the excess goes at once");
    for newcomer in staying(pool, &modern[1..]).filter_map(|id| pool.worker(id)) {
        let is_wanted = newcomer.slot.is_none_or(|slot| (slot as usize) < target);
        assert!(is_wanted, "{newcomer} comes to a slot that goes");
    }
    match pool.upgrade() {
        None => {
            let old: Vec<SpawnId> = staying_old(pool).collect();
            assert_eq!(old, [], "old ones are retired outside an upgrade");
            assert_eq!(pool.version(), pool.committed());
        }
        Some(upgrade) if upgrade.rollback.is_some() => {
            assert_eq!(pool.version(), pool.committed());
        }
        Some(upgrade) => {
            assert_eq!(pool.version(), upgrade.to);
            assert!(pool.version() > pool.committed(), "an upgrade goes forward");
        }
    }
    assert!(pool.upgrade().is_none() || pool.census().recycling() == 0);
}

/// Old workers that go on and do not even drain.
pub fn staying_old(pool: &Pool) -> impl Iterator<Item = SpawnId> + '_ {
    staying(pool, &[Standing::OldUnproven, Standing::OldServing])
}

/// Workers that stand so and do not drain.
fn staying<'a>(pool: &'a Pool, standings: &'a [Standing]) -> impl Iterator<Item = SpawnId> + 'a {
    let found = standings.iter().flat_map(|&standing| pool.census().of(standing));
    found.filter(|id| pool.worker(*id).is_some_and(|worker| worker.draining.is_none()))
}
