//! JSON by RFC 8259, read with bounds; [`written`] so that every client reads it right.
//!
//! Values are those of [`Value`], so that the rules for requests and replies are the same for
//! both dialects. Duplicate keys are refused, since readers disagree on which one counts.

pub(crate) mod written;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use einhorn_protocol::key;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::dialect::Malformed;
use crate::log::shown;
use crate::psych::{Limits, Value};

/// Up to so many keys are compared one by one; more are looked up.
const FEW_KEYS: usize = 16;

/// What an object says, in its order. A key without escapes is the text's own.
pub(crate) type Entries<'t> = Vec<(Cow<'t, str>, Value)>;

/// Reads `text` if it is a JSON object by RFC 8259, nested however deep; otherwise it is none of
/// this module's. Nearly every one is what it looks like, and is gone through once.
///
/// # Errors
/// Nested deeper or more values than `limits` allow, a duplicate key, a number that no double
/// holds, or half of a surrogate pair.
pub(crate) fn read<'t>(text: &'t [u8], limits: &Limits) -> Option<Result<Entries<'t>, Malformed>> {
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))?;
    if *first != b'{' {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let reading = Reading { limits, fault: Cell::new(None), values: Cell::new(0) };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = Whole(Reader { depth: 0, reading: &reading }).deserialize(&mut deserializer);
    match entries.and_then(|entries| deserializer.end().map(|()| entries)) {
        Ok(entries) => Some(Ok(entries)),
        Err(error) => is_valid(text).then(|| {
            let syntax = || Malformed::Syntax { reason: format!("not valid JSON: {error}") };
            Err(reading.fault.take().unwrap_or_else(syntax))
        }),
    }
}

/// The entries as a value of their own.
pub(crate) fn mapping(entries: Entries<'_>) -> Value {
    let owned = |(name, value): (Cow<'_, str>, Value)| (Value::String(name.into_owned()), value);
    Value::Mapping(entries.into_iter().map(owned).collect())
}

/// Whether a text is JSON. Does not recurse.
fn is_valid(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// What the reading of one text has come to.
struct Reading<'l> {
    limits: &'l Limits,
    /// Says more than the error that ended it.
    fault: Cell<Option<Malformed>>,
    /// Keys and values so far.
    values: Cell<usize>,
}

/// Reads one value at `depth` collections deep.
#[derive(Clone, Copy)]
struct Reader<'r> {
    depth: usize,
    reading: &'r Reading<'r>,
}

impl Reader<'_> {
    fn fail<E: serde::de::Error>(self, fault: Malformed) -> E {
        let error = E::custom(&fault);
        self.reading.fault.set(Some(fault));
        error
    }

    /// Counts one key or value.
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let values = self.reading.values.get() + 1;
        self.reading.values.set(values);
        let values_max = self.reading.limits.values_max;
        if values > values_max {
            return Err(self.fail(Malformed::TooLarge { values_max }));
        }
        Ok(())
    }

    /// The reader of what a collection at this depth contains.
    fn enter<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= self.reading.limits.nesting_max {
            return Err(self.fail(Malformed::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn entries<'de, A: MapAccess<'de>>(self, mut entries: A) -> Result<Entries<'de>, A::Error> {
        let inner = self.enter()?;
        let mut read: Entries<'de> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(name) = entries.next_key_seed(Name)? {
            inner.count()?;
            if read.len() == FEW_KEYS {
                seen.extend(read.iter().map(|(name, _)| name.clone()));
            }
            let is_duplicate = if read.len() < FEW_KEYS {
                read.iter().any(|(other, _)| *other == name)
            } else {
                !seen.insert(name.clone())
            };
            if is_duplicate {
                return Err(self.fail(Malformed::DuplicateKey { key: shown(&name) }));
            }
            let is_id = self.depth == 0 && matches!(&*name, key::ID | key::REQUEST_ID);
            let value = if is_id {
                exact(entries.next_value::<&RawValue>()?, inner).map_err(A::Error::custom)?
            } else {
                entries.next_value_seed(inner)?
            };
            read.push((name, value));
        }
        Ok(read)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value)
            .map_or_else(|_| Value::BigInteger(value.to_string()), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.enter()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Sequence(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Value, A::Error> {
        self.entries(entries).map(mapping)
    }
}

/// Reads an object that is in no other.
struct Whole<'r>(Reader<'r>);

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Entries<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entries<'de>, D::Error> {
        self.0.count()?;
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Entries<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Entries<'de>, A::Error> {
        self.0.entries(entries)
    }
}

/// Reads a key.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Reads a value whose number is the one that was written, to the last digit of an integer:
/// an id is repeated in every reply.
fn exact(raw: &RawValue, reader: Reader<'_>) -> Result<Value, serde_json::Error> {
    let text = raw.get();
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return reader.deserialize(&mut serde_json::Deserializer::from_str(text));
    }
    if let Ok(number) = text.parse() {
        return Ok(Value::Integer(number));
    }
    if !text.contains(['.', 'e', 'E']) {
        return Ok(Value::BigInteger(text.to_owned()));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(serde_json::Error::custom("number out of range")),
    }
}

#[cfg(test)]
mod tests;
