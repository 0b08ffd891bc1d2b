//! How much a text may ask for.

use einhorn_protocol::limit;

/// Bounds on what [`read`](super::read) takes; more is an error, never a truncation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes_max: usize,
    /// Deepest nesting of lists and mappings; 1 allows a list of scalars.
    pub nesting_max: usize,
    /// Most values, keys included and alias copies counted.
    pub values_max: usize,
    /// What becomes of `*alias`.
    pub aliases: Aliases,
}

/// What becomes of an alias (`*name`). An anchor that nobody refers to is always harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aliases {
    /// It is an error.
    Refused,
    /// It becomes a copy of what it refers to. Copies count against `values_max`, and their
    /// text together against `bytes_max`.
    Resolved,
}

impl Limits {
    /// For one line of a client on the command socket.
    pub const fn request() -> Self {
        Self {
            bytes_max: limit::LINE_BYTES_MAX,
            nesting_max: limit::NESTING_MAX,
            values_max: limit::REQUEST_VALUES_MAX,
            aliases: Aliases::Refused,
        }
    }

    /// For the state that one master leaves to the next.
    pub const fn state() -> Self {
        Self {
            bytes_max: limit::STATE_BYTES_MAX,
            nesting_max: limit::STATE_NESTING_MAX,
            values_max: limit::STATE_VALUES_MAX,
            aliases: Aliases::Resolved,
        }
    }
}
