//! What a master costs while nothing happens.

use std::time::Duration;

use anyhow::Result;
use einhorn_bench::master::Master;
use einhorn_bench::table::Table;
use einhorn_bench::{process, wait};

use crate::Programs;

const WORKERS: usize = 4;
/// What is still going on after the start has ended by then.
const SETTLE: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(5);
const RESIDENT_KIB_WANTED: u64 = 3 * 1024;

/// The ways of starting that could leave a timer behind.
const WAYS: [(&str, &[&str]); 3] = [
    ("manual", &["-m", "manual"]),
    ("manual, -t 10", &["-m", "manual", "-t", "10"]),
    ("timer", &["-m", "0.5"]),
];

pub(crate) fn memory(programs: &Programs) -> Result<()> {
    println!("Resident memory of the master with {WORKERS} workers");
    let mut master = start(programs, WAYS[0].1)?;
    let before = process::resident_kib(master.pid())?;
    // A client that has come and gone should leave nothing behind.
    for _ in 0..100 {
        master.status()?;
    }
    let after = process::resident_kib(master.pid())?;
    let mut table = Table::new(["", "KiB", "wanted"]);
    table.row(&["started".to_owned(), before.to_string(), RESIDENT_KIB_WANTED.to_string()]);
    table.row(&[
        "after 100 clients".to_owned(),
        after.to_string(),
        RESIDENT_KIB_WANTED.to_string(),
    ]);
    print!("{}", table.render());
    master.stop()
}

pub(crate) fn wake_ups(programs: &Programs) -> Result<()> {
    println!("Wake-ups of the idle master in {} s (context switches)", WATCHED.as_secs());
    let masters =
        WAYS.iter().map(|(_, options)| start(programs, options)).collect::<Result<Vec<_>>>()?;
    wait::pass(SETTLE)?;
    let count = |master: &Master| process::context_switches(master.pid());
    let before = masters.iter().map(count).collect::<Result<Vec<_>>>()?;
    wait::pass(WATCHED)?;
    let after = masters.iter().map(count).collect::<Result<Vec<_>>>()?;
    let mut table = Table::new(["", "wake-ups", "wanted"]);
    for ((name, _), (before, after)) in WAYS.iter().zip(before.iter().zip(&after)) {
        table.row(&[(*name).to_owned(), (after - before).to_string(), "0".to_owned()]);
    }
    print!("{}", table.render());
    masters.into_iter().try_for_each(Master::stop)
}

fn start(programs: &Programs, options: &[&str]) -> Result<Master> {
    let options: Vec<&str> = ["-q", "-n", "4"].iter().chain(options).copied().collect();
    let program = [programs.worker.as_os_str()];
    Master::start(&programs.einhorn, &options, &program, &[], WORKERS)
}
