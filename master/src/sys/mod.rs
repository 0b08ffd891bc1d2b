//! The operating system. The only module that may hold `unsafe` code or name libc, nix or
//! rustix.
//!
//! Each function is one system call or one sequence that cannot be taken apart, and returns
//! `io::Result`. It decides nothing and logs nothing: what an error means to a person is said
//! by the caller, who knows which option or which file was meant.
//!
//! Invariant: every descriptor that comes out of here is owned and close-on-exec from birth.

pub mod channel;
pub mod children;
pub mod clock;
pub mod credentials;
pub mod datagram;
pub mod descriptor;
pub mod exec;
pub mod files;
pub mod half_open;
pub mod interrupt;
pub mod limits;
pub mod log_sink;
#[cfg(target_env = "musl")]
pub mod memory;
pub mod memory_file;
pub mod observe;
pub mod other_pipes;
pub mod peer_groups;
pub mod priority;
pub mod process;
mod reason;
pub mod reuseport;
pub mod signals;
pub mod socket;
pub mod terminal;
pub mod title;
pub mod vfork;

pub use reason::reason;

#[cfg(test)]
pub(crate) mod own_process;
