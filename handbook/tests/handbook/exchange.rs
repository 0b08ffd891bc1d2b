//! The exchanges that the protocol's description shows, with a real master.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use einhorn_handbook::read;

use crate::support::{blocks, programs};

const LONG: Duration = Duration::from_secs(60);

/// A master that ends with the test.
struct Master(Child);

impl Drop for Master {
    fn drop(&mut self) {
        // With -k its workers end with it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path) -> (Master, UnixStream) {
    let mut command = Command::new(programs().join("einhorn"));
    command
        .args(["-k", "-n", "1", "-m", "0.1", "-s", "0.1", "sleep", "1000"])
        .env("TMPDIR", folder);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let socket = folder.join("einhorn.sock");
    // It is there a moment before anybody listens.
    let stream = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(log.next().is_some(), "the master ended: {error}"),
        }
    };
    // A full pipe never blocks a master, so nobody needs to read on.
    (Master(child), stream)
}

/// Whether `line` is `pattern`, in which `…` stands for anything.
fn fits(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    for (position, piece) in pattern.split('…').enumerate() {
        match rest.find(piece) {
            Some(0) => rest = &rest[piece.len()..],
            Some(at) if position > 0 => rest = &rest[at + piece.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || pattern.ends_with('…')
}

#[test]
fn every_exchange_is_as_it_is_shown() {
    let mut seen = 0;
    for block in blocks(&read("docs/protocol.md").unwrap()) {
        if block.mark != "exchange" {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let (_master, mut stream) = start(folder.path());
        let mut skip = false;
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut replies = BufReader::new(stream.try_clone().unwrap());
        for line in block.text.lines() {
            if let Some(request) = line.strip_prefix("> ") {
                writeln!(stream, "{request}").unwrap();
            } else if line == "⋮" {
                skip = true;
            } else if let Some(pattern) = line.strip_prefix("< ") {
                let mut reply = String::new();
                replies.read_line(&mut reply).unwrap();
                while skip && reply.contains("\"wait\":true") {
                    reply.clear();
                    replies.read_line(&mut reply).unwrap();
                }
                skip = false;
                assert!(fits(reply.trim_end(), pattern), "{reply:?} is not {pattern:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 8, "{seen}");
}

#[test]
fn three_dots_stand_for_anything() {
    assert!(fits("{\"a\":1}", "{\"a\":…}"));
    assert!(fits("x", "…") && fits("ab", "a…"));
    assert!(!fits("{\"b\":1}", "{\"a\":…}") && !fits("ab", "a") && !fits("ba", "a…"));
}
