//! What a master costs: memory by number of workers, and what it does while nothing happens.

use std::time::Duration;

use anyhow::Result;
use einhorn_bench::command_socket::CommandSocket;
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;
use einhorn_bench::{process, wait};

use crate::row::{Row, Wanted};
use crate::setup::Setup;
use crate::start::LIMIT;

const WORKERS: usize = 4;
const RESIDENT_KIB_WANTED: f64 = 2560.0;
/// Fleets between which the slope is taken.
const FEW: usize = 100;
const MANY: usize = 1000;
const BYTES_A_WORKER_WANTED: f64 = 1024.0;

/// What is still going on after the start has ended by then.
const SETTLE: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(10);
const WATCHED_QUICK: Duration = Duration::from_secs(2);
const CLIENTS: usize = 100;

pub(crate) fn memory(setup: &Setup) -> Result<Vec<Row>> {
    let mut master = start(setup, WORKERS, &[])?;
    let started = process::resident_kib(master.pid())?;
    // A client that has come and gone should leave nothing behind.
    for _ in 0..100 {
        master.status()?;
    }
    let used = process::resident_kib(master.pid())?;
    master.stop()?;
    let resident = |what: &str, kib: u64| {
        Row::alone(format!("resident, {WORKERS} workers{what}"), "KiB", one(kib))
            .wanted(Wanted::Value(RESIDENT_KIB_WANTED))
    };
    let (few, many) = (resident_with(setup, FEW)?, resident_with(setup, MANY)?);
    let slope = many.saturating_sub(few) * 1024 / (MANY - FEW) as u64;
    let what = format!("a further worker, from {FEW} to {MANY}");
    Ok(vec![
        resident("", started).headline(),
        resident(", after 100 clients", used),
        Row::alone(format!("resident, {MANY} workers"), "KiB", one(many)),
        Row::alone(what, "bytes", one(slope))
            .wanted(Wanted::Value(BYTES_A_WORKER_WANTED))
            .headline(),
    ])
}

fn resident_with(setup: &Setup, count: usize) -> Result<u64> {
    let master = start(setup, count, &[])?;
    let resident = process::resident_kib(master.pid())?;
    master.stop()?;
    Ok(resident)
}

/// A master with everything that could wake it up: a timer that has run out, one that is set
/// far ahead, and clients that say nothing.
struct Idle {
    what: &'static str,
    master: Master,
    clients: Vec<CommandSocket>,
}

pub(crate) fn idle(setup: &Setup) -> Result<Vec<Row>> {
    let span = if setup.is_quick { WATCHED_QUICK } else { WATCHED };
    let far_ahead: &[&str] = &["-t", "3600", "--ack-timeout", "3600"];
    let mut masters = vec![
        still(start(setup, WORKERS, &[])?, "idle", 0)?,
        still(start(setup, WORKERS, far_ahead)?, "idle, timers set, 100 clients", CLIENTS)?,
    ];
    let options = ["-q", "-n", "4", "-m", "0.5"];
    let program = [setup.worker.as_os_str()];
    let timer = Master::start(&setup.einhorn, &options, &program, &[], WORKERS)?;
    masters.push(still(timer, "idle, acknowledged by timer", 0)?);

    wait::pass(SETTLE)?;
    let look = |idle: &Idle| {
        let pid = idle.master.pid();
        Ok((process::context_switches(pid)?, process::cpu_nanoseconds(pid)?))
    };
    let before = masters.iter().map(look).collect::<Result<Vec<_>>>()?;
    wait::pass(span)?;
    let after = masters.iter().map(look).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for (idle, (before, after)) in masters.iter().zip(before.into_iter().zip(after)) {
        let what = format!("{}: wake-ups in {} s", idle.what, span.as_secs());
        let wake_ups = Row::alone(what, "", one(after.0 - before.0));
        let wake_ups = wake_ups.wanted(Wanted::Value(0.0));
        rows.push(if idle.clients.is_empty() { wake_ups } else { wake_ups.headline() });
        let what = format!("{}: CPU in {} s", idle.what, span.as_secs());
        let microseconds = (after.1 - before.1) / 1000;
        rows.push(Row::alone(what, "µs", one(microseconds)).wanted(Wanted::Value(0.0)));
    }
    masters.into_iter().try_for_each(|idle| idle.master.stop())?;
    Ok(rows)
}

fn still(mut master: Master, what: &'static str, clients: usize) -> Result<Idle> {
    let clients = (0..clients).map(|_| master.connect()).collect::<Result<Vec<_>>>()?;
    Ok(Idle { what, master, clients })
}

fn start(setup: &Setup, count: usize, further: &[&str]) -> Result<Master> {
    let number = count.to_string();
    let options: Vec<&str> =
        ["-q", "-m", "manual", "-n", &number].iter().chain(further).copied().collect();
    let program = [setup.worker.as_os_str()];
    let master = Master::spawn(&setup.einhorn, &options, &program, &[setup.report_to()])?;
    setup.done.wait_for(count, LIMIT)?;
    Ok(master)
}

#[expect(clippy::cast_precision_loss, reason = "kibibytes and counts")]
fn one(value: u64) -> Sample {
    Sample::new([value as f64])
}
