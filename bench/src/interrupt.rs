//! INT and TERM end a run in order: every wait fails, and what was started is stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SigSet, Signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on INT and TERM are remembered. A second one ends the process at once. To be
/// called before any thread is started.
///
/// # Errors
/// The system refuses to block signals or to start a thread.
pub fn catch() -> Result<()> {
    let signals = caught();
    signals.thread_block().context("cannot block signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while let Ok(signal) = signals.wait() {
                if INTERRUPTED.swap(true, Ordering::SeqCst) {
                    std::process::exit(128 + signal as i32);
                }
            }
        })
        .context("cannot start a thread")?;
    Ok(())
}

fn caught() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM].into_iter().collect()
}

/// Starts something that is to be stopped by TERM: a process inherits what its parent blocks,
/// and many programs never unblock it.
///
/// # Errors
/// Those of `start`, or of changing the mask.
pub fn without_blocked_signals<T>(start: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
    caught().thread_unblock()?;
    let started = start();
    caught().thread_block()?;
    Ok(started?)
}

/// # Errors
/// INT or TERM came.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}
