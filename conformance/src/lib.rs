//! Whether the worker libraries of all languages keep the protocol.
//!
//! It drives built programs through their public faces only: a master's command line, sockets
//! and signals, a worker's output, `/proc`. Rows are sentences that must hold, columns are
//! languages. `EINHORN_BIN` names another master to run them under.

pub mod columns;
pub mod load;
pub mod master;
pub mod output;
pub mod proc;
pub mod rows;
pub mod table;
