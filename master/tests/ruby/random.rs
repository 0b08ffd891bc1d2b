//! Random values of every kind that could be mistaken for another, from a seed that replays them.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use einhorn_master::moment::WallTime;
use einhorn_master::psych::Value;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Where random values come from: `SEED`, or a new seed each time. A test that fails shows it.
pub(crate) fn runner() -> TestRunner {
    let given = std::env::var("SEED").ok().map(|text| text.parse().expect("SEED is a number"));
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    eprintln!("to replay it: SEED={seed}");
    let mut bytes = [0x5A; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Config::default(), random)
}

/// Texts that somebody could take for something else, and pieces of such.
const PIECES: [&str; 67] = [
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
    "12:30:45",
    " ",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "%0A",
    "!ruby/object:File",
];

/// Ruby cannot read back a symbol of its own that begins with one.
const QUOTES: [char; 2] = ['"', '\''];

pub(crate) fn text() -> impl Strategy<Value = String> {
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

pub(crate) fn key() -> impl Strategy<Value = Value> {
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

pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    let finite = any::<f64>().prop_filter("NaN equals nothing", |number| !number.is_nan());
    prop_oneof![
        4 => key(),
        1 => finite.prop_map(Value::Float),
        1 => (-1e6..1e6).prop_map(Value::Float),
        1 => "-?[1-9][0-9]{20,40}".prop_map(Value::BigInteger),
        1 => time().prop_map(Value::Time),
    ]
}
