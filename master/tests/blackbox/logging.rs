//! The log: a line an event, whatever is behind standard error.

use std::fs::File;
use std::io::{PipeReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::process::Signal;

use crate::support::log::Log;
use crate::support::process::{descriptors, send};
use crate::support::{IDLE, Launch, Master, pids};
use crate::worker::told;

/// `2026-11-23T10:18:47.520Z  INFO 812 einhorn: message` as level and message.
fn parts(line: &str, pid: i32) -> Option<(&str, &str)> {
    let (time, rest) = line.split_at_checked("2026-11-23T10:18:47.520Z".len())?;
    let pattern = "dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |(found, wanted): (char, char)| match wanted {
        'd' => found.is_ascii_digit(),
        other => found == other,
    };
    if !time.chars().zip(pattern.chars()).all(fits) {
        return None;
    }
    let (level, rest) = rest.trim_start().split_once(' ')?;
    let message = rest.strip_prefix(&format!("{pid} einhorn: "))?;
    Some((level, message))
}

#[test]
fn every_line_has_time_level_and_pid_before_what_happened() {
    let program = told(&["ack", "hang"]);
    let mut master = Master::start(&["-n", "2", "-m", "manual", "-s", "0.01", "-v"], &program);
    master.wait_for_up(2);
    send(master.pids()[0], Signal::KILL);
    master.wait_for_line("exited: killed by SIGKILL; nobody asked it to");
    master.wait_for_up(2);
    assert!(master.upgrade("upgrade").pop().unwrap()["error"].is_null());
    master.client().send("nonsense\n");
    master.wait_for_line("refused");
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    master.wait_for_line("all workers are gone");
    let levels = ["DEBUG", "INFO", "WARN", "ERROR"];
    for line in master.log.lines() {
        let (level, message) = parts(&line, master.pid()).unwrap_or_else(|| panic!("{line}"));
        assert!(levels.contains(&level), "{line}");
        assert!(!message.is_empty() && !message.ends_with('.'), "{line}");
    }
}

#[test]
fn quiet_is_for_errors_alone() {
    let mut master = Master::start(&["-n", "1", "-m", "0", "-s", "0.01", "-q"], &IDLE);
    let before = pids(&master.wait_for_up(1));
    send(before[0], Signal::KILL);
    master.wait_for("a replacement", |status| pids(status).len() == 1 && pids(status) != before);
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert_eq!(master.log.text(), "");
}

#[test]
fn a_client_cannot_forge_a_line() {
    let master = Master::start(&["-m", "manual"], &IDLE);
    let forged = "x%0A2026-11-23T10:18:47.520Z  INFO 1 einhorn: forged";
    master.client().send(format!("---%0Acommand: worker:ack%0Apid: \"{forged}\"%0A\n"));
    master.client().send(format!("{{\"command\":\"worker:ack\",\"pid\":7,\"{forged}\":1}}\n"));
    let (code, _) = master
        .failure(&serde_json::json!({"command": "x\n2026-11-23T10:18:47.520Z einhorn: forged"}));
    assert_eq!(code, "unknown_command");
    master.acknowledge(1);
    master.wait_for_line("1 is no worker");
    for line in master.log.lines() {
        assert!(parts(&line, master.pid()).is_some(), "{line}");
    }
}

#[test]
fn without_the_standard_descriptors_everything_works_too() {
    let closed = ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"];
    let options = ["-n", "2", "-m", "manual", "-s", "0.01", "-b", "127.0.0.1:0", "-g"];
    let program = told(&["ack", "version=a", "serve"]);
    let mut master = Launch::new(&options, &program).under(&closed).start();
    master.wait_for_up(2);
    let last = master.upgrade("upgrade").pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    let status = master.wait_for_up(2);
    // No socket has come to stand where a program writes its errors.
    for process in pids(&status).into_iter().chain([master.pid()]) {
        let open = descriptors(process);
        for number in 0..3 {
            let what = open.get(&number).map_or("closed", String::as_str);
            assert!(["closed", "/dev/null"].contains(&what), "{number} of {process}: {open:?}");
        }
    }
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}

#[test]
fn into_a_file_that_workers_write_to_as_well() {
    let folder = crate::support::Folder::new();
    let path = folder.join("log");
    let file = File::options().create(true).append(true).open(&path).unwrap();
    let program = told(&["say=hello", "ack", "hang"]);
    let launch = Launch::within(folder, &["-n", "3", "-m", "manual"], &program);
    let master = launch.start_logging_to(file);
    master.wait_for_up(3);
    let text = master.folder.read("log");
    assert_eq!(text.matches(" says hello\n").count(), 3, "{text}");
    assert_eq!(text.matches(" is up (").count(), 3, "{text}");
}

