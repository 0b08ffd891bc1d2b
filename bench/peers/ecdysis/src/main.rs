//! A server that replaces itself by the ecdysis library: one process, four threads. As
//! `bench_worker serve`, `/?ms=10` is answered 10 ms later. SIGHUP starts its successor, which
//! takes the listening socket over and says when it is ready; then this one accepts no more,
//! finishes what it has, and ends. SIGTERM ends it the same way.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs, io, process};

use ecdysis::tokio_ecdysis::{SignalKind, StopOnShutdown, TokioEcdysisBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_stream::StreamExt as _;
use tokio_util::task::TaskTracker;

const THREADS: usize = 4;
const BACKLOG: i32 = 4096;
const REQUEST_BYTES_MAX: usize = 1024;

#[tokio::main(worker_threads = 4)]
async fn main() -> io::Result<()> {
    if env::args().any(|word| word == "--version") {
        println!("ecdysis {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    let port = variable("BENCH_PORT")?.parse().map_err(io::Error::other)?;
    let version = fs::read_to_string(variable("BENCH_VERSION_FILE")?)?.trim().to_owned();
    let mut builder = TokioEcdysisBuilder::new(SignalKind::hangup())?;
    builder.stop_on_signal(SignalKind::terminate())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listening = builder.build_listen_tcp(StopOnShutdown::Yes, address, |socket, address| {
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    })?;
    let accepting = tokio::spawn(accept(listening, version));
    let (_ecdysis, ended) = builder.ready().map_err(io::Error::other)?;
    report()?;
    ended.await.map_err(io::Error::other)?;
    accepting.await?;
    Ok(())
}

/// Until no more is to be accepted, and all requests are answered.
async fn accept(
    mut connections: impl tokio_stream::Stream<Item = io::Result<TcpStream>> + Unpin,
    version: String,
) {
    let requests = TaskTracker::new();
    while let Some(connection) = connections.next().await {
        if let Ok(connection) = connection {
            requests.spawn(answer(connection, version.clone()));
        }
    }
    requests.close();
    requests.wait().await;
}

async fn answer(mut connection: TcpStream, version: String) -> io::Result<()> {
    let mut request = Vec::with_capacity(REQUEST_BYTES_MAX);
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() >= REQUEST_BYTES_MAX || connection.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    tokio::time::sleep(asked(&request)).await;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let body = format!("time={time:.3} pid={} index=- version={version}\n", process::id());
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nConnection: close";
    let answer = format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.write_all(answer.as_bytes()).await
}

fn asked(request: &[u8]) -> Duration {
    let text = String::from_utf8_lossy(request);
    let digits = text.split_once("?ms=").and_then(|(_, rest)| rest.split(' ').next());
    Duration::from_millis(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}

/// A connection for each thread, as four workers would.
fn report() -> io::Result<()> {
    (0..THREADS).try_for_each(|_| UnixStream::connect(variable("BENCH_DONE_PATH")?).map(drop))
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
