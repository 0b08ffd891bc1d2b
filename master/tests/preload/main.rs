//! Preloading as others see it (`docs/preloading.md`), in Ruby and in Python.
//!
//! Most tests are written once and run for each language; what differs is the code that is
//! preloaded. As everywhere nothing depends on how fast the machine is.
#![expect(clippy::disallowed_methods, reason = "tests start and time the processes they observe")]

mod balance;
mod death;
mod language;
mod load;
mod loading;
mod strange_code;
mod strange_preloader;
#[path = "../blackbox/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "other tests use the rest")]
mod support;
mod transaction;
mod upgrades;
mod workers;
