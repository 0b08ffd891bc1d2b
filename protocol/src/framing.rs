//! One message a line: `%` is written `%25`, a newline `%0A` (`protocol.md §3`).

use std::borrow::Cow;

/// Escapes a serialised message and ends it with a newline.
#[must_use]
pub fn escape(message: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(message.len() + message.len() / 16 + 1);
    for &byte in message {
        match byte {
            b'%' => line.extend_from_slice(b"%25"),
            b'\n' => line.extend_from_slice(b"%0A"),
            other => line.push(other),
        }
    }
    line.push(b'\n');
    line
}

/// Turns a line, without its newline, back into the message. Only `%25` and `%0A` are
/// sequences; any other `%` stands for itself.
#[must_use]
pub fn unescape(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&b'%') {
        return Cow::Borrowed(line);
    }
    let mut message = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'%', [b'2', b'5', after @ ..]) => {
                message.push(b'%');
                rest = after;
            }
            (b'%', [b'0', b'A', after @ ..]) => {
                message.push(b'\n');
                rest = after;
            }
            _ => {
                message.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &[u8], line: &[u8]) {
        assert_eq!(escape(message), line);
        assert_eq!(&*unescape(&line[..line.len() - 1]), message);
    }

    #[test]
    fn round_trips() {
        check(b"", b"\n");
        check(b"---\ncommand: ehlo\n", b"---%0Acommand: ehlo%0A\n");
        check(b"50% of\n", b"50%25 of%0A\n");
        check(b"%25 %0A", b"%2525 %250A\n");
    }

    #[test]
    fn only_two_sequences_are_unescaped() {
        assert_eq!(&*unescape(b"%41%0a%2"), b"%41%0a%2");
        assert_eq!(&*unescape(b"%"), b"%");
    }
}
