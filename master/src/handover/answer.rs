//! What a program that runs as `--upgrade-check` says about itself, and how it is read.
//!
//! Our own program writes a line to the descriptor named in `EINHORN_UPGRADE_CHECK_FD`. That
//! descriptor is the probe as well: where it does not survive the command line in between,
//! sockets would not survive either, and the check fails.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::RawFd;

use einhorn_protocol::environment::UPGRADE_CHECK_FD;

use super::launcher;
use crate::instance::Environment;
use crate::state::FORMAT;
use crate::sys::{descriptor, reason};

/// The first word of the answer.
const NAME: &str = "einhorn";
/// The word before the number of the state's format.
const STATE_FORMAT: &str = "state-format";

/// Who the next image would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This program, perhaps of another version, with the format of its own part of the state.
    Ours {
        /// That format's number.
        state_format: u64,
    },
    /// It said nothing: a master that is not ours, or no master at all.
    Silent,
}

impl Kind {
    /// Reads an answer.
    pub(super) fn read(answer: &str) -> Self {
        let words: Vec<&str> = answer.split_whitespace().collect();
        match words[..] {
            [NAME, _, STATE_FORMAT, number, ..] => match number.parse() {
                Ok(state_format) => Self::Ours { state_format },
                Err(_) => Self::Silent,
            },
            _ => Self::Silent,
        }
    }
}

fn own_words() -> String {
    format!("{NAME} {} {STATE_FORMAT} {FORMAT}\n", env!("CARGO_PKG_VERSION"))
}

/// Why a check that runs in this process fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The variable is no number.
    #[error("{UPGRADE_CHECK_FD}={0:?} is no descriptor's number")]
    NoNumber(String),
    /// The descriptor is not open.
    #[error(
        "descriptor {0} ({UPGRADE_CHECK_FD}) did not survive the command line of the reload, so \
         sockets would not either; use a --reexec-as that keeps descriptors open"
    )]
    Closed(RawFd),
    /// A Ruby master's command would lose its sockets.
    #[error(
        "`{0}` closes descriptors, so the reload would lose every socket and the state; use a \
         command that keeps them open (`bundle exec --keep-file-descriptors`)"
    )]
    Lost(String),
    /// It cannot be written to.
    #[error("cannot write to descriptor {0} ({UPGRADE_CHECK_FD}): {1}")]
    Unwritable(RawFd, String),
}

/// Runs as `--upgrade-check`: says who this is, where somebody asks.
///
/// # Errors
/// Somebody asked and cannot be answered.
pub fn answer_upgrade_check(environment: &Environment) -> Result<(), AnswerError> {
    let Some(asked) = environment.get(UPGRADE_CHECK_FD) else {
        return launcher::loses_descriptors(environment)
            .map_or(Ok(()), |command| Err(AnswerError::Lost(command)));
    };
    answer(asked)
}

fn answer(asked: &OsStr) -> Result<(), AnswerError> {
    let typed = asked.to_string_lossy();
    let number: RawFd =
        typed.parse().map_err(|_| AnswerError::NoNumber(typed.clone().into_owned()))?;
    let descriptor = descriptor::take_over(number).map_err(|_| AnswerError::Closed(number))?;
    std::fs::File::from(descriptor)
        .write_all(own_words().as_bytes())
        .map_err(|error| AnswerError::Unwritable(number, reason(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read_as_it_is_written() {
        assert_eq!(Kind::read(&own_words()), Kind::Ours { state_format: FORMAT });
    }

    #[test]
    fn anything_else_is_silence() {
        for text in ["", "\n", "einhorn", "einhorn 1.0 state-format x", "Einhorn 1 state-format 1"]
        {
            assert_eq!(Kind::read(text), Kind::Silent, "{text:?}");
        }
    }

    #[test]
    fn a_lost_descriptor_fails_the_check() {
        let lost = answer(OsStr::new("987654"));
        assert_eq!(lost, Err(AnswerError::Closed(987_654)));
        let words = answer(OsStr::new("five"));
        assert_eq!(words, Err(AnswerError::NoNumber("five".into())));
        assert_eq!(answer_upgrade_check(&Environment::default()), Ok(()));
    }
}
