//! The two lines that a worker sends: JSON of plain ASCII, which every master reads.
//!
//! A percent sign, which the framing would escape, and whatever is not ASCII are written as
//! `\u` sequences, so a reader that unescapes and one that does not see the same text
//! (`protocol.md §3`). A Ruby master reads YAML, which does not know the two halves that JSON has
//! for a character above U+FFFF: such a one is written as YAML has it, `\U0001f984`.

use crate::error::{Error, Result};
use einhorn_protocol::{command, key, limit};
use std::fmt::Write;

/// The line that acknowledges the worker `pid`.
pub(crate) fn ack(pid: u32) -> Vec<u8> {
    line(&format!("{}, {}", text(key::COMMAND, command::WORKER_ACK), number(key::PID, pid)))
}

/// The line by which worker `pid` says that it is alive and busy with `request_id`.
pub(crate) fn ping(pid: u32, request_id: &str) -> Result<Vec<u8>> {
    let line = line(&format!(
        "{}, {}, {}",
        text(key::COMMAND, command::WORKER_PING),
        number(key::PID, pid),
        text(key::REQUEST_ID, request_id),
    ));
    if line.len() > limit::LINE_BYTES_MAX {
        return Err(Error::MessageTooLong { bytes: line.len(), max: limit::LINE_BYTES_MAX });
    }
    Ok(line)
}

fn line(members: &str) -> Vec<u8> {
    format!("{{{members}}}\n").into_bytes()
}

fn number(key: &str, value: u32) -> String {
    format!("\"{key}\": {value}")
}

fn text(key: &str, value: &str) -> String {
    let mut member = format!("\"{key}\": \"");
    for character in value.chars() {
        match character {
            '"' | '\\' => member.extend(['\\', character]),
            ' '..='~' if character != '%' => member.push(character),
            _ => {
                // Writing to a string cannot fail.
                let _ = match u32::from(character) {
                    code @ 0..0x1_0000 => write!(member, "\\u{code:04x}"),
                    code => write!(member, "\\U{code:08x}"),
                };
            }
        }
    }
    member.push('"');
    member
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_what_masters_read() {
        assert_eq!(ack(123), b"{\"command\": \"worker:ack\", \"pid\": 123}\n");
        assert_eq!(
            ping(7, "a b").unwrap(),
            b"{\"command\": \"worker:ping\", \"pid\": 7, \"request_id\": \"a b\"}\n"
        );
    }

    #[test]
    fn whatever_could_be_misread_is_escaped() {
        assert_eq!(
            text("k", "\"\\%\n\0é\u{1f984}"),
            r#""k": "\"\\\u0025\u000a\u0000\u00e9\U0001f984""#
        );
    }

    #[test]
    fn the_longest_line_is_taken_and_one_more_byte_is_not() {
        let around = ping(7, "").unwrap().len();
        let longest = "x".repeat(limit::LINE_BYTES_MAX - around);
        assert_eq!(ping(7, &longest).unwrap().len(), limit::LINE_BYTES_MAX);
        let error = ping(7, &(longest + "x")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the message is 1048577 bytes long, a master reads 1048576 at most"
        );
    }
}
