//! The same work by what people use instead: four workers, sixteen clients, an upgrade by the
//! procedure that each tool's documentation gives. What is not installed is left out and named.
#![expect(clippy::disallowed_methods, reason = "it measures time")]

mod running;
mod tools;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use einhorn_bench::load::Load;
use einhorn_bench::statistics::Sample;
use einhorn_bench::{process, wait};

use self::running::Running;
use self::tools::{NOT_COMPARED, TOOLS, Tool};
use crate::setup::Setup;

pub(crate) const WORKERS: usize = 4;
const CLIENTS: usize = 16;
const TARGET: &str = "/?ms=10";
const RUNS: usize = 2;
/// The load before and after an upgrade.
const AROUND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

/// What one tool has shown.
pub(crate) struct Peer {
    pub(crate) family: &'static str,
    /// Its language, where there is little room.
    pub(crate) short_family: &'static str,
    pub(crate) name: String,
    pub(crate) worker: &'static str,
    pub(crate) procedure: &'static str,
    /// Milliseconds from its start until all workers are ready.
    pub(crate) start: Sample,
    /// Seconds from asking for an upgrade until the last old worker is gone.
    pub(crate) upgrade: Sample,
    pub(crate) lost: u64,
    /// How they were lost.
    pub(crate) losses: String,
    /// Milliseconds.
    pub(crate) p50: Sample,
    pub(crate) p99: Sample,
    /// KiB of all its processes that are no workers.
    pub(crate) supervisor: Sample,
}

/// Those that are there, and the names of those that are not, with the reason.
#[derive(Default)]
pub(crate) struct Peers {
    pub(crate) measured: Vec<Peer>,
    pub(crate) left_out: Vec<String>,
}

/// What we are called in the table.
const OURS: &str = "einhorn";

/// `say` is told which tool's turn it is.
pub(crate) fn run(setup: &Setup, say: impl Fn(&str)) -> Result<Peers> {
    let mut peers = Peers::default();
    for tool in &TOOLS {
        let name = format!("{} ({})", tool.name, tool.family);
        say(&name);
        let version = match tool.version(setup) {
            Ok(version) => version,
            Err(error) => {
                peers.left_out.push(format!("{name}: {error:#}"));
                continue;
            }
        };
        match measure(setup, tool, &version) {
            Ok(peer) => peers.measured.push(peer),
            Err(error) => {
                einhorn_bench::interrupt::check()?;
                // A comparison without us is none.
                if tool.name == OURS {
                    return Err(error.context(name));
                }
                eprintln!("        failed: {error:#}");
                peers.left_out.push(format!("{name}: {error:#}"));
            }
        }
    }
    peers.left_out.extend(NOT_COMPARED.map(str::to_owned));
    Ok(peers)
}

fn measure(setup: &Setup, tool: &Tool, version: &str) -> Result<Peer> {
    let mut peer = Peer {
        family: tool.family,
        short_family: tool.short_family(),
        name: format!("{} {version}", tool.name).trim().to_owned(),
        worker: tool.worker,
        procedure: tool.procedure,
        start: Sample::new([]),
        upgrade: Sample::new([]),
        lost: 0,
        losses: String::new(),
        p50: Sample::new([]),
        p99: Sample::new([]),
        supervisor: Sample::new([]),
    };
    let (mut starts, mut upgrades, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..setup.long_rounds(RUNS) {
        setup.done.drain()?;
        let begun = Instant::now();
        let mut running = Running::start(setup, tool)?;
        let workers = setup.done.wait_for(WORKERS, LIMIT).with_context(|| running.log_end())?;
        starts.push(begun.elapsed());
        running.wait_until_answered()?;
        memory.push(running.supervisor_kib(&workers)?);

        let load = Load::start(running.address(), TARGET, CLIENTS)?;
        wait::pass(AROUND)?;
        let begun = Instant::now();
        running.upgrade(setup, tool)?;
        let newcomers = setup.done.wait_for(WORKERS, LIMIT);
        running.end_upgrade(tool, &newcomers.with_context(|| running.log_end())?)?;
        wait::until("end of the old workers", LIMIT, || {
            Ok((!workers.iter().any(|&pid| process::is_running(pid))).then_some(()))
        })?;
        upgrades.push(begun.elapsed());
        wait::pass(AROUND)?;
        let tally = load.stop()?;
        running.stop();
        peer.lost += tally.failed();
        if tally.failed() > 0 {
            peer.losses = tally.losses();
        }
        let latency = Sample::milliseconds(&tally.latencies);
        p50.push(latency.median());
        p99.push(latency.quantile(0.99));
    }
    peer.start = Sample::milliseconds(&starts);
    peer.upgrade = Sample::new(upgrades.iter().map(Duration::as_secs_f64));
    (peer.p50, peer.p99) = (Sample::new(p50), Sample::new(p99));
    peer.supervisor = Sample::new(memory);
    Ok(peer)
}
