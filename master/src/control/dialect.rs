//! Which language a line speaks, and what it says as plain data (`protocol.md §3`).
//!
//! A line that is a JSON object by RFC 8259 is JSON, all else is YAML. Both are unescaped
//! first, since clients of the Ruby master escape both; a line that is JSON as it stands and
//! no longer is when unescaped came from a client that does not escape, and counts as it stands.

use std::borrow::Cow;

use einhorn_protocol::{error_code, framing, limit};
use thiserror::Error;

use super::json::{self, Entries};
use crate::log::shown;
use crate::psych::{self, Limits, ReadError, Value};

/// The language of a request, and of every reply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// JSON on one line.
    Json,
    /// Escaped YAML, as Ruby writes it.
    Yaml,
}

/// Why a line is no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Nothing but blanks.
    #[error("the line is empty, not a mapping")]
    Empty,
    /// A list or a scalar.
    #[error("the line is {found}, not a mapping")]
    NotMapping {
        /// What it is instead, with its article.
        found: &'static str,
    },
    /// The reader cannot make sense of it.
    #[error("cannot read the line: {reason}")]
    Syntax {
        /// What the reader says.
        reason: String,
    },
    /// Readers disagree on which of the two counts.
    #[error("the key \"{key}\" occurs twice")]
    DuplicateKey {
        /// The key, cut if it is long.
        key: String,
    },
    /// Over the limit: the connection is closed.
    #[error("nested deeper than {} levels", limit::NESTING_MAX)]
    TooDeep,
    /// More values than a request can need: the connection is closed.
    #[error("more than {values_max} keys and values in one message")]
    TooLarge {
        /// The limit.
        values_max: usize,
    },
    /// Not allowed in a request: the connection is closed.
    #[error("aliases are not allowed in a request")]
    Aliases,
}

impl Malformed {
    /// The stable code for the client.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty
            | Self::NotMapping { .. }
            | Self::Syntax { .. }
            | Self::DuplicateKey { .. } => error_code::MALFORMED,
            Self::TooDeep => error_code::TOO_DEEP,
            Self::TooLarge { .. } => error_code::TOO_LARGE,
            Self::Aliases => error_code::ALIASES,
        }
    }

    /// Whether a limit was passed, after which the connection is closed.
    pub fn closes(&self) -> bool {
        matches!(self, Self::TooDeep | Self::TooLarge { .. } | Self::Aliases)
    }
}

/// Reads a line without its newline, of which `text` is the unescaped form. The dialect is known
/// even where the line is no message; keys that are no text are left out.
pub(super) fn read<'t>(
    line: &'t [u8],
    text: &'t [u8],
    limits: &Limits,
) -> (Dialect, Result<Entries<'t>, Malformed>) {
    if let Some(object) = read_json(line, text, limits) {
        return (Dialect::Json, object);
    }
    let named = |(name, value)| match name {
        Value::String(name) => Some((Cow::Owned(name), value)),
        _ => None,
    };
    let message = read_yaml(text, limits).and_then(|message| match message {
        Value::Mapping(entries) => Ok(entries.into_iter().filter_map(named).collect()),
        other => Err(Malformed::NotMapping { found: describe(&other) }),
    });
    (Dialect::Yaml, message)
}

fn read_json<'t>(
    line: &'t [u8],
    text: &'t [u8],
    limits: &Limits,
) -> Option<Result<Entries<'t>, Malformed>> {
    let as_it_stands = || if line == text { None } else { json::read(line, limits) };
    json::read(text, limits).or_else(as_it_stands)
}

fn read_yaml(text: &[u8], limits: &Limits) -> Result<Value, Malformed> {
    if text.trim_ascii().is_empty() {
        return Err(Malformed::Empty);
    }
    psych::read(text, limits).map_err(|error| match error {
        ReadError::TooDeep { .. } => Malformed::TooDeep,
        ReadError::TooLarge { .. } => Malformed::TooLarge { values_max: limits.values_max },
        ReadError::Aliases { .. } => Malformed::Aliases,
        ReadError::DuplicateKey(key) => Malformed::DuplicateKey { key: shown(&key) },
        ReadError::Malformed { .. }
        | ReadError::NotUtf8 { .. }
        | ReadError::KeyNotScalar { .. }
        | ReadError::UnknownTag(_) => Malformed::Syntax { reason: error.to_string() },
    })
}

/// The other end of the socket: `request` as one line that every master reads, newline
/// included. It is JSON as far as that is YAML too, without `%` and in ASCII: nothing in it can be
/// unescaped, and a Ruby master falls over other bytes.
pub fn encode_request(request: &Value) -> Vec<u8> {
    let mut line = json::written::write_ascii(request);
    line.push('\n');
    line.into_bytes()
}

/// The other end of the socket: reads a reply of any master, without its newline.
///
/// # Errors
/// It is no message.
pub fn decode_reply(line: &[u8]) -> Result<Value, Malformed> {
    let limits = Limits { bytes_max: limit::REPLY_BYTES_MAX, ..Limits::state() };
    let text = framing::unescape(line);
    let json = read_json(line, &text, &limits).map(|object| object.map(json::mapping));
    match json.unwrap_or_else(|| read_yaml(&text, &limits))? {
        Value::Mapping(entries) => Ok(Value::Mapping(entries)),
        other => Err(Malformed::NotMapping { found: describe(&other) }),
    }
}

/// What `line` most likely speaks, where it cannot be read: for replies to a line that is too
/// long.
pub(super) fn guess(line: &[u8]) -> Dialect {
    match line.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Dialect::Json,
        _ => Dialect::Yaml,
    }
}

/// What a value is, with its article: for error messages.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Integer(_) | Value::BigInteger(_) => "an integer",
        Value::Float(_) => "a float",
        Value::String(_) => "a string",
        Value::Bytes(_) => "a string that is not UTF-8",
        Value::Symbol(_) => "a symbol",
        Value::Time(_) => "a time",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Set(_) => "a set",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an anchor keeps and each alias copies costs memory, not bytes of the line.
    #[test]
    fn a_reply_that_unfolds_to_the_limit_is_read_and_to_more_is_not() {
        let reply = |copies: usize| {
            let text = "x".repeat(limit::REPLY_BYTES_MAX / 64);
            decode_reply(format!("a: &a {text}\nb: [{}]\n", "*a, ".repeat(copies)).as_bytes())
        };
        assert!(reply(63).is_ok());
        let values_max = limit::STATE_VALUES_MAX;
        assert_eq!(reply(64), Err(Malformed::TooLarge { values_max }));
    }
}
