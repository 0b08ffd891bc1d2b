//! Mappings with symbols as keys: a table of rows says which field stands under which key.

use super::portable::{Portable, Reader, symbol, symbol_text};
use crate::psych::Value;

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No master could go on with a value of the wrong type here.
    Essential,
    /// Always written; worth a note if it is missing.
    Needed,
    /// Always written; older masters don't know it.
    Usual,
    /// Written only where there is something to say.
    Optional,
}

/// A key and its kind.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
}

/// A struct whose fields stand in a mapping under their own names.
pub(super) trait Record: Default {
    /// In the order of writing.
    const ROWS: &'static [Row];

    /// The form of a field; `None` if it is left out.
    fn field(&self, row: &Row) -> Option<Value>;

    /// Sets the field `key`. A value of the wrong type is noted and changes nothing.
    fn set_field(&mut self, row: &Row, value: &Value, reader: &mut Reader);

    /// Its entries, in order.
    fn entries(&self) -> Vec<(Value, Value)> {
        Self::ROWS.iter().filter_map(|row| Some((symbol(row.key), self.field(row)?))).collect()
    }

    /// Reads it from a mapping. Keys in `others` are somebody else's business.
    fn from_entries(entries: &[(Value, Value)], others: &[&str], reader: &mut Reader) -> Self {
        let mut record = Self::default();
        let mut seen = vec![false; Self::ROWS.len()];
        for (key, value) in entries {
            let name = key.as_name().unwrap_or_default();
            if others.contains(&name) {
                continue;
            }
            let rows = Self::ROWS.iter().zip(&mut seen);
            match rows.into_iter().find(|(row, _)| row.key == name) {
                Some((row, seen)) => {
                    *seen = true;
                    record.set_field(row, value, reader);
                }
                None => reader.unknown(key),
            }
        }
        for (row, seen) in Self::ROWS.iter().zip(seen) {
            if !seen && matches!(row.kind, Kind::Essential | Kind::Needed) {
                reader.missing(row.key);
            }
        }
        record
    }
}

/// Reads one field into `target`.
pub(super) fn read_into<T: Portable>(
    target: &mut T,
    row: &Row,
    value: &Value,
    reader: &mut Reader,
) {
    let name = symbol_text(row.key);
    let read = match row.kind {
        Kind::Essential => reader.read_essential(&name, value),
        Kind::Needed | Kind::Usual | Kind::Optional => reader.read(&name, value),
    };
    if let Some(read) = read {
        *target = read;
    }
}

/// The form of one field.
pub(super) fn written<T: Portable>(field: &T, row: &Row) -> Option<Value> {
    let left_out = row.kind == Kind::Optional && field.is_nothing();
    (!left_out).then(|| field.to_value())
}

impl<R: Record> Portable for R {
    const EXPECTED: &'static str = "a mapping";

    fn to_value(&self) -> Value {
        Value::Mapping(self.entries())
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        let Value::Mapping(entries) = value else { return None };
        Some(Self::from_entries(entries, &[], reader))
    }
}

/// Makes a struct a [`Record`]: a row `Kind field` for each field that crosses.
macro_rules! record {
    ($record:ty, { $($kind:ident $field:ident,)* }) => {
        impl Record for $record {
            const ROWS: &'static [Row] = &[$(Row { key: stringify!($field), kind: Kind::$kind }),*];

            fn field(&self, row: &Row) -> Option<Value> {
                match row.key {
                    $(stringify!($field) => written(&self.$field, row),)*
                    _ => None,
                }
            }

            fn set_field(&mut self, row: &Row, value: &Value, reader: &mut Reader) {
                match row.key {
                    $(stringify!($field) => read_into(&mut self.$field, row, value, reader),)*
                    _ => {}
                }
            }
        }
    };
}
pub(super) use record;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::snapshot::{Config, Ours, Snapshot};
    use super::*;

    fn keys<R: Record>(record: &R) -> Vec<&'static str> {
        R::ROWS.iter().filter(|row| record.field(row).is_some()).map(|row| row.key).collect()
    }

    /// Other masters find no key that they need not know, and each that they look for.
    #[test]
    fn only_optional_keys_are_left_out_and_only_with_nothing_to_say() {
        fn all_but_optional<R: Record>() -> Vec<&'static str> {
            R::ROWS.iter().filter(|row| row.kind != Kind::Optional).map(|row| row.key).collect()
        }
        assert_eq!(keys(&Snapshot::default()), all_but_optional::<Snapshot>());
        assert_eq!(keys(&Ours::default()), all_but_optional::<Ours>());
        assert_eq!(keys(&Config::default()), ["number", "backlog", "seconds"]);
        let some = Config { max_unacked: Some(0), ..Config::default() };
        assert_eq!(keys(&some), ["number", "backlog", "seconds", "max_unacked"]);
    }

    #[test]
    fn nothing_is_an_absent_value_or_an_empty_collection_and_no_zero() {
        let row = |kind| Row { key: "number", kind };
        let usual = row(Kind::Usual);
        let row = row(Kind::Optional);
        assert_eq!(written(&None::<u64>, &row), None);
        assert_eq!(written(&Vec::<i32>::new(), &row), None);
        assert_eq!(written(&BTreeMap::<i32, u64>::new(), &row), None);
        assert_eq!(written(&Some(0_u64), &row), Some(Value::Integer(0)));
        assert_eq!(written(&0_u64, &row), Some(Value::Integer(0)));
        assert_eq!(written(&false, &row), Some(Value::Bool(false)));
        assert_eq!(written(&None::<u64>, &usual), Some(Value::Null));
    }
}
