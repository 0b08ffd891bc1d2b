//! A next image that does not get from the system what it needs to begin.
//!
//! There is no way back, and workers are there already: so it does not give up at the first
//! refusal, as a first start does.

use std::io;
use std::time::Duration;

use crate::sys::{clock, reason, socket};

/// Between two tries.
const WAIT: Duration = Duration::from_secs(1);
/// How often it tries; the log says so in words.
const TRIES_MAX: u32 = 60;

/// How often something is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    tries: u32,
}

impl Patience {
    /// That of a master that takes over from another one, or of one that starts.
    pub fn of(takes_over: bool) -> Self {
        Self { tries: if takes_over { TRIES_MAX } else { 1 } }
    }

    /// What `make` makes, once it can.
    ///
    /// # Errors
    /// The last one of `make`.
    pub fn get<T>(self, what: &str, mut make: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        for number in 1..self.tries {
            match make() {
                Ok(value) => return Ok(value),
                Err(error) if number == 1 => ::log::error!(
                    "{what}: {}; trying again every second, for a minute",
                    reason(&error)
                ),
                Err(_) => {}
            }
            clock::wait(WAIT);
        }
        make()
    }
}

/// What `ask` says of something that crossed, asked again as long as it lacks only what may come
/// back: a socket that cannot be known for a moment must not be lost for good.
pub(super) fn insist<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for number in 1..TRIES_MAX {
        match ask() {
            Err(error) if socket::may_pass(&error) => {
                if number == 1 {
                    let why = reason(&error);
                    ::log::error!(
                        "cannot ask what was handed over: {why}; trying again every second, for a \
                         minute"
                    );
                }
                clock::wait(WAIT);
            }
            verdict => return verdict,
        }
    }
    ask()
}
