//! Descriptors that were open when this image began. A state may name each of them once, and
//! none that this image has opened itself.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{OwnedFd, RawFd};

use crate::sys::descriptor;

/// What is still to be taken over.
#[derive(Debug)]
pub struct Inherited {
    numbers: BTreeSet<RawFd>,
}

impl Inherited {
    /// To be called before this image opens anything.
    ///
    /// # Errors
    /// `/proc/self/fd` cannot be read.
    pub fn at_start() -> io::Result<Self> {
        // The folder's own descriptor is in the list and closed again when the list is made.
        let mut numbers = BTreeSet::new();
        for entry in std::fs::read_dir("/proc/self/fd")? {
            numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
        }
        numbers.retain(|&number| number > 2 && descriptor::is_open(number));
        Ok(Self { numbers })
    }

    /// Takes the descriptor `number`, once.
    ///
    /// # Errors
    /// It was not open at the start, or has been taken already.
    pub fn take(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        if !self.numbers.remove(&number) {
            let message = "it was not handed over, or is named twice";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        descriptor::take_over(number)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn each_is_taken_once_and_only_if_it_was_there() {
        let early = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        let mut inherited = Inherited { numbers: BTreeSet::from([early]) };
        let late = std::fs::File::open("/dev/null").unwrap();
        assert!(inherited.take(late.as_raw_fd()).is_err());
        assert_eq!(inherited.take(early).unwrap().as_raw_fd(), early);
        assert!(inherited.take(early).is_err());
    }
}
