//! How a release of `make soak` behaves: what its deploy writes and its workers read.

/// The file in a release's folder: a version and a [`Conduct`].
pub const RELEASE_FILE: &str = "release";

/// What the workers of a release do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// They serve.
    Good,
    /// They exit at once.
    Crash,
    /// They never acknowledge.
    Hang,
    /// They acknowledge and die.
    AckAndDie,
}

impl Conduct {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Good, Self::Crash, Self::Hang, Self::AckAndDie];

    /// Its word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::AckAndDie => "ack-and-die",
        }
    }

    /// What a word in the file means.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|conduct| conduct.name() == name)
    }
}
