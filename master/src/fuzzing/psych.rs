//! The reader of Ruby's YAML: any bytes are read within the limits or refused, and what was
//! read is written so that it reads the same.

use super::{RECORDED_STATES, owned, recorded_lines};
use crate::psych::{self, Limits, ReadError, Value};

/// As for a state, but so small that an input of some KiB can pass them.
const SMALL: Limits =
    Limits { bytes_max: 1 << 16, nesting_max: 20, values_max: 5000, ..Limits::state() };
/// For what was just written. A set that stood on one level is written on two.
const WRITTEN: Limits = Limits {
    bytes_max: usize::MAX,
    nesting_max: 2 * SMALL.nesting_max,
    values_max: 2 * SMALL.values_max + 2,
    ..SMALL
};
/// Most bytes of a document for each value in it, indents and tags included, and for each byte
/// of its texts: `\U0001F984` for four.
const BYTES_A_VALUE: usize = 2 * 2 * SMALL.nesting_max + 40;
const BYTES_A_BYTE: usize = 4;

pub(super) fn run(data: &[u8]) {
    let small = psych::read(data, &SMALL);
    let request = psych::read(data, &Limits { aliases: psych::Aliases::Refused, ..SMALL });
    match (&small, &request) {
        (Err(error), _) => check_error(error),
        (Ok(value), Ok(other)) => assert_eq!(value, other, "the same without aliases"),
        (Ok(_), Err(error)) => {
            assert!(matches!(error, ReadError::Aliases { .. }), "{error}");
        }
    }
    let Ok(value) = small else {
        assert!(request.is_err(), "refused with aliases and taken without");
        return;
    };
    let count = Count::of(&value);
    assert!(count.values <= SMALL.values_max, "{} values", count.values);
    assert!(count.bytes <= data.len() + SMALL.bytes_max, "{} bytes of text", count.bytes);
    assert!(count.height <= SMALL.nesting_max, "{} levels", count.height);
    let text = psych::write(&value);
    assert!(text.is_ascii(), "{text}");
    let most = 4 + count.values * BYTES_A_VALUE + count.bytes * BYTES_A_BYTE;
    assert!(text.len() <= most, "{} bytes written, at most {most}", text.len());
    assert_eq!(psych::read(text.as_bytes(), &WRITTEN).as_ref(), Ok(&value), "{text}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let scalars = "- ~\n- yes\n- 1_000\n- 0o7\n- 0x1F\n- -0b11\n- 12:30:45\n- 1.5e+3\n- -.inf\n\
                   - 2026-11-23 10:18:47.520615809 +00:00\n- 2026-11-23\n- :sym\n- :\"a b\"\n- =\n\
                   - \"\\u2603\\x85\\N\"\n- 'it''s'\n- 99999999999999999999\n";
    let tags = "- ! '1'\n- !binary |-\n  Ymlu/w==\n- !ruby/symbol a b\n- !!float 1\n- !!str 1\n\
                - !ruby/object:Set\n  hash:\n    a: true\n- !ruby/set {b: true}\n- !!set {c: }\n";
    let shapes = "? long\n: - a\n- b\n---\nkey: |\n  text\n  more\nfolded: >-\n  a\n\n  b\n\
                  flow: {a: [1, 2], \"b\": }\n<<: &x {y: 1}\nz: *x\n...\n";
    let mut seeds = owned(&RECORDED_STATES);
    seeds.extend(owned(&[scalars, tags, shapes, "[&a {k: v}, *a, *a]", ""]));
    let unescaped = recorded_lines().into_iter().map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        einhorn_protocol::framing::unescape(line).into_owned()
    });
    seeds.extend(unescaped);
    seeds
}

fn check_error(error: &ReadError) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 1000, "{} bytes: {text}", text.len());
}

/// What a value is made of.
#[derive(Default)]
struct Count {
    values: usize,
    bytes: usize,
    height: usize,
}

impl Count {
    fn of(value: &Value) -> Self {
        let mut count = Self { values: 1, ..Self::default() };
        match value {
            Value::String(text) | Value::Symbol(text) | Value::BigInteger(text) => {
                count.bytes = text.len();
            }
            Value::Bytes(bytes) => count.bytes = bytes.len(),
            Value::Sequence(items) | Value::Set(items) => count.add(items.iter()),
            Value::Mapping(entries) => {
                count.add(entries.iter().flat_map(|(key, value)| [key, value]));
            }
            _ => {}
        }
        count
    }

    fn add<'a>(&mut self, inner: impl Iterator<Item = &'a Value>) {
        self.height = 1;
        for value in inner {
            let count = Self::of(value);
            self.values += count.values;
            self.bytes += count.bytes;
            self.height = self.height.max(count.height + 1);
        }
    }
}
