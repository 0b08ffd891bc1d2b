//! Cold start: from starting the master until N workers are acknowledged, against starting the
//! same N workers by a bare loop of `posix_spawn`. In both the worker acknowledges on a unix
//! socket, waits until that was taken, and reports.
#![expect(clippy::disallowed_methods, reason = "it starts programs and measures time")]

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::Result;
use einhorn_bench::acknowledgements::{DONE_VARIABLE, DoneSocket, take_acknowledgements};
use einhorn_bench::master::{Master, without_master};
use einhorn_bench::process;
use einhorn_bench::statistics::Sample;
use einhorn_bench::table::Table;
use einhorn_protocol::environment;
use rustix::process::Signal;

use crate::Programs;

/// Workers, rounds of each, and the ratio to reach.
const ROWS: [(usize, usize, f64); 3] = [(1, 41, 2.5), (10, 21, 1.6), (100, 9, 1.25)];
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn run(programs: &Programs) -> Result<()> {
    println!("Cold start until N workers are acknowledged, milliseconds");
    let folder = tempfile::Builder::new().prefix("einhorn-bench-").tempdir()?;
    let bare_master = folder.path().join("acknowledge");
    take_acknowledgements(&bare_master)?;
    let done_path = folder.path().join("done");
    let done = DoneSocket::bind(&done_path)?;

    let mut table =
        Table::new(["N", "by", "min", "median", "spread", "ratio of mins", "of medians", "wanted"]);
    for (count, rounds, wanted) in ROWS {
        let mut times = (Vec::new(), Vec::new());
        // One round more, the first, is not counted. The two take turns.
        for round in 0..=rounds {
            let bare = start_bare(&programs.worker, count, &bare_master, &done_path, &done)?;
            let einhorn = start_master(programs, count, &done_path, &done)?;
            if round > 0 {
                times.0.push(bare);
                times.1.push(einhorn);
            }
        }
        let (bare, einhorn) = (Sample::milliseconds(&times.0), Sample::milliseconds(&times.1));
        for (name, sample) in [("posix_spawn", &bare), ("einhorn", &einhorn)] {
            let ratio = |of: fn(&Sample) -> f64| match name {
                "einhorn" => format!("{:.2}", of(sample) / of(&bare)),
                _ => String::new(),
            };
            table.row(&[
                count.to_string(),
                name.to_owned(),
                format!("{:.2}", sample.min()),
                format!("{:.2}", sample.median()),
                format!("{:.0} %", sample.spread() * 100.0),
                ratio(Sample::min),
                ratio(Sample::median),
                if name == "einhorn" { format!("{wanted:.2}") } else { String::new() },
            ]);
        }
    }
    print!("{}", table.render());
    Ok(())
}

fn start_bare(
    worker: &Path,
    count: usize,
    acknowledge: &Path,
    done_path: &Path,
    done: &DoneSocket,
) -> Result<Duration> {
    let mut workers = Workers(Vec::with_capacity(count));
    let begun = Instant::now();
    for _ in 0..count {
        let child = without_master(&mut Command::new(worker))
            .env(environment::SOCK_PATH, acknowledge)
            .env(DONE_VARIABLE, done_path)
            .spawn()?;
        workers.0.push(child);
    }
    done.wait_for(count, LIMIT)?;
    Ok(begun.elapsed())
}

/// Workers of the bare loop, killed and reaped when dropped.
struct Workers(Vec<Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &self.0 {
            let _ = process::signal(worker.id(), Signal::USR2);
        }
        for worker in &mut self.0 {
            let _ = worker.wait();
        }
    }
}

fn start_master(
    programs: &Programs,
    count: usize,
    done_path: &Path,
    done: &DoneSocket,
) -> Result<Duration> {
    let number = count.to_string();
    let options = ["-q", "-m", "manual", "-n", &number];
    let variables = [(DONE_VARIABLE, done_path.as_os_str().to_owned())];
    let program = [programs.worker.as_os_str()];
    let master = Master::spawn(&programs.einhorn, &options, &program, &variables)?;
    done.wait_for(count, LIMIT)?;
    let took = master.begun().elapsed();
    master.stop()?;
    Ok(took)
}
