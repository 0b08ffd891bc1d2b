//! The check before a reload: can the next image start, and who would it be?
//!
//! It runs as a process of its own; the event loop reads what it prints and tells it of its
//! end. Nothing here waits, and the whole of it has one deadline.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use einhorn_protocol::{environment::UPGRADE_CHECK_FD, limit};

use super::answer::Kind;
use crate::instance::{Environment, Instance};
use crate::moment::Moment;
use crate::signal::Signal;
use crate::spawn::program;
use crate::sys::children::ExitStatus;
use crate::sys::process::{self, Inherit, Pid, SpawnPlan};
use crate::sys::{descriptor, reason, signals};

/// How much of what the check prints is kept for the message.
const PRINTED_BYTES_MAX: usize = 4096;
/// An option that no master has.
const NO_SUCH_OPTION: &str = "--no-master-has-an-option-of-this-name";

/// What a step of the check found out.
#[derive(Debug)]
pub enum Verdict {
    /// The next image can start, and this is who it is.
    Passed(Kind),
    /// One more question is asked.
    AskedAgain,
    /// It cannot start.
    Failed(String),
}

/// Which question is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `--upgrade-check`.
    CanYouStart,
    /// An option that no master has: whoever takes it is none.
    DoYouTakeAnything,
}

/// A check that runs.
#[derive(Debug)]
pub struct Check {
    question: Question,
    command: Vec<CString>,
    shown: String,
    program: CString,
    environment: Environment,
    rest: Vec<OsString>,
    pid: Pid,
    answer: File,
    output: File,
    printed: Vec<u8>,
    deadline: Duration,
}

impl Check {
    /// Starts the check of the image that would come after `instance`.
    ///
    /// # Errors
    /// What is wrong before anything was started, for people.
    pub fn begin(instance: &Instance, now: Moment) -> Result<Self, String> {
        let environment = instance.reload_environment();
        let words = instance.reexec_words();
        let path = environment.get("PATH");
        let first = words.first().cloned().unwrap_or_default();
        let program = program::resolve(&first, path)
            .map_err(|error| format!("cannot start the new master: {error}"))?;
        let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let mut rest: Vec<OsString> = vec!["--upgrade-check".into(), "--".into()];
        rest.extend(instance.cmd.iter().cloned());
        let started = start(
            Question::CanYouStart,
            &to_c(&program)?,
            &words.iter().map(to_c).collect::<Result<Vec<_>, _>>()?,
            &rest,
            &environment,
        )?;
        Ok(Self {
            question: Question::CanYouStart,
            command: words.iter().map(to_c).collect::<Result<Vec<_>, _>>()?,
            shown: shown.join(" "),
            program: to_c(&program)?,
            environment,
            rest,
            pid: started.pid,
            answer: started.answer,
            output: started.output,
            printed: Vec::new(),
            deadline: now
                .monotonic
                .saturating_add(Duration::from_secs(limit::UPGRADE_CHECK_SECONDS_MAX)),
        })
    }

    /// What is asked, and is to be executed: looked up once.
    pub fn program(&self) -> &CStr {
        &self.program
    }

    /// The process that is asked.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// When it must have ended, by the monotonic clock.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The descriptor on which its output arrives.
    pub fn output_fd(&self) -> RawFd {
        self.output.as_raw_fd()
    }