/// A master whose log is a pipe that nobody reads and that takes no more.
fn behind_a_full_pipe() -> (Master, PipeReader) {
    fill_the_pipe_of(Launch::new(&["-m", "0", "-n", "1"], &IDLE))
}

fn fill_the_pipe_of(launch: Launch) -> (Master, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().try_into().unwrap();
    let mut own = File::options().write(true).custom_flags(nonblocking).open(path).unwrap();
    let master = launch.start_logging_to(writer);
    master.wait_for_up(1);
    for length in [4096, 1] {
        while own.write(&vec![b'x'; length]).is_ok() {}
    }
    (master, reader)
}

#[test]
fn a_program_that_cannot_say_why_it_does_not_run_stops_nobody_else() {
    let folder = crate::support::Folder::new();
    let program = folder.script("worker", "exec sleep 1000000");
    let launch = Launch::within(folder, &["-m", "0", "-n", "1", "-s", "0.01"], &[&program]);
    let (master, _reader) = fill_the_pipe_of(launch);
    std::fs::write(&program, "#!/nonexistent/interpreter\n").unwrap();
    let mut client = master.client();
    for target in 2..=3 {
        client.ask(&serde_json::json!({"command": "inc", "args": []}));
        master.wait_for("one more", |status| status["target"] == target);
    }
    // The new process waits where it says why, for whoever reads the log.
    master.wait_for("those that wait", |status| pids(status).len() == 3);
}

/// Has `count` lines said, and the master reload as often as that.
fn say_and_reload(master: &Master, count: usize, reloads: u64) {
    let mut client = master.client();
    for _ in 0..count {
        // Of these every one is a line: they come from whoever may give commands.
        client.ask(&serde_json::json!({"command": "signal", "args": ["CONT"]}));
    }
    for generation in 1..=reloads {
        master.command("reload", &[]);
        master.wait_for("the next", |status| status["generation"] == generation);
    }
}

/// What is read in the end of what was said from the first signal on, once that is all.
fn read_to_the_end(
    mut master: Master,
    reader: PipeReader,
    is_all: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    let (log, pid) = (Log::follow(reader), master.pid());
    let read = || {
        let lines = log.lines();
        let messages = lines.iter().filter_map(|line| parts(line.trim_start_matches('x'), pid));
        let messages = messages.map(|(_, message)| message.to_owned());
        messages.skip_while(|message| !message.contains("sent SIGCONT")).collect::<Vec<String>>()
    };
    master.wait_until("all of the log", || is_all(&read()).then_some(()));
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    log.wait_for_end();
    read()
}

#[test]
fn lines_that_wait_for_their_reader_cross_a_reload() {
    let (master, reader) = behind_a_full_pipe();
    say_and_reload(&master, 50, 2);
    let messages = read_to_the_end(master, reader, |messages| messages.len() >= 54);
    let is_signal = |message: &&String| message.contains("sent SIGCONT");
    assert_eq!(messages.iter().take_while(is_signal).count(), 50, "{messages:?}");
    let expected = ["reloading, generation 1", "took over 1 worker and", "reloading, generation 2"];
    for (message, words) in messages[50..].iter().zip(expected) {
        assert!(message.contains(words), "{message} where {words} should be");
    }
    assert!(!messages.iter().any(|message| message.contains("dropped")), "{messages:?}");
}

/// How many of the lines in question are there, and how many are said to be lost.
fn seen_and_lost(messages: &[String]) -> (usize, usize) {
    let kinds = ["sent SIGCONT", "reloading", "took over"];
    let seen = messages.iter().filter(|message| kinds.iter().any(|kind| message.contains(kind)));
    let reports = messages.iter().filter(|message| message.contains("dropped"));
    let lost = reports.map(|report| report.split(' ').next().unwrap().parse::<usize>().unwrap());
    (seen.count(), lost.sum())
}

#[test]
fn lines_that_are_lost_are_counted_over_reloads() {
    let (master, reader) = behind_a_full_pipe();
    let (said, reloads) = (4000, 3);
    say_and_reload(&master, said, reloads);
    // A reload says two lines.
    let all = said + 2 * usize::try_from(reloads).unwrap();
    let is_all = |messages: &[String]| {
        let (seen, lost) = seen_and_lost(messages);
        seen + lost >= all
    };
    let (seen, lost) = seen_and_lost(&read_to_the_end(master, reader, is_all));
    assert_eq!(seen + lost, all, "{lost} are lost");
    assert!(lost > 0 && lost < said, "{lost} are lost");
}
