//! Ruby's dialect of YAML: what its library Psych reads and writes, as plain data.
//!
//! [`read`] understands what every generation of Psych writes, and JSON, which is YAML;
//! [`write()`] writes what every generation of Psych reads back as the same values. Knows
//! nothing of einhorn, and never makes an object of anything but the types of [`Value`]: any
//! other tag is an error.
//!
//! Invariant: time and memory are linear in the input and bounded by [`Limits`], whatever
//! the input is.

mod base64;
mod calendar;
mod compose;
mod error;
mod layout;
mod limits;
mod number;
mod plain;
mod quote;
mod tag;
mod value;

pub use compose::read;
pub use error::ReadError;
pub use layout::write;
pub use limits::{Aliases, Limits};
pub use value::Value;
