//! Lines that could not be written yet, within a bound.
//!
//! Invariant: a line that was begun is finished before another one starts, and a line that is
//! not kept is counted.

use std::collections::VecDeque;

use einhorn_protocol::limit::LOG_QUEUE_BYTES_MAX;

#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    /// How much of the first line was written.
    sent: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    /// How many lines are lost with this one: itself, or those that it reports.
    stands_for: u64,
}

impl Queue {
    /// Takes a line, or drops it if there is no room.
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        if self.has_room_for(&bytes) { self.append(bytes, 1) } else { self.dropped += 1 }
    }

    /// If lines were dropped and there is room for it: takes the line that reports how many.
    pub(super) fn push_report(&mut self, compose: impl FnOnce(u64) -> Vec<u8>) {
        if self.dropped == 0 {
            return;
        }
        let report = compose(self.dropped);
        if self.has_room_for(&report) {
            self.append(report, self.dropped);
            self.dropped = 0;
        }
    }

    /// What is to be written next, at most the rest of one line.
    pub(super) fn front(&self) -> Option<&[u8]> {
        self.lines.front()?.bytes.get(self.sent..)
    }

    /// `count` bytes of [`Self::front`] were written.
    pub(super) fn advance(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        if let Some(length) = self.lines.front().map(|line| line.bytes.len())
            && self.sent >= length
        {
            self.lines.pop_front();
            self.bytes -= length;
            self.sent = 0;
        }
    }

    /// Drops everything but the rest of a line that was begun.
    pub(super) fn abandon(&mut self) {
        let begun = usize::from(self.sent > 0);
        for line in self.lines.drain(begun.min(self.lines.len())..) {
            self.dropped = self.dropped.saturating_add(line.stands_for);
        }
        self.bytes = self.lines.iter().map(|line| line.bytes.len()).sum();
    }

    /// What waits: the rest of a line that was begun, then whole lines.
    pub(super) fn unwritten(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.lines.iter().flat_map(|line| &line.bytes).copied().collect();
        bytes.drain(..self.sent.min(bytes.len()));
        bytes
    }

    /// Puts what waited in another queue, and the count of what was dropped there, before
    /// everything here. Nothing here may have been begun.
    pub(super) fn put_first(&mut self, unwritten: &[u8], dropped: u64) {
        for line in unwritten.split_inclusive(|byte| *byte == b'\n').rev() {
            self.bytes += line.len();
            self.lines.push_front(Line { bytes: line.to_vec(), stands_for: 1 });
        }
        self.dropped = self.dropped.saturating_add(dropped);
    }

    /// Lines dropped since the last report.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn has_room_for(&self, bytes: &[u8]) -> bool {
        self.bytes + bytes.len() <= LOG_QUEUE_BYTES_MAX
    }

    fn append(&mut self, bytes: Vec<u8>, stands_for: u64) {
        self.bytes += bytes.len();
        self.lines.push_back(Line { bytes, stands_for });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue) -> String {
        let mut out = Vec::new();
        while let Some(front) = queue.front() {
            out.extend_from_slice(front);
            let count = front.len();
            queue.advance(count);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_come_out_in_order_and_in_pieces() {
        let mut queue = Queue::default();
        queue.push(b"one\n".to_vec());
        queue.push(b"two\n".to_vec());
        queue.advance(2);
        assert_eq!(queue.front(), Some(&b"e\n"[..]));
        assert_eq!(drain(&mut queue), "e\ntwo\n");
        assert_eq!((queue.bytes, queue.front()), (0, None));
    }

    #[test]
    fn at_the_limit_and_one_past_it() {
        let mut queue = Queue::default();
        queue.push(vec![b'x'; LOG_QUEUE_BYTES_MAX]);
        assert_eq!(queue.dropped(), 0);
        queue.push(b"y".to_vec());
        queue.push(b"z".to_vec());
        assert_eq!(queue.dropped(), 2);
        queue.push_report(|_| b"no room yet".to_vec());
        assert_eq!(queue.dropped(), 2);
        queue.advance(LOG_QUEUE_BYTES_MAX);
        queue.push_report(|count| format!("{count} lost\n").into_bytes());
        queue.push(b"after\n".to_vec());
        assert_eq!(queue.dropped(), 0);
        assert_eq!(drain(&mut queue), "2 lost\nafter\n");
    }

    #[test]
    fn what_is_abandoned_is_counted_but_a_begun_line_stays() {
        let mut queue = Queue::default();
        for line in ["one\n", "two\n", "three\n"] {
            queue.push(line.into());
        }
        queue.advance(1);
        queue.abandon();
        assert_eq!(queue.dropped(), 2);
        queue.push_report(|count| format!("{count} lost\n").into_bytes());
        assert_eq!(drain(&mut queue), "ne\n2 lost\n");
    }

    #[test]
    fn what_waits_goes_on_in_another_queue_before_what_is_there() {
        let mut first = Queue::default();
        for line in ["one\n", "two\n", "three\n"] {
            first.push(line.into());
        }
        first.advance(2);
        first.dropped = 3;
        let mut second = Queue::default();
        second.push(b"four\n".to_vec());
        second.put_first(&first.unwritten(), first.dropped());
        assert_eq!(second.dropped(), 3);
        assert_eq!(second.bytes, "e\ntwo\nthree\nfour\n".len());
        second.push_report(|count| format!("{count} lost\n").into_bytes());
        assert_eq!(drain(&mut second), "e\ntwo\nthree\nfour\n3 lost\n");
        assert_eq!((second.bytes, second.unwritten()), (0, Vec::new()));
    }

    #[test]
    fn a_lost_report_passes_its_count_on() {
        let mut queue = Queue::default();
        queue.push(b"one\n".to_vec());
        queue.abandon();
        queue.push_report(|_| b"report\n".to_vec());
        queue.push(b"two\n".to_vec());
        queue.abandon();
        assert_eq!(queue.dropped(), 2);
        queue.abandon();
        assert_eq!(queue.dropped(), 2);
    }
}
