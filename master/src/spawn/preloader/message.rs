//! Messages between the master and a preloader as bytes (`docs/preloading.md`). Pure.

use einhorn_protocol::limit::PRELOAD_MESSAGE_BYTES_MAX;
use einhorn_protocol::preload;

use crate::log::shown;
use crate::signal::Signal;
use crate::spawn::environment::{Value, Variable};
use crate::sys::process::Pid;

/// Most characters of a preloader's own words that are repeated.
const TEXT_CHARACTERS_MAX: usize = 2000;

/// Numbers the requests to one preloader.
pub type RequestId = u64;

/// Asks for one worker.
#[derive(Clone, Debug)]
pub(super) struct ForkRequest<'a> {
    /// Its number.
    pub(super) id: RequestId,
    /// The variables of the protocol that the worker finds.
    pub(super) variables: &'a [Variable],
    /// How many descriptors come with it.
    pub(super) descriptors: usize,
    /// What the worker gets when the master dies.
    pub(super) parent_death: Option<Signal>,
}

/// It does not fit into a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what a worker is to find takes more than {PRELOAD_MESSAGE_BYTES_MAX} bytes")]
pub(super) struct TooLong;

impl ForkRequest<'_> {
    /// The message.
    ///
    /// # Errors
    /// It is longer than [`PRELOAD_MESSAGE_BYTES_MAX`].
    pub(super) fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut message = preload::FORK.as_bytes().to_vec();
        let mut field = |word: &str, rest: &[u8]| {
            message.push(0);
            message.extend_from_slice(word.as_bytes());
            message.push(b' ');
            message.extend_from_slice(rest);
        };
        field(preload::ID, self.id.to_string().as_bytes());
        field(preload::DESCRIPTORS, self.descriptors.to_string().as_bytes());
        for Variable { name, value } in self.variables {
            let (word, value) = match value {
                Value::Text(text) => (preload::SET, text.clone()),
                Value::Numbers(places) => {
                    let places: Vec<String> = places.iter().map(usize::to_string).collect();
                    (preload::NUMBERS, places.join(" ").into_bytes())
                }
            };
            field(word, &[name.as_bytes(), b"=", &value].concat());
        }
        if let Some(signal) = self.parent_death {
            field(preload::PARENT_DEATH, signal.number().to_string().as_bytes());
        }
        if message.len() > PRELOAD_MESSAGE_BYTES_MAX { Err(TooLong) } else { Ok(message) }
    }
}

/// What a preloader says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The code is loaded.
    Ready {
        /// What the log should say.
        notes: Vec<String>,
    },
    /// The code cannot be loaded.
    Failed {
        /// Why, in a few lines.
        reason: String,
    },
    /// A worker waits for its release.
    Forked {
        /// Which request's.
        id: RequestId,
        /// Its pid, not yet believed.
        pid: Pid,
    },
    /// No worker could be forked.
    Refused {
        /// Which request's.
        id: RequestId,
        /// Why.
        reason: String,
    },
}

impl Reply {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub fn decode(message: &[u8]) -> Result<Self, String> {
        let wrong = || format!("it said {}", shown(&String::from_utf8_lossy(message)));
        let mut fields = message.split(|byte| *byte == 0);
        let kind = fields.next().unwrap_or_default();
        let fields = Fields(fields.map(split).collect());
        match std::str::from_utf8(kind).unwrap_or_default() {
            preload::READY => match fields.number(preload::EDITION_KEY) {
                Some(edition) if edition == u64::from(preload::EDITION) => {
                    Ok(Self::Ready { notes: fields.texts(preload::NOTE) })
                }
                Some(edition) => Err(format!(
                    "it speaks edition {edition} of the interface, and this master edition {}",
                    preload::EDITION
                )),
                None => Err(wrong()),
            },
            preload::FAILED => Ok(Self::Failed { reason: fields.reason() }),
            preload::FORKED => {
                let pid = fields.number(preload::PID).and_then(|pid| Pid::try_from(pid).ok());
                match (fields.number(preload::ID), pid) {
                    (Some(id), Some(pid)) if pid > 0 => Ok(Self::Forked { id, pid }),
                    _ => Err(wrong()),
                }
            }
            preload::REFUSED => {
                let id = fields.number(preload::ID).ok_or_else(wrong)?;
                Ok(Self::Refused { id, reason: fields.reason() })
            }
            _ => Err(wrong()),
        }
    }
}

fn split(field: &[u8]) -> (&[u8], &[u8]) {
    let end = field.iter().position(|byte| *byte == b' ').unwrap_or(field.len());
    let (word, rest) = field.split_at_checked(end).unwrap_or((field, b""));
    (word, rest.get(1..).unwrap_or_default())
}

