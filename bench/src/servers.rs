//! Servers that share a listening socket, without a master: what a master is compared with.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use einhorn_protocol::environment;
use rustix::process::Signal;

use crate::master::without_master;
use crate::{http, process, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// Running servers. Dropping them stops them.
pub struct Servers {
    program: PathBuf,
    acknowledge: PathBuf,
    listener: TcpListener,
    address: SocketAddr,
    running: Vec<Child>,
}

impl Servers {
    /// Starts `count` copies of a program that reads the protocol's variables, on a new socket,
    /// and waits until they answer. They acknowledge at `acknowledge`.
    ///
    /// # Errors
    /// They cannot be started, or do not answer.
    pub fn start(program: &Path, acknowledge: &Path, count: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let address = listener.local_addr()?;
        let (program, acknowledge) = (program.to_owned(), acknowledge.to_owned());
        let mut servers = Self { program, acknowledge, listener, address, running: Vec::new() };
        servers.spawn(count)?;
        wait::until("servers", LIMIT, || Ok(http::get(address, "/").ok()))?;
        Ok(servers)
    }

    /// Where they listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts `count` further ones, and stops as many old ones when the new ones answer.
    ///
    /// # Errors
    /// As [`Self::start`]; the old ones do not end well.
    pub fn replace(&mut self, count: usize) -> Result<()> {
        let old: Vec<Child> = self.running.drain(..count.min(self.running.len())).collect();
        let result = self.spawn(count);
        let answered = || Ok(http::get(self.address, "/").ok());
        wait::until("servers", LIMIT, answered)?;
        stop(old)?;
        result
    }

    /// Stops them all.
    ///
    /// # Errors
    /// They do not end well.
    pub fn stop(mut self) -> Result<()> {
        stop(std::mem::take(&mut self.running))
    }

    fn spawn(&mut self, count: usize) -> Result<()> {
        // The copy is inherited; it is closed here when all are started.
        let inherited: OwnedFd = rustix::io::dup(&self.listener)?;
        for _ in 0..count {
            let child = without_master(&mut Command::new(&self.program))
                .env(environment::MASTER_PID, std::process::id().to_string())
                .env(environment::SOCK_PATH, &self.acknowledge)
                .env(environment::FD_COUNT, "1")
                .env(format!("{}0", environment::FD_PREFIX), inherited.as_raw_fd().to_string())
                .stdin(Stdio::null())
                .spawn()
                .context("cannot start a server")?;
            self.running.push(child);
        }
        Ok(())
    }
}

fn stop(mut servers: Vec<Child>) -> Result<()> {
    for server in &servers {
        process::signal(server.id(), Signal::USR2)?;
    }
    for server in &mut servers {
        let status = process::wait_for(server, LIMIT)?;
        ensure!(status.success(), "a server ended with {status}");
    }
    Ok(())
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.running {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
