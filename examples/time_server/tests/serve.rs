//! The program as others see it: alone, and asked to stop.
#![expect(clippy::disallowed_methods, reason = "tests start the processes that they observe")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Longer than any machine needs.
const LONG: Duration = Duration::from_secs(60);

/// A server that is killed and reaped at the end of its test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(version: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_time_server"))
            .arg("0")
            .env("TIME_SERVER_VERSION", version)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("time_server: listening on ").unwrap().to_owned();
        Self { process, address }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(LONG)).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        connection
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().try_into().unwrap()).unwrap()
    }

    fn ask_to_stop(&self) {
        kill_process(self.pid(), Signal::USR2).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let end = pidfd_open(self.pid(), PidfdFlags::empty()).unwrap();
        let limit = Timespec { tv_sec: LONG.as_secs().try_into().unwrap(), tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(ended, 1, "still there after {LONG:?}");
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn answer(mut connection: TcpStream) -> String {
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn it_tells_time_pid_and_version() {
    let server = Server::start("seven");
    let text = answer(server.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    let end = format!(" pid={} index=- version=seven\n", server.process.id());
    assert!(text.ends_with(&end), "{text}");
    assert!(answer(server.send("nonsense\r\n\r\n")).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_stop_waits_for_what_was_begun() {
    let mut server = Server::start("x");
    let slow = server.send("GET /?ms=300 HTTP/1.1\r\n\r\n");
    let mut begun = server.send("GET / HT");
    // An answer to a later connection: the two before it have been accepted.
    answer(server.send("GET / HTTP/1.1\r\n\r\n"));
    server.ask_to_stop();
    server.ask_to_stop();
    begun.write_all(b"TP/1.1\r\n\r\n").unwrap();
    assert!(answer(begun).contains("200 OK"));
    assert!(answer(slow).contains("200 OK"));
    assert!(server.wait().success());
    assert!(TcpStream::connect(&server.address).is_err());
}

#[test]
fn a_client_that_leaves_costs_nobody_else() {
    let server = Server::start("x");
    drop(TcpStream::connect(&server.address).unwrap());
    drop(server.send("GET /?ms=50 HTTP/1.1\r\n\r\n"));
    assert!(answer(server.send("GET / HTTP/1.1\r\n\r\n")).contains("200 OK"));
}

#[test]
fn without_a_socket_it_says_what_to_do() {
    let output = Command::new(env!("CARGO_BIN_EXE_time_server")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("time_server 8080"));
}
