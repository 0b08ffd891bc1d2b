//! Faults at every effect: each system call that the master makes is made to fail, and what it
//! does then is what `docs/faults.md` says.
//!
//! The calls fail in the kernel, by a filter over a real master with real workers. So there is
//! no switch in the program that could be left on, and what is tried is what is shipped.
#![expect(clippy::disallowed_methods, reason = "tests start and time the processes they observe")]

mod balance;
mod calls;
mod clients;
mod coverage;
mod document;
mod kernel;
mod leaving;
mod log;
mod outer;
mod preload;
mod processes;
#[path = "../pseudo_terminal/mod.rs"]
#[allow(dead_code, reason = "it is shared with tests that need more of it")]
mod pseudo_terminal;
mod reload;
mod seccomp;
mod start;
#[path = "../blackbox/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "it is shared with tests that need more of it")]
mod support;
mod table;
mod takeover;
mod workers;

use self::support::process::start;
use self::table::Row;

/// The table, part by part.
const PARTS: &[(&str, &[Row])] = &[
    ("The first start", start::ROWS),
    ("Clients", clients::ROWS),
    ("Workers and signals", processes::ROWS),
    ("What workers get and say", workers::ROWS),
    ("Preloading", preload::ROWS),
    ("Balanced addresses", balance::ROWS),
    ("Reloads and upgrades", reload::ROWS),
    ("What the next image takes over", takeover::ROWS),
    ("The log", log::ROWS),
    ("Nested masters and einhornsh", outer::ROWS),
    ("Leaving", leaving::ROWS),
];
