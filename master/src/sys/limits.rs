//! The limit of open descriptors.
//!
//! The master raises its own for its clients. Workers, and whatever the master execs, get the
//! one that it started with: a program that uses select(2) breaks under a higher one.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Soft and hard limit of open descriptors; no number is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What counts.
    pub soft: Option<u64>,
    /// As far as the soft limit may be raised.
    pub hard: Option<u64>,
}

/// The limit of this process.
pub fn open_files() -> OpenFiles {
    let limit = getrlimit(Resource::Nofile);
    OpenFiles { soft: limit.current, hard: limit.maximum }
}

/// Sets the limit of this process.
///
/// # Errors
/// `EPERM`: the hard limit would be raised.
pub fn set_open_files(limit: OpenFiles) -> io::Result<()> {
    let limit = Rlimit { current: limit.soft, maximum: limit.hard };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Raises the soft limit to the hard one and returns what was before.
///
/// # Errors
/// Those of setrlimit(2).
pub fn raise_open_files() -> io::Result<OpenFiles> {
    let before = open_files();
    if before.soft != before.hard {
        set_open_files(OpenFiles { soft: before.hard, ..before })?;
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::own_process::alone;

    #[test]
    fn raised_and_restored() {
        alone!();
        let hard = open_files().hard;
        let low = OpenFiles { soft: Some(100), hard };
        set_open_files(low).unwrap();
        assert_eq!(raise_open_files().unwrap(), low);
        assert_eq!(open_files(), OpenFiles { soft: hard, hard });
        assert_eq!(raise_open_files().unwrap(), OpenFiles { soft: hard, hard });
        set_open_files(low).unwrap();
        assert_eq!(open_files(), low);
    }
}
