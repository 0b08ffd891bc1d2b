//! How single values cross: a type, its form in YAML, and what to say if it is not there.

use std::collections::{BTreeMap, BTreeSet};

use super::note::{Note, StateError, found, key};
use super::snapshot::Bytes;
use crate::moment::WallTime;
use crate::psych::Value;

/// Most notes about one state; a hostile one could ask for a line for each of its bytes.
const NOTES_MAX: usize = 200;

/// A type that crosses a reload.
pub(super) trait Portable: Sized {
    /// To complete "expected …".
    const EXPECTED: &'static str;

    /// Its form.
    fn to_value(&self) -> Value;

    /// The inverse of [`Self::to_value`]. `None` if `value` is of the wrong type; what is
    /// wrong inside of it is noted and left out.
    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self>;

    /// Whether there is nothing to write where the key may be left out.
    fn is_nothing(&self) -> bool {
        false
    }
}

/// A [`Portable`] type that is found in lists.
pub(super) trait Item: Portable {
    /// To complete "expected …" for a list of them.
    const LIST_EXPECTED: &'static str;
}

/// Where a reader stands, and what it has to say.
#[derive(Debug, Default)]
pub(super) struct Reader {
    path: Vec<String>,
    notes: Vec<Note>,
    left_out: usize,
    fatal: Option<StateError>,
}

impl Reader {
    /// Reads the value below `name`; of the wrong type it is noted, and `None`.
    pub(super) fn read<T: Portable>(&mut self, name: &str, value: &Value) -> Option<T> {
        self.below(name, |reader| {
            let read = T::from_value(value, reader);
            if read.is_none() {
                reader.unexpected(T::EXPECTED, value);
            }
            read
        })
    }

    /// As [`Self::read`], but of the wrong type it makes the whole state useless.
    pub(super) fn read_essential<T: Portable>(&mut self, name: &str, value: &Value) -> Option<T> {
        self.below(name, |reader| {
            let read = T::from_value(value, reader);
            if read.is_none() && reader.fatal.is_none() {
                let (place, expected) = (reader.place(), T::EXPECTED);
                reader.fatal =
                    Some(StateError::Unexpected { place, expected, found: found(value) });
            }
            read
        })
    }

    /// Runs `read` one step further down.
    pub(super) fn below<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let result = read(self);
        self.path.pop();
        result
    }

    /// Notes a key that nobody knows.
    pub(super) fn unknown(&mut self, name: &Value) {
        let place = self.below(&key(name), |reader| reader.place());
        self.note(Note::Unknown { place });
    }

    /// Notes a key that should be there.
    pub(super) fn missing(&mut self, name: &str) {
        let place = self.below(&symbol_text(name), |reader| reader.place());
        self.note(Note::Missing { place });
    }

    /// Notes a value of the wrong type, here.
    pub(super) fn unexpected(&mut self, expected: &'static str, value: &Value) {
        let place = self.place();
        self.note(Note::Unexpected { place, expected, found: found(value) });
    }

    /// Notes anything else, as far as there is room.
    pub(super) fn note(&mut self, note: Note) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        } else {
            self.left_out += 1;
        }
    }

    /// Everything that there was to say.
    pub(super) fn finish(mut self) -> Result<Vec<Note>, StateError> {
        if let Some(error) = self.fatal {
            return Err(error);
        }
        if self.left_out > 0 {
            self.notes.push(Note::More { count: self.left_out });
        }
        Ok(self.notes)
    }

    fn place(&self) -> String {
        self.path.join(": ")
    }
}

/// `name` as a symbol is written.
pub(super) fn symbol_text(name: &str) -> String {
    format!(":{name}")
}

/// A symbol.
pub(super) fn symbol(name: &str) -> Value {
    Value::Symbol(name.to_owned())
}

impl Portable for bool {
    const EXPECTED: &'static str = "true or false";

    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }

    fn from_value(value: &Value, _: &mut Reader) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(*truth),
            Value::Null => Some(false),
            _ => None,
        }
    }
}

