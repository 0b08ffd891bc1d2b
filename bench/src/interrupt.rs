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
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
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

/// # Errors
/// INT or TERM came.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}
