//! The state that crosses a reload, in the Ruby master's format (`protocol.md §8`).
//!
//! A [`Snapshot`] is plain data; [`Snapshot::to_yaml`] writes it so that a Ruby master reads
//! it too, and [`Snapshot::from_yaml`] reads what either wrote. Nothing is looked at or
//! opened here: whether a descriptor is what it is said to be is seen by whoever adopts it.
//!
//! Invariants: what is ours alone stands under one key of `:state`, never among the
//! persistent descriptors; what is written reads as the same snapshot; and one wrong value
//! costs itself, a note and no more, save for what no master could go on without.

mod descriptors;
mod document;
mod fields;
mod note;
mod portable;
mod record;
mod shapes;
mod snapshot;

pub use note::{Note, StateError};
pub use snapshot::{
    AckMode, AckTimer, Bind, Bytes, Child, ClientConnection, Config, FORMAT, Nice, OurClient,
    OurFile, OurListener, OurPreloader, OurUpgrade, OurVersion, OurWorker, Ours, Rules, Snapshot,
    WorkerChild,
};
