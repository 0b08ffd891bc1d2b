//! A request for a worker. Pure.

use einhorn_protocol::preload;
use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

/// What a worker is to be.
#[derive(Debug)]
pub(super) struct Request {
    /// To be repeated in the answer.
    pub(super) id: String,
    /// Its variables.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// What it inherits.
    pub(super) descriptors: Vec<OwnedFd>,
    /// The signal that it gets when the master dies.
    pub(super) parent_death: Option<i32>,
}

impl Request {
    /// Reads a message. None if it asks for nothing that is known here, or is not whole.
    pub(super) fn read(message: &[u8], descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut fields = message.split(|byte| *byte == 0);
        if fields.next()? != preload::FORK.as_bytes() {
            return None;
        }
        let mut request =
            Self { id: String::new(), variables: Vec::new(), descriptors, parent_death: None };
        let mut expected = 0;
        for field in fields {
            let (word, rest) = split(field, b' ')?;
            match std::str::from_utf8(word).ok()? {
                preload::ID => text(rest)?.clone_into(&mut request.id),
                preload::DESCRIPTORS => expected = text(rest)?.parse().ok()?,
                preload::PARENT_DEATH => request.parent_death = Some(text(rest)?.parse().ok()?),
                preload::SET => {
                    let (name, value) = split(rest, b'=')?;
                    request.set(name, value);
                }
                preload::NUMBERS => {
                    let (name, places) = split(rest, b'=')?;
                    let numbers = request.numbers(text(places)?)?;
                    request.set(name, numbers.as_bytes());
                }
                _ => {}
            }
        }
        (request.descriptors.len() == expected && !request.id.is_empty()).then_some(request)
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        let own = |bytes| OsStr::from_bytes(bytes).to_owned();
        self.variables.push((own(name), own(value)));
    }

    fn numbers(&self, places: &str) -> Option<String> {
        let number = |place: &str| {
            let descriptor = self.descriptors.get(place.parse::<usize>().ok()?)?;
            Some(descriptor.as_raw_fd().to_string())
        };
        let numbers: Option<Vec<String>> = places.split_whitespace().map(number).collect();
        Some(numbers?.join(" "))
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.variables.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_os_str())
    }
}

/// The name before the first `at`, which is not empty, and what follows.
fn split(field: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = field.iter().position(|byte| *byte == at).filter(|place| *place > 0)?;
    Some((field.get(..place)?, field.get(place + 1..)?))
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn descriptors(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect()
    }

    #[test]
    fn a_request_is_read() {
        let given = descriptors(2);
        let numbers: Vec<String> = given.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
        let message = b"fork\0id 7\0descriptors 2\0set A=b=\xff\0numbers B=1 0\0numbers C=\0\
                        later x\0parent-death 12";
        let request = Request::read(message, given).unwrap();
        assert_eq!((request.id.as_str(), request.parent_death), ("7", Some(12)));
        assert_eq!(request.variable("A").unwrap().as_bytes(), b"b=\xff");
        assert_eq!(request.variable("B").unwrap(), &*format!("{} {}", numbers[1], numbers[0]));
        assert_eq!(request.variable("C").unwrap(), "");
        assert_eq!(request.variable("D"), None);
    }

    #[test]
    fn what_makes_no_sense_is_none() {
        for message in [
            "",
            "spoon\0id 1",
            "fork",
            "fork\0id",
            "fork\0id 1\0descriptors 1",
            "fork\0id 1\0descriptors x",
            "fork\0id 1\0numbers A=0",
            "fork\0id 1\0numbers A=x",
            "fork\0id 1\0set A",
            "fork\0id 1\0set =a",
            "fork\0id 1\0parent-death x",
            "fork\0id 1\0",
        ] {
            assert!(Request::read(message.as_bytes(), Vec::new()).is_none(), "{message:?}");
        }
        assert!(Request::read(b"fork\0id 1", descriptors(1)).is_none());
        assert!(Request::read(b"fork\0id 1", Vec::new()).is_some());
    }
}
