//! Text from outside on one line: what could end a line, move a cursor or turn the writing
//! direction round is written as an escape, so that nobody forges a line of the log.

use std::borrow::Cow;

/// Most characters of a single value that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 100;

/// `text` without control characters: each becomes an escape such as `\n` or `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// `text` as a message repeats a value: escaped, and cut where it is very long.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => escaped(text.get(..end).unwrap_or_default()).into_owned() + "...",
        None => escaped(text).into_owned(),
    }
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(escaped(text), expected);
    }

    #[test]
    fn what_ends_lines_is_escaped() {
        check("plain \u{e9}\u{1f984}", "plain \u{e9}\u{1f984}");
        check("a\nb\r\tc", "a\\nb\\r\\tc");
        check("\u{1b}[2J\0\u{7f}\u{85}", "\\u{1b}[2J\\u{0}\\u{7f}\\u{85}");
        check("\u{2028}\u{202e}", "\\u{2028}\\u{202e}");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(shown(&"x".repeat(100)), "x".repeat(100));
        assert_eq!(shown(&"\u{e9}".repeat(101)), "\u{e9}".repeat(100) + "...");
    }
}
