//! Nice levels, absolute ones: −20 runs most, 19 least.

use std::io;

/// Sets the nice level of this process.
///
/// # Errors
/// `EACCES`: lower than it is, and not permitted.
pub fn set_own(level: i32) -> io::Result<()> {
    Ok(rustix::process::setpriority_process(None, level)?)
}

/// The nice level of this process.
#[cfg(test)]
pub(crate) fn own() -> i32 {
    rustix::process::getpriority_process(None).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::own_process::alone;

    #[test]
    fn a_level_is_absolute() {
        alone!();
        let higher = (own() + 3).min(19);
        set_own(higher).unwrap();
        set_own(higher).unwrap();
        assert_eq!(own(), higher);
    }
}
