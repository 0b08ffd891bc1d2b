//! One request on a connection of its own, and every way in which it can be lost.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest that a request may take.
pub const REQUEST_SECONDS_MAX: u64 = 10;
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Which process answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// The marker of its generation.
    pub version: String,
    /// Its pid.
    pub pid: u32,
}

/// How a request was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// Nobody listens.
    Refused,
    /// The connection was broken.
    Reset,
    /// The connection was closed before the whole answer had come.
    Short,
    /// The answer is no answer to this request.
    Wrong,
    /// No answer in time.
    TimedOut,
    /// Any other error.
    Other,
}

impl Loss {
    /// What an error of a connection means.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => Self::Reset,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Short => "short",
            Self::Wrong => "wrong",
            Self::TimedOut => "timed out",
            Self::Other => "other",
        })
    }
}

/// Asks for `target` on a new connection; the answer must be whole.
///
/// # Errors
/// Says how the request was lost.
pub fn get(address: SocketAddr, target: &str) -> Result<Server, Loss> {
    let answer = exchange(address, target).map_err(|error| Loss::of(&error))?;
    parse(&answer)
}

/// The same on a connection that has just been made, and has its own limits of time.
///
/// # Errors
/// Says how the request was lost.
pub fn get_over(connection: impl Read + Write, target: &str) -> Result<Server, Loss> {
    let answer =
        exchange_over(connection, target, "localhost").map_err(|error| Loss::of(&error))?;
    parse(&answer)
}

fn exchange(address: SocketAddr, target: &str) -> io::Result<Vec<u8>> {
    let limit = Duration::from_secs(REQUEST_SECONDS_MAX);
    let connection = TcpStream::connect_timeout(&address, limit)?;
    connection.set_read_timeout(Some(limit))?;
    connection.set_write_timeout(Some(limit))?;
    exchange_over(connection, target, &address.to_string())
}

fn exchange_over(
    mut connection: impl Read + Write,
    target: &str,
    host: &str,
) -> io::Result<Vec<u8>> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::with_capacity(512);
    connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> Result<Server, Loss> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Err(Loss::Short);
    };
    let (head, body) = answer.split_at(end + 4);
    let head = std::str::from_utf8(head).map_err(|_| Loss::Wrong)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("Content-Length").then(|| value.trim().parse().ok())?
    });
    let length: usize = length.ok_or(Loss::Wrong)?;
    if body.len() < length {
        return Err(Loss::Short);
    }
    if body.len() > length || !head.starts_with("HTTP/1.1 200 ") {
        return Err(Loss::Wrong);
    }
    server(body).ok_or(Loss::Wrong)
}

/// `time=… pid=812 index=2 version=7`
fn server(body: &[u8]) -> Option<Server> {
    let body = std::str::from_utf8(body).ok()?;
    let word = |name: &str| body.split_whitespace().find_map(|word| word.strip_prefix(name));
    word("time=")?;
    Some(Server { pid: word("pid=")?.parse().ok()?, version: word("version=")?.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};
    use std::thread;

    use super::*;

    /// What a client makes of a server that answers with `answer` and closes.
    fn check(answer: &'static str, expected: &Result<Server, Loss>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(connection.read(&mut request).unwrap() > 0);
            connection.write_all(answer.as_bytes()).unwrap();
            connection.shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(&get(address, "/"), expected, "{answer}");
        server.join().unwrap();
    }

    #[test]
    fn a_whole_answer_tells_who_gave_it() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 35\r\n\r\ntime=1.000 pid=7 index=- version=a\n",
            &Ok(Server { pid: 7, version: "a".into() }),
        );
    }

    #[test]
    fn every_broken_answer_is_a_loss() {
        check("", &Err(Loss::Short));
        check("HTTP/1.1 200 OK\r\nContent-Le", &Err(Loss::Short));
        check("HTTP/1.1 200 OK\r\nContent-Length: 35\r\n\r\ntime=1.0 pid=7", &Err(Loss::Short));
        check("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", &Err(Loss::Wrong));
        check("HTTP/1.1 200 OK\r\n\r\n", &Err(Loss::Wrong));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", &Err(Loss::Wrong));
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", &Err(Loss::Wrong));
    }

    #[test]
    fn a_reset_and_a_refusal_are_losses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            // Closed with the request unread: a reset.
            let (connection, _) = listener.accept().unwrap();
            connection.peek(&mut [0; 1]).unwrap();
        });
        assert_eq!(get(address, "/"), Err(Loss::Reset));
        server.join().unwrap();
        assert_eq!(get(address, "/"), Err(Loss::Refused));
    }
}
