//! `EINHORN_CHILD_INDEX`: the smallest number that no living worker has.

use std::collections::BTreeSet;

/// Which indexes are taken, as those below a mark that are free again.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Indexes {
    /// All indexes from here on are free.
    mark: u32,
    /// Free ones below the mark.
    free: BTreeSet<u32>,
}

impl Indexes {
    /// Takes the smallest free index.
    pub(super) fn take(&mut self) -> u32 {
        if let Some(index) = self.free.pop_first() {
            return index;
        }
        let index = self.mark;
        self.mark = self.mark.saturating_add(1);
        index
    }

    /// Takes this one, as a restored worker has it; false if it is taken already.
    pub(super) fn take_exactly(&mut self, index: u32) -> bool {
        if index < self.mark {
            return self.free.remove(&index);
        }
        self.free.extend(self.mark..index);
        self.mark = index.saturating_add(1);
        true
    }

    pub(super) fn give_back(&mut self, index: u32) {
        self.free.insert(index);
        while self.mark > 0 && self.free.remove(&(self.mark - 1)) {
            self.mark -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_free_index_is_taken_first() {
        let mut indexes = Indexes::default();
        assert_eq!((0..4).map(|_| indexes.take()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        indexes.give_back(2);
        indexes.give_back(0);
        assert_eq!(indexes.take(), 0);
        assert_eq!(indexes.take(), 2);
        assert_eq!(indexes.take(), 4);
    }

    #[test]
    fn nothing_is_kept_for_indexes_given_back() {
        let mut indexes = Indexes::default();
        let taken: Vec<u32> = (0..1000).map(|_| indexes.take()).collect();
        for index in taken {
            indexes.give_back(index);
        }
        assert_eq!(indexes, Indexes::default());
    }

    #[test]
    fn restored_indexes_are_taken_once() {
        let mut indexes = Indexes::default();
        assert!(indexes.take_exactly(3));
        assert!(!indexes.take_exactly(3));
        assert!(indexes.take_exactly(1));
        assert_eq!([indexes.take(), indexes.take(), indexes.take()], [0, 2, 4]);
    }
}
