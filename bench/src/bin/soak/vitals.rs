//! What the master holds: resident memory and descriptors, flat however long it runs.

use std::fmt;
use std::fs;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use einhorn_bench::{process, wait};

/// More than after the warm-up by so much is growth: buffers that were needed once stay.
const GROWTH_KIB_MAX: u64 = 4 << 10;

/// How long connections that are closed may take to go.
const REST: Duration = Duration::from_secs(2);

/// At one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
}

impl Vitals {
    /// Of a process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/fd");
        let descriptors = fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(Self { resident_kib: process::resident_kib(pid)?, descriptors: descriptors.count() })
    }

    /// The same with the fewest descriptors that it has within some time, or as soon as it has
    /// no more than `enough`: connections that have just been closed go, a leak stays.
    pub(crate) fn at_rest(pid: u32, enough: usize) -> Result<Self> {
        let begun = Instant::now();
        let mut least = Self::of(pid)?;
        while least.descriptors > enough && begun.elapsed() < REST {
            wait::pass(Duration::from_millis(10))?;
            let now = Self::of(pid)?;
            least.resident_kib = now.resident_kib;
            least.descriptors = least.descriptors.min(now.descriptors);
        }
        Ok(least)
    }

    /// The more of each.
    pub(crate) fn or_more(self, other: Self) -> Self {
        Self {
            resident_kib: self.resident_kib.max(other.resident_kib),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB, {} descriptors", self.resident_kib, self.descriptors)
    }
}

/// At rest before the load, at most while it warmed up, and at rest after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) begin: Vitals,
    pub(crate) warm: Vitals,
    pub(crate) end: Vitals,
}

impl Course {
    /// # Errors
    /// Something has grown.
    pub(crate) fn check(&self) -> Result<()> {
        let (begin, end) = (self.begin.descriptors, self.end.descriptors);
        ensure!(end <= begin, "the master had {begin} descriptors, and has {end} at the end");
        let (warm, end) = (self.warm.resident_kib, self.end.resident_kib);
        let is_flat = end <= warm + GROWTH_KIB_MAX;
        ensure!(is_flat, "the master had {warm} KiB after the warm-up, and has {end} at the end");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_noticed() {
        let at = |resident_kib, descriptors| Vitals { resident_kib, descriptors };
        let (begin, warm) = (at(5000, 20), at(9000, 90));
        let check = |end| Course { begin, warm, end }.check();
        check(at(9000 + GROWTH_KIB_MAX, 20)).unwrap();
        check(at(9001 + GROWTH_KIB_MAX, 20)).unwrap_err();
        check(at(5000, 21)).unwrap_err();
    }
}
