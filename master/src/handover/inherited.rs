//! Descriptors that the former image has handed over. A state may name each of them once, and
//! none that this image has opened itself.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd, RawFd};

use super::patience::insist;
use crate::sys::descriptor;
use crate::sys::socket::{self, Description};

/// What is still to be taken over.
#[derive(Debug)]
pub struct Inherited {
    numbers: BTreeSet<RawFd>,
}

impl Inherited {
    /// To be called before this image keeps anything open, or marks anything close-on-exec: only
    /// what is not so marked has crossed the exec.
    ///
    /// # Errors
    /// `/proc/self/fd` cannot be read.
    pub fn at_start() -> io::Result<Self> {
        let mut numbers = BTreeSet::new();
        for entry in std::fs::read_dir("/proc/self/fd")? {
            numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
        }
        numbers.retain(|&number| number > 2 && descriptor::is_open_across_exec(number));
        Ok(Self { numbers })
    }

    /// For a master that takes nothing over.
    pub fn nothing() -> Self {
        Self { numbers: BTreeSet::new() }
    }

    /// Takes the descriptor `number`, once.
    ///
    /// # Errors
    /// It is a standard stream, was not handed over, or has been taken already.
    pub fn take(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        if !self.numbers.remove(&number) {
            let message = if (0..=2).contains(&number) {
                "0, 1 and 2 are the standard streams"
            } else {
                "it was not handed over, or is named twice"
            };
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        descriptor::take_over(number)
    }

    /// Takes the first socket that nobody has taken and that `is` the one.
    pub fn find(&mut self, is: impl Fn(&Description) -> bool) -> Option<(OwnedFd, Description)> {
        for number in self.numbers.clone() {
            let Ok(taken) = descriptor::take_over(number) else { continue };
            match insist(|| socket::describe(taken.as_fd())) {
                Ok(found) if is(&found) => {
                    self.numbers.remove(&number);
                    return Some((taken, found));
                }
                // It stays open under its number.
                Ok(_) | Err(_) => drop(taken.into_raw_fd()),
            }
        }
        None
    }

    /// Closes what nobody has taken: a socket that is open but not served would keep its
    /// clients waiting. Returns the numbers.
    pub fn close_rest(self) -> Vec<RawFd> {
        let closed = |number: &RawFd| descriptor::take_over(*number).map(drop).is_ok();
        self.numbers.into_iter().filter(closed).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::own_process::alone;

    #[test]
    fn each_is_taken_once_and_only_if_it_was_there() {
        let early = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        let mut inherited = Inherited { numbers: BTreeSet::from([early]) };
        let late = std::fs::File::open("/dev/null").unwrap();
        assert!(inherited.take(late.as_raw_fd()).is_err());
        assert_eq!(inherited.take(early).unwrap().as_raw_fd(), early);
        assert!(inherited.take(early).is_err());
        assert!(inherited.take(1).unwrap_err().to_string().contains("standard streams"));
    }

    #[test]
    fn what_is_looked_for_is_found_and_the_rest_is_closed_at_the_end() {
        alone!();
        let ours = std::fs::File::open("/dev/null").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        let (wanted, other) = UnixStream::pair().unwrap();
        let wanted = wanted.into_raw_fd();
        let numbers = [file, wanted, other.as_raw_fd()];
        for number in [file, wanted] {
            assert!(!descriptor::is_open_across_exec(number));
        }
        assert!(Inherited::at_start().unwrap().numbers.is_disjoint(&numbers.into()));
        let mut inherited = Inherited { numbers: BTreeSet::from([file, wanted]) };
        assert!(inherited.find(|found| found.listening).is_none());
        let (taken, found) = inherited.find(|found| found.stream).unwrap();
        assert!(found.connected && taken.as_raw_fd() == wanted);
        assert!(inherited.find(|found| found.stream).is_none());
        assert_eq!(inherited.close_rest(), [file]);
        assert!(!descriptor::is_open(file) && descriptor::is_open(ours.as_raw_fd()));
    }
}