macro_rules! integers {
    ($($number:ty: $expected:literal;)*) => {$(
        impl Portable for $number {
            const EXPECTED: &'static str = $expected;

            fn to_value(&self) -> Value {
                match i64::try_from(*self) {
                    Ok(number) => Value::Integer(number),
                    Err(_) => Value::BigInteger(self.to_string()),
                }
            }

            fn from_value(value: &Value, _: &mut Reader) -> Option<Self> {
                match value {
                    Value::Integer(number) => Self::try_from(*number).ok(),
                    Value::BigInteger(digits) => digits.parse().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integers! {
    u8: "an integer from 0 to 255";
    u16: "an integer from 0 to 65535";
    u32: "an integer from 0 to 4294967295";
    u64: "an integer from 0 to 18446744073709551615";
    i32: "an integer of 32 bits";
}

impl Item for i32 {
    const LIST_EXPECTED: &'static str = "a list of integers";
}

impl Portable for f64 {
    const EXPECTED: &'static str = "a finite number";

    fn to_value(&self) -> Value {
        Value::Float(*self)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds need no more than 53 bits")]
    fn from_value(value: &Value, _: &mut Reader) -> Option<Self> {
        match value {
            Value::Float(number) if number.is_finite() => Some(*number),
            Value::Integer(number) => Some(*number as Self),
            _ => None,
        }
    }
}

impl Portable for WallTime {
    const EXPECTED: &'static str = "a time";

    fn to_value(&self) -> Value {
        Value::Time(*self)
    }

    fn from_value(value: &Value, _: &mut Reader) -> Option<Self> {
        match value {
            Value::Time(time) => Some(*time),
            _ => None,
        }
    }
}

impl Portable for Bytes {
    const EXPECTED: &'static str = "a string";

    fn to_value(&self) -> Value {
        Value::from_bytes(self.clone())
    }

    /// A word that looks like a number is one to whoever wrote it without quotes.
    fn from_value(value: &Value, _: &mut Reader) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(number.to_string().into_bytes()),
            Value::Symbol(name) => Some(name.clone().into_bytes()),
            other => other.as_bytes().map(<[u8]>::to_vec),
        }
    }
}

impl Item for Bytes {
    const LIST_EXPECTED: &'static str = "a list of strings";
}

impl Portable for String {
    const EXPECTED: &'static str = "text";

    fn to_value(&self) -> Value {
        Value::String(self.clone())
    }

    fn from_value(value: &Value, _: &mut Reader) -> Option<Self> {
        value.as_name().map(str::to_owned)
    }
}

impl Item for String {
    const LIST_EXPECTED: &'static str = "a list of strings";
}

/// Names in a Ruby `Set`.
impl Portable for BTreeSet<String> {
    const EXPECTED: &'static str = "a set of strings";

    fn to_value(&self) -> Value {
        Value::Set(self.iter().map(String::to_value).collect())
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        match value {
            Value::Null => Some(Self::new()),
            Value::Set(members) | Value::Sequence(members) => {
                members.iter().map(|member| String::from_value(member, reader)).collect()
            }
            _ => None,
        }
    }
}

impl<T: Portable> Portable for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value, reader).map(Some),
        }
    }

    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

impl Item for Option<u16> {
    const LIST_EXPECTED: &'static str = "a list of ports";
}

/// Anything that a client said. Nothing said and `nil` said are two things.
impl Portable for Option<Value> {
    const EXPECTED: &'static str = "anything";

    fn to_value(&self) -> Value {
        self.clone().unwrap_or(Value::Null)
    }

    fn from_value(value: &Value, _: &mut Reader) -> Option<Self> {
        Some(Some(value.clone()))
    }

    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

/// One wrong item makes the list wrong: others are aligned with it.
impl<T: Item> Portable for Vec<T> {
    const EXPECTED: &'static str = T::LIST_EXPECTED;

    fn to_value(&self) -> Value {
        Value::Sequence(self.iter().map(T::to_value).collect())
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        match value {
            Value::Sequence(items) => {
                items.iter().map(|item| T::from_value(item, reader)).collect()
            }
            _ => None,
        }
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

/// By pid or descriptor. A wrong entry is noted and left out; a pid below 1 would be a whole
/// group of processes to kill(2).
impl<T: Portable> Portable for BTreeMap<i32, T> {
    const EXPECTED: &'static str = "a mapping with numbers above 0 as keys";

    fn to_value(&self) -> Value {
        let entry = |(key, value): (&i32, &T)| (Value::Integer((*key).into()), value.to_value());
        Value::Mapping(self.iter().map(entry).collect())
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        let Value::Mapping(entries) = value else { return None };
        let mut map = Self::new();
        for (name, value) in entries {
            let Some(number) = i32::from_value(name, reader).filter(|number| *number > 0) else {
                reader.unknown(name);
                continue;
            };
            if let Some(value) = reader.read(&key(name), value) {
                map.insert(number, value);
            }
        }
        Some(map)
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

/// A file, as device and inode.
impl Portable for (u64, u64) {
    const EXPECTED: &'static str = "a list of two integers";

    fn to_value(&self) -> Value {
        Value::Sequence(vec![self.0.to_value(), self.1.to_value()])
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        match value {
            Value::Sequence(items) => match items.as_slice() {
                [first, second] => {
                    Some((u64::from_value(first, reader)?, u64::from_value(second, reader)?))
                }
                _ => None,
            },
            _ => None,
        }
    }
}
