//! A master in a folder of its own, from its start to its end.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use einhorn_protocol::{command, environment};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::command_socket::CommandSocket;
use crate::{process, wait};

/// Longest wait for a master to listen, for its first workers, and for its end.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest upgrade.
const UPGRADE_LIMIT: Duration = Duration::from_secs(60);
/// How much of the log an error repeats.
const LOG_LINES_SHOWN: usize = 15;

/// A running master. Dropping it stops it and its workers.
pub struct Master {
    process: Child,
    folder: TempDir,
    socket: PathBuf,
    begun: Instant,
}

/// What `status` says.
#[derive(Clone, Debug)]
pub struct Status {
    /// The master's pid.
    pub pid: u32,
    /// The port of the first listening socket.
    pub port: Option<u16>,
    /// The port of each listening socket, where it has one.
    pub ports: Vec<Option<u16>>,
    /// How often the master was reloaded.
    pub generation: u64,
    /// Whether an upgrade is in progress.
    pub is_upgrading: bool,
    /// The living workers.
    pub workers: Vec<WorkerStatus>,
}

/// What `status` says of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerStatus {
    /// Its pid.
    pub pid: u32,
    /// Its generation.
    pub version: u64,
    /// Whether it is up and not asked to stop.
    pub is_serving: bool,
}

impl Master {
    /// Starts `einhorn` with its files in a new folder, and does not wait.
    ///
    /// # Errors
    /// The folder or the process cannot be made.
    pub fn spawn(
        einhorn: &Path,
        options: &[&str],
        program: &[&OsStr],
        variables: &[(&str, OsString)],
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("einhorn-bench-").tempdir()?;
        let socket = folder.path().join("einhorn.sock");
        let log = File::create(folder.path().join("log"))?;
        let mut command = Command::new(einhorn);
        without_master(&mut command)
            .arg("-d")
            .arg(&socket)
            .arg("-e")
            .arg(folder.path().join("einhorn.pid"))
            .arg("-f")
            .arg(folder.path().join("einhorn.lock"))
            .args(options)
            .arg("--")
            .args(program)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let begun = Instant::now();
        let process =
            command.spawn().with_context(|| format!("cannot run {}", einhorn.display()))?;
        Ok(Self { process, folder, socket, begun })
    }

    /// As [`Self::spawn`], and waits until `workers` workers are up.
    ///
    /// # Errors
    /// As [`Self::spawn`]; the master ends or does not get that far, with the end of its log.
    pub fn start(
        einhorn: &Path,
        options: &[&str],
        program: &[&OsStr],
        variables: &[(&str, OsString)],
        workers: usize,
    ) -> Result<Self> {
        let mut master = Self::spawn(einhorn, options, program, variables)?;
        let is_up = master.wait_until_up(workers);
        is_up.with_context(|| master.log_end())?;
        Ok(master)
    }

