//! How a master is started: options, program, environment, and what stands in between.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::folder::Folder;
use super::log::Log;
use super::master::{Master, wait_for_exit};
use super::process;

pub(crate) const EINHORN: &str = env!("CARGO_BIN_EXE_einhorn");

/// A master that is not started yet.
pub(crate) struct Launch {
    pub(crate) folder: Folder,
    wrapper: Vec<OsString>,
    own_name: OsString,
    options: Vec<OsString>,
    program: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    user: Option<u32>,
    working_directory: Option<PathBuf>,
    stdin: Option<File>,
    pub(crate) socket: PathBuf,
}

/// What has come of a master that did not stay.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) folder: Folder,
}

impl Launch {
    pub(crate) fn new<O: AsRef<OsStr>, P: AsRef<OsStr>>(options: &[O], program: &[P]) -> Self {
        Self::within(Folder::new(), options, program)
    }

    /// In a folder that has something in it already.
    pub(crate) fn within<O: AsRef<OsStr>, P: AsRef<OsStr>>(
        folder: Folder,
        options: &[O],
        program: &[P],
    ) -> Self {
        Self {
            socket: folder.join("einhorn.sock"),
            folder,
            wrapper: Vec::new(),
            own_name: EINHORN.into(),
            options: options.iter().map(|word| word.as_ref().to_owned()).collect(),
            program: program.iter().map(|word| word.as_ref().to_owned()).collect(),
            environment: Vec::new(),
            user: None,
            working_directory: None,
            stdin: None,
        }
    }

    /// Words that stand before the master and become it.
    pub(crate) fn under(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(OsString::from).collect();
        self
    }

    /// Another file that is the same program.
    pub(crate) fn called(mut self, path: impl Into<OsString>) -> Self {
        self.own_name = path.into();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    pub(crate) fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    pub(crate) fn working_directory(mut self, path: PathBuf) -> Self {
        self.working_directory = Some(path);
        self
    }

    pub(crate) fn stdin(mut self, file: File) -> Self {
        self.stdin = Some(file);
        self
    }

    /// Where its command socket is expected, if that is not the default.
    pub(crate) fn socket(mut self, name: &str) -> Self {
        self.socket = self.folder.join(name);
        self
    }

    /// The same, in another folder than its own.
    pub(crate) fn socket_at(mut self, path: PathBuf) -> Self {
        self.socket = path;
        self
    }

    /// What [`Self::start`] starts; nothing is left of it here.
    pub(crate) fn command(&mut self) -> Command {
        let words: Vec<OsString> = self
            .wrapper
            .drain(..)
            .chain([std::mem::take(&mut self.own_name)])
            .chain(self.options.drain(..))
            .chain(self.program.drain(..))
            .collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TMPDIR", self.folder.path());
        for (name, value) in self.environment.drain(..) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(path) = &self.working_directory {
            command.current_dir(path);
        }
        if let Some(uid) = self.user {
            command.uid(uid).gid(uid);
        }
        command.stdin(self.stdin.take().map_or_else(Stdio::null, Stdio::from));
        command.stdout(File::create(self.folder.join("stdout")).unwrap());
        command
    }

    fn spawn(&mut self) -> (Child, Log) {
        let mut child = process::start(self.command().stderr(Stdio::piped()));
        let log = Log::follow(child.stderr.take().unwrap());
        (child, log)
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub(crate) fn start(mut self) -> Master {
        let (child, log) = self.spawn();
        Master::started(self.folder, self.socket, child, log)
    }

    /// Starts it with another standard error and waits until it answers. Nothing that it says
    /// is seen.
    #[track_caller]
    pub(crate) fn start_logging_to(mut self, stderr: impl Into<Stdio>) -> Master {
        let mut command = self.command();
        let child = process::start(command.stderr(stderr));
        // It holds the other end of what was handed over.
        drop(command);
        Master::started(self.folder, self.socket, child, Log::default())
    }

    /// Starts it, which it does not survive, and waits for its end.
    #[track_caller]
    pub(crate) fn run(mut self) -> Finished {
        let (child, log) = self.spawn();
        self.finish(child, &log)
    }

    #[track_caller]
    pub(crate) fn finish(self, mut child: Child, log: &Log) -> Finished {
        let status = wait_for_exit(&mut child, log);
        let left = process::marked(&self.folder.mark());
        process::end_marked(&self.folder.mark());
        assert_eq!(left, [0_i32; 0], "left behind by\n{}", log.text());
        log.wait_for_end();
        Finished {
            status,
            stdout: self.folder.read("stdout"),
            stderr: log.text(),
            folder: self.folder,
        }
    }
}

impl Finished {
    /// Whether it has refused to start, with a line about it, and has left nothing behind
    /// beside what was there before. Returns the line.
    #[track_caller]
    pub(crate) fn refused(&self, before: &[&str]) -> String {
        assert_eq!(self.status.code(), Some(1), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        let mut expected: Vec<&str> = before.iter().copied().chain(["stdout"]).collect();
        expected.sort_unstable();
        let mut names = self.folder.names();
        // Its lock file stays, as that of a master which has run.
        names.retain(|name| name != "einhorn.lock" || before.contains(&"einhorn.lock"));
        assert_eq!(names, expected, "{}", self.stderr);
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("einhorn: "), "{}", self.stderr);
        assert!(!last.ends_with('.'), "{last}");
        last.to_owned()
    }
}