    /// Reads what it has printed, and keeps the end of it.
    pub fn read_output(&mut self) {
        let mut buffer = [0; PRINTED_BYTES_MAX];
        // Bounded, so that a check that prints without end takes its turn like everyone.
        for _ in 0..64 {
            match self.output.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    self.printed.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    let excess = self.printed.len().saturating_sub(PRINTED_BYTES_MAX);
                    self.printed.drain(..excess);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// The process has ended: what does that mean?
    pub fn note_ended(&mut self, status: ExitStatus) -> Verdict {
        self.read_output();
        let passed = status == ExitStatus::Exited(0);
        match (self.question, passed) {
            (Question::CanYouStart, true) => match self.read_answer() {
                Kind::Silent => self.ask_again(),
                ours @ Kind::Ours { .. } => Verdict::Passed(ours),
            },
            (Question::CanYouStart, false) => Verdict::Failed(format!(
                "the new master cannot start: `{}` --upgrade-check ended with {}{}",
                self.shown,
                crate::pool::Exit::from(status),
                self.last_words()
            )),
            (Question::DoYouTakeAnything, false) => Verdict::Passed(Kind::Silent),
            (Question::DoYouTakeAnything, true) => Verdict::Failed(format!(
                "`{}` is no einhorn master: it takes any option that it is given",
                self.shown
            )),
        }
    }

    fn read_answer(&mut self) -> Kind {
        let mut text = [0; 256];
        let length = self.answer.read(&mut text).unwrap_or(0);
        Kind::read(&String::from_utf8_lossy(text.get(..length).unwrap_or_default()))
    }

    fn ask_again(&mut self) -> Verdict {
        self.question = Question::DoYouTakeAnything;
        self.rest.insert(0, NO_SUCH_OPTION.into());
        match start(self.question, &self.program, &self.command, &self.rest, &self.environment) {
            Ok(started) => {
                self.pid = started.pid;
                self.answer = started.answer;
                self.output = started.output;
                Verdict::AskedAgain
            }
            Err(reason) => Verdict::Failed(reason),
        }
    }

    /// The last line that it printed, for the message.
    fn last_words(&self) -> String {
        let printed = String::from_utf8_lossy(&self.printed);
        match printed.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(line) => format!(": {}", line.trim()),
            None => String::new(),
        }
    }

    /// Why it failed, when its time is over.
    pub fn overdue(&self) -> String {
        format!(
            "the new master cannot start: `{}` --upgrade-check took longer than {} s{}",
            self.shown,
            limit::UPGRADE_CHECK_SECONDS_MAX,
            self.last_words()
        )
    }

    /// Ends it with all that it has started; its end is reaped as a stranger's.
    pub fn kill(self) {
        if let Err(error) = signals::send_to_group(self.pid, Signal::KILL) {
            ::log::debug!("cannot end the upgrade check, pid {}: {}", self.pid, reason(&error));
        }
    }
}

/// A question that was asked.
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) answer: File,
    pub(super) output: File,
}

/// Asks a command.
pub(super) fn start(
    question: Question,
    program: &CString,
    command: &[CString],
    rest: &[OsString],
    environment: &Environment,
) -> Result<Started, String> {
    let failed = |error: io::Error| format!("cannot run the upgrade check: {}", reason(&error));
    let (answer, answer_end) = descriptor::pipe().map_err(failed)?;
    let (output, output_end) = descriptor::pipe().map_err(failed)?;
    for end in [&answer, &output] {
        descriptor::set_nonblocking(end.as_fd(), true).map_err(failed)?;
    }
    let mut arguments = command.to_vec();
    for word in rest {
        arguments.push(to_c(word)?);
    }
    let mut asked = environment.clone();
    if question == Question::CanYouStart {
        asked = asked.with(UPGRADE_CHECK_FD, answer_end.as_raw_fd().to_string());
    }
    let variables: Vec<CString> = block(&asked);
    let null: OwnedFd = File::open("/dev/null").map_err(failed)?.into();
    let mut plan = SpawnPlan::new(program, &arguments);
    plan.environment = variables.iter().map(CString::as_c_str).collect();
    plan.inherit = vec![Inherit::in_place(answer_end.as_fd())];
    plan.stdio = [Some(null.as_fd()), Some(output_end.as_fd()), Some(output_end.as_fd())];
    plan.process_group = true;
    plan.parent_death = Some(Signal::KILL);
    let pid = process::spawn(&plan).map_err(failed)?;
    Ok(Started { pid, answer: answer.into(), output: output.into() })
}

/// An environment as execve(2) takes it. What cannot be said in it was never in one.
pub(super) fn block(environment: &Environment) -> Vec<CString> {
    environment
        .iter()
        .filter_map(|(name, value)| {
            let mut variable = name.to_os_string();
            variable.push("=");
            variable.push(value);
            CString::new(variable.into_vec()).ok()
        })
        .collect()
}

pub(super) fn to_c(word: impl Into<OsString> + Clone) -> Result<CString, String> {
    let word: OsString = word.into();
    CString::new(word.clone().into_vec())
        .map_err(|_| format!("{} has a NUL byte", word.to_string_lossy()))
}
