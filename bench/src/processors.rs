//! On which processors a thread runs, and with it what it starts. Where the system puts a client
//! and its server, on one processor or on two, decides what a round trip costs, more than either.

use std::marker::PhantomData;

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Those that the calling thread may use, by number.
///
/// # Errors
/// Those of `sched_getaffinity`.
pub fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("cannot tell the processors")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&number| set.is_set(number)).collect())
}

/// Keeps the calling thread on one processor until it is dropped. What it starts meanwhile
/// inherits that, and keeps it.
pub struct Pinned {
    before: CpuSet,
    /// It is the thread that made it which is set free.
    of_this_thread: PhantomData<*const ()>,
}

impl Pinned {
    /// To the processor of this number.
    ///
    /// # Errors
    /// Those of `sched_setaffinity`: there is none of this number.
    pub fn to(number: usize) -> Result<Self> {
        let before = sched_getaffinity(None).context("cannot tell the processors")?;
        let mut one = CpuSet::new();
        one.set(number);
        let refused = || format!("cannot stay on processor {number}");
        sched_setaffinity(None, &one).with_context(refused)?;
        Ok(Self { before, of_this_thread: PhantomData })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_on_one_processor_as_long_as_it_is_pinned() {
        let before = allowed().unwrap();
        let last = *before.last().unwrap();
        let pinned = Pinned::to(last).unwrap();
        assert_eq!(allowed().unwrap(), [last]);
        assert_eq!(std::thread::spawn(|| allowed().unwrap()).join().unwrap(), [last]);
        drop(pinned);
        assert_eq!(allowed().unwrap(), before);
        assert!(Pinned::to(CpuSet::MAX_CPU - 1).is_err());
        assert_eq!(allowed().unwrap(), before);
    }
}
