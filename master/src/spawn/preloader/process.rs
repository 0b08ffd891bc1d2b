//! The process that has loaded the code, and the channel to it.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use einhorn_protocol::environment::{PRELOAD_FD, PRELOAD_GC};
use einhorn_protocol::limit::PRELOAD_MESSAGE_BYTES_MAX;

use super::code::Code;
use super::message::{ForkRequest, Reply, RequestId};
use crate::signal::Signal;
use crate::spawn::environment::{Variable, inherited_variables};
use crate::spawn::plan::Rules;
use crate::spawn::versions::Source;
use crate::sys::channel::{self, Received};
use crate::sys::process::{self, Inherit, Pid, SpawnPlan};
use crate::sys::{memory_file, reason, signals};

/// A preloader that runs. Dropping it closes its channel, which ends it.
#[derive(Debug)]
pub struct Preloader {
    pid: Pid,
    channel: OwnedFd,
    words: Vec<OsString>,
    last_request: RequestId,
}

/// What [`Preloader::receive`] has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A reply.
    Reply(Reply),
    /// Something that is none; why, to complete a sentence about the preloader.
    Nonsense(String),
    /// Nothing yet.
    Nothing,
    /// It has closed its end, and will say nothing any more.
    End,
}

impl Preloader {
    /// Starts loading `code`, in the folder and the environment that `source` has. The process
    /// has the workers' nice level and limits, and ends with the master.
    ///
    /// # Errors
    /// No process can be started; why, for people.
    pub fn start(code: &Code, source: &Source, rules: Rules) -> Result<Self, String> {
        let failed =
            |error: std::io::Error| format!("cannot start a preloader: {}", reason(&error));
        let (near, far) = channel::pair().map_err(failed)?;
        let script = match code.script {
            Some(text) => Some(
                memory_file::with_content("einhorn-preload", text.as_bytes()).map_err(failed)?,
            ),
            None => None,
        };
        let program = to_c(code.program.as_os_str())?;
        let arguments = arguments(code, script.as_ref())?;
        let mut variables: Vec<CString> = inherited_variables(source.environment.iter()).collect();
        variables.push(to_c(format!("{PRELOAD_FD}={}", far.as_raw_fd()))?);
        if code.collects_garbage {
            variables.push(to_c(format!("{PRELOAD_GC}=1"))?);
        }
        let mut plan = SpawnPlan::new(&program, &arguments);
        plan.environment = variables.iter().map(CString::as_c_str).collect();
        plan.inherit =
            [&far].into_iter().chain(&script).map(|end| Inherit::in_place(end.as_fd())).collect();
        plan.working_folder = source.folder.as_ref().map(AsFd::as_fd);
        plan.process_group = true;
        plan.parent_death = Some(Signal::KILL);
        plan.nice = rules.nice;
        plan.open_files = rules.open_files;
        let pid = process::spawn(&plan).map_err(failed)?;
        Ok(Self { pid, channel: near, words: code.words(), last_request: 0 })
    }

    /// One that a former image has started.
    pub fn taken_over(pid: Pid, channel: OwnedFd, words: Vec<OsString>) -> Self {
        Self { pid, channel, words, last_request: 0 }
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// This master's end of the channel.
    pub fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// By which its code is told from other code: [`Code::words`].
    pub fn words(&self) -> &[OsString] {
        &self.words
    }

    /// Asks for a worker with these variables and descriptors.
    ///
    /// # Errors
    /// It cannot be asked; why, to complete a sentence about the preloader.
    pub fn ask(
        &mut self,
        variables: &[Variable],
        descriptors: &[BorrowedFd<'_>],
        parent_death: Option<Signal>,
    ) -> Result<RequestId, String> {
        self.last_request += 1;
        let request = ForkRequest {
            id: self.last_request,
            variables,
            descriptors: descriptors.len(),
            parent_death,
        };
        let message = request.encode().map_err(|error| error.to_string())?;
        channel::send(&self.channel, &message, descriptors)
            .map_err(|error| format!("it cannot be asked: {}", reason(&error)))?;
        Ok(request.id)
    }

    /// The next thing that it has said.
    pub fn receive(&self) -> Said {
        match channel::receive(&self.channel, PRELOAD_MESSAGE_BYTES_MAX) {
            Ok(Received::Message(message)) => {
                Reply::decode(&message).map_or_else(Said::Nonsense, Said::Reply)
            }
            Ok(Received::Nothing) => Said::Nothing,
            Ok(Received::End) => Said::End,
            Err(error) => Said::Nonsense(format!("it cannot be heard: {}", reason(&error))),
        }
    }

    /// Ends the process; its end is to be reaped.
    pub fn kill(&self) {
        if let Err(error) = signals::send(self.pid, Signal::KILL) {
            ::log::debug!("cannot end the preloader, pid {}: {}", self.pid, reason(&error));
        }
    }
}

/// The interpreter, its options, what it reads, the code, and the workers' arguments.
fn arguments(code: &Code, script: Option<&OwnedFd>) -> Result<Vec<CString>, String> {
    let mut words = vec![to_c(code.program.as_os_str())?];
    for option in &code.options {
        words.push(to_c(option)?);
    }
    if let Some(script) = script {
        words.push(to_c(format!("/proc/self/fd/{}", script.as_raw_fd()))?);
        words.push(to_c(code.path.as_os_str())?);
    }
    for argument in &code.arguments {
        words.push(to_c(argument)?);
    }
    Ok(words)
}

fn to_c(word: impl Into<OsString>) -> Result<CString, String> {
    let word: OsString = word.into();
    let shown = word.to_string_lossy().into_owned();
    CString::new(word.into_vec()).map_err(|_| format!("{shown} has a NUL byte"))
}
