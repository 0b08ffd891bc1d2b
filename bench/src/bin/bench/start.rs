//! Cold start: from starting the master until N workers are acknowledged, against starting the
//! same N workers by a bare loop of `posix_spawn`. In both the worker acknowledges on a unix
//! socket, waits until that was taken, and reports.
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::time::{Duration, Instant};

use anyhow::Result;
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;

use crate::bare::Fleet;
use crate::row::{Row, Wanted};
use crate::setup::Setup;

/// Workers, rounds of each, and the ratio to reach.
const CASES: [(usize, usize, f64); 4] =
    [(1, 101, 2.0), (10, 41, 1.3), (100, 15, 1.15), (1000, 7, 1.25)];

/// Longest wait for workers.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (count, rounds, wanted) in CASES {
        let mut times = (Vec::new(), Vec::new());
        // One round more, the first, is not counted. The two take turns.
        for round in 0..=setup.rounds(rounds) {
            let bare = start_bare(setup, count)?;
            let einhorn = start_master(setup, count)?;
            if round > 0 {
                times.0.push(bare);
                times.1.push(einhorn);
            }
        }
        let (bare, einhorn) = (Sample::milliseconds(&times.0), Sample::milliseconds(&times.1));
        let what = format!("cold start, N = {count}");
        let row = Row::beside(what, "ms", bare, einhorn).wanted(Wanted::Ratio(wanted));
        rows.push(if matches!(count, 1 | 100) { row.headline() } else { row });
    }
    Ok(rows)
}

fn start_bare(setup: &Setup, count: usize) -> Result<Duration> {
    let mut fleet = Fleet::default();
    let begun = Instant::now();
    fleet.spawn(setup, count)?;
    setup.done.wait_for(count, LIMIT)?;
    Ok(begun.elapsed())
}

fn start_master(setup: &Setup, count: usize) -> Result<Duration> {
    let number = count.to_string();
    let options = ["-q", "-m", "manual", "-n", &number];
    let program = [setup.worker.as_os_str()];
    let master = Master::spawn(&setup.einhorn, &options, &program, &[setup.report_to()])?;
    setup.done.wait_for(count, LIMIT)?;
    let took = master.begun().elapsed();
    master.stop()?;
    Ok(took)
}
