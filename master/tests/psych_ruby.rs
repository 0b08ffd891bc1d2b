//! Ruby's own YAML library reads what we write, as exactly what we meant, with no class
//! permitted but Set, Symbol and Time; and we read what it writes.
//!
//! Runs where a `ruby` is installed. Under continuous integration (`CI=true`) there must be one.

mod ruby;

use einhorn_master::moment::WallTime;
use einhorn_master::psych::{Limits, Value, read, write};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use ruby::{OLD_BREAKS, describe};

/// Random values that are sent through Ruby at once.
const VALUES: usize = 4000;

/// Texts that somebody could take for something else, and pieces of such.
const PIECES: [&str; 60] = [
    "",
    "y",
    "N",
    "yes",
    "No",
    "on",
    "OFF",
    "true",
    "null",
    "~",
    "nil",
    "0",
    "1",
    "08",
    "0o7",
    "0x1F",
    "0b1",
    "1_000",
    "1,5",
    "1e3",
    "1.5",
    ".5",
    "1.",
    ".inf",
    "-.inf",
    ".nan",
    "1:30",
    "2026-11-23",
    "2026-11-23 10:18:47 Z",
    "=",
    "<<",
    ":sym",
    ":",
    "::",
    "-",
    "- a",
    "? a",
    "a: b",
    "a:",
    "a #b",
    "#",
    "!",
    "&a",
    "*a",
    "|",
    ">",
    "%",
    "@",
    "`",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    "\"",
    "\\",
    "---",
    "...",
    "text",
];

/// Ruby cannot read back a symbol of its own that begins with one.
const QUOTES: [char; 2] = ['"', '\''];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned),
        2 => "[ -~]{0,12}",
        1 => "[ \t\r\n\u{0}\u{1b}\u{7f}\u{85}\u{a0}\u{e9}\u{2028}\u{2029}\u{2603}\u{feff}\u{1f984}]{0,4}",
        1 => any::<String>(),
        1 => "[a-z /.-]{80,200}",
    ];
    proptest::collection::vec(piece, 1..3).prop_map(|pieces| pieces.concat())
}

fn time() -> impl Strategy<Value = WallTime> {
    let year = 31_557_600_000_000_000_i128;
    (-1000 * year..8000 * year).prop_map(|nanoseconds| WallTime { nanoseconds })
}

fn key() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => text().prop_map(Value::String),
        4 => text().prop_map(|name| Value::Symbol(name.trim_start_matches(QUOTES).to_owned())),
        2 => any::<i64>().prop_map(Value::Integer),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => "[a-z]{900,1100}".prop_map(Value::String),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::from_bytes),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    let finite = any::<f64>().prop_filter("NaN equals nothing", |number| !number.is_nan());
    prop_oneof![
        4 => key(),
        1 => finite.prop_map(Value::Float),
        1 => (-1e6..1e6).prop_map(Value::Float),
        1 => "-?[1-9][0-9]{20,40}".prop_map(Value::BigInteger),
        1 => time().prop_map(Value::Time),
    ]
}

/// Keys that we would call the same are left out of mappings and sets.
fn unique(values: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let mut seen = std::collections::HashSet::new();
    let name = |key: &Value| match key {
        Value::Symbol(name) => describe(&Value::String(name.clone())),
        other => describe(other),
    };
    values.into_iter().filter(|(key, _)| seen.insert(name(key))).collect()
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        let entries =
            proptest::collection::vec((key(), inner.clone()), 0..4).prop_map(unique).boxed();
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::Sequence),
            entries.clone().prop_map(Value::Mapping),
            entries.prop_map(|entries| {
                Value::Set(entries.into_iter().map(|(member, _)| member).collect())
            }),
        ]
    })
}

#[test]
fn random_values_through_ruby_and_back() {
    let Some(ruby) = ruby::installed() else { return };
    let mut runner = TestRunner::new(Config::default());
    let values: Vec<Value> =
        (0..VALUES).map(|_| value().new_tree(&mut runner).expect("a value").current()).collect();
    let documents: Vec<String> = values.iter().map(write).collect();
    let answers = ruby.describe(&documents);
    for ((value, document), answer) in values.iter().zip(&documents).zip(answers) {
        assert_eq!(answer.description, describe(value), "Ruby read\n{document}");
        let again = read(&answer.yaml, &Limits::state());
        let text = String::from_utf8_lossy(&answer.yaml);
        if !text.contains(OLD_BREAKS) {
            assert_eq!(again.as_ref(), Ok(value), "Ruby read\n{document}\nand wrote\n{text}");
        }
        assert_eq!(read(document.as_bytes(), &Limits::state()).as_ref(), Ok(value), "{document}");
        assert!(document.is_ascii(), "{document}");
    }
}

/// Unquoted scalars mean the same to us as to Ruby.
#[test]
fn plain_scalars_mean_what_they_mean_to_ruby() {
    let Some(ruby) = ruby::installed() else { return };
    let mut runner = TestRunner::new(Config::default());
    let numeric = "[-+]?[0-9._,:exob]{1,8}";
    let timely = "20[0-9]{2}-[01][0-9]-[0-2][0-9][ T](1?[0-9]|2[0-3]):[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?( ?(Z|[-+][1-9]|[-+](0[1-9]|1[0-9])(:?[0-5][0-9])?))?";
    let wordy = "[nNyYtTfFoO~][eEuUoOrRnNaAfF]{0,2}[sSlLeEfF]{0,2}|:[a-z.]{1,5}|:\"[a-z ]{1,5}\"|:'[a-z ]{1,5}'|[-+]?\\.(inf|NAN|5)";
    let pattern = format!("({numeric})|({timely})|({wordy})");
    let strategy = proptest::string::string_regex(&pattern).expect("a pattern");
    let texts: Vec<String> =
        (0..VALUES).map(|_| strategy.new_tree(&mut runner).expect("a text").current()).collect();
    let documents: Vec<String> = texts.iter().map(|text| format!("- {text}\n")).collect();
    for (document, answer) in documents.iter().zip(ruby.describe(&documents)) {
        // Where Ruby stumbles over its own rules, anything goes.
        if !answer.yaml.is_empty() {
            let value = read(document.as_bytes(), &Limits::state()).expect(document);
            assert_eq!(describe(&value), answer.description, "{document}");
        }
    }
}
