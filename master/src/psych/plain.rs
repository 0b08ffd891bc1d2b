//! What an unquoted scalar means.

use super::value::Value;
use super::{calendar, number};

/// YAML 1.1's words that Psych reads as something else than text, in any case.
static WORDS: [(&str, Value); 8] = [
    ("~", Value::Null),
    ("null", Value::Null),
    ("true", Value::Bool(true)),
    ("yes", Value::Bool(true)),
    ("on", Value::Bool(true)),
    ("false", Value::Bool(false)),
    ("no", Value::Bool(false)),
    ("off", Value::Bool(false)),
];

/// Resolves as Psych does. A bare date stays text: nothing here knows a day without a time.
pub(super) fn resolve(text: &str) -> Value {
    special(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// What `text` means if it is not text.
fn special(text: &str) -> Option<Value> {
    match text.as_bytes() {
        [] => Some(Value::Null),
        [b':', _, ..] => Some(Value::Symbol(symbol_name(&text[1..]).to_owned())),
        [b'0'..=b'9' | b'+' | b'-' | b'.', ..] => {
            calendar::parse(text).map(Value::Time).or_else(|| number::parse(text))
        }
        _ => word(text),
    }
}

fn word(text: &str) -> Option<Value> {
    let (_, value) = WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word))?;
    Some(value.clone())
}

/// `:"a b"` and `:'a b'` name the symbol between the quotes.
fn symbol_name(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// Whether text like `text` may stand unquoted without any reader of YAML taking it for
/// something else than text.
pub(super) fn is_surely_text(text: &str) -> bool {
    let ambiguous = ["y", "n"].iter().any(|word| text.eq_ignore_ascii_case(word));
    !ambiguous
        && special(text).is_none()
        && !number::resembles_one(text)
        && !calendar::begins_like_a_date(text)
}

#[cfg(test)]
mod tests {
    use super::{is_surely_text, resolve};
    use crate::moment::WallTime;
    use crate::psych::Value;

    #[test]
    fn words() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(text), Value::Null, "{text}");
        }
        for text in ["true", "True", "YES", "on"] {
            assert_eq!(resolve(text), Value::Bool(true), "{text}");
        }
        for text in ["false", "No", "oFF"] {
            assert_eq!(resolve(text), Value::Bool(false), "{text}");
        }
    }

    #[test]
    fn symbols() {
        for (text, name) in [
            (":a", "a"),
            (":signal_timeout", "signal_timeout"),
            (":\"a b\"", "a b"),
            (":'a b'", "a b"),
            ("::a", ":a"),
            (":1", "1"),
            (":\"", "\""),
        ] {
            assert_eq!(resolve(text), Value::Symbol(name.to_owned()), "{text}");
        }
    }

    #[test]
    fn times_and_dates() {
        let time = WallTime { nanoseconds: 1_500_000_000 };
        assert_eq!(resolve("1970-01-01 00:00:01.5 Z"), Value::Time(time));
        assert_eq!(resolve("2026-11-23"), Value::String("2026-11-23".to_owned()));
    }

    #[test]
    fn text() {
        for text in ["y", "N", "nil", "trues", ":", "=", "<<", "a:1", "ö", "-x", ".x", "+x", "1x"]
        {
            assert_eq!(resolve(text), Value::String(text.to_owned()));
        }
    }

    #[test]
    fn text_that_some_reader_takes_for_something_else() {
        for text in ["y", "N", "no", "1e3", "2026-11-23", "2026-11-23x", ":a", "", "0o7"] {
            assert!(!is_surely_text(text), "{text}");
        }
        for text in ["worker", "127.0.0.1", "req-1 50% done", "0123abcd"] {
            assert!(is_surely_text(text), "{text}");
        }
    }
}
