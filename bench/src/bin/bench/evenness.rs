//! How evenly connections come to the workers: requests of the busiest one over the mean, at
//! two loads. The workers are event loops that are kept busy by each request, so that their
//! capacity is known and does not depend on the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use einhorn_bench::load::{Load, Tally};
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;
use einhorn_bench::wait;

use crate::row::{Row, Wanted};
use crate::setup::Setup;
use crate::start::LIMIT;

const WORKERS: usize = 8;
const TARGET: &str = "/?block_ms=4";
/// Requests a second that they can answer all together, each in 4 ms.
const CAPACITY: f64 = 8.0 * 1000.0 / 4.0;
/// Parts of the capacity.
const LOADS: [f64; 2] = [0.25, 0.9];
/// More than can be under way at the higher load.
const CLIENTS: usize = 32;
const RUNS: usize = 3;
/// Fewer would come less evenly by chance alone.
const REQUESTS: f64 = 1500.0;

/// Ways to bind, and what they are called.
const WAYS: [(&str, &str); 2] =
    [("127.0.0.1:0", "one shared queue"), (BALANCED, "a queue for each")];
const BALANCED: &str = "127.0.0.1:0,balance";
/// What the busiest of balanced workers may have over the mean, where there is time to spare.
const WANTED: f64 = 1.2;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (bind, name) in WAYS {
        let number = WORKERS.to_string();
        let options = ["-q", "-b", bind, "-n", &number, "-m", "manual"];
        let program = [setup.worker.as_os_str(), "serve".as_ref()];
        let variables = [setup.report_to()];
        let mut master = Master::spawn(&setup.einhorn, &options, &program, &variables)?;
        setup.done.wait_for(WORKERS, LIMIT)?;
        let address = master.address()?;
        for part in LOADS {
            let mut ratios = Vec::new();
            for _ in 0..setup.long_rounds(RUNS) {
                let rate = CAPACITY * part;
                let load = Load::paced(address, TARGET, CLIENTS, rate)?;
                wait::pass(Duration::from_secs_f64(REQUESTS / rate))?;
                let tally = load.stop()?;
                ensure!(tally.failed() == 0, "requests were lost: {}", tally.losses());
                ratios.push(busiest_over_mean(&tally));
            }
            let what = format!("busiest worker over mean of 8, {:.0} % load, {name}", part * 100.0);
            let row = Row::alone(what, "×", Sample::new(ratios));
            let row = if part < 0.5 { row.headline() } else { row };
            let is_bound = bind == BALANCED && part < 0.5;
            rows.push(if is_bound { row.wanted(Wanted::Value(WANTED)) } else { row });
        }
        master.stop()?;
    }
    Ok(rows)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn busiest_over_mean(tally: &Tally) -> f64 {
    let mut by_worker = BTreeMap::new();
    for (server, count) in &tally.served {
        *by_worker.entry(server.pid).or_insert(0) += *count;
    }
    let busiest = by_worker.values().max().copied().unwrap_or_default();
    busiest as f64 * WORKERS as f64 / tally.answered().max(1) as f64
}
