//! Requests while the code is replaced again and again, beside the same load in peace, and a
//! control run in which a worker is killed: a driver that saw no loss there would see none
//! anywhere.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use einhorn_bench::command_socket::CommandSocket;
use einhorn_bench::load::{Load, Tally};
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;
use einhorn_bench::table::Table;
use einhorn_bench::{process, wait};
use einhorn_protocol::command;
use rustix::process::Signal;

use crate::Programs;

const WORKERS: usize = 4;
const CLIENTS: usize = 16;
/// An answer takes 10 ms: all clients have a request half way at any time.
const TARGET: &str = "/?ms=10";
const PEACE: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(200);
const UPGRADES: [&str; 10] = [
    command::UPGRADE,
    command::UPGRADE_FLEET,
    command::UPGRADE,
    command::UPGRADE_FLEET,
    command::UPGRADE,
    command::UPGRADE_FLEET,
    command::UPGRADE,
    command::UPGRADE_FLEET,
    command::UPGRADE,
    command::UPGRADE_FLEET,
];
const KILLS_MAX: usize = 5;

pub(crate) fn run(programs: &Programs) -> Result<()> {
    println!("{CLIENTS} connections at once, each for one request (latency in milliseconds)");
    let options = ["-q", "-b", "127.0.0.1:0", "-n", "4", "-m", "manual", "-s", "0.2"];
    let program = [programs.time_server.as_os_str()];
    let mut master = Master::start(&programs.einhorn, &options, &program, &[], WORKERS)?;
    let address = master.address()?;
    let mut idle_client = master.connect()?;

    let peace = in_peace(address)?;
    let upgraded = under_upgrades(&mut master, address)?;
    let status = master.wait_until_up(WORKERS)?;
    ensure!(status.pid == master.pid(), "the master's pid has changed");
    ensure!(status.generation >= UPGRADES.len() as u64, "the master was not reloaded: {status:?}");
    is_still_alive(&mut idle_client)?;
    let killed = with_kills(&mut master, address)?;

    let row_name = format!("{} upgrades", UPGRADES.len());
    let mut table = Table::new(["", "answered", "a second", "median", "99 %", "greatest", "lost"]);
    for (name, tally) in
        [("in peace", &peace), (&*row_name, &upgraded), ("control: kill -9", &killed)]
    {
        let latency = Sample::milliseconds(&tally.latencies);
        table.row(&[
            name.to_owned(),
            tally.answered().to_string(),
            format!("{:.0}", tally.rate()),
            format!("{:.1}", latency.median()),
            format!("{:.1}", latency.quantile(0.99)),
            format!("{:.1}", latency.max()),
            tally.losses(),
        ]);
    }
    print!("{}", table.render());
    println!("  the master's pid is the same, a client that was idle is still connected");
    master.wait_until_up(WORKERS)?;
    master.stop()?;
    ensure!(peace.failed() + upgraded.failed() == 0, "requests were lost");
    ensure!(killed.failed() > 0, "the driver saw no loss when workers were killed");
    Ok(())
}

fn in_peace(address: SocketAddr) -> Result<Tally> {
    let load = Load::start(address, TARGET, CLIENTS)?;
    wait::pass(PEACE)?;
    load.stop()
}

fn under_upgrades(master: &mut Master, address: SocketAddr) -> Result<Tally> {
    let load = Load::start(address, TARGET, CLIENTS)?;
    wait::pass(PAUSE)?;
    for upgrade in UPGRADES {
        master.upgrade(upgrade, |_| ())?;
        wait::pass(PAUSE)?;
    }
    load.stop()
}

/// Kills workers until a loss is seen.
fn with_kills(master: &mut Master, address: SocketAddr) -> Result<Tally> {
    let load = Load::start(address, TARGET, CLIENTS)?;
    wait::pass(PAUSE)?;
    for _ in 0..KILLS_MAX {
        let workers = master.wait_until_up(WORKERS)?.workers;
        let Some(worker) = workers.iter().find(|worker| worker.is_serving) else {
            bail!("no worker to kill");
        };
        process::signal(worker.pid, Signal::KILL)?;
        wait::pass(PAUSE)?;
    }
    master.wait_until_up(WORKERS)?;
    load.stop()
}

fn is_still_alive(client: &mut CommandSocket) -> Result<()> {
    client.call(command::STATUS, &[]).map(|_| ())
}
