//! The figures of `make bench`, each beside what it is compared with. Parts by name:
//! `bench start round-trip memory …`; all without one. With `--write-to FOLDER` the table is
//! written there as Markdown and the ratios as a picture; with QUICK=1 in the environment there
//! are fewer rounds, and nobody else's tools. Nothing is asserted but that the driver sees losses
//! where there are some. A part that fails is named in what is written, costs no other part, and
//! is an error at the end.
#![expect(clippy::disallowed_methods, reason = "it says how long it has been at work")]

mod balance;
mod bare;
mod evenness;
mod figures;
mod idle;
mod latency;
mod peers;
mod preloaded;
mod replace;
mod report;
mod round_trip;
mod row;
mod setup;
mod start;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use einhorn_bench::{interrupt, machine};

use self::peers::Peers;
use self::report::Report;
use self::row::Row;
use self::setup::Setup;

/// Measures something.
type Part = fn(&Setup) -> Result<Vec<Row>>;

const PEERS: &str = "peers";
/// They take long: a quick look does without, unless it asks for them.
const NOT_QUICK: [&str; 2] = ["preloaded", PEERS];

/// In the order of the table; [`PEERS`] comes after them.
const PARTS: &[(&str, Part)] = &[
    ("start", start::run),
    ("upgrade", replace::upgrades),
    ("recovery", replace::recovery),
    ("round-trip", round_trip::run),
    ("memory", idle::memory),
    ("idle", idle::idle),
    ("latency", latency::run),
    ("evenness", evenness::run),
    ("balance", balance::run),
    ("preloaded", preloaded::run),
];

/// What was asked for.
struct Arguments {
    parts: Vec<String>,
    write_to: Option<PathBuf>,
}

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
    let arguments = Arguments::read()?;
    let is_quick = env::var("QUICK").is_ok_and(|value| !value.is_empty() && value != "0");
    let setup = Setup::new(is_quick)?;
    let mut report = Report {
        facts: machine::describe(&setup.einhorn),
        is_quick,
        rows: Vec::new(),
        peers: Peers::default(),
        failed: Vec::new(),
    };
    let begun = Instant::now();
    let say = |name: &str| eprintln!("[{:>3} s] {name}", begun.elapsed().as_secs());
    let wants = |part| {
        let is_left_out = is_quick && arguments.parts.is_empty() && NOT_QUICK.contains(&part);
        arguments.wants(part) && !is_left_out
    };
    for (name, part) in PARTS {
        if wants(name) {
            say(name);
            // Workers that nobody waited for are no part of what comes now.
            setup.done.drain()?;
            match part(&setup) {
                Ok(rows) => report.rows.extend(rows),
                Err(error) => {
                    interrupt::check()?;
                    eprintln!("        failed: {error:#}");
                    report.failed.push(format!("{name}: {error:#}"));
                }
            }
        }
    }
    if wants(PEERS) {
        say(PEERS);
        report.peers = peers::run(&setup, |name| say(&format!("  {name}")))?;
    }
    say("done");
    print!("{}", report.text());
    if let Some(folder) = arguments.write_to {
        report.write_to(&folder)?;
        eprintln!("written to {}", folder.display());
    }
    ensure!(report.failed.is_empty(), "not measured: {}", report.failed.join("; "));
    Ok(())
}

impl Arguments {
    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|word| word == part)
    }

    fn read() -> Result<Self> {
        let mut arguments = Self { parts: Vec::new(), write_to: None };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--write-to" {
                let folder = words.next().context("--write-to needs a folder")?;
                arguments.write_to = Some(folder.into());
            } else if word == PEERS || PARTS.iter().any(|(name, _)| *name == word) {
                arguments.parts.push(word);
            } else {
                let names = PARTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                bail!("no part `{word}` (the parts are {names})");
            }
        }
        Ok(arguments)
    }
}
