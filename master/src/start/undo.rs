//! Removing what a start has made when a later step fails.

use std::path::{Path, PathBuf};

use crate::sys::files::{self, Identity};

/// Files that go when this is dropped.
#[derive(Default)]
pub(super) struct Undo(Vec<(PathBuf, Identity)>);

impl Undo {
    pub(super) fn made(&mut self, path: &Path, identity: Identity) {
        self.0.push((path.to_owned(), identity));
    }

    /// The start has succeeded.
    pub(super) fn nothing(mut self) {
        self.0.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for (path, identity) in self.0.iter().rev() {
            // The error that led here is the one to tell.
            let _ = files::unlink_if_same(path, *identity);
        }
    }
}
