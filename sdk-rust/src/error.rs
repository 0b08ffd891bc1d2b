//! What can go wrong, and how it is said.
//!
//! Every message names the variable or file, its value and the reason, and says what to do
//! where the reader can do something. [`ErrorKind`] is the same in numbers and short names for
//! the other languages: a number, once given, is never changed or given again.

use std::{fmt, io, time::Duration};

/// What every call of this library that can fail returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Longest part of a variable's value that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// Why a call failed. The text is one line without a final stop.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// `EINHORN_MASTER_PID` is not set: no master started this program.
    NoMaster,
    /// The parent is not the master: a child of a worker, or an orphan.
    WrongParent {
        /// Pid of this process's parent.
        parent: u32,
        /// Pid in `EINHORN_MASTER_PID`.
        master: u32,
    },
    /// A variable that is needed is not set.
    Missing {
        /// Name of the variable.
        variable: String,
    },
    /// A variable's value makes no sense.
    Malformed {
        /// Name of the variable.
        variable: String,
        /// Its value.
        value: String,
        /// What it should have been.
        wanted: &'static str,
    },
    /// There are fewer sockets than that.
    NoSuchSocket {
        /// The index that was asked for, from 0.
        index: usize,
        /// How many sockets there are.
        count: usize,
    },
    /// A variable names a descriptor that is no listening socket.
    BadDescriptor {
        /// Name of the variable.
        variable: String,
        /// The descriptor's number.
        value: i32,
        /// What it is instead.
        problem: &'static str,
    },
    /// The socket is of another family than the listener that was asked for.
    WrongFamily {
        /// Name of the variable.
        variable: String,
        /// The descriptor's number.
        value: i32,
        /// What the socket is.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The system refused a call on an inherited descriptor.
    Descriptor {
        /// Name of the variable.
        variable: String,
        /// The descriptor's number.
        value: i32,
        /// The system's reason.
        source: io::Error,
    },
    /// The path of the command socket does not fit into a socket address.
    PathTooLong {
        /// Name of the variable.
        variable: &'static str,
        /// The path.
        path: String,
    },
    /// The master's command socket could not be reached.
    Unreachable {
        /// The path, as `EINHORN_SOCK_PATH` has it.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The message was sent, but the master did not take it in time.
    NotConfirmed {
        /// The path, as `EINHORN_SOCK_PATH` has it.
        path: String,
        /// How long the call waited.
        waited: Duration,
    },
    /// Whoever listens there closed the connection without reading the message.
    NotTaken {
        /// The path, as `EINHORN_SOCK_PATH` has it.
        path: String,
    },
    /// Whoever listens there answered, which a master does only to what it refuses.
    Refused {
        /// The path, as `EINHORN_SOCK_PATH` has it.
        path: String,
        /// The beginning of the answer.
        answer: String,
    },
    /// The message is longer than a master reads.
    MessageTooLong {
        /// Length of the line in bytes.
        bytes: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Other threads run already, so that no worker can be forked.
    Threads {
        /// How many threads this process has.
        count: usize,
    },
    /// The system would not let the library listen for the request to stop.
    Signal {
        /// The system's reason.
        source: io::Error,
    },
}

/// An error's cause as a small number and a name, the same in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorKind {
    /// This process is not a worker.
    NotWorker = 1,
    /// A variable is missing or its value makes no sense.
    Environment = 2,
    /// There are fewer sockets than that.
    NoSuchSocket = 3,
    /// A variable names a descriptor that is no listening socket.
    BadDescriptor = 4,
    /// The socket is of another family.
    WrongFamily = 5,
    /// The command socket cannot be reached.
    Unreachable = 6,
    /// Sent, but not confirmed in time.
    NotConfirmed = 7,
    /// The message was refused, or dropped unread.
    Refused = 8,
    /// The message is too long.
    MessageTooLong = 9,
    /// The system refused a call.
    System = 10,
}

/// A kind with its name and its sentence.
type KindRow = (ErrorKind, &'static str, &'static str);

/// One row a kind, in the order of their numbers.
const KINDS: [KindRow; 10] = [
    (ErrorKind::NotWorker, "NOT_WORKER", "this process is not a worker of an einhorn master"),
    (ErrorKind::Environment, "ENVIRONMENT", "an EINHORN_ variable is missing or malformed"),
    (ErrorKind::NoSuchSocket, "NO_SUCH_SOCKET", "there are fewer sockets than that"),
    (ErrorKind::BadDescriptor, "BAD_DESCRIPTOR", "a descriptor is not a listening socket"),
    (ErrorKind::WrongFamily, "WRONG_FAMILY", "the socket is of another family"),
    (ErrorKind::Unreachable, "UNREACHABLE", "the master's command socket cannot be reached"),
    (ErrorKind::NotConfirmed, "NOT_CONFIRMED", "sent, but not confirmed by the master in time"),
    (ErrorKind::Refused, "REFUSED", "the message was refused or dropped unread"),
    (ErrorKind::MessageTooLong, "MESSAGE_TOO_LONG", "the message is longer than a master reads"),
    (ErrorKind::System, "SYSTEM", "the system refused a call"),
];

impl ErrorKind {
    /// Every kind, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|&(kind, ..)| kind)
    }

    /// The kind with that number, if there is one.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::all().find(|kind| kind.number() == number)
    }

    /// A number from 1 that never changes. C returns it negated.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// A name in capitals, `NOT_WORKER`. Node has it as `code` with `EINHORN_` before it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What the kind means, in a few words.
    pub fn describe(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> KindRow {
        KINDS.into_iter().find(|&(kind, ..)| kind == self).unwrap_or(KINDS[KINDS.len() - 1])
    }
}

