//! Bytes that wait until a client reads them.
//!
//! Invariant: a client that does not read costs at most [`limit::CLIENT_OUTPUT_BYTES_MAX`]
//! bytes, or one reply if that is longer.

use einhorn_protocol::limit;
use thiserror::Error;

/// Capacity that an empty queue keeps; anything above is given back.
const IDLE_BYTES_MAX: usize = 16 << 10;

/// The client has not read what was sent before: it is to be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the client leaves more than {} bytes unread", limit::CLIENT_OUTPUT_BYTES_MAX)]
pub struct Overrun;

/// What was said to a client and not yet written.
#[derive(Debug, Default)]
pub(super) struct OutputQueue {
    bytes: Vec<u8>,
    /// What is before this was written.
    start: usize,
}

impl OutputQueue {
    /// Adds the reply that `write` appends. Into an empty queue goes a reply of any length, so that
    /// the state of a very large fleet can be told to a client that reads.
    ///
    /// # Errors
    /// [`Overrun`] if the client is too far behind; nothing was added.
    pub(super) fn queue(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Overrun> {
        let waiting = self.pending().len();
        if self.start >= waiting {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let before = self.bytes.len();
        write(&mut self.bytes);
        if waiting > 0 && self.pending().len() > limit::CLIENT_OUTPUT_BYTES_MAX {
            self.bytes.truncate(before);
            return Err(Overrun);
        }
        Ok(())
    }

    /// What is to be written.
    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// All but the first `length` bytes of [`Self::pending`] are not to be written after all.
    pub(super) fn take_back(&mut self, length: usize) {
        self.bytes.truncate(self.start.saturating_add(length));
    }

    /// The first `written` bytes of [`Self::pending`] are gone; more than that counts as all.
    pub(super) fn advance(&mut self, written: usize) {
        self.start = self.start.saturating_add(written).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > IDLE_BYTES_MAX {
                self.bytes = Vec::new();
            }
        }
    }

    /// Bytes of memory that the queue has.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// The queue as another master left it, at whatever length.
    pub(super) fn restored(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn say(queue: &mut OutputQueue, reply: &[u8]) -> Result<(), Overrun> {
        queue.queue(|out| out.extend_from_slice(reply))
    }

    #[test]
    fn a_backlog_at_the_limit_is_kept_and_one_byte_more_is_not() {
        let mut queue = OutputQueue::default();
        say(&mut queue, b"x").unwrap();
        say(&mut queue, &vec![b'y'; limit::CLIENT_OUTPUT_BYTES_MAX - 1]).unwrap();
        assert_eq!(say(&mut queue, b"z"), Err(Overrun));
        assert_eq!(queue.pending().len(), limit::CLIENT_OUTPUT_BYTES_MAX);
        queue.advance(1);
        say(&mut queue, b"z").unwrap();
    }

    #[test]
    fn a_client_that_has_read_everything_gets_a_reply_of_any_length() {
        let mut queue = OutputQueue::default();
        say(&mut queue, &vec![b'y'; 3 * limit::CLIENT_OUTPUT_BYTES_MAX]).unwrap();
        assert_eq!(say(&mut queue, b"z"), Err(Overrun));
        queue.advance(3 * limit::CLIENT_OUTPUT_BYTES_MAX);
        assert_eq!(queue.held(), 0);
    }

    #[test]
    fn what_is_taken_back_is_not_written_and_what_was_there_is() {
        let mut queue = OutputQueue::default();
        say(&mut queue, b"written, before").unwrap();
        queue.advance("written, ".len());
        let before = queue.pending().len();
        say(&mut queue, b", after").unwrap();
        queue.take_back(before);
        assert_eq!(queue.pending(), b"before");
        say(&mut queue, b", then").unwrap();
        assert_eq!(queue.pending(), b"before, then");
    }

    #[test]
    fn an_empty_queue_keeps_so_much_and_not_one_byte_more() {
        for (bytes, kept) in [(IDLE_BYTES_MAX, IDLE_BYTES_MAX), (IDLE_BYTES_MAX + 1, 0)] {
            let mut queue = OutputQueue::default();
            say(&mut queue, &vec![b'y'; bytes]).unwrap();
            assert_eq!(queue.held(), bytes);
            queue.advance(bytes);
            assert_eq!(queue.held(), kept, "{bytes}");
        }
    }

    /// So that a long reply is not moved once for each short one behind it, and a client that is
    /// always a little behind does not make the queue grow.
    #[test]
    fn what_waits_is_moved_once_it_is_no_more_than_what_was_written() {
        let mut queue = OutputQueue::default();
        say(&mut queue, b"123456").unwrap();
        for (written, start) in [(2, 2), (1, 0)] {
            queue.advance(written);
            say(&mut queue, b"").unwrap();
            assert_eq!(queue.start, start);
        }
        assert_eq!((queue.pending(), &queue.bytes[..]), (&b"456"[..], &b"456"[..]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_was_queued(
            steps in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..20), 0usize..30), 0..40),
        ) {
            let mut queue = OutputQueue::default();
            let (mut said, mut written) = (Vec::new(), Vec::new());
            for (reply, take) in steps {
                say(&mut queue, &reply).unwrap();
                said.extend_from_slice(&reply);
                let take = take.min(queue.pending().len());
                written.extend_from_slice(&queue.pending()[..take]);
                queue.advance(take);
            }
            written.extend_from_slice(queue.pending());
            prop_assert_eq!(said, written);
        }
    }
}
