//! `einhornsh`: what a person or a script says to a master (`protocol.md §11`).
//!
//! It knows no command: whatever the words are, the master answers for them. It finds the
//! socket, makes sure whose it is, sends one request at a time and prints every reply up to
//! the last. Invariant: not a byte goes to a server that is neither this user's nor root's.

mod arguments;
mod completion;
mod editor;
mod exchange;
mod history;
mod link;
mod location;
mod printer;
mod session;
mod words;

pub use arguments::{ArgumentError, Arguments, Invocation, command, parse};
pub use link::{ConnectError, LinkError};
pub use location::socket_path;
pub use session::{Ending, ShellError, run};
