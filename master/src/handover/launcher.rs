//! Whether the command by which a Ruby master reloads keeps descriptors open, asked while that
//! master can still go on.
//!
//! A Ruby master does not ask, and what its own file has done so far proves nothing: `bundle
//! exec`, say, runs a Ruby program in its own process but executes any other one, and closes
//! what that should inherit. After the reload it would be too late. So this program, when it
//! runs as such a master's `--upgrade-check`, looks up the command in the state that waits in
//! the master's pipe, leaving it there, and runs that command once more with the question that
//! our own master asks.
//!
//! Invariant: whatever cannot be found out is no reason to refuse.

use std::ffi::{CString, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use einhorn_protocol::environment::UPGRADE_CHECK_FD;

use super::check::{Question, start, to_c};
use crate::instance::Environment;
use crate::moment::Moment;
use crate::signal::Signal;
use crate::spawn::program;
use crate::state::Snapshot;
use crate::sys::other_pipes::{self, OtherPipe};
use crate::sys::{clock, memory_file, process, signals};

/// How long the state is waited for, and then the launcher's answer: less than anybody waits
/// for a check.
const STATE_WAIT_MAX: Duration = Duration::from_secs(5);
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);
const PRINTED_BYTES_MAX: usize = 64 << 10;

/// The command of a Ruby master that would lose its sockets on the way, for a message.
pub(super) fn loses_descriptors(environment: &Environment) -> Option<String> {
    let master = process::parent_pid();
    let program = std::fs::read_link(format!("/proc/{master}/exe")).ok()?;
    let is_ruby = program.file_name()?.to_str()?.starts_with("ruby");
    let words = is_ruby.then(|| command_of(master))??;
    let first = program::resolve(words.first()?, environment.get("PATH")).ok()?;
    let command = words.iter().map(to_c).collect::<Result<Vec<CString>, _>>().ok()?;
    let rest: Vec<OsString> = ["--upgrade-check", "--", "true"].map(OsString::from).to_vec();
    let question = Question::CanYouStart;
    let asked = start(question, &to_c(first).ok()?, &command, &rest, environment).ok()?;
    let left = |until: Moment| until.since(clock::now());
    let until = clock::now().after(ANSWER_WAIT_MAX);
    let answer = memory_file::read_everything(asked.answer.as_fd(), 256, left(until));
    let printed =
        memory_file::read_everything(asked.output.as_fd(), PRINTED_BYTES_MAX, left(until));
    // It has ended, or has had its time.
    let _ = signals::send_to_group(asked.pid, Signal::KILL);
    let said = String::from_utf8_lossy(&printed.ok()?).into_owned();
    // Only our own program knows that name.
    let is_lost = answer.is_ok_and(|answer| answer.is_empty()) && said.contains(UPGRADE_CHECK_FD);
    let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    is_lost.then(|| shown.join(" "))
}

/// The command by which the Ruby master `pid` reloads, if its state says it.
fn command_of(pid: process::Pid) -> Option<Vec<OsString>> {
    let until = clock::now().after(STATE_WAIT_MAX);
    let pipes = other_pipes::of_process(pid).ok()?;
    let pipe = loop {
        match pipes.iter().find(|pipe| holds_a_state(pipe)) {
            Some(pipe) => break pipe,
            None if until.since(clock::now()).is_zero() => return None,
            // The process that writes it may not have come to that.
            None => pipes.first()?.wait_for_end(LOOK_AGAIN_AFTER).ok()?,
        };
    };
    if !pipe.wait_for_end(until.since(clock::now())).ok()? {
        return None;
    }
    let (snapshot, _) = Snapshot::from_yaml(&pipe.content().ok()?).ok()?;
    // What somebody else has put into a pipe of some Ruby program is nothing to be run.
    let is_its_own = snapshot.children.keys().any(|child| parent_of(*child) == Some(pid));
    if !is_its_own {
        return None;
    }
    Some(snapshot.reexec_commandline?.into_iter().map(OsString::from_vec).collect())
}

/// By proc(5), where the name in between may hold anything.
fn parent_of(pid: process::Pid) -> Option<process::Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

fn holds_a_state(pipe: &OtherPipe) -> bool {
    pipe.content().is_ok_and(|content| content.starts_with(b"---\n:state:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_parent() {
        assert_eq!(parent_of(process::own_pid()), Some(process::parent_pid()));
        assert_eq!(parent_of(0), None);
    }
}
