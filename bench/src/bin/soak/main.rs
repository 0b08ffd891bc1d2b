//! `make soak`: load on TCP, IPv6 and a unix socket while everything happens that may happen to
//! a master. Exits 0 only if nothing was lost but what workers killed with -9 had in their hands.
//!
//! `SOAK_SECONDS` is how long (600), `SEED` makes the same choices again; when they fall within
//! the load is up to the machine.
#![expect(clippy::disallowed_methods, reason = "it reads its settings and measures time")]

mod accounts;
mod client;
mod driver;
mod hostile;
mod kills;
mod random;
mod report;
mod shared;
mod site;
mod traffic;
mod vitals;

use std::env;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use einhorn_bench::master::{Master, Status};
use einhorn_bench::{interrupt, programs};

use crate::client::Place;
use crate::shared::{Shared, read};
use crate::site::Site;
use crate::traffic::{Tallies, Traffic};
use crate::vitals::{Course, Vitals};

/// Workers in the beginning and in the end.
pub(crate) const WORKERS: usize = 6;
/// Clients of each transport.
const CLIENTS_EACH: usize = 8;
/// Where nothing is said.
const SECONDS: u64 = 600;
/// Between two lines about how it goes.
const PROGRESS: Duration = Duration::from_secs(10);
/// Beside the addresses and the folder.
const OPTIONS: [&str; 12] = [
    "-b",
    "127.0.0.1:0",
    "-b",
    "[::1]:0",
    "-n",
    "6",
    "-m",
    "manual",
    "-s",
    "0.05",
    "--ack-timeout",
    "3",
];

fn main() -> ExitCode {
    match interrupt::catch().and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nsoak failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn number(variable: &str) -> Result<Option<u64>> {
    let Some(value) = env::var_os(variable) else { return Ok(None) };
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| anyhow!("{variable} is not a number: {}", value.display()))
}

fn run() -> Result<()> {
    let seconds = number("SOAK_SECONDS")?.unwrap_or(SECONDS);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = number("SEED")?.unwrap_or_else(|| u64::from(now.subsec_nanos()));
    let einhorn = programs::find("einhorn", "EINHORN")?;
    let worker = programs::find("bench_worker", "BENCH_WORKER")?;
    let mut site = Site::new()?;
    let (current, address) = (site.current(), format!("unix:{}", site.socket().display()));
    let current = current.to_str().context("the folder's name is not UTF-8")?;
    let options: Vec<&str> =
        OPTIONS.into_iter().chain(["-b", &address, "--chdir", current]).collect();
    let program: [&OsStr; 2] = [worker.as_os_str(), "soak".as_ref()];
    let master = Master::start(&einhorn, &options, &program, &[], WORKERS)?;
    println!("SEED={seed} SOAK_SECONDS={seconds}, master {}", master.pid());
    let places = places(&master, &site)?;
    let shared = Arc::new(Shared::new(seed, master.pid(), master.socket().to_owned()));
    // What it was started with beside its own descriptors is gone after a reload.
    driver::reload(&shared)?;
    driver::settle(&shared, WORKERS)?;
    let begin = Vitals::at_rest(master.pid(), 0)?;
    let traffic = Traffic::start(&shared, &places, CLIENTS_EACH)?;
    let span = Duration::from_secs(seconds);
    let (went, warm, tallies) = torment(&shared, &mut site, traffic, span, begin);
    let tallies = tallies?;
    let settled = driver::settle(&shared, WORKERS);
    let end = Vitals::at_rest(master.pid(), begin.descriptors)?;
    let course = Course { begin, warm, end };
    report::show(&shared, &tallies, &course);
    went.and(settled.map(drop)).with_context(|| format!("SEED={seed}"))?;
    report::check(&tallies, &course).with_context(|| format!("SEED={seed}"))?;
    master.stop()?;
    println!("\nNothing was lost but what workers killed with -9 had in their hands.");
    Ok(())
}

fn places(master: &Master, site: &Site) -> Result<[Place; 3]> {
    let status = Status::ask(master.socket())?;
    let [Some(first), Some(second), ..] = status.ports[..] else {
        return Err(anyhow!("the master lacks a port: {status:?}"));
    };
    Ok([
        Place::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, first))),
        Place::Tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, second))),
        Place::Unix(site.socket()),
    ])
}

/// Whether everything went as it should, the most that the master had in the first fifth, and
/// what became of the requests. The load ends last.
fn torment(
    shared: &Arc<Shared>,
    site: &mut Site,
    traffic: Traffic,
    span: Duration,
    begin: Vitals,
) -> (Result<()>, Vitals, Result<Tallies>) {
    let mut warm = begin;
    let went = thread::scope(|scope| {
        let end_on_error = |went: Result<()>| {
            if went.is_err() {
                shared.over.store(true, Ordering::Relaxed);
            }
            went
        };
        let threads = [
            scope.spawn(move || end_on_error(driver::run(shared, site))),
            scope.spawn(move || end_on_error(kills::run(shared))),
            scope.spawn(move || {
                hostile::run(shared);
                Ok(())
            }),
        ];
        let mut next = PROGRESS;
        while shared.begun.elapsed() < span && !shared.is_over() {
            shared.pause(Duration::from_secs(1));
            let elapsed = shared.begun.elapsed();
            if elapsed < span / 5
                && let Ok(vitals) = Vitals::of(shared.master)
            {
                warm = warm.or_more(vitals);
            }
            if elapsed >= next {
                next += PROGRESS;
                progress(shared, elapsed);
            }
        }
        shared.is_ending.store(true, Ordering::Relaxed);
        let ends = threads.map(|thread| thread.join().map_err(|_| anyhow!("a thread died")));
        ends.into_iter().try_for_each(|end| end.and_then(|went| went))
    });
    shared.over.store(true, Ordering::Relaxed);
    (went, warm, traffic.finish())
}

fn progress(shared: &Shared, elapsed: Duration) {
    let asked = read(&shared.asked);
    let vitals = Vitals::of(shared.master).map(|it| it.to_string()).unwrap_or_default();
    shared.say(&format!(
        "{asked} requests ({} a second), {} lost, {} upgrades, {} rolled back, {} killed; {vitals}",
        asked / elapsed.as_secs().max(1),
        read(&shared.failed),
        read(&shared.committed) + read(&shared.rolled_back),
        read(&shared.rolled_back),
        read(&shared.kills),
    ));
}
