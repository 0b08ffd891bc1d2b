//! What an operator does, good and bad, one thing after the other: deploys, reloads, targets,
//! signals.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use einhorn_bench::command_socket::CommandSocket;
use einhorn_bench::master::Status;
use einhorn_bench::soaked::Conduct;
use einhorn_bench::{process, wait};
use einhorn_protocol::command;
use rustix::process::Signal;

use crate::WORKERS;
use crate::random::Random;
use crate::shared::{Shared, count};
use crate::site::Site;

/// Longest upgrade, on a machine that is busy with the load.
const UPGRADE_LIMIT: Duration = Duration::from_secs(300);
/// Longest wait for the pool to be as it is to be.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// Until the run is over; then as many workers as in the beginning.
pub(crate) fn run(shared: &Shared, site: &mut Site) -> Result<()> {
    let mut random = Random::new(shared.seed, 1);
    let mut driver = Driver { shared, site };
    while !shared.is_ending() {
        // In a row of five upgrades one is bad, wherever it stands.
        let bad = random.between(0, 4);
        for number in 0..5 {
            if shared.is_ending() {
                break;
            }
            driver.between(&mut random)?;
            if number == bad {
                driver.bad(&mut random)?;
            } else {
                driver.good(&mut random)?;
            }
        }
    }
    driver.target(WORKERS)?;
    settle(shared, WORKERS)?;
    Ok(())
}

/// Waits until so many serve, and nothing else is there.
pub(crate) fn settle(shared: &Shared, workers: usize) -> Result<Status> {
    wait::until("the pool to settle", SETTLE_LIMIT, || {
        let status = Status::ask(&shared.socket)?;
        let serving = status.workers.iter().filter(|worker| worker.is_serving).count();
        let is_settled = serving == workers && status.workers.len() == workers;
        Ok((is_settled && !status.is_upgrading).then_some(status))
    })
}

/// Re-executes the master, and waits for the next image.
pub(crate) fn reload(shared: &Shared) -> Result<()> {
    let before = Status::ask(&shared.socket)?.generation;
    CommandSocket::connect(&shared.socket)?.call(command::RELOAD, &[])?;
    wait::until("a reload", SETTLE_LIMIT, || {
        let status = Status::ask(&shared.socket)?;
        Ok((status.generation > before).then_some(()))
    })
}

struct Driver<'a> {
    shared: &'a Shared,
    site: &'a mut Site,
}

impl Driver<'_> {
    fn good(&mut self, random: &mut Random) -> Result<()> {
        self.site.release(Conduct::Good)?;
        if random.once_in(6) {
            return self.by_signal();
        }
        let soak = random.one_of(&["0", "0", "0.2"]);
        // A newcomer that is killed is no fault of the release.
        let arguments = ["--attempts", "0", "--soak", soak];
        let command = random.one_of(&[command::UPGRADE, command::UPGRADE_FLEET]);
        let last = self.follow(command, &arguments)?;
        last.with_context(|| format!("a good release by {command}"))?;
        count(&self.shared.committed);
        Ok(())
    }

    fn bad(&mut self, random: &mut Random) -> Result<()> {
        let conduct = random.one_of(&[Conduct::Crash, Conduct::Hang, Conduct::AckAndDie]);
        let before = self.site.release(conduct)?.context("there was a release")?;
        let command = random.one_of(&[command::UPGRADE, command::UPGRADE_FLEET]);
        let last = self.follow(command, &["--attempts", "2", "--soak", "1"])?;
        let Err(error) = last else {
            bail!("a release that is to {} was committed by {command}", conduct.name());
        };
        let said = format!("{error:#}");
        ensure!(said.contains("rolled_back"), "{command} of {}: {said}", conduct.name());
        count(&self.shared.rolled_back);
        self.site.point(&before)
    }

    /// The last reply, as the caller gets it; the outer error is one of the run.
    fn follow(&self, command: &str, arguments: &[&str]) -> Result<Result<String>> {
        let mut caller = CommandSocket::connect(&self.shared.socket).context("command socket")?;
        let last = caller.follow(command, arguments, UPGRADE_LIMIT, |_| ());
        // An interrupted wait is no outcome of the upgrade.
        einhorn_bench::interrupt::check()?;
        Ok(last)
    }

    fn by_signal(&self) -> Result<()> {
        let before = Status::ask(&self.shared.socket)?;
        let newest = before.workers.iter().map(|worker| worker.version).max().unwrap_or(0);
        process::signal(self.shared.master, Signal::HUP)?;
        wait::until("an upgrade by HUP", UPGRADE_LIMIT, || {
            let status = Status::ask(&self.shared.socket)?;
            let is_new = status.generation > before.generation
                && !status.is_upgrading
                && status.workers.iter().any(|worker| worker.is_serving && worker.version > newest);
            Ok(is_new.then_some(()))
        })?;
        count(&self.shared.committed);
        Ok(())
    }

    /// A few seconds with something small in them.
    fn between(&self, random: &mut Random) -> Result<()> {
        let shared = self.shared;
        shared.pause(Duration::from_millis(random.between(200, 2000)));
        match random.between(0, 5) {
            0 => {
                reload(shared)?;
                count(&shared.reloads);
            }
            1 | 2 => {
                let workers = random.between(WORKERS as u64 - 2, WORKERS as u64 + 3);
                self.target(usize::try_from(workers)?)?;
            }
            3 => {
                let harmless = [Signal::USR1, Signal::PIPE, Signal::CHILD, Signal::CONT];
                process::signal(shared.master, random.one_of(&harmless))?;
                count(&shared.signals);
            }
            4 => {
                let signal = random.one_of(&[Signal::TTIN, Signal::TTOU]);
                process::signal(shared.master, signal)?;
                count(&shared.targets);
            }
            _ => {
                let signal = random.one_of(&["CONT", "WINCH", "URG"]);
                CommandSocket::connect(&shared.socket)?.call(command::SIGNAL, &[signal])?;
                count(&shared.signals);
            }
        }
        Ok(())
    }

    fn target(&self, workers: usize) -> Result<()> {
        let mut caller = CommandSocket::connect(&self.shared.socket).context("command socket")?;
        caller.call(command::SET_WORKERS, &[&workers.to_string()])?;
        count(&self.shared.targets);
        Ok(())
    }
}
