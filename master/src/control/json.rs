//! JSON by RFC 8259, read with bounds and written so that every client reads it right.
//!
//! Values are those of [`Value`], so that the rules for requests and replies are the same for
//! both dialects. Duplicate keys are refused, since readers disagree on which one counts.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::{self, Write as _};

use einhorn_protocol::key;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::dialect::Malformed;
use crate::log::shown;
use crate::psych::{Limits, Value};

/// Up to so many keys are compared one by one; more are looked up.
const FEW_KEYS: usize = 16;

/// Reads `text` if it is a JSON object by RFC 8259, nested however deep; otherwise it is none of
/// this module's. Nearly every one is what it looks like, and is gone through once.
///
/// # Errors
/// Nested deeper or more values than `limits` allow, a duplicate key, a number that no double
/// holds, or half of a surrogate pair.
pub(crate) fn read(text: &[u8], limits: &Limits) -> Option<Result<Value, Malformed>> {
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))?;
    if *first != b'{' {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let reading = Reading { limits, fault: Cell::new(None), values: Cell::new(0) };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Reader { depth: 0, reading: &reading }.deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Some(Ok(value)),
        Err(error) => is_valid(text).then(|| {
            let syntax = || Malformed::Syntax { reason: format!("not valid JSON: {error}") };
            Err(reading.fault.take().unwrap_or_else(syntax))
        }),
    }
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

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.enter()?;
        let mut mapping: Vec<(Value, Value)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(name) = entries.next_key::<String>()? {
            inner.count()?;
            if mapping.len() == FEW_KEYS {
                seen.extend(
                    mapping.iter().filter_map(|(name, _)| name.as_name().map(str::to_owned)),
                );
            }
            let is_duplicate = if mapping.len() < FEW_KEYS {
                mapping.iter().any(|(other, _)| other.as_name() == Some(&name))
            } else {
                !seen.insert(name.clone())
            };
            if is_duplicate {
                return Err(self.fail(Malformed::DuplicateKey { key: shown(&name) }));
            }
            let is_id = self.depth == 0 && matches!(name.as_str(), key::ID | key::REQUEST_ID);
            let value = if is_id {
                exact(entries.next_value::<&RawValue>()?, inner).map_err(A::Error::custom)?
            } else {
                entries.next_value_seed(inner)?
            };
            mapping.push((Value::String(name), value));
        }
        Ok(Value::Mapping(mapping))
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

/// Writes `value` as one line of JSON that is YAML too, for clients that read nothing else:
/// no `%` and none of the characters that YAML forbids or takes for a line's end.
///
/// What JSON has no word for becomes the nearest: a symbol its name, bytes their text with
/// replacement characters, a time its seconds since 1970, infinity and NaN `null`.
pub(crate) fn write(value: &Value) -> String {
    let mut text = String::new();
    put(&mut text, value);
    text
}

/// Like [`write`], of a mapping with these keys.
pub(super) fn write_object(entries: &[(&str, &Value)]) -> String {
    let mut text = String::with_capacity(256);
    put_all(&mut text, ['{', '}'], entries, |out, (name, value)| {
        put_string(out, name);
        out.push(':');
        put(out, value);
    });
    text
}

/// Like [`write`], with everything beyond ASCII escaped, so that every reader of YAML reads it.
/// The two halves of a pair, as JSON has it, are none to YAML: a character above U+FFFF has YAML's
/// own escape, and a text with one is no JSON any more.
pub(crate) fn write_ascii(value: &Value) -> String {
    let mut text = String::new();
    for character in write(value).chars() {
        match u32::from(character) {
            0..0x80 => text.push(character),
            code @ 0x80..0x1_0000 => {
                let _ = write!(text, "\\u{code:04x}");
            }
            code => {
                let _ = write!(text, "\\U{code:08x}");
            }
        }
    }
    text
}

fn put(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::BigInteger(digits) => out.push_str(digits.strip_prefix('+').unwrap_or(digits)),
        Value::Float(number) => put_float(out, *number),
        Value::String(text) | Value::Symbol(text) => put_string(out, text),
        Value::Bytes(bytes) => put_string(out, &String::from_utf8_lossy(bytes)),
        Value::Time(time) => put_seconds(out, time.nanoseconds),
        Value::Sequence(items) | Value::Set(items) => {
            put_all(out, ['[', ']'], items, put);
        }
        Value::Mapping(entries) => put_all(out, ['{', '}'], entries, |out, (name, value)| {
            put_name(out, name);
            out.push(':');
            put(out, value);
        }),
    }
}

fn put_all<T>(out: &mut String, [open, close]: [char; 2], items: &[T], put: fn(&mut String, &T)) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        put(out, item);
    }
    out.push(close);
}

/// A key of an object, which JSON wants as a string.
fn put_name(out: &mut String, name: &Value) {
    match name {
        Value::String(_) | Value::Symbol(_) | Value::Bytes(_) => put(out, name),
        other => put_string(out, &write(other)),
    }
}

fn put_float(out: &mut String, number: f64) {
    match serde_json::Number::from_f64(number) {
        Some(number) => out.push_str(&number.to_string()),
        None => out.push_str("null"),
    }
}

fn put_seconds(out: &mut String, nanoseconds: i128) {
    const PER_SECOND: u128 = 1_000_000_000;
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let span = nanoseconds.unsigned_abs();
    let _ = write!(out, "{sign}{}.{:09}", span / PER_SECOND, span % PER_SECOND);
}

fn put_string(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'%'))
    {
        out.push_str(text);
        out.push('"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            special if is_escaped(special) => {
                let _ = write!(out, "\\u{:04x}", u32::from(special));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}

/// All below U+10000, so that four digits are enough.
fn is_escaped(character: char) -> bool {
    character.is_control()
        || matches!(character, '%' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests;
