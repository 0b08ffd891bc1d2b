//! Keys of requests and replies (`protocol.md §3`).

/// Request: the command's name, a string.
pub const COMMAND: &str = "command";
/// Request: the command's arguments, a list of strings.
pub const ARGS: &str = "args";
/// Request: a scalar that every reply to it repeats under [`REQUEST_ID`].
pub const ID: &str = "id";
/// Reply: the request's id. In `worker:ping`: the worker's own id of what it is doing.
pub const REQUEST_ID: &str = "request_id";
/// Reply: the text.
pub const MESSAGE: &str = "message";
/// Reply: `true` on every reply but the last one to a request.
pub const WAIT: &str = "wait";
/// Reply: a short stable code, one of [`crate::error_code`]; absent when all went well.
pub const ERROR: &str = "error";
/// Last reply to an upgrade, to a JSON request: how it ended, for programs.
pub const RESULT: &str = "result";
/// Request of a worker: its pid, an integer.
pub const PID: &str = "pid";
/// Request `ehlo`: the name of whoever is calling.
pub const USER: &str = "user";
/// Reply to `ehlo`: the protocol's edition, a number.
pub const PROTOCOL: &str = "protocol";
/// Reply to `ehlo`: a list of names of what this master can do beyond the 2012 protocol.
pub const CAPABILITIES: &str = "capabilities";
