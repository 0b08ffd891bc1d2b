//! From a line to a [`Request`], by the rules of `protocol.md §3` that hold for every command.
//! What a command wants beyond them is checked where the command is.
//!
//! A line that is no request becomes a [`Refusal`], which has all that is needed to answer it.

use einhorn_protocol::{command, error_code, framing, key, limit};

use super::address::ReturnAddress;
use super::dialect::{self, Dialect, Malformed, describe};
use super::input::LineTooLong;
use super::json::Entries;
use super::reply::Reply;
use crate::psych::{Limits, Value};

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The command's name, known or not.
    pub command: String,
    /// Its arguments; empty if there were none.
    pub args: Vec<String>,
    /// What every reply repeats.
    pub id: Option<Value>,
    /// The key `pid` as it came; see [`Self::worker_pid`].
    pub pid: Option<Value>,
    /// The key `user`, where it is text or a number.
    pub user: Option<String>,
    /// The key `request_id`: in `worker:ping` what the worker is busy with.
    pub request_id: Option<Value>,
    /// The language that the replies speak.
    pub dialect: Dialect,
}

/// A line that is no request, and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// To whom the answer goes.
    pub address: ReturnAddress,
    /// The stable code of what is wrong.
    pub code: &'static str,
    /// What is wrong, for a person.
    pub message: String,
    /// Whether the connection is closed after the answer.
    pub close: bool,
}

impl Request {
    /// Reads a line without its newline.
    ///
    /// # Errors
    /// The line is no message, or the message no request.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let text = framing::unescape(line);
        let (dialect, message) = dialect::read(line, &text, &Limits::request());
        match message {
            Ok(entries) => Fields::of(entries).into_request(dialect),
            Err(malformed) => Err(Refusal::malformed(dialect, &malformed)),
        }
    }

    /// Where the replies go.
    pub fn address(&self) -> ReturnAddress {
        ReturnAddress { dialect: self.dialect, id: self.id.clone() }
    }

    /// The worker's pid that `worker:ack` and `worker:ping` come with.
    ///
    /// # Errors
    /// It is missing or no process id; the text says which.
    pub fn worker_pid(&self) -> Result<i32, String> {
        match &self.pid {
            None => Err(format!("`{}` is missing; it is the worker's pid", key::PID)),
            Some(Value::Integer(pid)) => i32::try_from(*pid)
                .ok()
                .filter(|pid| *pid > 0)
                .ok_or_else(|| format!("`{}` is {pid}, which is no process id", key::PID)),
            Some(other) => {
                Err(format!("`{}` must be an integer, not {}", key::PID, describe(other)))
            }
        }
    }
}

impl Refusal {
    /// The answer.
    pub fn reply(&self) -> Reply {
        Reply::failed(self.code, self.message.as_str())
    }

    fn malformed(dialect: Dialect, malformed: &Malformed) -> Self {
        Self {
            address: ReturnAddress::anonymous(dialect),
            code: malformed.code(),
            message: malformed.to_string(),
            close: malformed.closes(),
        }
    }

    /// The answer to a line that was dropped unread.
    pub(super) fn too_long(dialect: Dialect, error: LineTooLong) -> Self {
        Self {
            address: ReturnAddress::anonymous(dialect),
            code: error_code::LINE_TOO_LONG,
            message: error.to_string(),
            close: true,
        }
    }

    fn bad_arguments(address: ReturnAddress, message: String) -> Self {
        Self { address, code: error_code::BAD_ARGUMENTS, message, close: false }
    }
}

/// What a message says, on its way to a request.
#[derive(Default)]
struct Fields {
    command: Option<Value>,
    args: Option<Value>,
    id: Option<Value>,
    request_id: Option<Value>,
    pid: Option<Value>,
    user: Option<Value>,
}

impl Fields {
    /// Keys are unique; those that nobody knows are left out, and `null` counts as absent.
    fn of(entries: Entries<'_>) -> Self {
        let mut fields = Self::default();
        for (name, value) in entries {
            let field = match &*name {
                key::COMMAND => &mut fields.command,
                key::ARGS => &mut fields.args,
                key::ID => &mut fields.id,
                key::REQUEST_ID => &mut fields.request_id,
                key::PID => &mut fields.pid,
                key::USER => &mut fields.user,
                _ => continue,
            };
            *field = Some(value).filter(|value| !matches!(value, Value::Null));
        }
        fields
    }

    fn into_request(self, dialect: Dialect) -> Result<Request, Refusal> {
        for (name, id) in [(key::ID, &self.id), (key::REQUEST_ID, &self.request_id)] {
            if let Some(problem) = id.as_ref().and_then(id_problem) {
                let address = ReturnAddress::anonymous(dialect);
                return Err(Refusal::bad_arguments(address, format!("`{name}` {problem}")));
            }
        }
        // Some clients put their id under the key `request_id`, which a worker's ping uses for
        // something else.
        let is_ping = self.command.as_ref().and_then(Value::as_str) == Some(command::WORKER_PING);
        let id = if is_ping { self.id } else { self.id.or_else(|| self.request_id.clone()) };
        let address = ReturnAddress { dialect, id };
        let refuse = |message| Refusal::bad_arguments(address.clone(), message);
        let command = name(self.command).map_err(refuse)?;
        let args = strings(self.args).map_err(refuse)?;
        Ok(Request {
            command,
            args,
            pid: self.pid,
            user: self.user.and_then(printable),
            request_id: self.request_id,
            dialect,
            id: address.id,
        })
    }
}

/// Why `value` can be no id.
fn id_problem(value: &Value) -> Option<String> {
    let bytes = match value {
        Value::Sequence(_) | Value::Mapping(_) | Value::Set(_) => {
            return Some(format!("must be a single value, not {}", describe(value)));
        }
        Value::String(text) | Value::Symbol(text) | Value::BigInteger(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Time(_) => 0,
    };
    (bytes > limit::ID_BYTES_MAX)
        .then(|| format!("is {bytes} bytes long, at most {} are allowed", limit::ID_BYTES_MAX))
}

fn name(command: Option<Value>) -> Result<String, String> {
    match command {
        Some(Value::String(name)) => Ok(name),
        Some(other) => {
            Err(format!("`{}` must be a string, not {}", key::COMMAND, describe(&other)))
        }
        None => Err(format!("`{}` is missing; try the command `{}`", key::COMMAND, command::HELP)),
    }
}

fn strings(args: Option<Value>) -> Result<Vec<String>, String> {
    let items = match args {
        None => return Ok(Vec::new()),
        Some(Value::Sequence(items)) => items,
        Some(other) => {
            return Err(format!(
                "`{}` must be a list of strings, not {}",
                key::ARGS,
                describe(&other)
            ));
        }
    };
    let take = |(index, item)| match item {
        Value::String(text) => Ok(text),
        other => Err(format!(
            "`{}` must be a list of strings, but item {} is {}; put it in quotes",
            key::ARGS,
            index + 1,
            describe(&other)
        )),
    };
    items.into_iter().enumerate().map(take).collect()
}

/// A name that can be shown; numbers are names too, to YAML's mind.
fn printable(user: Value) -> Option<String> {
    match user {
        Value::String(text) | Value::Symbol(text) | Value::BigInteger(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
