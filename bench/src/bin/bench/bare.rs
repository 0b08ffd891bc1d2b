//! The floor: the same workers, started and stopped without a master, by `posix_spawn` in a
//! loop.
#![expect(clippy::disallowed_methods, reason = "it starts programs")]

use std::process::{Child, Command};

use anyhow::Result;
use einhorn_bench::master::without_master;
use einhorn_bench::process;
use einhorn_protocol::environment;
use rustix::process::Signal;

use crate::setup::Setup;

/// Workers without a master, stopped and reaped when dropped.
#[derive(Default)]
pub(crate) struct Fleet(Vec<Child>);

impl Fleet {
    /// Starts `count` workers more.
    pub(crate) fn spawn(&mut self, setup: &Setup, count: usize) -> Result<()> {
        let (done, done_path) = setup.report_to();
        let acknowledge = setup.acknowledge_path();
        self.0.reserve(count);
        for _ in 0..count {
            let child = without_master(&mut Command::new(&setup.worker))
                .env(environment::SOCK_PATH, &acknowledge)
                .env(done, &done_path)
                .spawn()?;
            self.0.push(child);
        }
        Ok(())
    }

    /// Asks the `count` oldest ones to stop, and hands them over.
    pub(crate) fn retire(&mut self, count: usize) -> Self {
        let retired = Self(self.0.drain(..count.min(self.0.len())).collect());
        retired.signal(Signal::USR2);
        retired
    }

    /// Kills the oldest one, and returns when it is reaped.
    pub(crate) fn kill_one(&mut self) -> Result<()> {
        let mut child = self.0.remove(0);
        let killed = child.kill();
        child.wait()?;
        Ok(killed?)
    }

    fn signal(&self, signal: Signal) {
        for worker in &self.0 {
            let _ = process::signal(worker.id(), signal);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.signal(Signal::USR2);
        for worker in &mut self.0 {
            let _ = worker.wait();
        }
    }
}
