//! Clients that asked for an upgrade and wait for the last reply.
//!
//! Invariant: each is told the end of its own upgrade, once.

use std::collections::BTreeMap;

use crate::pool::{Callers as Told, RequestNumber, UpgradeEnd};

#[derive(Debug, Default)]
pub(super) struct Callers {
    /// How many wait for which request: behind another master they are all taken for one.
    waiting: BTreeMap<RequestNumber, usize>,
}

impl Callers {
    pub(super) fn ask(&mut self, request: RequestNumber) {
        *self.waiting.entry(request).or_default() += 1;
    }

    pub(super) fn tell(&mut self, end: &UpgradeEnd, callers: Told) {
        let told = |request: RequestNumber| match callers {
            Told::UpTo(last) => request <= last,
            Told::After(last) => request > last,
        };
        if let (UpgradeEnd::Committed, Told::UpTo(own)) = (end, callers) {
            for request in self.waiting.keys().filter(|request| told(**request)) {
                assert_eq!(*request, own, "request {request} is told that {own} is done");
            }
        }
        self.waiting.retain(|request, _| !told(*request));
    }

    /// Nobody waits for an upgrade that is not under way.
    pub(super) fn tell_idle(&mut self) {
        self.waiting.clear();
    }

    /// Another master takes all for callers of `request`.
    pub(super) fn merge_into(&mut self, request: RequestNumber) {
        let all: usize = self.waiting.values().sum();
        self.waiting.clear();
        if all > 0 {
            self.waiting.insert(request, all);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.waiting.values().sum()
    }
}
