//! A command's round trip on an open connection, against a server that sends the same bytes
//! back.
#![expect(clippy::disallowed_methods, reason = "it starts programs and measures time")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;
use einhorn_bench::table::Table;
use einhorn_bench::wait;

use crate::Programs;

const BATCHES: usize = 41;
const ROUND_TRIPS: u32 = 1000;
/// A command that is answered at once with the ratio to reach, and one whose answer is a whole
/// table.
const REQUESTS: [(&str, &str, &str); 2] = [
    ("ehlo", "{\"command\":\"ehlo\",\"user\":\"bench\",\"id\":1}\n", "1.60"),
    ("status", "{\"command\":\"status\",\"id\":1}\n", ""),
];

pub(crate) fn run(programs: &Programs) -> Result<()> {
    println!("Round trip of a command, microseconds");
    let folder = tempfile::Builder::new().prefix("einhorn-bench-").tempdir()?;
    let (_server, mut echo) = start_echo(&programs.worker, &folder.path().join("echo"))?;
    let options = ["-q", "-m", "manual", "-n", "4"];
    let program = [programs.worker.as_os_str()];
    let mut master = Master::start(&programs.einhorn, &options, &program, &[], 4)?;
    master.wait_until_up(4)?;
    let mut command = Peer::connect(master.socket())?;

    let mut table =
        Table::new(["", "min", "median", "spread", "ratio of mins", "of medians", "wanted"]);
    for (name, request, wanted) in REQUESTS {
        let mut times = (Vec::new(), Vec::new());
        for batch in 0..=BATCHES {
            let (bare, einhorn) = (echo.batch(request)?, command.batch(request)?);
            if batch > 0 {
                times.0.push(bare);
                times.1.push(einhorn);
            }
        }
        let (bare, einhorn) = (Sample::new(times.0), Sample::new(times.1));
        let row = |name: String, sample: &Sample| {
            let (min, median) = (sample.min(), sample.median());
            let spread = format!("{:.0} %", sample.spread() * 100.0);
            [name, format!("{min:.1}"), format!("{median:.1}"), spread]
        };
        let [a, b, c, d] = row(format!("echo of {name}"), &bare);
        table.row(&[a, b, c, d]);
        let [a, b, c, d] = row(name.to_owned(), &einhorn);
        let (mins, medians) = (einhorn.min() / bare.min(), einhorn.median() / bare.median());
        table.row(&[a, b, c, d, format!("{mins:.2}"), format!("{medians:.2}"), wanted.to_owned()]);
    }
    print!("{}", table.render());
    drop(command);
    master.stop()
}

/// A connection on which a line is answered by a line.
struct Peer(BufReader<UnixStream>);

impl Peer {
    fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::with_capacity(64 << 10, stream)))
    }

    /// Microseconds of one round trip, on the average of a batch.
    fn batch(&mut self, request: &str) -> Result<f64> {
        let mut line = Vec::new();
        let begun = Instant::now();
        for _ in 0..ROUND_TRIPS {
            self.0.get_mut().write_all(request.as_bytes())?;
            line.clear();
            if self.0.read_until(b'\n', &mut line).context("no reply")? == 0 {
                bail!("the connection was closed");
            }
        }
        Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(ROUND_TRIPS))
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

fn start_echo(worker: &Path, path: &Path) -> Result<(Server, Peer)> {
    let server = Server(Command::new(worker).arg("echo").arg(path).spawn()?);
    let connect = || Ok(Peer::connect(path).ok());
    let peer = wait::until("echo server", Duration::from_secs(10), connect)?;
    Ok((server, peer))
}
