//! A master that is itself a worker acknowledges to the master above it.
//!
//! Nothing here waits: an outer master whose backlog is full is tried again later, and so it is
//! where this one lacks a descriptor or memory for it.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use einhorn_protocol::{command, environment, key};

use crate::instance::Environment;
use crate::moment::Moment;
use crate::sys::process::{own_pid, parent_pid};
use crate::sys::{reason, socket};

/// Between two tries.
const RETRY: Duration = Duration::from_millis(200);
/// Tries before it is given up.
const TRIES_MAX: u32 = 50;

/// The master above this one.
pub(super) struct OuterMaster {
    socket: PathBuf,
    tries: u32,
    retry_at: Option<Duration>,
}

impl OuterMaster {
    /// Finds it in the environment, by the rule that workers go by (`protocol.md §2`).
    pub(super) fn find(environment: &Environment) -> Option<Self> {
        let pid = environment.get(environment::MASTER_PID)?;
        if pid.as_bytes() != parent_pid().to_string().as_bytes() {
            return None;
        }
        let socket = environment.get(environment::SOCK_PATH)?.into();
        Some(Self { socket, tries: 0, retry_at: None })
    }

    /// Says that this master is up.
    pub(super) fn acknowledge(&mut self, now: Moment) {
        self.tries += 1;
        self.retry_at = None;
        match self.send() {
            Ok(()) => ::log::info!("acknowledged to the outer master, pid {}", parent_pid()),
            Err(error) if socket::may_pass(&error) && self.tries < TRIES_MAX => {
                self.retry_at = Some(now.monotonic.saturating_add(RETRY));
            }
            Err(error) => ::log::error!(
                "cannot acknowledge to the outer master at {}: {}",
                self.socket.display(),
                reason(&error)
            ),
        }
    }

    fn send(&self) -> io::Result<()> {
        let connection = socket::connect_unix(&self.socket)?;
        let line = format!(
            "{{\"{}\":\"{}\",\"{}\":{}}}\n",
            key::COMMAND,
            command::WORKER_ACK,
            key::PID,
            own_pid()
        );
        socket::send_without_waiting(connection, line.as_bytes()).map(drop)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.retry_at
    }

    pub(super) fn meet_deadline(&mut self, now: Moment) {
        if self.retry_at.is_some_and(|at| at <= now.monotonic) {
            self.acknowledge(now);
        }
    }
}
