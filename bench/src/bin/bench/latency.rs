//! Requests while the code is replaced again and again: how many are lost, and how long the
//! others take. The floor is the same load on the same servers without a master, while beside
//! it the same processes are started and stopped. A last run in which workers are killed shows
//! that the driver sees losses where there are some.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use einhorn_bench::load::{Load, Tally};
use einhorn_bench::master::Master;
use einhorn_bench::servers::Servers;
use einhorn_bench::statistics::Sample;
use einhorn_bench::{process, wait};
use einhorn_protocol::command;
use rustix::process::Signal;

use crate::row::{Row, Wanted};
use crate::setup::Setup;

const WORKERS: usize = 4;
const CLIENTS: usize = 16;
/// An answer takes 10 ms: all clients have a request half way at any time.
const TARGET: &str = "/?ms=10";
const KILLS: usize = 5;

/// How much is done.
struct Plan {
    /// With and without upgrades, in turns. Many short ones tell more than few long ones; less
    /// than seven could not tell whether those with upgrades are within the floor's.
    runs: usize,
    /// Of each run, every other one of the whole fleet.
    upgrades: usize,
    /// Between upgrades, and between workers where they are replaced one by one.
    pause: Duration,
}

const FULL: Plan = Plan { runs: 13, upgrades: 4, pause: Duration::from_millis(200) };
const QUICK: Plan = Plan { runs: 7, upgrades: 2, pause: Duration::from_millis(100) };

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let plan = if setup.is_quick { &QUICK } else { &FULL };
    let pause = plan.pause.as_secs_f64().to_string();
    let options = ["-q", "-b", "127.0.0.1:0", "-n", "4", "-m", "manual", "-s", &pause];
    let program = [setup.time_server.as_os_str()];
    let mut master = Master::start(&setup.einhorn, &options, &program, &[], WORKERS)?;
    let address = master.address()?;
    let mut idle_client = master.connect()?;
    let bare = Servers::start(&setup.time_server, &setup.acknowledge_path(), WORKERS)?;

    let (mut control, mut upgraded) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        control.push(beside_others(setup, plan, &bare)?);
        upgraded.push(under_upgrades(plan, &mut master, address)?);
    }
    bare.stop()?;
    let count = plan.upgrades * plan.runs;
    let status = master.wait_until_up(WORKERS)?;
    ensure!(status.pid == master.pid(), "the master's pid has changed");
    ensure!(status.generation >= count as u64, "the master was not reloaded: {status:?}");
    idle_client.call(command::STATUS, &[])?;
    let killed = with_kills(plan, &mut master, address)?;
    master.wait_until_up(WORKERS)?;
    master.stop()?;

    let lost: u64 = upgraded.iter().map(Tally::failed).sum();
    let mut rows = vec![
        Row::alone(format!("requests lost, {count} upgrades"), "", one(lost))
            .wanted(Wanted::Value(0.0))
            .headline(),
        Row::alone(
            "requests lost when workers are killed (the driver sees losses)",
            "",
            one(killed.failed()),
        ),
    ];
    for (name, quantile) in QUANTILES {
        let of = |runs: &[Tally]| {
            Sample::new(
                runs.iter().map(|run| Sample::milliseconds(&run.latencies).quantile(quantile)),
            )
        };
        let row = Row::beside(
            format!("latency {name} under upgrades"),
            "ms",
            of(&control),
            of(&upgraded),
        );
        rows.push(if name == "p99" { row.wanted(Wanted::WithinFloor).headline() } else { row });
    }
    let failures: u64 = control.iter().map(Tally::failed).sum();
    ensure!(failures == 0, "requests were lost without any upgrade");
    ensure!(killed.failed() > 0, "the driver saw no loss when workers were killed");
    Ok(rows)
}

fn under_upgrades(plan: &Plan, master: &mut Master, address: SocketAddr) -> Result<Tally> {
    let load = Load::start(address, TARGET, CLIENTS)?;
    wait::pass(plan.pause)?;
    for number in 0..plan.upgrades {
        let is_fleet = number % 2 == 1;
        master.upgrade(if is_fleet { command::UPGRADE_FLEET } else { command::UPGRADE }, |_| ())?;
        wait::pass(plan.pause)?;
    }
    load.stop()
}

/// As many servers are started and stopped, in the same order and pace, with other sockets.
fn beside_others(setup: &Setup, plan: &Plan, bare: &Servers) -> Result<Tally> {
    let load = Load::start(bare.address(), TARGET, CLIENTS)?;
    wait::pass(plan.pause)?;
    let mut others = Servers::start(&setup.time_server, &setup.acknowledge_path(), WORKERS)?;
    for number in 0..plan.upgrades {
        let at_once = if number % 2 == 1 { WORKERS } else { 1 };
        for _ in 0..WORKERS / at_once {
            others.replace(at_once)?;
            // One by one goes by `-s`.
            if at_once == 1 {
                wait::pass(plan.pause)?;
            }
        }
        wait::pass(plan.pause)?;
    }
    let tally = load.stop()?;
    others.stop()?;
    Ok(tally)
}

fn with_kills(plan: &Plan, master: &mut Master, address: SocketAddr) -> Result<Tally> {
    let load = Load::start(address, TARGET, CLIENTS)?;
    wait::pass(plan.pause)?;
    for _ in 0..KILLS {
        let workers = master.wait_until_up(WORKERS)?.workers;
        let Some(worker) = workers.iter().find(|worker| worker.is_serving) else {
            bail!("no worker to kill");
        };
        process::signal(worker.pid, Signal::KILL)?;
        wait::pass(plan.pause)?;
    }
    master.wait_until_up(WORKERS)?;
    load.stop()
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn one(count: u64) -> Sample {
    Sample::new([count as f64])
}
