//! What a YAML document can say to us, as plain data.

use crate::moment::WallTime;

/// A value as Ruby's YAML library would read it.
///
/// Two values are equal if they are written the same: not-a-number equals itself, and the two
/// zeros differ.
#[derive(Clone, Debug)]
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

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Integer(left), Self::Integer(right)) => left == right,
            (Self::Float(left), Self::Float(right)) => {
                left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
            }
            (Self::BigInteger(left), Self::BigInteger(right))
            | (Self::String(left), Self::String(right))
            | (Self::Symbol(left), Self::Symbol(right)) => left == right,
            (Self::Bytes(left), Self::Bytes(right)) => left == right,
            (Self::Time(left), Self::Time(right)) => left == right,
            (Self::Sequence(left), Self::Sequence(right)) | (Self::Set(left), Self::Set(right)) => {
                left == right
            }
            (Self::Mapping(left), Self::Mapping(right)) => left == right,
            _ => false,
        }
    }
}

impl Eq for Value {}

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
        entries.iter().find(|(key, _)| key.as_name() == Some(name)).map(|(_, value)| value)
    }

    /// The text, if this is a string in UTF-8 or a symbol.
    pub fn as_name(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Symbol(text) => Some(text),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn equal_is_what_is_written_the_same() {
        assert_eq!(Value::Float(f64::NAN), Value::Float(f64::NAN));
        assert_ne!(Value::Float(0.0), Value::Float(-0.0));
        assert_ne!(Value::Float(1.0), Value::Integer(1));
        assert_ne!(Value::Symbol("a".into()), Value::String("a".into()));
        assert_eq!(Value::from_bytes(b"a".to_vec()), "a".into());
        assert_eq!(Value::from_bytes(vec![0xFF]), Value::Bytes(vec![0xFF]));
    }

    #[test]
    fn names_are_found_as_strings_and_as_symbols() {
        let mapping = Value::Mapping(vec![
            ("a".into(), 1.into()),
            (Value::Symbol("b".into()), 2.into()),
            (3.into(), 4.into()),
        ]);
        assert_eq!(mapping.get("a"), Some(&1.into()));
        assert_eq!(mapping.get("b"), Some(&2.into()));
        assert_eq!(mapping.get("3"), None);
        assert_eq!(Value::Null.get("a"), None);
    }
}
