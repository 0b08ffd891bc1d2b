//! What becomes of lines when their reader is slow, gone, or a disk that is full.

use std::io::{PipeReader, PipeWriter, Read as _};

use super::*;
use crate::sys::own_process::alone;

fn noon() -> WallTime {
    WallTime { nanoseconds: 0 }
}

fn writer(descriptor: impl std::os::fd::AsFd) -> Writer {
    Writer::new(LogSink::new(descriptor.as_fd()), noon, 7)
}

fn line(message: &str) -> String {
    format!("1970-01-01T00:00:00.000Z  INFO 7 einhorn: {message}\n")
}

fn report(message: &str) -> String {
    line(message).replace(" INFO", " WARN")
}

/// A writer to a full pipe with `extra` lines waiting, numbered from 0.
fn full(extra: usize) -> (PipeReader, PipeWriter, Writer, usize) {
    let (reader, inherited) = io::pipe().unwrap();
    let mut writer = writer(&inherited);
    let mut written = 0;
    while writer.pending_fd().is_none() {
        writer.line(Level::Info, "filling");
        written += 1;
    }
    for number in 0..extra {
        writer.line(Level::Info, &number.to_string());
    }
    (reader, inherited, writer, written)
}

/// Reads while the writer flushes, until nothing waits; then what is left.
fn drain(mut reader: PipeReader, mut writer: Writer, inherited: PipeWriter) -> String {
    let mut out = Vec::new();
    let mut chunk = vec![0; 4096];
    while writer.pending_fd().is_some() {
        let count = reader.read(&mut chunk).unwrap();
        out.extend_from_slice(&chunk[..count]);
        writer.flush();
    }
    drop((writer, inherited));
    reader.read_to_end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_wait_for_a_slow_reader_and_arrive_whole_and_in_order() {
    let (reader, inherited, writer, written) = full(100);
    let out = drain(reader, writer, inherited);
    let expected: String = std::iter::repeat_n("filling".to_owned(), written)
        .chain((0..100).map(|number| number.to_string()))
        .map(|message| line(&message))
        .collect();
    assert_eq!(out, expected);
}

#[test]
fn what_is_beyond_the_bound_is_counted_and_reported_in_its_place() {
    let (reader, inherited, mut writer, written) = full(10_000);
    let lost = writer.queue.dropped();
    assert!(lost > 0 && lost < 10_000, "{lost}");
    // Room for the report, then for a line after it.
    let mut reader = reader;
    let mut chunk = vec![0; 16 << 10];
    let mut begin = Vec::new();
    while writer.queue.dropped() > 0 {
        let count = reader.read(&mut chunk).unwrap();
        begin.extend_from_slice(&chunk[..count]);
        writer.flush();
        writer.line(Level::Info, "after");
    }
    let out = String::from_utf8(begin).unwrap() + &drain(reader, writer, inherited);
    let kept = 10_000 - usize::try_from(lost).unwrap();
    let mut lines = out.split_inclusive('\n').skip(written + kept);
    let said = lines.next().unwrap();
    assert!(said.ends_with(" log lines were dropped\n") && said.contains(" WARN "), "{said}");
    assert!(lines.all(|rest| rest == line("after")), "{out}");
}

#[test]
fn one_lost_line_is_said_in_the_singular_and_without_a_further_line() {
    let (reader, inherited, mut writer, _) = full(0);
    while writer.queue.dropped() == 0 {
        writer.line(Level::Info, "more");
    }
    let out = drain(reader, writer, inherited);
    assert!(out.ends_with(&report("1 log line was dropped")), "{out}");
}

#[test]
fn a_reader_that_is_gone_costs_its_lines_only() {
    alone!();
    let (reader, inherited) = io::pipe().unwrap();
    let mut writer = writer(&inherited);
    drop(reader);
    for _ in 0..3 {
        writer.line(Level::Info, "nobody");
        assert_eq!((writer.pending_fd(), writer.queue.front()), (None, None));
    }
    assert_eq!(writer.queue.dropped(), 3);
}

#[test]
fn a_full_disk_makes_nobody_wait() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut writer = writer(&full);
    for lost in 1..=3 {
        writer.line(Level::Info, "no space");
        assert_eq!((writer.pending_fd(), writer.queue.dropped()), (None, lost));
    }
}

#[test]
fn a_descriptor_that_cannot_be_written_makes_nobody_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "").unwrap();
    let mut writer = writer(std::fs::File::open(&path).unwrap());
    writer.line(Level::Info, "lost");
    assert_eq!((writer.pending_fd(), writer.queue.dropped()), (None, 1));
}

#[test]
fn a_file_gets_every_line_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut writer = writer(std::fs::File::create(&path).unwrap());
    writer.line(Level::Info, "one");
    writer.line(Level::Error, "two");
    let expected = line("one") + &line("two").replace(" INFO", "ERROR");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn a_socket_gets_its_lines_and_its_end_is_no_signal() {
    alone!();
    let (mut reader, inherited) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut writer = writer(&inherited);
    writer.line(Level::Info, "one");
    let mut out = vec![0; line("one").len()];
    reader.read_exact(&mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), line("one"));
    while writer.pending_fd().is_none() {
        writer.line(Level::Info, "filling");
    }
    drop(reader);
    writer.flush();
    assert_eq!(writer.pending_fd(), None);
    assert!(writer.queue.dropped() > 0);
}