/// The fields after the first: words and what follows them.
struct Fields<'a>(Vec<(&'a [u8], &'a [u8])>);

impl Fields<'_> {
    fn all(&self, word: &str) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(other, _)| *other == word.as_bytes()).map(|(_, rest)| *rest)
    }

    fn number(&self, word: &str) -> Option<u64> {
        std::str::from_utf8(self.all(word).next()?).ok()?.parse().ok()
    }

    fn texts(&self, word: &str) -> Vec<String> {
        let text = |bytes| {
            let text = String::from_utf8_lossy(bytes);
            text.trim().chars().take(TEXT_CHARACTERS_MAX).collect()
        };
        self.all(word).map(text).collect()
    }

    fn reason(&self) -> String {
        let said = self.texts(preload::REASON).into_iter().next().unwrap_or_default();
        if said.is_empty() { "it does not say why".to_owned() } else { said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &'static str, value: Value) -> Variable {
        Variable { name: name.to_owned(), value }
    }

    #[test]
    fn a_request_as_it_is_written() {
        let variables = [
            variable("EINHORN_SOCK_PATH", Value::Text(b"/tmp/\xff".to_vec())),
            variable("EINHORN_FDS", Value::Numbers(vec![0, 1])),
            variable("EINHORN_FD_0", Value::Numbers(vec![0])),
        ];
        let mut request = ForkRequest {
            id: 7,
            variables: &variables,
            descriptors: 2,
            parent_death: Some(Signal::USR2),
        };
        assert_eq!(
            request.encode().unwrap(),
            b"fork\0id 7\0descriptors 2\0set EINHORN_SOCK_PATH=/tmp/\xff\0\
              numbers EINHORN_FDS=0 1\0numbers EINHORN_FD_0=0\0parent-death 12"
        );
        request.parent_death = None;
        request.variables = &[];
        assert_eq!(request.encode().unwrap(), b"fork\0id 7\0descriptors 2");
    }

    #[test]
    fn a_request_at_the_limit_and_one_past_it() {
        let length = |text: usize| {
            let variables = [variable("X", Value::Text(vec![b'x'; text]))];
            let request =
                ForkRequest { id: 1, variables: &variables, descriptors: 0, parent_death: None };
            request.encode().map(|message| message.len())
        };
        let least = length(0).unwrap();
        let fits = PRELOAD_MESSAGE_BYTES_MAX - least;
        assert_eq!(length(fits), Ok(PRELOAD_MESSAGE_BYTES_MAX));
        assert_eq!(length(fits + 1), Err(TooLong));
    }

    #[track_caller]
    fn check(message: &[u8], expect: Result<Reply, &str>) {
        assert_eq!(Reply::decode(message), expect.map_err(str::to_owned));
    }

    #[test]
    fn replies() {
        check(b"ready\0edition 1", Ok(Reply::Ready { notes: Vec::new() }));
        check(
            b"ready\0edition 1\0note a b\0other x\0note c",
            Ok(Reply::Ready { notes: vec!["a b".into(), "c".into()] }),
        );
        check(
            b"failed\0reason line 1\nline 2\n",
            Ok(Reply::Failed { reason: "line 1\nline 2".into() }),
        );
        check(b"failed", Ok(Reply::Failed { reason: "it does not say why".into() }));
        check(b"forked\0id 7\0pid 812", Ok(Reply::Forked { id: 7, pid: 812 }));
        check(
            b"refused\0id 7\0reason out of \xff memory",
            Ok(Reply::Refused { id: 7, reason: "out of \u{fffd} memory".into() }),
        );
    }

    #[test]
    fn what_is_no_reply() {
        check(b"", Err("it said "));
        check(b"hello\nthere", Err("it said hello\\nthere"));
        check(b"ready", Err("it said ready"));
        check(
            b"ready\0edition 2",
            Err("it speaks edition 2 of the interface, and this master edition 1"),
        );
        for pid in ["0", "-1", "x", "99999999999", ""] {
            let message = format!("forked\0id 7\0pid {pid}");
            assert!(Reply::decode(message.as_bytes()).is_err(), "{message}");
        }
        assert!(Reply::decode(b"forked\0pid 7").is_err());
        assert!(Reply::decode(b"refused\0reason x").is_err());
    }

    #[test]
    fn long_texts_are_cut() {
        let text = "\u{e9}".repeat(TEXT_CHARACTERS_MAX + 1);
        let Ok(Reply::Failed { reason }) =
            Reply::decode(format!("failed\0reason {text}").as_bytes())
        else {
            panic!()
        };
        assert_eq!(reason.chars().count(), TEXT_CHARACTERS_MAX);
    }
}
