//! Waiting for what can only be asked for.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(2);

/// Asks until there is an answer.
///
/// # Errors
/// There is none within `limit` (`what` names it), the question fails, or INT or TERM came.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        interrupt::check()?;
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {} s", limit.as_secs_f64());
        }
        thread::sleep(INTERVAL);
    }
}

/// Lets time pass.
///
/// # Errors
/// INT or TERM came.
pub fn pass(span: Duration) -> Result<()> {
    let deadline = Instant::now() + span;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        interrupt::check()?;
        thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(())
}
