//! The figures of `make bench`, each beside what it is compared with. Sections by name:
//! `bench start round-trip memory idle upgrades`; all without one. Nothing is asserted but
//! that no request is lost in an upgrade, and that the driver sees losses where there are some.

mod idle;
mod round_trip;
mod start;
mod upgrades;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use einhorn_bench::{interrupt, programs};

/// The built programs.
struct Programs {
    einhorn: PathBuf,
    time_server: PathBuf,
    worker: PathBuf,
}

type Section = fn(&Programs) -> Result<()>;

const SECTIONS: [(&str, Section); 5] = [
    ("start", start::run),
    ("round-trip", round_trip::run),
    ("memory", idle::memory),
    ("idle", idle::wake_ups),
    ("upgrades", upgrades::run),
];

fn main() -> ExitCode {
    match interrupt::catch().and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let names = SECTIONS.map(|(name, _)| name);
    if let Some(unknown) = wanted.iter().find(|word| !names.contains(&word.as_str())) {
        bail!("no section `{unknown}` (the sections are {})", names.join(", "));
    }
    let programs = Programs {
        einhorn: programs::find("einhorn", "EINHORN")?,
        time_server: programs::find("time_server", "TIME_SERVER")?,
        worker: programs::find("bench_worker", "BENCH_WORKER")?,
    };
    announce(&programs.einhorn);
    for (name, section) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            println!();
            section(&programs)?;
        }
    }
    Ok(())
}

fn announce(einhorn: &Path) {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{} on {processors} processors", einhorn.display());
}
