//! Bytes as they arrive, cut into lines. Each byte is looked at once for its newline, however
//! small the pieces are that it comes in.
//!
//! Invariant: after every complete line has been taken, less than one line of the greatest
//! length is kept.

use thiserror::Error;

/// Capacity that an empty buffer keeps for the next line; anything above is given back.
const IDLE_BYTES_MAX: usize = 16 << 10;

/// A line is too long. The rest of the stream cannot be made sense of, so nothing more is read
/// from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a line is longer than {bytes_max} bytes; the connection is closed")]
pub struct LineTooLong {
    /// The limit, newline included.
    pub bytes_max: usize,
}

/// What was sent and nobody has taken yet.
#[derive(Debug)]
pub struct LineBuffer {
    /// Longest line that is taken, newline included.
    line_bytes_max: usize,
    bytes: Vec<u8>,
    /// Where the first line that was not taken begins.
    start: usize,
    /// No newline is before this, from `start` on.
    scanned: usize,
    /// A line was too long; everything is dropped from now on.
    overrun: bool,
}

impl LineBuffer {
    /// An empty buffer for lines of at most `line_bytes_max` bytes, newline included.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, bytes: Vec::new(), start: 0, scanned: 0, overrun: false }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.overrun {
            return;
        }
        self.compact();
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line without its newline and a carriage return before it. The error comes
    /// once, and nothing after it.
    pub fn next_line(&mut self) -> Option<Result<&[u8], LineTooLong>> {
        if self.overrun {
            return None;
        }
        let end = self.find_newline();
        let length = end.map_or(self.bytes.len(), |end| end + 1) - self.start;
        let over_limit = if end.is_some() {
            length > self.line_bytes_max
        } else {
            length >= self.line_bytes_max
        };
        if over_limit {
            *self = Self { overrun: true, ..Self::new(self.line_bytes_max) };
            return Some(Err(LineTooLong { bytes_max: self.line_bytes_max }));
        }
        let end = end?;
        let line = self.bytes.get(self.start..end).unwrap_or_default();
        self.start = end + 1;
        self.scanned = self.start;
        Some(Ok(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// Whether [`Self::next_line`] has something.
    pub fn is_ready(&mut self) -> bool {
        self.find_newline().is_some() || self.unread().len() >= self.line_bytes_max
    }

    /// Everything that was not taken.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Bytes of memory that the buffer has.
    pub fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back what a long line needed, once it is taken.
    pub fn compact(&mut self) {
        let unread = self.bytes.len() - self.start;
        if unread > self.start {
            return;
        }
        self.bytes.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > IDLE_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }

    /// The index of the first newline that was not taken. Remembers how far it has looked.
    fn find_newline(&mut self) -> Option<usize> {
        let unseen = self.bytes.get(self.scanned..)?;
        if let Some(offset) = unseen.iter().position(|&byte| byte == b'\n') {
            self.scanned += offset;
            return Some(self.scanned);
        }
        self.scanned = self.bytes.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use einhorn_protocol::limit;
    use proptest::prelude::*;

    use super::*;

    fn empty() -> LineBuffer {
        LineBuffer::new(limit::LINE_BYTES_MAX)
    }

    /// All lines in `pieces`, then whether it ended with an overrun.
    fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
        let mut buffer = empty();
        let mut taken = Vec::new();
        let mut overrun = false;
        for piece in pieces {
            buffer.push(piece);
            while let Some(line) = buffer.next_line() {
                match line {
                    Ok(line) => taken.push(line.to_vec()),
                    Err(LineTooLong { .. }) => overrun = true,
                }
            }
            assert!(buffer.unread().len() < limit::LINE_BYTES_MAX);
        }
        (taken, overrun)
    }

    #[test]
    fn several_lines_in_one_read_and_one_line_in_several() {
        let (taken, _) = lines([&b"a\nb\n\nc"[..], b"", b"d\r", b"\n", b"\r\n", b"rest"]);
        assert_eq!(taken, [&b"a"[..], b"b", b"", b"cd", b""]);
    }

    #[test]
    fn only_one_carriage_return_before_the_newline_is_dropped() {
        assert_eq!(lines([&b"a\rb\r\r\n"[..]]).0, [b"a\rb\r"]);
    }

    #[test]
    fn a_line_at_the_limit_is_taken_and_one_byte_more_is_not() {
        let mut line = vec![b'x'; limit::LINE_BYTES_MAX - 1];
        line.push(b'\n');
        let (taken, overrun) = lines([&line[..], b"next\n"]);
        assert_eq!((taken.len(), overrun), (2, false));

        line.insert(0, b'x');
        let (taken, overrun) = lines([&b"first\n"[..], &line, b"never read\n"]);
        assert_eq!(taken, [b"first"]);
        assert!(overrun);
        let (taken, overrun) = lines(line.chunks(4096));
        assert_eq!((taken.len(), overrun), (0, true));
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_its_newline() {
        let mut buffer = empty();
        buffer.push(&vec![b'x'; limit::LINE_BYTES_MAX - 1]);
        assert_eq!(buffer.next_line(), None);
        buffer.push(b"x");
        let bytes_max = limit::LINE_BYTES_MAX;
        assert_eq!(buffer.next_line(), Some(Err(LineTooLong { bytes_max })));
        assert_eq!(buffer.next_line(), None);
        buffer.push(b"more\n");
        assert_eq!(buffer.next_line(), None);
        assert_eq!((buffer.unread(), buffer.held()), (&b""[..], 0));
    }

    #[test]
    fn tiny_pieces_are_scanned_once() {
        let mut buffer = empty();
        for _ in 0..limit::LINE_BYTES_MAX - 1 {
            buffer.push(b"x");
            assert_eq!(buffer.next_line(), None);
            assert_eq!(buffer.scanned, buffer.bytes.len());
        }
    }

    #[test]
    fn memory_of_a_long_line_is_given_back() {
        let mut buffer = empty();
        buffer.push(&vec![b'x'; 1 << 19]);
        buffer.push(b"\n");
        assert!(buffer.next_line().is_some());
        buffer.compact();
        assert_eq!(buffer.held(), 0);
    }

    #[test]
    fn an_empty_buffer_keeps_so_much_and_not_one_byte_more() {
        for (bytes, kept) in [(IDLE_BYTES_MAX, IDLE_BYTES_MAX), (IDLE_BYTES_MAX + 1, 0)] {
            let mut buffer = empty();
            let mut line = vec![b'x'; bytes];
            line[bytes - 1] = b'\n';
            buffer.push(&line);
            assert_eq!(buffer.held(), bytes);
            assert!(buffer.next_line().is_some());
            buffer.compact();
            assert_eq!(buffer.held(), kept, "{bytes}");
        }
    }

    #[test]
    fn what_follows_a_long_line_stays_when_its_memory_is_looked_at() {
        let mut buffer = empty();
        buffer.push(&[&vec![b'x'; 2 * IDLE_BYTES_MAX][..], b"\nnext\nrest"].concat());
        assert!(buffer.next_line().is_some());
        buffer.compact();
        assert_eq!(buffer.next_line(), Some(Ok(&b"next"[..])));
        assert_eq!(buffer.unread(), b"rest");
    }

    /// So that many short lines in one read are not moved once for each of them.
    #[test]
    fn what_is_left_is_moved_once_it_is_no_more_than_what_was_taken() {
        let mut buffer = empty();
        buffer.push(b"a\nb\nc\nd\n");
        for start in [2, 0, 0, 0] {
            assert!(buffer.next_line().is_some());
            buffer.compact();
            assert_eq!(buffer.start, start);
        }
        assert_eq!((buffer.unread(), buffer.bytes.len()), (&b""[..], 0));
    }

    proptest! {
        #[test]
        fn the_same_lines_wherever_the_stream_is_split(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            prop_assert_eq!(lines(pieces), lines([&stream[..]]));
        }

        #[test]
        fn what_is_unread_survives(stream in proptest::collection::vec(any::<u8>(), 0..100), take in 0usize..4) {
            let mut buffer = empty();
            buffer.push(&stream);
            for _ in 0..take {
                let _ = buffer.next_line();
            }
            let mut restored = empty();
            restored.push(buffer.unread());
            loop {
                let (left, right) = (buffer.next_line(), restored.next_line());
                prop_assert_eq!(left, right);
                if left.is_none() {
                    break;
                }
            }
        }
    }
}
