//! A master with workers of one language, and what it tells about them.

use crate::{
    columns::{Column, master_program},
    output::{Failure, LONG, Running, until},
    proc,
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, Write},
    ops::{Deref, DerefMut},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A master that is about to be started.
pub struct Launch<'a> {
    column: &'a Column,
    options: Vec<String>,
    before: Vec<String>,
    words: String,
}

/// A running master; it and its workers end when it is dropped.
pub struct Master {
    folder: TempDir,
    running: Running,
    workers: BTreeSet<u32>,
}

impl<'a> Launch<'a> {
    /// A master of `column`'s workers that are told `words`, with options split at blanks.
    pub fn new(column: &'a Column, options: &str, words: &str) -> Self {
        let options = options.split(' ').filter(|option| !option.is_empty());
        let options = options.map(str::to_owned).collect();
        Self { column, options, before: Vec::new(), words: words.to_owned() }
    }

    /// Puts words before the worker's command: `env` and the like.
    #[must_use]
    pub fn through(mut self, before: &[&str]) -> Self {
        self.before.extend(before.iter().map(|&word| word.to_owned()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(self) -> Result<Master, Failure> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let log = File::create(folder.path().join("log")).map_err(|error| error.to_string())?;
        let mut command = Command::new(master_program());
        for (option, name) in
            [("-d", "einhorn.sock"), ("-e", "einhorn.pid"), ("-f", "einhorn.lock")]
        {
            command.arg(option).arg(folder.path().join(name));
        }
        let here = folder.path().display().to_string();
        let options = self.options.iter().map(|option| option.replace("{}", &here));
        command.args(options).arg("--").args(&self.before).args(&self.column.command);
        let words = self.words.split(' ').filter(|word| !word.is_empty());
        command.args(words).stdin(Stdio::piped()).stderr(log);
        self.column.surround(&mut command);
        let running = Running::start(&mut command)?;
        Ok(Master { folder, running, workers: BTreeSet::new() })
    }
}

impl Deref for Master {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for Master {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

impl Master {
    /// The path of a file beside its command socket.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of its command socket.
    pub fn command_socket(&self) -> PathBuf {
        self.path("einhorn.sock")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Sends a command and gives the connection, on which its replies come.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn send(&self, command: &str) -> Result<Replies, Failure> {
        let path = self.command_socket();
        let mut stream = until("no command socket", || UnixStream::connect(&path).ok())?;
        stream.set_read_timeout(Some(LONG)).map_err(|error| error.to_string())?;
        let line = format!("{{\"command\": \"{command}\", \"args\": [], \"id\": \"1\"}}\n");
        stream.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
        Ok(Replies(BufReader::new(stream)))
    }

    /// What its state says about each worker: keys with their colons, values as they are.
    ///
    /// # Errors
    /// When it does not say.
    pub fn state(&mut self) -> Result<BTreeMap<u32, BTreeMap<String, String>>, Failure> {
        let text = self.send("state")?.last()?;
        let mut workers = BTreeMap::<u32, BTreeMap<String, String>>::new();
        let mut current = None;
        for line in text.lines().map(str::trim) {
            match line.split_once(':') {
                Some((pid, "")) if pid.parse::<u32>().is_ok() => current = pid.parse().ok(),
                _ => {
                    if let (Some(pid), Some((key, value))) = (current, line.split_once(": ")) {
                        let values = workers.entry(pid).or_default();
                        values.entry(key.to_owned()).or_insert_with(|| value.to_owned());
                    }
                }
            }
        }
        self.workers.extend(workers.keys());
        Ok(workers)
    }

    /// One value of one worker.
    ///
    /// # Errors
    /// When the state does not have it.
    pub fn value(&mut self, worker: u32, key: &str) -> Result<String, Failure> {
        let state = self.state()?;
        let value = state.get(&worker).and_then(|values| values.get(key));
        value.cloned().ok_or_else(|| format!("no {key} of worker {worker} in the state"))
    }

    /// Waits until a value of a worker is `expected`.
    ///
    /// # Errors
    /// When it never is.
    pub fn wait_for(&mut self, worker: u32, key: &str, expected: &str) -> Result<(), Failure> {
        let otherwise = format!("{key} of worker {worker} did not become {expected}");
        until(&otherwise, || (self.value(worker, key).ok()? == expected).then_some(()))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if proc::is_alive(self.pid()) {
            let _ = self.state();
        }
        self.running.kill();
        // Each worker leads a group, in which its children are too.
        let ours = self.pid().to_string();
        for &worker in &self.workers {
            let is_ours = proc::environment(worker).get("EINHORN_MASTER_PID") == Some(&ours);
            let pid = i32::try_from(worker).ok().and_then(Pid::from_raw).filter(|_| is_ours);
            if let Some(pid) = pid {
                let _ = kill_process_group(pid, Signal::KILL);
            }
        }
    }
}

/// The replies to one command.
pub struct Replies(BufReader<UnixStream>);

impl Replies {
    /// The text of the last reply, the one without `wait`.
    ///
    /// # Errors
    /// When it does not come.
    pub fn last(mut self) -> Result<String, Failure> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).map_err(|error| format!("no reply: {error}"))?;
            if line.is_empty() {
                return Err("the master closed the connection".to_owned());
            }
            let (text, more) = match serde_json::from_str::<serde_json::Value>(&line) {
                Ok(reply) => (
                    reply["message"].as_str().unwrap_or_default().to_owned(),
                    reply["wait"].as_bool() == Some(true),
                ),
                Err(_) => {
                    (line.replace("%0A", "\n").replace("%25", "%"), line.contains("wait: true"))
                }
            };
            if !more {
                return Ok(text);
            }
        }
    }
}
