//! One request and its answer, by as much of HTTP/1.1 as that takes.

use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::socket::Connection;

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 8192;
/// Longest that a client may take to send it.
const HEAD_SECONDS_MAX: u64 = 10;
/// Longest delay that a client may ask for.
const DELAY_MILLISECONDS_MAX: u64 = 60_000;
/// Longest wait for a client to close after its answer.
const LINGER_SECONDS_MAX: u64 = 1;

/// What an answer says about the process that gives it.
pub(crate) struct Identity {
    pub(crate) pid: u32,
    pub(crate) index: Option<u32>,
    pub(crate) version: String,
}

/// What is sent back, and when.
#[derive(Debug, PartialEq)]
struct Answer {
    status: &'static str,
    /// Nothing of the body is sent, only its length (`HEAD`).
    head_only: bool,
    delay: Duration,
}

/// Answers the one request of a connection.
pub(crate) fn serve(connection: &mut dyn Connection, identity: &Identity) -> io::Result<()> {
    let Some(head) = read_head(connection)? else { return Ok(()) };
    let answer = Answer::to(&head);
    thread::sleep(answer.delay);
    connection.write_all(&answer.compose(identity))?;
    connection.finish_writing()?;
    // To close while the client still sends would reset the connection and could cost it the
    // answer.
    connection.set_timeout(Duration::from_secs(LINGER_SECONDS_MAX))?;
    let _ = io::copy(&mut connection.take(HEAD_BYTES_MAX as u64), &mut io::sink());
    Ok(())
}

/// The request up to its empty line, or `None` if the client leaves without one. A head that
/// is too long comes back cut, without its empty line.
fn read_head(connection: &mut dyn Connection) -> io::Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + Duration::from_secs(HEAD_SECONDS_MAX);
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !ends_with_empty_line(&head) && head.len() < HEAD_BYTES_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        connection.set_timeout(left)?;
        match connection.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(count) => head.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(head))
}

fn ends_with_empty_line(head: &[u8]) -> bool {
    head.windows(4).any(|window| window == b"\r\n\r\n")
}

impl Answer {
    fn to(head: &[u8]) -> Self {
        let plain = |status| Self { status, head_only: false, delay: Duration::ZERO };
        if !ends_with_empty_line(head) {
            return plain("431 Request Header Fields Too Large");
        }
        let first = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let words: Vec<&str> = std::str::from_utf8(first).unwrap_or_default().split(' ').collect();
        let [method, target, "HTTP/1.0" | "HTTP/1.1"] = words[..] else {
            return plain("400 Bad Request");
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match (method, path, delay(query)) {
            ("GET" | "HEAD", "/", Some(delay)) => {
                Self { status: "200 OK", head_only: method == "HEAD", delay }
            }
            ("GET" | "HEAD", "/", None) => plain("400 Bad Request"),
            ("GET" | "HEAD", _, _) => plain("404 Not Found"),
            _ => plain("405 Method Not Allowed"),
        }
    }

    fn compose(&self, identity: &Identity) -> Vec<u8> {
        let body = match self.status {
            "200 OK" => identity.line(),
            status => format!("{status}\n"),
        };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            body.len()
        );
        let body = if self.head_only { "" } else { &body };
        (head + body).into_bytes()
    }
}

/// `ms=250`: a quarter of a second; 0 without it, `None` if it is not a number in range.
fn delay(query: &str) -> Option<Duration> {
    let Some(value) = query.split('&').find_map(|pair| pair.strip_prefix("ms=")) else {
        return Some(Duration::ZERO);
    };
    let milliseconds = value.parse().ok()?;
    (milliseconds <= DELAY_MILLISECONDS_MAX).then(|| Duration::from_millis(milliseconds))
}

impl Identity {
    /// `time=1795429127.520 pid=812 index=2 version=7`: seconds since 1970, UTC.
    fn line(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let index = self.index.map_or_else(|| "-".to_owned(), |index| index.to_string());
        format!(
            "time={}.{:03} pid={} index={index} version={}\n",
            now.as_secs(),
            now.subsec_millis(),
            self.pid,
            self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, status: &str, milliseconds: u64) {
        let answer = Answer::to(head.as_bytes());
        assert_eq!((answer.status, answer.delay.as_millis()), (status, milliseconds.into()));
    }

    #[test]
    fn requests() {
        check("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", 0);
        check("GET /?ms=250 HTTP/1.0\r\n\r\n", "200 OK", 250);
        check("GET /?a=b&ms=60000 HTTP/1.1\r\n\r\n", "200 OK", 60_000);
        check("GET /?ms=60001 HTTP/1.1\r\n\r\n", "400 Bad Request", 0);
        check("GET /?ms=-1 HTTP/1.1\r\n\r\n", "400 Bad Request", 0);
        check("HEAD / HTTP/1.1\r\n\r\n", "200 OK", 0);
        check("GET /other HTTP/1.1\r\n\r\n", "404 Not Found", 0);
        check("POST / HTTP/1.1\r\n\r\n", "405 Method Not Allowed", 0);
        check("GET / HTTP/2\r\n\r\n", "400 Bad Request", 0);
        check("\r\n\r\n", "400 Bad Request", 0);
        check(&"x".repeat(HEAD_BYTES_MAX), "431 Request Header Fields Too Large", 0);
    }

    #[test]
    fn a_head_has_the_length_of_a_body_that_is_not_sent() {
        let identity = Identity { pid: 1, index: Some(0), version: "a".into() };
        let text = |method: &str| {
            let answer = Answer::to(format!("{method} / HTTP/1.1\r\n\r\n").as_bytes());
            String::from_utf8(answer.compose(&identity)).unwrap()
        };
        assert!(text("HEAD").ends_with("\r\n\r\n"));
        let (head, body) =
            text("GET").split_once("\r\n\r\n").map(|(h, b)| (h.to_owned(), b.to_owned())).unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(body.ends_with(" pid=1 index=0 version=a\n"), "{body}");
    }
}
