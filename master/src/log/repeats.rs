//! Lines that would fill the log: of each kind a number in a span of time is printed, the rest
//! is counted, and a line tells how many there were and what the last one said.
//!
//! Invariant: no line is lost without being counted, and a count is told when its span is over.

use std::collections::BTreeMap;
use std::time::Duration;

use ::log::Level;
use einhorn_protocol::limit::LOG_REPEATS_SECONDS;

const SPAN: Duration = Duration::from_secs(LOG_REPEATS_SECONDS);

/// By kind, what has come of its present span.
#[derive(Debug, Default)]
pub(super) struct Repeats(BTreeMap<&'static str, Span>);

#[derive(Debug)]
struct Span {
    end: Duration,
    printed: usize,
    held: usize,
    last: (Level, String),
}

/// A line that tells of others.
pub(super) type Summary = (Level, String);

impl Repeats {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether a line of this kind is to be printed, of which `allowed` are in a span; if not it
    /// is counted. Spans that are over are to be told of before.
    pub(super) fn admits(
        &mut self,
        now: Duration,
        kind: &'static str,
        allowed: usize,
        level: Level,
        message: &str,
    ) -> bool {
        let fresh = || Span {
            end: now.saturating_add(SPAN),
            printed: 0,
            held: 0,
            last: (level, String::new()),
        };
        let span = self.0.entry(kind).or_insert_with(fresh);
        if span.held == 0 && span.end <= now {
            *span = fresh();
        }
        if span.printed < allowed {
            span.printed += 1;
            return true;
        }
        span.held += 1;
        span.last = (level, message.to_string());
        false
    }

    /// When there is something to tell.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.0.values().filter(|span| span.held > 0).map(|span| span.end).min()
    }

    /// Everything that is to be told of spans that are over; of all, where `now` is none.
    pub(super) fn take_due(&mut self, now: Option<Duration>) -> Vec<Summary> {
        let mut due = Vec::new();
        for (kind, span) in &mut self.0 {
            if span.held == 0 || now.is_some_and(|now| now < span.end) {
                continue;
            }
            let (level, last) = &span.last;
            let text = format!("{} more lines about {kind}, the last: {last}", span.held);
            due.push((*level, text));
            (span.held, span.printed) = (0, 0);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn say(repeats: &mut Repeats, now: u64, kind: &'static str, message: &str) -> bool {
        repeats.admits(at(now), kind, 2, Level::Warn, message)
    }

    #[test]
    fn so_many_are_printed_and_the_rest_is_counted() {
        let mut repeats = Repeats::new();
        assert!(say(&mut repeats, 0, "deaths", "1") && say(&mut repeats, 1, "deaths", "2"));
        assert_eq!(repeats.deadline(), None);
        assert!(!say(&mut repeats, 2, "deaths", "3") && !say(&mut repeats, 3, "deaths", "4"));
        assert!(say(&mut repeats, 3, "starts", "other"));
        assert_eq!(repeats.deadline(), Some(SPAN));
        assert_eq!(repeats.take_due(Some(at(4))), []);
        let told = repeats.take_due(Some(SPAN));
        assert_eq!(told, [(Level::Warn, "2 more lines about deaths, the last: 4".to_string())]);
        assert_eq!((repeats.deadline(), repeats.take_due(None)), (None, vec![]));
    }

    #[test]
    fn a_new_span_begins_with_the_next_line() {
        let mut repeats = Repeats::new();
        for message in ["1", "2", "3"] {
            say(&mut repeats, 0, "deaths", message);
        }
        let over = LOG_REPEATS_SECONDS;
        assert_eq!(repeats.take_due(Some(at(over))).len(), 1);
        assert!(
            say(&mut repeats, over + 7, "deaths", "4")
                && say(&mut repeats, over + 8, "deaths", "5")
        );
        assert!(!say(&mut repeats, over + 9, "deaths", "6"));
        assert_eq!(repeats.deadline(), Some(at(over + 7 + over)));
    }

    #[test]
    fn at_the_end_everything_is_told_at_once() {
        let mut repeats = Repeats::new();
        for kind in ["a", "b"] {
            for message in ["1", "2", "3"] {
                say(&mut repeats, 0, kind, message);
            }
        }
        assert_eq!(repeats.take_due(None).len(), 2);
        assert_eq!(repeats.take_due(None), []);
    }
}
