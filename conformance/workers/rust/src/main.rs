//! The conformance suite's worker; `../README.md` tells what its words mean.

use rustix::event::{PollFd, PollFlags, poll};
use std::{
    error::Error,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    thread,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    for word in std::env::args().skip(1) {
        let (name, argument) = word.split_once(':').unwrap_or((&word, ""));
        let number = || argument.parse().unwrap_or_default();
        match name {
            "facts" => facts(),
            "fd" => {
                attempt(&word, einhorn_worker::socket_fd(number()).map(|fd| format!("ok {fd}")));
            }
            "listener" => attempt(&word, where_is(number())),
            "stop" => {
                einhorn_worker::graceful_shutdown_fd()?;
                say("stop registered");
            }
            "become" => attempt("become", einhorn_worker::become_worker().map(|()| "ok".into())),
            "ack" | "ack-fd" => attempt("ack", einhorn_worker::ack().map(|()| "ok".into())),
            "ping" => attempt("ping", einhorn_worker::ping(argument).map(|()| "ok".into())),
            "read" => {
                let mut line = String::new();
                io::stdin().read_line(&mut line)?;
                say(&format!("read {}", line.trim_end()));
            }
            "serve" => serve()?,
            "wait" => {
                let stop = einhorn_worker::graceful_shutdown_fd()?;
                while let Err(rustix::io::Errno::INTR) =
                    poll(&mut [PollFd::new(&stop, PollFlags::IN)], None)
                {}
                say("wait ended");
            }
            "idle" => {
                say("idle");
                loop {
                    thread::park();
                }
            }
            _ => return Err(format!("no such word: {word}").into()),
        }
    }
    Ok(())
}

fn say(text: &str) {
    let line = format!("{} {text}\n", std::process::id());
    let _ = io::stdout().write_all(line.as_bytes());
}

fn attempt(word: &str, outcome: einhorn_worker::Result<String>) {
    let said = outcome.unwrap_or_else(|error| format!("error {error}"));
    say(&format!("{word} {said}"));
}

fn facts() {
    let worker = if einhorn_worker::is_worker() { "yes" } else { "no" };
    let index = einhorn_worker::child_index().map_or("none".into(), |index| index.to_string());
    let sockets = einhorn_worker::socket_count();
    say(&format!("facts worker={worker} index={index} sockets={sockets}"));
}

fn where_is(n: usize) -> einhorn_worker::Result<String> {
    drop(einhorn_worker::owned_fd(n)?);
    if einhorn_worker::unix_listener(n).is_ok() {
        return Ok("unix".into());
    }
    let address = einhorn_worker::tcp_listener(n)?.local_addr();
    Ok(address.map_or("?".into(), |address| {
        format!("{} {}", if address.is_ipv4() { "inet" } else { "inet6" }, address.port())
    }))
}

fn serve() -> Outcome<()> {
    let stop = einhorn_worker::graceful_shutdown_fd()?;
    let listener = einhorn_worker::tcp_listener(0)?;
    listener.set_nonblocking(true)?;
    loop {
        let mut ready = [PollFd::new(&stop, PollFlags::IN), PollFd::new(&listener, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) if !ready[0].revents().is_empty() => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if let Ok((connection, _)) = listener.accept() {
            connection.set_nonblocking(false)?;
            // A client that goes away is its own affair.
            let _ = answer(&connection);
        }
    }
    say("serve ended");
    Ok(())
}

fn answer(mut connection: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(connection).lines();
    if lines.next().transpose()?.as_deref() == Some("slow") {
        connection.write_all(b"begun\n")?;
        lines.next().transpose()?;
    }
    writeln!(connection, "{}", std::process::id())
}
