//! What a YAML document can say to us, as plain data.

use crate::moment::WallTime;

/// A value as Ruby's YAML library would read it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `nil`: empty, `~` or `null`.
    Null,
    /// `true`, `false` and YAML 1.1's other words for them.
    Bool(bool),
    /// An integer that fits.
    Integer(i64),
    /// An integer that does not fit into 64 bits, by its digits and sign.
    BigInteger(String),
    /// A floating-point number, `.inf` and `.nan` included.
    Float(f64),
    /// Text.
    String(String),
    /// A string that is not UTF-8 (`!binary`).
    Bytes(Vec<u8>),
    /// A Ruby symbol, without its colon.
    Symbol(String),
    /// A point in time.
    Time(WallTime),
    /// A list.
    Sequence(Vec<Value>),
    /// A mapping in the order of the text. Keys are unique after reading.
    Mapping(Vec<(Value, Value)>),
    /// A Ruby `Set`.
    Set(Vec<Value>),
}

impl Value {
    /// A string of any bytes: [`Value::String`] if they are UTF-8, else [`Value::Bytes`].
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::String(text),
            Err(error) => Self::Bytes(error.into_bytes()),
        }
    }

    /// The value under the string key or symbol key `name`, if this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Mapping(entries) = self else { return None };
        entries.iter().find_map(|(key, value)| match key {
            Self::String(text) | Self::Symbol(text) if text == name => Some(value),
            _ => None,
        })
    }

    /// The text, if this is a string in UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if this is a string of any kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number, if this is an integer of 64 bits.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether this is neither a list nor a mapping nor a set.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Self::Sequence(_) | Self::Mapping(_) | Self::Set(_))
    }

    /// What this is, for an error message: `a list`, `an integer`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::BigInteger(_) => "an integer",
            Self::Float(_) => "a floating-point number",
            Self::String(_) | Self::Bytes(_) => "a string",
            Self::Symbol(_) => "a symbol",
            Self::Time(_) => "a time",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
            Self::Set(_) => "a set",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}
