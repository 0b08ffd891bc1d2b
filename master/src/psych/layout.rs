//! Writing: a whole document, laid out as Psych lays it out.

use super::quote;
use super::value::Value;

/// Longest scalar that stands before its colon. Readers look for the colon within 1,024
/// characters; a longer key is announced by `? `.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// Writes `value` as a document that begins with `---` and ends with a line break, in ASCII.
pub fn write(value: &Value) -> String {
    let mut writer = Writer { text: "---".to_owned() };
    writer.node(value, 0, After::Marker);
    writer.text
}

/// What stands before a value on its line.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// `---` or a key's colon: lists and mappings begin on the next line.
    Marker,
    /// `-`, or `?` and its `:`: lists and mappings begin on the same line.
    Dash,
}

struct Writer {
    text: String,
}

impl Writer {
    /// Writes what follows a marker or dash, line break included. The lines of a list or
    /// mapping begin at `column`.
    fn node(&mut self, value: &Value, column: usize, after: After) {
        match value {
            Value::Sequence(items) if items.is_empty() => self.text.push_str(" []\n"),
            Value::Mapping(entries) if entries.is_empty() => self.text.push_str(" {}\n"),
            Value::Sequence(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.begin(place, column, after);
                    self.text.push('-');
                    self.node(item, column + 2, After::Dash);
                }
            }
            Value::Mapping(entries) => {
                for (place, (key, value)) in entries.iter().enumerate() {
                    self.begin(place, column, after);
                    self.entry(key, value, column);
                }
            }
            Value::Set(members) => self.set(members, column),
            scalar => self.scalar(scalar),
        }
    }

    fn scalar(&mut self, value: &Value) {
        let text = quote::scalar(value).unwrap_or_default();
        if !text.is_empty() {
            self.text.push(' ');
            self.text.push_str(&text);
        }
        self.text.push('\n');
    }

    /// Goes to where the list item or entry number `place` begins.
    fn begin(&mut self, place: usize, column: usize, after: After) {
        match (place, after) {
            (0, After::Dash) => self.text.push(' '),
            (0, After::Marker) => {
                self.text.push('\n');
                self.indent(column);
            }
            _ => self.indent(column),
        }
    }

    fn indent(&mut self, column: usize) {
        self.text.extend(std::iter::repeat_n(' ', column));
    }

    fn entry(&mut self, key: &Value, value: &Value, column: usize) {
        let simple = match key {
            Value::Null => Some("~".to_owned()),
            key => quote::scalar(key).filter(|text| text.len() <= SIMPLE_KEY_BYTES_MAX),
        };
        if let Some(key) = simple {
            self.text.push_str(&key);
            self.text.push(':');
            self.value_of_entry(value, column);
        } else {
            self.text.push('?');
            self.node(key, column + 2, After::Dash);
            self.indent(column);
            self.text.push(':');
            self.node(value, column + 2, After::Dash);
        }
    }

    /// A list stands at its key's own column, a mapping two further.
    fn value_of_entry(&mut self, value: &Value, column: usize) {
        let column = if matches!(value, Value::Sequence(_)) { column } else { column + 2 };
        self.node(value, column, After::Marker);
    }

    fn set(&mut self, members: &[Value], column: usize) {
        self.text.push_str(" !ruby/object:Set\n");
        self.indent(column);
        self.text.push_str("hash:");
        if members.is_empty() {
            self.text.push_str(" {}\n");
            return;
        }
        for (place, member) in members.iter().enumerate() {
            self.begin(place, column + 2, After::Marker);
            self.entry(member, &Value::Bool(true), column + 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::moment::WallTime;
    use crate::psych::Value;

    fn symbol(name: &str) -> Value {
        Value::Symbol(name.to_owned())
    }

    fn list(items: &[Value]) -> Value {
        Value::Sequence(items.to_vec())
    }

    fn map(entries: &[(Value, Value)]) -> Value {
        Value::Mapping(entries.to_vec())
    }

    #[test]
    fn documents_of_one_scalar() {
        assert_eq!(write(&Value::Null), "---\n");
        assert_eq!(write(&Value::Integer(3)), "--- 3\n");
        assert_eq!(write(&"a b".into()), "--- a b\n");
        assert_eq!(write(&list(&[])), "--- []\n");
        assert_eq!(write(&map(&[])), "--- {}\n");
        assert_eq!(write(&Value::Set(vec![])), "--- !ruby/object:Set\nhash: {}\n");
    }

    #[test]
    fn the_layout_of_a_state() {
        let child = map(&[
            (symbol("type"), symbol("worker")),
            (symbol("signaled"), Value::Set(vec!["USR2".into()])),
            (symbol("last_signaled_at"), Value::Null),
            (symbol("spinup_time"), Value::Time(WallTime { nanoseconds: 1_500_000_000 })),
        ]);
        let options = list(&[list(&["127.0.0.1".into(), Value::Integer(0), list(&["n".into()])])]);
        let state = map(&[
            (symbol("children"), map(&[(Value::Integer(45), child)])),
            (symbol("bind"), options),
            (symbol("versions"), map(&[])),
            (
                symbol("fds"),
                list(&[map(&[(symbol("fd"), Value::Integer(8)), ("a".into(), list(&[]))])]),
            ),
        ]);
        let expect = "\
---
:children:
  45:
    :type: :worker
    :signaled: !ruby/object:Set
      hash:
        USR2: true
    :last_signaled_at:
    :spinup_time: 1970-01-01 00:00:01.500000000 Z
:bind:
- - 127.0.0.1
  - 0
  - - \"n\"
:versions: {}
:fds:
- :fd: 8
  a: []
";
        assert_eq!(write(&state), expect);
    }

    #[test]
    fn sets_and_nothing_in_a_list() {
        let value = list(&[Value::Null, Value::Set(vec!["A".into()]), Value::Set(vec![])]);
        let expect = "\
---
-
- !ruby/object:Set
  hash:
    A: true
- !ruby/object:Set
  hash: {}
";
        assert_eq!(write(&value), expect);
    }

    #[test]
    fn keys_of_every_kind() {
        let long = "k".repeat(2000);
        let value = map(&[
            (Value::Null, Value::Integer(1)),
            (Value::Bool(true), Value::Integer(2)),
            (long.as_str().into(), list(&[Value::Integer(3)])),
            (list(&[Value::Integer(1), Value::Integer(2)]), map(&[("a".into(), Value::Null)])),
        ]);
        let expect = format!("---\n~: 1\ntrue: 2\n? {long}\n: - 3\n? - 1\n  - 2\n: a:\n");
        assert_eq!(write(&value), expect);
    }
}