impl Error {
    /// The cause as a number and a name.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoMaster | Self::WrongParent { .. } => ErrorKind::NotWorker,
            Self::Missing { .. } | Self::Malformed { .. } | Self::PathTooLong { .. } => {
                ErrorKind::Environment
            }
            Self::NoSuchSocket { .. } => ErrorKind::NoSuchSocket,
            Self::BadDescriptor { .. } => ErrorKind::BadDescriptor,
            Self::WrongFamily { .. } => ErrorKind::WrongFamily,
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::NotConfirmed { .. } => ErrorKind::NotConfirmed,
            Self::NotTaken { .. } | Self::Refused { .. } => ErrorKind::Refused,
            Self::MessageTooLong { .. } => ErrorKind::MessageTooLong,
            Self::Descriptor { .. } | Self::Signal { .. } | Self::Threads { .. } => {
                ErrorKind::System
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use einhorn_protocol::environment as names;
        match self {
            Self::NoMaster => write!(
                f,
                "not a worker: {} is not set (no einhorn master started this program)",
                names::MASTER_PID
            ),
            Self::WrongParent { parent, master } => write!(
                f,
                "not a worker: its parent is {parent}, but {} is {master}; start the program with \
                 exec, so that nothing stands between it and its master",
                names::MASTER_PID
            ),
            Self::Missing { variable } => {
                write!(f, "{variable} is not set, which every einhorn master does")
            }
            Self::Malformed { variable, value, wanted } => {
                write!(f, "{variable} is {:?}, but must be {wanted}", Shown(value))
            }
            Self::NoSuchSocket { index, count } => write!(
                f,
                "there is no socket {index}: {} is {count}, and indexes count from 0 (give the \
                 master a -b for each socket)",
                names::FD_COUNT
            ),
            Self::BadDescriptor { variable, value, problem } => {
                write!(f, "{variable} is {value}, but descriptor {value} is {problem}")
            }
            Self::WrongFamily { variable, value, found, wanted } => {
                write!(f, "{variable} is {value}, which is {found}, not {wanted}")
            }
            Self::Descriptor { variable, value, source } => {
                write!(f, "cannot use {variable}, descriptor {value}: {source}")
            }
            Self::PathTooLong { variable, path } => {
                let bytes = path.len();
                let max = einhorn_protocol::limit::UNIX_PATH_BYTES_MAX;
                write!(f, "{variable} is too long for a socket's path ({bytes} bytes, ")?;
                write!(f, "most systems take {max}): {:?}", Shown(path))
            }
            Self::Unreachable { path, source } => {
                let name = names::SOCK_PATH;
                write!(f, "cannot reach the master at {:?} (from {name}): {source}", Shown(path))
            }
            Self::NotConfirmed { path, waited } => write!(
                f,
                "sent, not confirmed: nobody took the message at {:?} (from {}) within {} s",
                Shown(path),
                names::SOCK_PATH,
                waited.as_secs_f32()
            ),
            Self::NotTaken { path } => write!(
                f,
                "the connection to {:?} (from {}) was closed before the message was read",
                Shown(path),
                names::SOCK_PATH
            ),
            Self::Refused { path, answer } => write!(
                f,
                "refused by whoever listens at {:?} (from {}): {:?}",
                Shown(path),
                names::SOCK_PATH,
                Shown(answer)
            ),
            Self::MessageTooLong { bytes, max } => {
                write!(f, "the message is {bytes} bytes long, a master reads {max} at most")
            }
            Self::Threads { count } => write!(
                f,
                "cannot fork workers: {count} threads run already, of which a worker would have \
                 one; start them after become_worker"
            ),
            Self::Signal { source } => write!(f, "cannot listen for SIGUSR2: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Descriptor { source, .. }
            | Self::Unreachable { source, .. }
            | Self::Signal { source } => Some(source),
            _ => None,
        }
    }
}

/// A value in quotes, cut where it is absurdly long.
struct Shown<'a>(&'a str);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_CHARS_MAX) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_row_of_its_own() {
        for (place, kind) in ErrorKind::all().enumerate() {
            assert_eq!(usize::try_from(kind.number()).unwrap(), place + 1);
            assert_eq!(ErrorKind::from_number(kind.number()), Some(kind));
            assert_eq!(KINDS.iter().filter(|row| row.1 == kind.name()).count(), 1);
            assert!(!kind.describe().is_empty());
        }
        assert_eq!(ErrorKind::from_number(0), None);
        assert_eq!(ErrorKind::from_number(11), None);
    }

    #[test]
    fn a_long_value_is_cut() {
        let exact = "é".repeat(SHOWN_CHARS_MAX);
        assert_eq!(format!("{:?}", Shown(&exact)), format!("\"{exact}\""));
        let longer = "é".repeat(SHOWN_CHARS_MAX + 1);
        assert_eq!(format!("{:?}", Shown(&longer)), format!("\"{exact}\"…"));
    }
}
