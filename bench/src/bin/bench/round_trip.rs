//! A command's round trip on open connections, against a server that sends the same bytes back:
//! one client, and many whose requests are all under way at once. Beside it what workers send
//! all the time: a connection, one line, its end.
//!
//! Client and server share a processor, so that neither is measured: how long one of two takes to
//! wake the other up, and which of both the system has chosen this time. One row shows two.
#![expect(clippy::disallowed_methods, reason = "it starts programs and measures time")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use einhorn_bench::master::Master;
use einhorn_bench::processors::{self, Pinned};
use einhorn_bench::statistics::Sample;
use einhorn_bench::wait;

use crate::row::{Row, Wanted};
use crate::setup::Setup;

const BATCHES: usize = 41;
/// Of each batch, by all clients together.
const ROUND_TRIPS: usize = 500;
const MANY: usize = 50;
/// Longest reply, and longest wait for one.
const REPLY_BYTES_MAX: usize = 64 << 10;
const LIMIT: Duration = Duration::from_secs(20);

const EHLO: &str = "{\"command\":\"ehlo\",\"user\":\"bench\",\"id\":1}\n";
const STATUS: &str = "{\"command\":\"status\",\"id\":1}\n";
const RATIO: f64 = 1.3;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let allowed = processors::allowed()?;
    let servers = *allowed.last().context("no processor")?;
    let pinned = Pinned::to(servers)?;
    let options = ["-q", "-m", "manual", "-n", "4"];
    let program = [setup.worker.as_os_str()];
    let mut master = Master::start(&setup.einhorn, &options, &program, &[], 4)?;
    let mut rows = Vec::new();

    let echo = Floor::start(setup, "echo")?;
    let mut clients = (Clients::connect(&echo.path, 1)?, Clients::connect(master.socket(), 1)?);
    rows.push(compare(setup, "ehlo, 1 client", &mut clients, EHLO)?.wanted(Wanted::Ratio(RATIO)));
    rows.push(compare(setup, "status, 1 client", &mut clients, STATUS)?);
    if let Some(&other) = allowed.iter().find(|&&number| number != servers) {
        let _pinned = Pinned::to(other)?;
        rows.push(compare(setup, "ehlo, 1 client, on another processor", &mut clients, EHLO)?);
    }
    rows.push(pings(setup, &mut master)?);

    let echo = Floor::start(setup, "echo-many")?;
    let socket = master.socket();
    let mut clients = (Clients::connect(&echo.path, MANY)?, Clients::connect(socket, MANY)?);
    let what = format!("ehlo, {MANY} clients");
    rows.push(compare(setup, what, &mut clients, EHLO)?.wanted(Wanted::Ratio(RATIO)));
    rows.push(compare(setup, format!("status, {MANY} clients"), &mut clients, STATUS)?);

    drop(pinned);
    master.wait_until_up(4)?;
    master.stop()?;
    if let Some(first) = rows.first_mut() {
        first.is_headline = true;
    }
    Ok(rows)
}

/// The floor's clients and the master's, in turns.
fn compare(
    setup: &Setup,
    what: impl Into<String>,
    clients: &mut (Clients, Clients),
    request: &str,
) -> Result<Row> {
    let (floor, value) = in_turns(
        setup,
        |count| clients.0.exchange(request, count),
        |count| clients.1.exchange(request, count),
    )?;
    Ok(Row::beside(what, "µs", floor, value))
}

/// A worker says that it is alive, and waits until that was taken.
fn pings(setup: &Setup, master: &mut Master) -> Result<Row> {
    let floor = Floor::start(setup, "hear")?;
    Clients::connect(&floor.path, 1)?;
    let status = master.wait_until_up(4)?;
    let worker = status.workers.first().context("the master has no worker")?.pid;
    let ping = format!("{{\"command\":\"worker:ping\",\"pid\":{worker},\"request_id\":\"1\"}}\n");
    let say = |path: &Path, count: usize| {
        for _ in 0..count {
            let mut connection = UnixStream::connect(path)?;
            connection.write_all(ping.as_bytes())?;
            ensure!(connection.read(&mut [0; 64])? == 0, "a ping was answered");
        }
        Ok(())
    };
    let socket = master.socket();
    let (floor, value) =
        in_turns(setup, |count| say(&floor.path, count), |count| say(socket, count))?;
    Ok(Row::beside("worker:ping, a connection each", "µs", floor, value))
}

/// Microseconds of one request, by the average of each batch.
fn in_turns(
    setup: &Setup,
    mut floor: impl FnMut(usize) -> Result<()>,
    mut einhorn: impl FnMut(usize) -> Result<()>,
) -> Result<(Sample, Sample)> {
    let mut times = (Vec::new(), Vec::new());
    // One batch more, the first, is not counted.
    for batch in 0..=setup.rounds(BATCHES) {
        let (bare, master) = (microseconds(&mut floor)?, microseconds(&mut einhorn)?);
        if batch > 0 {
            times.0.push(bare);
            times.1.push(master);
        }
    }
    Ok((Sample::new(times.0), Sample::new(times.1)))
}

fn microseconds(batch: &mut impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    batch(ROUND_TRIPS)?;
    #[expect(clippy::cast_precision_loss, reason = "some hundred")]
    let count = ROUND_TRIPS as f64;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / count)
}

/// Connections on which a line is answered by a line. They do as little as they can: what they
/// take is in the floor as well as in the figure.
struct Clients {
    connections: Vec<UnixStream>,
    reply: Vec<u8>,
}

impl Clients {
    fn connect(path: &Path, count: usize) -> Result<Self> {
        let listening = || Ok(UnixStream::connect(path).ok());
        let connect = |_| {
            let connection = wait::until("a server", LIMIT, listening)?;
            connection.set_read_timeout(Some(LIMIT))?;
            Ok(connection)
        };
        let connections = (0..count).map(connect).collect::<Result<_>>()?;
        Ok(Self { connections, reply: vec![0; REPLY_BYTES_MAX] })
    }

    /// `count` requests, one of each client under way at once.
    fn exchange(&mut self, request: &str, count: usize) -> Result<()> {
        for _ in 0..count / self.connections.len() {
            for mut connection in &self.connections {
                connection.write_all(request.as_bytes())?;
            }
            for mut connection in &self.connections {
                let mut end = 0;
                while end == 0 || self.reply[end - 1] != b'\n' {
                    let count = connection.read(&mut self.reply[end..]).context("no reply")?;
                    ensure!(count > 0, "the connection was closed, or the reply is too long");
                    end += count;
                }
            }
        }
        Ok(())
    }
}

/// A server that does nothing else, killed and reaped when dropped.
struct Floor {
    process: Child,
    path: PathBuf,
}

impl Floor {
    fn start(setup: &Setup, mode: &str) -> Result<Self> {
        let path = setup.path(mode);
        let process = Command::new(&setup.worker).arg(mode).arg(&path).spawn()?;
        Ok(Self { process, path })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
