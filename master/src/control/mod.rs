//! The command socket without syscalls: a client's buffers, a line into a [`Request`], a
//! [`Reply`] into bytes in the request's own dialect (`protocol.md §3`).
//!
//! What a command does is decided elsewhere, and so is how many clients there may be; nothing
//! here reads or writes a descriptor. Invariant: no sequence of bytes that a client can send
//! panics, recurses without bound or grows a buffer past its limit.

mod address;
mod budget;
mod connection;
mod dialect;
mod input;
pub(crate) mod json;
mod notification;
mod output;
mod reply;
mod request;

pub use address::ReturnAddress;
pub use budget::{Budget, heaviest};
pub use connection::{Connection, Restored, Topic};
pub use dialect::{Dialect, Malformed, decode_reply, encode_request};
pub use input::{LineBuffer, LineTooLong};
pub use notification::Notification;
pub use output::Overrun;
pub use reply::{FixedKeys, Reply};
pub use request::{Refusal, Request};
