//! Whatever a client or a damaged state contains: reading it ends soon, in little memory,
//! with a value or an error. A parser that went quadratic would miss the deadline by far.

use std::time::{Duration, Instant};

use einhorn_master::psych::{Limits, ReadError, read, write};
use proptest::prelude::*;

/// What a text may begin with.
const BEGINNINGS: [&str; 24] = [
    "",
    "[",
    "{",
    "- ",
    "a: ",
    "\"",
    "'",
    "|\n ",
    ">\n ",
    "? ",
    "&a ",
    "!a ",
    "# ",
    "[\"",
    "{\"",
    "{a: ",
    "a:\n  ",
    "\"\\",
    "%",
    "--- ",
    "[&a x, ",
    "{a: &a b, ",
    "!<",
    "[[[[[[[[",
];

/// What it may go on with, over and over.
#[rustfmt::skip]
const UNITS: [&str; 96] = [
    "[", "]", "{", "}", "{a:", "{a: ", "[a,", "a,", "[{", "- ", "-\n", "? ", "?\n", ": ", ":\n",
    ":", "? : ", "a: ", "a:\n", "a: b\n", "\"", "'", "\"\"", "''", "\" ", "\"\n", "\"\\", "\"\\n",
    "&a ", "&a", "*a ", "*a", "- *a\n", "!a ", "!", "! ", "!!", "!<", "!<a> ", "%", "%a\n", "|",
    "|\n", "|\n ", ">\n\n", "#", "# ", " #\n", "\n", "\r\n", " ", "\t", " \n", "\t\n", "a", "a ",
    "a\n", "a\n ", "\u{e9}", "\u{2603}", "\u{feff}", "---\n", "--- a\n", "...\n", "-", "0", "1_",
    "1,", "1:", ".", "0x", ":a", ":\"", "@", ", ", "[],", "{},", "[a]: ", "\"a\": ", "\"a\":",
    "a: b, ", "a: b\n- ", "- &a a\n", "- ! a\n", "- |\n a\n", "\u{85}", "\0", "<<: *a\n",
    "a: &a\n", "? a\n: b\n", "? - ", "-\t", "a\n\nb", "a # b\n", "[? ", "\\",
];

/// For a text of at most 1 MiB; the slowest here takes a second without optimisation.
const DEADLINE: Duration = Duration::from_secs(20);

fn text(beginning: &str, unit: &str, bytes: usize) -> String {
    let count = (bytes - beginning.len()) / unit.len();
    format!("{beginning}{}", unit.repeat(count))
}

fn lines(numbers: std::ops::Range<u32>, line: impl Fn(u32) -> String) -> String {
    numbers.map(line).collect()
}

#[expect(clippy::disallowed_methods, reason = "how long reading takes is what is tested")]
fn read_in_time(text: &str, limits: &Limits) -> Result<usize, ReadError> {
    let start = Instant::now();
    let length = read(text.as_bytes(), limits).map(|value| write(&value).len());
    let beginning: String = text.chars().take(40).collect();
    assert!(start.elapsed() < DEADLINE, "{:?} for {beginning:?}…", start.elapsed());
    length
}

#[test]
fn every_beginning_with_every_unit() {
    for beginning in BEGINNINGS {
        for unit in UNITS {
            let text = text(beginning, unit, 8 << 10);
            let _ = read_in_time(&text, &Limits::request());
            let _ = read_in_time(&text, &Limits::state());
        }
    }
}

#[test]
fn every_unit_in_a_full_line() {
    for unit in UNITS {
        for beginning in ["", "["] {
            let _ = read_in_time(&text(beginning, unit, 1 << 20), &Limits::request());
        }
    }
}

#[test]
fn the_units_that_cost_most_in_a_state() {
    for unit in ["a: b, ", "{},", "1,", "&a x,", "[],"] {
        let text = text("[", unit, 1 << 20) + "]";
        assert!(read_in_time(&text, &Limits::state()).is_ok(), "{unit}");
    }
}

/// Each level refers nine times to the one before.
#[test]
fn an_alias_bomb_is_too_large() {
    for leaf in ["x", &"x".repeat(1000)] {
        let line = |level| {
            let below = vec![format!("*a{}", level - 1); 9].join(", ");
            format!("- &a{level} [{below}]\n")
        };
        let text = format!("- &a0 {leaf}\n") + &lines(1..40, line);
        let error = read_in_time(&text, &Limits::state());
        assert!(matches!(error, Err(ReadError::TooLarge { .. })), "{error:?}");
        assert!(read_in_time(&text, &Limits::request()).is_err());
    }
}

#[test]
fn one_large_scalar_repeated_is_too_large() {
    let text = format!("- &a {}\n{}", "x".repeat(1 << 19), "- *a\n".repeat(100_000));
    let error = read_in_time(&text, &Limits::state());
    assert!(matches!(error, Err(ReadError::TooLarge { unit: "bytes of copies", .. })), "{error:?}");
}

#[test]
fn many_distinct_anchors_and_keys() {
    let anchors = lines(0..100_000, |number| format!("- &a{number} x\n"));
    assert!(read_in_time(&anchors, &Limits::state()).is_ok());
    let keys = lines(0..100_000, |number| format!("k{number}: x\n"));
    assert!(read_in_time(&keys, &Limits::state()).is_ok());
    let digits = format!("a: {}", "9".repeat(1 << 19));
    assert!(read_in_time(&digits, &Limits::request()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, &Limits::state());
    }

    #[test]
    fn any_mixture(units in proptest::collection::vec(proptest::sample::select(&UNITS[..]), 0..60)) {
        let _ = read(units.concat().as_bytes(), &Limits::state());
    }

    /// What is read is written so that it reads the same again.
    #[test]
    fn what_is_read_survives(units in proptest::collection::vec(proptest::sample::select(&UNITS[..]), 0..30)) {
        if let Ok(value) = read(units.concat().as_bytes(), &Limits::state()) {
            let text = write(&value);
            prop_assert_eq!(read(text.as_bytes(), &Limits::state()), Ok(value), "{}", text);
        }
    }
}
