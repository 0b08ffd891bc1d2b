//! One tool while it runs: its folder, its port, its processes.
#![expect(clippy::disallowed_methods, reason = "it starts programs")]

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use einhorn_bench::interrupt::without_blocked_signals;
use einhorn_bench::master::without_master;
use einhorn_bench::{http, process, wait};
use rustix::process::Signal;
use tempfile::TempDir;

use super::tools::{Tool, Upgrade};
use crate::setup::Setup;

const LIMIT: Duration = Duration::from_secs(20);
/// Where the tools' own files are, and where they are installed, from the project's folder.
const FILES: &str = "bench/peers";
const INSTALLED: &str = "target/bench/peers";

/// Where a tool finds its files, and what it serves.
pub(super) struct Place {
    folder: TempDir,
    project: PathBuf,
    pub(super) einhorn: PathBuf,
    pub(super) worker: PathBuf,
    pub(super) port: u16,
}

impl Place {
    pub(super) fn new(setup: &Setup) -> Result<Self> {
        let project = std::env::current_dir().context("cannot tell the current folder")?;
        Ok(Self {
            folder: tempfile::Builder::new().prefix("einhorn-bench-").tempdir()?,
            einhorn: setup.einhorn.canonicalize()?,
            worker: setup.worker.canonicalize()?,
            // Free a moment ago, which has to do for programs that bind themselves.
            port: TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
            project,
        })
    }

    /// A file of the project's.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.project.join(FILES).join(name)
    }

    /// A file of this run's.
    pub(super) fn own(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program of Python's index.
    pub(super) fn python(&self, name: &str) -> PathBuf {
        self.project.join(INSTALLED).join("python/bin").join(name)
    }

    /// The program that replaces itself.
    pub(super) fn ecdysis(&self) -> PathBuf {
        self.project.join(INSTALLED).join("ecdysis/release/ecdysis_server")
    }

    /// A program from npm.
    pub(super) fn node(&self, name: &str) -> PathBuf {
        self.project.join(INSTALLED).join("node/node_modules/.bin").join(name)
    }
}

/// A running tool. Dropping it ends it and its workers.
pub(super) struct Running {
    place: Place,
    process: Child,
    /// The process that has taken over from it, if one has.
    successor: Option<u32>,
}

impl Running {
    pub(super) fn start(setup: &Setup, tool: &Tool) -> Result<Self> {
        let place = Place::new(setup)?;
        fs::write(place.own("version"), "old")?;
        if let Upgrade::Touch(name) = tool.upgrade {
            fs::write(place.own(name), "")?;
        }
        let log = File::create(place.own("log"))?;
        let mut command = command(setup, &place, &(tool.command)(&place))?;
        command.stdout(log.try_clone()?).stderr(log).process_group(0);
        let process = without_blocked_signals(|| command.spawn())
            .with_context(|| format!("cannot start {}", tool.name))?;
        Ok(Self { place, process, successor: None })
    }

    pub(super) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.place.port).into()
    }

    pub(super) fn wait_until_answered(&self) -> Result<()> {
        let answered = || Ok(http::get(self.address(), "/").ok().map(drop));
        wait::until("an answer", LIMIT, answered).with_context(|| self.log_end())
    }

    /// Asks for an upgrade, and does not wait for its end.
    pub(super) fn upgrade(&self, setup: &Setup, tool: &Tool) -> Result<()> {
        fs::write(self.place.own("version"), "new")?;
        match tool.upgrade {
            Upgrade::Signal(signal)
            | Upgrade::Itself(signal)
            | Upgrade::Successor { start: signal, .. } => {
                process::signal(self.process.id(), signal)
            }
            Upgrade::Touch(name) => Ok(fs::write(self.place.own(name), "again")?),
            Upgrade::Command(words) => {
                let mut command = command(setup, &self.place, &words(&self.place))?;
                let output = without_blocked_signals(|| command.output())
                    .context("cannot ask for an upgrade")?;
                let said = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "the upgrade failed: {said}");
                Ok(())
            }
        }
    }

    /// The new workers are up: what is left to be done then, by hand.
    pub(super) fn end_upgrade(&mut self, tool: &Tool, workers: &[u32]) -> Result<()> {
        match tool.upgrade {
            Upgrade::Signal(_) | Upgrade::Command(_) | Upgrade::Touch(_) => Ok(()),
            Upgrade::Itself(_) => {
                self.successor = workers.first().copied();
                Ok(())
            }
            Upgrade::Successor { end, pidfile, .. } => {
                let path = self.place.own(pidfile);
                let named = fs::read_to_string(&path).with_context(|| format!("no {pidfile}"))?;
                let pid = named.trim().parse();
                self.successor = Some(pid.with_context(|| format!("{pidfile}: {named}"))?);
                process::signal(self.process.id(), end)
            }
        }
    }

    /// Resident memory of all of its processes but the workers and what is below them.
    #[expect(clippy::cast_precision_loss, reason = "kibibytes")]
    pub(super) fn supervisor_kib(&self, workers: &[u32]) -> Result<f64> {
        let mut total = 0;
        let mut left = vec![self.process.id()];
        while let Some(pid) = left.pop() {
            if !workers.contains(&pid) {
                total += process::resident_kib(pid)?;
                left.extend(process::children(pid));
            }
        }
        Ok(total as f64)
    }

    /// The end of what it has printed, for an error.
    pub(super) fn log_end(&self) -> String {
        let log = fs::read(self.place.own("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(5)..).unwrap_or_default();
        format!("it said: {}", end.join(" / "))
    }

    /// Ends it in order.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all: Vec<u32> = [self.process.id()].into_iter().chain(self.successor).collect();
        let mut next = 0;
        while let Some(&pid) = all.get(next) {
            all.extend(process::children(pid));
            next += 1;
        }
        for pid in [self.process.id()].into_iter().chain(self.successor) {
            let _ = process::signal(pid, Signal::TERM);
        }
        if process::wait_for(&mut self.process, Duration::from_secs(10)).is_err() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        if let Some(successor) = self.successor {
            let ended = || Ok((!process::is_running(successor)).then_some(()));
            let _ = wait::until("its end", Duration::from_secs(10), ended);
        }
        // Whoever was left behind.
        for pid in all.into_iter().skip(1).filter(|&pid| process::is_running(pid)) {
            let _ = process::signal(pid, Signal::KILL);
        }
    }
}

fn command(setup: &Setup, place: &Place, words: &[std::ffi::OsString]) -> Result<Command> {
    let Some((program, arguments)) = words.split_first() else { bail!("no command") };
    let mut command = Command::new(program);
    let (done, done_path) = setup.report_to();
    without_master(&mut command)
        .args(arguments)
        .current_dir(place.project.join(FILES))
        .env(done, done_path)
        .env("BENCH_VERSION_FILE", place.own("version"))
        .env("BENCH_PORT", place.port.to_string())
        .env("BENCH_WORKER", &place.worker)
        .env("BENCH_FOLDER", place.folder.path())
        .env("PM2_HOME", place.own("pm2"))
        .env("HOME", place.folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PATH", path_with(place))
        .stdin(Stdio::null());
    Ok(command)
}

/// The tools' helpers are found beside them.
fn path_with(place: &Place) -> std::ffi::OsString {
    let python = place.python("python");
    let own = python.parent().unwrap_or(Path::new("/"));
    let mut path = own.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}
