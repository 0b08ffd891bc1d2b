//! How a worker comes to count as up, and when it has failed to.

use std::fmt;
use std::time::Duration;

use super::Amount;

const MANUAL: &str = "manual";
const NOTIFY: &str = "notify";
const EXEC_PREFIX: &str = "exec:";
const DESCRIPTOR: &str = "fd";

/// How a worker comes to count as up (`--ack-mode`).
#[derive(Clone, Debug, PartialEq)]
pub enum AckMode {
    /// It has lived that long.
    Timer(Duration),
    /// It says so itself, on the command socket.
    Manual,
    /// It says so by `sd_notify(3)`.
    Notify,
    /// It writes a newline to a descriptor that it was given.
    Descriptor,
    /// A command ends with status 0.
    Exec(CheckCommand),
}

/// A command that finds out whether a worker is up: at least one word, which is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckCommand {
    text: String,
    words: Vec<String>,
}

impl CheckCommand {
    /// Splits as a shell does; `None` if quotes are open, or there is no program.
    fn parse(text: &str) -> Option<Self> {
        let words = shell_words::split(text).ok()?;
        let is_program = words.first().is_some_and(|program| !program.is_empty());
        is_program.then(|| Self { text: text.to_owned(), words })
    }

    /// The program and its arguments.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// When a worker that is not yet up has failed (`--ack-timeout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckTimeout {
    /// Nothing was said: 300 s for newcomers of an upgrade, none at first start.
    Default,
    /// Never.
    Never,
    /// That long after its start, whenever it was started.
    After(Duration),
}

impl AckMode {
    /// What `--ack-mode` takes.
    pub const ALLOWED: &str = "`manual`, `notify`, `fd`, `exec:` and a command, or a number of seconds \
                               from 0 to 1000000000";

    /// Reads `--ack-mode`'s value; `None` unless it is as [`Self::ALLOWED`] says.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(command) = text.strip_prefix(EXEC_PREFIX) {
            return CheckCommand::parse(command).map(Self::Exec);
        }
        match text {
            MANUAL => Some(Self::Manual),
            NOTIFY => Some(Self::Notify),
            DESCRIPTOR => Some(Self::Descriptor),
            _ => Amount::from_text(text)?.seconds().map(Self::Timer),
        }
    }

    /// How long a worker must live, where that is what counts.
    pub fn timer(&self) -> Option<Duration> {
        match self {
            Self::Timer(time) => Some(*time),
            Self::Manual | Self::Notify | Self::Descriptor | Self::Exec(_) => None,
        }
    }

    /// Whether it was made for programs that do not know our protocol.
    pub fn is_for_any_program(&self) -> bool {
        match self {
            Self::Timer(_) | Self::Manual => false,
            Self::Notify | Self::Descriptor | Self::Exec(_) => true,
        }
    }
}

/// As `--ack-mode` takes it.
impl fmt::Display for AckMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timer(time) => write!(f, "{}", time.as_secs_f64()),
            Self::Manual => f.write_str(MANUAL),
            Self::Notify => f.write_str(NOTIFY),
            Self::Descriptor => f.write_str(DESCRIPTOR),
            Self::Exec(command) => write!(f, "{EXEC_PREFIX}{}", command.text),
        }
    }
}
