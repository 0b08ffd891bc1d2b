//! A string of JSON that every reader of a line gets right (`protocol.md §3`): readers of YAML and
//! those who unescape first find no `%` and none of the characters that YAML forbids or takes for a
//! line's end.

use std::io::Write as _;

/// The bytes that stand for themselves.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = !matches!(byte, b'"' | b'\\' | b'%');
        byte += 1;
    }
    plain
};

/// Appends `text` in quotes to `out`.
pub fn append(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    // Without a branch for each byte, since nearly every text is plain to its end.
    if text.bytes().fold(true, |all, byte| all & PLAIN[usize::from(byte)]) {
        out.extend_from_slice(text.as_bytes());
    } else {
        append_runs(out, text);
    }
    out.push(b'"');
}

fn append_runs(out: &mut Vec<u8>, mut text: &str) {
    loop {
        let run = text.bytes().position(|byte| !PLAIN[usize::from(byte)]).unwrap_or(text.len());
        let (plain, others) = text.split_at(run);
        out.extend_from_slice(plain.as_bytes());
        let mut others = others.chars();
        let Some(character) = others.next() else { return };
        append_other(out, character);
        text = others.as_str();
    }
}

fn append_other(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        special if is_escaped(special) => {
            // To a vector, which takes all.
            let _ = write!(out, "\\u{:04x}", u32::from(special));
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// All below U+10000, so that four digits are enough.
fn is_escaped(character: char) -> bool {
    character.is_control()
        || matches!(character, '%' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, written: &str) {
        let mut out = b"before".to_vec();
        append(&mut out, text);
        assert_eq!(String::from_utf8(out).unwrap(), format!("before{written}"));
    }

    #[test]
    fn what_is_plain_stands_for_itself() {
        check("", "\"\"");
        check("a b~", "\"a b~\"");
        check("é🦄\u{a0}\u{d7ff}", "\"é🦄\u{a0}\u{d7ff}\"");
    }

    #[test]
    fn what_a_reader_may_misread_is_escaped_wherever_it_stands() {
        for (special, escaped) in [
            ('"', "\\\""),
            ('\\', "\\\\"),
            ('\n', "\\n"),
            ('\r', "\\r"),
            ('\t', "\\t"),
            ('%', "\\u0025"),
            ('\0', "\\u0000"),
            ('\u{1f}', "\\u001f"),
            ('\u{7f}', "\\u007f"),
            ('\u{85}', "\\u0085"),
            ('\u{2028}', "\\u2028"),
            ('\u{2029}', "\\u2029"),
            ('\u{feff}', "\\ufeff"),
            ('\u{fffe}', "\\ufffe"),
            ('\u{ffff}', "\\uffff"),
        ] {
            check(&format!("{special}"), &format!("\"{escaped}\""));
            check(&format!("{special}a{special}é"), &format!("\"{escaped}a{escaped}é\""));
        }
    }

    #[test]
    fn no_other_ascii_is_escaped() {
        for byte in b' '..=b'~' {
            let text = char::from(byte).to_string();
            if !["\"", "\\", "%"].contains(&text.as_str()) {
                check(&text, &format!("\"{text}\""));
            }
        }
    }
}
