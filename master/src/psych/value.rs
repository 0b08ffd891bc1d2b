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
    /// The value under the string key or symbol key `name`, if this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Mapping(entries) = self else { return None };
        entries.iter().find_map(|(key, value)| match key {
            Self::String(text) | Self::Symbol(text) if text == name => Some(value),
            _ => None,
        })
    }
}
