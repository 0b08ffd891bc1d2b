//! The state that crosses a reload, in the Ruby master's format (`protocol.md §8`).

mod snapshot;

pub use snapshot::{
    AckMode, AckTimer, Bind, Bytes, Child, ClientConnection, Config, FORMAT, Nice, OurClient,
    OurListener, OurWorker, Ours, Snapshot, WorkerChild,
};
mod stub;
pub use stub::{Note, StateError};
