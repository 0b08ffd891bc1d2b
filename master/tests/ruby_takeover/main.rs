//! A Ruby master reloads into ours, and ours into a Ruby one, with everything that crosses:
//! listening sockets, workers, clients with half a line, unsent output and subscriptions.
//!
//! The Ruby master is a stand-in (`tests/ruby/standin.rb`) that replays recorded states with
//! real descriptors and children, and looks at what it is given from all sides.
#![expect(clippy::disallowed_methods, reason = "tests start and time the processes they observe")]

mod hostile;
mod into_ours;
mod into_ruby;
mod recipe;
mod recorded;
mod refused;
mod stand_in;
#[path = "../blackbox/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared; each test program uses a part of it")]
mod support;
mod there_and_back;
mod variations;
#[path = "../blackbox/worker.rs"]
#[allow(dead_code, reason = "shared; each test program uses a part of it")]
mod worker;
