//! What a master and its workers write to standard error, line by line as it comes.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::LONG;

/// Of a log that is shown because a test has failed.
const LINES_SHOWN_MAX: usize = 100;
/// Of each of those lines.
const CHARACTERS_SHOWN_MAX: usize = 500;

#[derive(Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

/// All lines so far, and a way to wait for more.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<(Mutex<State>, Condvar)>);

impl Log {
    /// Reads until nobody holds the other end any more.
    pub(crate) fn follow(stream: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let written = log.clone();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                written.change(|state| state.lines.push(text));
                line.clear();
            }
            written.change(|state| state.ended = true);
        });
        log
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.state().lines.clone()
    }

    /// As much of it as a person can read.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines();
        let shown = lines.iter().skip(lines.len().saturating_sub(LINES_SHOWN_MAX));
        let cut: Vec<String> =
            shown.map(|line| line.chars().take(CHARACTERS_SHOWN_MAX).collect()).collect();
        cut.join("\n")
    }

    /// How many lines there are: what follows is new.
    pub(crate) fn mark(&self) -> usize {
        self.state().lines.len()
    }

    /// Waits until there are more than `mark` lines, or until the time has come.
    pub(crate) fn wait_for_more(&self, mark: usize, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let wait = self.0.1.wait_timeout_while(self.state(), left, |state| {
            state.lines.len() <= mark && !state.ended
        });
        drop(wait);
    }

    /// The first line from `mark` on that contains `words`, once there is one.
    #[track_caller]
    pub(crate) fn wait_for_from(&self, mark: usize, words: &str) -> String {
        let until = Instant::now() + LONG;
        let mut seen = mark;
        loop {
            let (found, count, ended) = {
                let state = self.state();
                let news = state.lines.get(seen..).unwrap_or_default();
                let found = news.iter().find(|line| line.contains(words)).cloned();
                (found, state.lines.len(), state.ended)
            };
            match found {
                Some(line) => return line,
                None if ended || Instant::now() > until => {
                    panic!("no line has {words:?} in it from line {mark} on:\n{}", self.text())
                }
                None => seen = seen.max(count),
            }
            self.wait_for_more(seen, until);
        }
    }

    /// Waits until nobody can write any more.
    #[track_caller]
    pub(crate) fn wait_for_end(&self) {
        let wait = self.0.1.wait_timeout_while(self.state(), LONG, |state| !state.ended);
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        assert!(state.ended, "somebody still holds standard error:\n{}", state.lines.join("\n"));
    }
}
