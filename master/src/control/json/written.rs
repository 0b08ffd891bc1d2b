//! JSON as it is written: one line that is YAML too, for clients that read nothing else. It has no
//! `%` and none of the characters that YAML forbids or takes for a line's end.
//!
//! What JSON has no word for becomes the nearest: a symbol its name, bytes their text with
//! replacement characters, a time its seconds since 1970, infinity and NaN `null`.

use std::fmt::Write as _;
use std::io::Write as _;

use einhorn_protocol::json_string;

use crate::psych::Value;

/// `value` as text.
pub(crate) fn write(value: &Value) -> String {
    let mut text = Vec::new();
    put(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
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

/// An object, appended to `out` entry by entry; [`Self::end`] closes it.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    before: u8,
}

impl<'o> Object<'o> {
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        Self { out, before: b'{' }
    }

    /// What is written are further entries of an object that is there.
    pub(crate) fn go_on(out: &'o mut Vec<u8>) -> Self {
        Self { out, before: b',' }
    }

    /// Entries that [`Self::go_on`] began, behind at least one.
    pub(crate) fn entries(&mut self, written: &[u8]) {
        self.out.extend_from_slice(written);
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        json_string::append(self.name(name), text);
    }

    pub(crate) fn value(&mut self, name: &str, value: &Value) {
        put(self.name(name), value);
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.push(std::mem::replace(&mut self.before, b','));
        json_string::append(self.out, name);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn end(self) {
        if self.before == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Value::Integer(number) => put_number(out, *number),
        Value::BigInteger(digits) => {
            out.extend_from_slice(digits.strip_prefix('+').unwrap_or(digits).as_bytes());
        }
        Value::Float(number) => put_number(out, *number),
        Value::String(text) | Value::Symbol(text) => json_string::append(out, text),
        Value::Bytes(bytes) => json_string::append(out, &String::from_utf8_lossy(bytes)),
        Value::Time(time) => put_seconds(out, time.nanoseconds),
        Value::Sequence(items) | Value::Set(items) => put_list(out, items),
        Value::Mapping(entries) => {
            let mut object = Object::begin(out);
            for (name, value) in entries {
                match name {
                    Value::String(name) | Value::Symbol(name) => object.value(name, value),
                    Value::Bytes(name) => object.value(&String::from_utf8_lossy(name), value),
                    // A key of an object is a string.
                    other => object.value(&write(other), value),
                }
            }
            object.end();
        }
    }
}

fn put_list(out: &mut Vec<u8>, items: &[Value]) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(out, item);
    }
    out.push(b']');
}

/// What JSON has no number for is `null` to the library too.
fn put_number(out: &mut Vec<u8>, number: impl serde::Serialize) {
    // To a vector, which takes all.
    let _ = serde_json::to_writer(out, &number);
}

fn put_seconds(out: &mut Vec<u8>, nanoseconds: i128) {
    const PER_SECOND: u128 = 1_000_000_000;
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let span = nanoseconds.unsigned_abs();
    let _ = write!(out, "{sign}{}.{:09}", span / PER_SECOND, span % PER_SECOND);
}