    /// The master's pid.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// When it was started.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The path of its command socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Connects to the command socket, once it is there.
    ///
    /// # Errors
    /// The master ends, or does not listen in time.
    pub fn connect(&mut self) -> Result<CommandSocket> {
        let (process, socket) = (&mut self.process, &self.socket);
        wait::until("command socket", LIMIT, || {
            if let Some(status) = process.try_wait()? {
                bail!("the master has ended: {status}");
            }
            match CommandSocket::connect(socket) {
                Ok(connection) => Ok(Some(connection)),
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                    _ => Err(error.into()),
                },
            }
        })
    }

    /// Asks for `status`.
    ///
    /// # Errors
    /// No answer, or one without what it must have.
    pub fn status(&mut self) -> Result<Status> {
        let text = self.connect()?.call(command::STATUS, &["json"])?;
        let status = serde_json::from_str(&text).context("status is not JSON")?;
        Status::read(&status).with_context(|| format!("status lacks something: {text}"))
    }

    /// Waits until `count` workers are up and no upgrade is in progress.
    ///
    /// # Errors
    /// That does not come about in time.
    pub fn wait_until_up(&mut self, count: usize) -> Result<Status> {
        wait::until(&format!("{count} workers up"), LIMIT, || {
            let status = self.status()?;
            let serving = status.workers.iter().filter(|worker| worker.is_serving).count();
            Ok((serving == count && !status.is_upgrading).then_some(status))
        })
    }

    /// The address of the first listening socket, on this machine.
    ///
    /// # Errors
    /// There is none.
    pub fn address(&mut self) -> Result<SocketAddr> {
        let port = self.status()?.port.context("the master has no listening socket")?;
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Runs an upgrade to its end: `command` is `upgrade` or `upgrade_fleet`.
    ///
    /// # Errors
    /// It fails or takes too long.
    pub fn upgrade(&mut self, command: &str, progress: impl FnMut(&str)) -> Result<String> {
        let outcome = self.connect()?.follow(command, &[], UPGRADE_LIMIT, progress);
        outcome.with_context(|| self.log_end())
    }

    /// Asks it to end, and checks that it leaves nothing behind.
    ///
    /// # Errors
    /// It does not end in time or not well, or leaves a worker or a file.
    pub fn stop(mut self) -> Result<()> {
        let workers = process::children(self.pid());
        self.connect()?.call(command::DIE, &[])?;
        let status = process::wait_for(&mut self.process, LIMIT)?;
        if !status.success() {
            return Err(anyhow!("the master ended with {status}")).context(self.log_end());
        }
        for file in ["einhorn.sock", "einhorn.pid"] {
            if self.folder.path().join(file).exists() {
                bail!("the master left {file} behind");
            }
        }
        if let Some(worker) = workers.into_iter().find(|&worker| process::exists(worker)) {
            bail!("the master left worker {worker} behind");
        }
        Ok(())
    }

    /// The end of its log, for an error.
    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
        format!("the master's log ends so:\n    {}", end.join("\n    "))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        let workers = process::children(self.pid());
        let _ = process::signal(self.pid(), Signal::TERM);
        if !has_ended_within(&mut self.process, Duration::from_secs(5)) {
            let _ = self.process.kill();
            for worker in workers {
                let _ = process::signal(worker, Signal::KILL);
            }
            let _ = self.process.wait();
        }
    }
}

/// Unlike [`wait::until`] not cut short by INT: this is what INT leads to.
fn has_ended_within(process: &mut Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if !matches!(process.try_wait(), Ok(None)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Takes away what would make the program think that it is somebody's worker.
pub fn without_master(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with(environment::PREFIX) {
            command.env_remove(name);
        }
    }
    command
}

impl Status {
    /// Asks the master that listens at `socket`.
    ///
    /// # Errors
    /// No answer, or one without what it must have.
    pub fn ask(socket: &Path) -> Result<Self> {
        let mut connection = CommandSocket::connect(socket).context("cannot ask for status")?;
        let text = connection.call(command::STATUS, &["json"])?;
        let status = serde_json::from_str(&text).context("status is not JSON")?;
        Self::read(&status).with_context(|| format!("status lacks something: {text}"))
    }

    fn read(status: &Value) -> Option<Self> {
        let workers = status["workers"].as_array()?.iter().filter_map(WorkerStatus::read);
        let port = |listener: &Value| listener["port"].as_u64()?.try_into().ok();
        let ports: Vec<_> = status["listeners"].as_array()?.iter().map(port).collect();
        Some(Self {
            pid: status["pid"].as_u64()?.try_into().ok()?,
            port: ports.first().copied().flatten(),
            ports,
            generation: status["generation"].as_u64()?,
            is_upgrading: !status["upgrade"].is_null() || status["checking"] == true,
            workers: workers.collect(),
        })
    }
}

impl WorkerStatus {
    /// `None` for one that is about to be started.
    fn read(worker: &Value) -> Option<Self> {
        let asked_to_stop = !worker["signaled"].as_array()?.is_empty();
        Some(Self {
            pid: worker["pid"].as_u64()?.try_into().ok()?,
            version: worker["version"].as_u64()?,
            is_serving: worker["acked"] == true && !asked_to_stop,
        })
    }
}
