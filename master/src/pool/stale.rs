//! Why a worker goes stale, so that another one is to take its place.

use std::fmt;

/// What makes a worker stale; what is worst for those who wait for answers comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stale {
    /// An operator's command.
    Requested,
}

impl Stale {
    /// Its name, for programs and for the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
        }
    }

    /// The inverse of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Requested].into_iter().find(|stale| stale.name() == name)
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "as requested",
        })
    }
}
