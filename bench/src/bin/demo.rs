//! What `make demo` shows: four workers, real requests, an upgrade under load, a clean stop.
//! Exits 0 only if no request was lost.
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use einhorn_bench::http;
use einhorn_bench::load::{Load, Tally};
use einhorn_bench::master::Master;
use einhorn_bench::table::Table;
use einhorn_bench::{interrupt, programs, wait};
use einhorn_protocol::command;

const WORKERS: usize = 4;
/// Connections that are open at once, each for one request.
const CLIENTS: usize = 16;
/// An answer takes 10 ms, so that there are always requests half way.
const TARGET: &str = "/?ms=10";
/// What the user would type; the driver adds the paths of its own files.
const OPTIONS: [&str; 8] = ["-b", "127.0.0.1:0", "-n", "4", "-m", "manual", "-s", "0.2"];
/// The load before and after the upgrade.
const SPAN: Duration = Duration::from_millis(1200);

fn main() -> ExitCode {
    let begun = Instant::now();
    match interrupt::catch().and_then(|()| run()) {
        Ok(()) => {
            println!("\nAll good after {:.1} s.", begun.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\ndemo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let einhorn = programs::find("einhorn", "EINHORN")?;
    let time_server = programs::find("time_server", "TIME_SERVER")?;
    let folder = tempfile::Builder::new().prefix("einhorn-demo-").tempdir()?;
    let version = folder.path().join("version");
    fs::write(&version, "old")?;

    println!("$ einhorn {} time_server", OPTIONS.join(" "));
    let variables = [("TIME_SERVER_VERSION_FILE", OsString::from(&version))];
    let program: [&OsStr; 1] = [time_server.as_os_str()];
    let mut master = Master::start(&einhorn, &OPTIONS, &program, &variables, WORKERS)?;
    let address = master.address()?;
    println!("  master {} listens on {address}, {WORKERS} workers are up", master.pid());
    let server = http::get(address, "/").map_err(|loss| anyhow!("first request: {loss}"))?;
    println!("$ curl {address}\n  worker {} of version `{}` answered", server.pid, server.version);

    let tally = upgrade_under_load(&mut master, address, &version)?;
    show(&tally);
    let status = master.wait_until_up(WORKERS)?;
    if status.pid != master.pid() || status.generation == 0 {
        bail!("the master was not reloaded in place: {status:?}");
    }
    println!("$ einhornsh -e die");
    master.stop()?;
    println!("  master and workers have ended, socket and pid file are removed");
    check(&tally)?;
    how_to_go_on(&einhorn, &time_server);
    Ok(())
}

/// Load, in the midst of it an upgrade to new code, and more load.
fn upgrade_under_load(master: &mut Master, address: SocketAddr, version: &Path) -> Result<Tally> {
    println!("\n{CLIENTS} clients ask without a pause, a new connection for each request");
    let load = Load::start(address, TARGET, CLIENTS)?;
    wait::pass(SPAN)?;
    fs::write(version, "new")?;
    println!("$ einhornsh -e upgrade");
    let begun = Instant::now();
    let asked_before = load.finished();
    let last = master.upgrade(command::UPGRADE, |line| println!("  {line}"))?;
    let asked = load.finished() - asked_before;
    println!("  {last}");
    println!("  {asked} requests meanwhile, in {:.1} s", begun.elapsed().as_secs_f64());
    wait::pass(SPAN)?;
    load.stop()
}

fn show(tally: &Tally) {
    println!("\nWho answered:");
    let mut table = Table::new(["version", "worker", "requests"]);
    for (server, count) in &tally.served {
        table.row(&[server.version.clone(), server.pid.to_string(), count.to_string()]);
    }
    print!("{}", table.render());
    let (answered, rate) = (tally.answered(), tally.rate());
    println!("  {answered} answered ({rate:.0} a second), failed: {}\n", tally.losses());
}

/// Nothing lost, and both generations really worked.
fn check(tally: &Tally) -> Result<()> {
    if tally.failed() > 0 {
        bail!("requests were lost: {}", tally.losses());
    }
    for version in ["old", "new"] {
        let workers = tally.served.keys().filter(|server| server.version == version).count();
        if workers != WORKERS {
            bail!("{workers} workers of version `{version}` answered, not {WORKERS}");
        }
    }
    Ok(())
}

fn how_to_go_on(einhorn: &Path, time_server: &Path) {
    let short = |path: &Path| {
        let here = std::env::current_dir().unwrap_or_default();
        path.strip_prefix(here).unwrap_or(path).display().to_string()
    };
    let (shell, einhorn) = (short(&einhorn.with_file_name("einhornsh")), short(einhorn));
    let time_server = short(time_server);
    println!(
        "\
\nBy hand, in two terminals:
  TIME_SERVER_VERSION=1 {einhorn} -b 127.0.0.1:8080 -n 4 -m manual {time_server}
  curl 127.0.0.1:8080              # again and again: another worker each time
  {shell} -e status
  {shell} -e upgrade   # after a new build, say
  {shell} -e die"
    );
}
