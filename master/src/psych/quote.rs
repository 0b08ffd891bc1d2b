//! How a scalar is written: unquoted only where no reader can take it for anything else,
//! and in ASCII only (a byte beyond that once cost a Ruby master its life).

use std::fmt::Write as _;

use super::value::Value;
use super::{base64, calendar, number, plain};

/// As a key it makes Ruby merge the mapping below, even in quotes, unless it is tagged.
const MERGE: &str = "<<";

/// The text of a scalar on one line; empty for [`Value::Null`]. Lists, mappings and sets are
/// not scalars and are `None`.
pub(super) fn scalar(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::BigInteger(digits) => digits.clone(),
        Value::Float(number) => number::format_float(*number),
        Value::String(text) if text == MERGE => format!("!!str \"{MERGE}\""),
        Value::String(text) => string(text),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => string(text),
            Err(_) => format!("!binary \"{}\"", base64::encode(bytes)),
        },
        Value::Symbol(name) => symbol(name),
        Value::Time(time) => calendar::format(*time),
        Value::Sequence(_) | Value::Mapping(_) | Value::Set(_) => return None,
    })
}

fn string(text: &str) -> String {
    if is_plain(text) && plain::is_surely_text(text) {
        return text.to_owned();
    }
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let begins_with_word =
        text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    let short = text.eq_ignore_ascii_case("y") || text.eq_ignore_ascii_case("n");
    if printable && !short && (begins_with_word || text.is_empty() || text.contains('"')) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        double_quoted(text)
    }
}

fn symbol(name: &str) -> String {
    if is_plain(name) {
        format!(":{name}")
    } else {
        format!("!ruby/symbol {}", double_quoted(name))
    }
}

/// Whether `text` can stand unquoted as far as YAML's syntax goes, in any block context.
fn is_plain(text: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b" _-./:%@+=~,()".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && text.bytes().all(harmless)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(character),
            _ => escape(&mut quoted, u32::from(character)),
        }
    }
    quoted.push('"');
    quoted
}

fn escape(quoted: &mut String, code: u32) {
    // Writing to a String cannot fail.
    let _ = match code {
        0..=0xFF => write!(quoted, "\\x{code:02X}"),
        0x100..=0xFFFF => write!(quoted, "\\u{code:04X}"),
        _ => write!(quoted, "\\U{code:08X}"),
    };
}

#[cfg(test)]
mod tests {
    use super::scalar;
    use crate::psych::Value;

    fn check(value: &Value, text: &str) {
        assert_eq!(scalar(value).as_deref(), Some(text));
    }

    #[test]
    fn plain_where_nobody_can_be_mistaken() {
        for text in ["worker", "127.0.0.1", "req-1 50% done", "Einhorn::Event::Connection", "w.rb"]
        {
            check(&text.into(), text);
        }
    }

    #[test]
    fn quoted_where_somebody_could() {
        for (text, quoted) in [
            ("", "''"),
            ("y", "\"y\""),
            ("N", "\"N\""),
            ("no", "'no'"),
            ("~", "\"~\""),
            ("12", "'12'"),
            ("1:30", "'1:30'"),
            ("1e3", "'1e3'"),
            ("2026-11-23", "'2026-11-23'"),
            (":sym", "\":sym\""),
            ("=", "\"=\""),
            ("<<", "!!str \"<<\""),
            ("-I", "\"-I\""),
            ("---", "\"---\""),
            ("/srv/app", "\"/srv/app\""),
            ("a: b", "'a: b'"),
            ("a:", "'a:'"),
            ("a # b", "'a # b'"),
            (" a", "\" a\""),
            ("a ", "'a '"),
            ("{\"comm", "'{\"comm'"),
            ("it's", "'it''s'"),
            ("a\nb", "\"a\\nb\""),
            ("a\u{0}\u{85}", "\"a\\x00\\x85\""),
            ("h\u{e9} \u{2603} \u{1f984}", "\"h\\xE9 \\u2603 \\U0001F984\""),
        ] {
            check(&text.into(), quoted);
        }
    }

    #[test]
    fn symbols_and_bytes() {
        check(&Value::Symbol("state".into()), ":state");
        check(&Value::Symbol("a b".into()), ":a b");
        check(&Value::Symbol("a: b".into()), "!ruby/symbol \"a: b\"");
        check(&Value::Symbol(String::new()), "!ruby/symbol \"\"");
        check(&Value::Symbol("\"a\"".into()), "!ruby/symbol \"\\\"a\\\"\"");
        check(&Value::Bytes(vec![0xFF, 0, b'a']), "!binary \"/wBh\"");
        check(&Value::Bytes(b"text".to_vec()), "text");
    }
}
