//! Workers in the order of a decision.

use super::worker::SpawnId;

/// A worker's place: the first numbers are compared first.
pub(super) type Rank = [u64; 2];

/// The lowest rank first; of the same rank, whoever was started first. Ranks are numbers, so
/// that one sort serves all decisions: each other one would be in every master's memory.
pub(super) fn by_rank(
    ids: impl IntoIterator<Item = SpawnId>,
    rank: impl Fn(SpawnId) -> Rank,
) -> Vec<SpawnId> {
    let mut ranked: Vec<(Rank, SpawnId)> = ids.into_iter().map(|id| (rank(id), id)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, id)| id).collect()
}

/// The rank of a number that is the greater the earlier.
pub(super) fn descending(number: impl Into<u64>) -> u64 {
    u64::MAX - number.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_come_first_and_then_the_start() {
        let rank = |SpawnId(id)| match id {
            1 => [1, 0],
            2 => [0, descending(1_u32)],
            3 => [0, descending(2_u32)],
            _ => [0, 0],
        };
        let ids = [1, 5, 2, 4, 3].map(SpawnId);
        assert_eq!(by_rank(ids, rank), [4, 5, 3, 2, 1].map(SpawnId));
    }
}
