//! Why a text could not be read.

use thiserror::Error;

/// Why [`read`](super::read) refused a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// It is not YAML, or not one document.
    #[error("not valid YAML at line {line}, column {column}: {reason}")]
    Malformed {
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// It is not UTF-8.
    #[error("not UTF-8 text: byte {offset} is 0x{byte:02x}")]
    NotUtf8 {
        /// Offset of the first wrong byte, counted from 0.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// Lists and mappings are nested too deep.
    #[error("nested deeper than {nesting_max} levels")]
    TooDeep {
        /// The limit.
        nesting_max: usize,
    },
    /// The text, or what its aliases make of it, is too large.
    #[error("too large: more than {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// What is counted: `bytes`, `values` or `bytes of copies`.
        unit: &'static str,
    },
    /// An alias where none is allowed.
    #[error("aliases are not accepted (line {line})")]
    Aliases {
        /// Line of the alias, counted from 1.
        line: usize,
    },
    /// The same key twice in one mapping. `:name` and `name` count as the same.
    #[error("duplicate key {0:?}")]
    DuplicateKey(String),
    /// A list or mapping as the key of a mapping.
    #[error("a list or mapping cannot be a key (line {line})")]
    KeyNotScalar {
        /// Line of the key, counted from 1.
        line: usize,
    },
    /// A tag that stands for nothing that is read here.
    #[error("tag {0:?} is not accepted here")]
    UnknownTag(String),
}

/// Longest piece of a text that an error repeats, in bytes.
const EXCERPT_BYTES_MAX: usize = 80;

/// The beginning of `text`, short enough for an error.
pub(super) fn excerpt(text: &str) -> String {
    let cut = text.char_indices().find(|(at, _)| *at >= EXCERPT_BYTES_MAX);
    match cut {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
