//! What is said about a state that was not quite as expected.

use std::fmt;

use thiserror::Error;

use crate::log::shown;
use crate::psych::{ReadError, Value};

/// Most items of a list that a message repeats.
const ITEMS_SHOWN: usize = 8;

/// One remark about a state that was read nevertheless: a line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A key that this master does not know.
    Unknown {
        /// Where it stands, itself included.
        place: String,
    },
    /// A key that should have been there.
    Missing {
        /// Where it should stand.
        place: String,
    },
    /// A value of the wrong type.
    Unexpected {
        /// Where it stands.
        place: String,
        /// What should stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// Lists that belong together have different lengths.
    Unaligned {
        /// Entries of `:bind`.
        bind: usize,
        /// Entries of `:bind_fds`.
        bind_fds: usize,
        /// Entries of `:bound_ports`.
        bound_ports: usize,
    },
    /// Our own part was written by a master from the future.
    NewerFormat {
        /// Its format.
        format: u64,
        /// The newest that we know.
        known: u64,
    },
    /// There was more to say.
    More {
        /// How many notes were left out.
        count: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { place } => write!(f, "{place} is unknown and dropped"),
            Self::Missing { place } => write!(f, "{place} is missing"),
            Self::Unexpected { place, expected, found } => {
                write!(f, "{place}: expected {expected}, found {found}; it is left out")
            }
            Self::Unaligned { bind, bind_fds, bound_ports } => write!(
                f,
                ":bind has {bind} entries, :bind_fds {bind_fds} and :bound_ports {bound_ports}; \
                 the descriptors count"
            ),
            Self::NewerFormat { format, known } => {
                write!(f, ":einhorn has format {format}, newer than {known}, and is dropped")
            }
            Self::More { count } => write!(f, "{count} more remarks left out"),
        }
    }
}

/// Why there is no state to go on with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// It cannot be read at all.
    #[error("the state cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// It is some other document.
    #[error("this is no state: expected a mapping with the key :state, found {found}")]
    NoState {
        /// What it is instead.
        found: String,
    },
    /// Every master writes its descriptors last, and has at least one.
    #[error("the state ends early: :persistent_descriptors is missing")]
    Truncated,
    /// A value without which no master could go on has the wrong type.
    #[error("{place}: expected {expected}, found {found}")]
    Unexpected {
        /// Where it stands.
        place: String,
        /// What should stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
}

/// `value` on one bounded line.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", shown(text)),
        Value::Symbol(name) => format!(":{}", shown(name)),
        Value::Integer(number) => number.to_string(),
        Value::BigInteger(digits) => shown(digits),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Sequence(items) => list(items),
        other => other.kind().to_owned(),
    }
}

/// Enough of a list to see which item is wrong.
fn list(items: &[Value]) -> String {
    let shown = items.iter().take(ITEMS_SHOWN).map(|item| match item {
        Value::Sequence(_) => item.kind().to_owned(),
        item => found(item),
    });
    let rest = (items.len() > ITEMS_SHOWN).then(|| "...".to_owned());
    format!("[{}]", shown.chain(rest).collect::<Vec<_>>().join(", "))
}

/// A key on one bounded line, as Ruby would name it.
pub(super) fn key(value: &Value) -> String {
    match value {
        Value::String(name) => shown(name),
        other => found(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_items_of_a_list_are_shown_and_not_one_more() {
        let list = |items: i64| found(&Value::Sequence((1..=items).map(Value::Integer).collect()));
        assert_eq!(list(8), "[1, 2, 3, 4, 5, 6, 7, 8]");
        assert_eq!(list(9), "[1, 2, 3, 4, 5, 6, 7, 8, ...]");
    }
}
