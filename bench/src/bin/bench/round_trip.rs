//! A command's round trip on open connections, against a server that sends the same bytes
//! back: one client, and many whose requests are all under way at once.
#![expect(clippy::disallowed_methods, reason = "it starts programs and measures time")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;
use einhorn_bench::wait;

use crate::row::{Row, Wanted};
use crate::setup::Setup;

const BATCHES: usize = 81;
/// Of each client in a batch, all clients together.
const ROUND_TRIPS: usize = 1000;
const MANY: usize = 50;

/// A command that is answered at once with the ratio to reach, and one whose answer is a whole
/// table.
const REQUESTS: [(&str, &str, Option<Wanted>); 2] = [
    ("ehlo", "{\"command\":\"ehlo\",\"user\":\"bench\",\"id\":1}\n", Some(Wanted::Ratio(1.3))),
    ("status", "{\"command\":\"status\",\"id\":1}\n", None),
];

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let options = ["-q", "-m", "manual", "-n", "4"];
    let program = [setup.worker.as_os_str()];
    let mut master = Master::start(&setup.einhorn, &options, &program, &[], 4)?;
    let mut rows = Vec::new();
    for (mode, clients) in [("echo", 1), ("echo-many", MANY)] {
        let path = setup.path(mode);
        let _server = Server(Command::new(&setup.worker).arg(mode).arg(&path).spawn()?);
        let connect = || Ok(Peers::connect(&path, clients).ok());
        let mut echo = wait::until("echo server", Duration::from_secs(10), connect)?;
        let mut einhorn = Peers::connect(master.socket(), clients)?;
        for (name, request, wanted) in REQUESTS {
            let (floor, value) = compare(setup, request, &mut echo, &mut einhorn)?;
            let plural = if clients == 1 { "client" } else { "clients" };
            let what = format!("{name}, {clients} {plural}");
            let is_headline = wanted.is_some() && clients == 1;
            rows.push(Row { wanted, is_headline, ..Row::beside(what, "µs", floor, value) });
        }
    }
    master.wait_until_up(4)?;
    master.stop()?;
    Ok(rows)
}

fn compare(
    setup: &Setup,
    request: &str,
    echo: &mut Peers,
    einhorn: &mut Peers,
) -> Result<(Sample, Sample)> {
    let mut times = (Vec::new(), Vec::new());
    for batch in 0..=setup.rounds(BATCHES) {
        let (bare, master) = (echo.batch(request)?, einhorn.batch(request)?);
        if batch > 0 {
            times.0.push(bare);
            times.1.push(master);
        }
    }
    Ok((Sample::new(times.0), Sample::new(times.1)))
}

/// Connections on which a line is answered by a line.
struct Peers(Vec<BufReader<UnixStream>>);

impl Peers {
    fn connect(path: &Path, count: usize) -> Result<Self> {
        let one = |_| {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            Ok(BufReader::with_capacity(64 << 10, stream))
        };
        Ok(Self((0..count).map(one).collect::<Result<_>>()?))
    }

    /// Microseconds for each request, on the average of a batch.
    fn batch(&mut self, request: &str) -> Result<f64> {
        let mut line = Vec::new();
        let rounds = ROUND_TRIPS / self.0.len();
        let begun = Instant::now();
        for _ in 0..rounds {
            for peer in &mut self.0 {
                peer.get_mut().write_all(request.as_bytes())?;
            }
            for peer in &mut self.0 {
                line.clear();
                if peer.read_until(b'\n', &mut line).context("no reply")? == 0 {
                    bail!("the connection was closed");
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousand")]
        let requests = (rounds * self.0.len()) as f64;
        Ok(begun.elapsed().as_secs_f64() * 1e6 / requests)
    }
}

/// The echo server, killed and reaped when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
