//! The least that a worker can be: it acknowledges on the command socket, says so to whoever
//! measures, and waits to be stopped. With `serve` it serves HTTP meanwhile; with `soak` too, unless
//! its release is a bad one. With `echo PATH` or `echo-many PATH` it sends back what it reads, with
//! `hear PATH` it reads and closes, for comparison with a master.
#![allow(missing_docs, reason = "a program without an interface")]

mod echo;
mod serve;

use std::env;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process;

use einhorn_bench::acknowledgements::DONE_VARIABLE;
use einhorn_bench::soaked::{Conduct, RELEASE_FILE};
use einhorn_protocol::{command, environment, key};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo", path] => echo::one(path),
        ["echo-many", path] => echo::many(path),
        ["hear", path] => echo::hear(path),
        ["serve"] => serve::serve(|| acknowledge().and_then(|()| report())),
        ["soak"] => soak(),
        _ => work(),
    }
}

fn work() -> io::Result<()> {
    acknowledge()?;
    report()?;
    loop {
        std::thread::park();
    }
}

/// As the release in its folder says.
fn soak() -> io::Result<()> {
    let text = std::fs::read_to_string(RELEASE_FILE)?;
    let (_, word) = text.trim().split_once(' ').ok_or_else(|| io::Error::other(text.clone()))?;
    match Conduct::from_name(word).ok_or_else(|| io::Error::other(text.clone()))? {
        Conduct::Good => serve::serve(acknowledge),
        Conduct::Crash => process::exit(1),
        Conduct::Hang => loop {
            std::thread::park();
        },
        Conduct::AckAndDie => {
            acknowledge()?;
            process::exit(1)
        }
    }
}

fn acknowledge() -> io::Result<()> {
    let Some(path) = env::var_os(environment::SOCK_PATH).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let mut master = UnixStream::connect(path)?;
    let (command_key, pid_key, ack) = (key::COMMAND, key::PID, command::WORKER_ACK);
    let pid = process::id();
    let line = format!("{{\"{command_key}\":\"{ack}\",\"{pid_key}\":{pid}}}\n");
    master.write_all(line.as_bytes())?;
    // Its end means that it was taken.
    master.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn report() -> io::Result<()> {
    if let Some(path) = env::var_os(DONE_VARIABLE) {
        // The connection itself is the message.
        UnixStream::connect(path)?;
    }
    Ok(())
}
