//! A client of the command socket, in the JSON dialect.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use einhorn_protocol::key;
use serde_json::{Value, json};

use crate::interrupt;

/// How often a wait for a reply looks up from it.
const LOOK_UP: Duration = Duration::from_millis(100);
/// Longest wait for the reply to a command that is done at once.
pub const COMMAND_SECONDS_MAX: u64 = 20;

/// A connection to a master.
pub struct CommandSocket {
    stream: BufReader<UnixStream>,
    last_id: u64,
}

impl CommandSocket {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LOOK_UP))?;
        stream.set_write_timeout(Some(Duration::from_secs(COMMAND_SECONDS_MAX)))?;
        Ok(Self { stream: BufReader::new(stream), last_id: 0 })
    }

    /// Sends a command and returns the last reply's message.
    ///
    /// # Errors
    /// The reply is an error or does not come in time.
    pub fn call(&mut self, command: &str, args: &[&str]) -> Result<String> {
        self.follow(command, args, Duration::from_secs(COMMAND_SECONDS_MAX), |_| ())
    }

    /// Sends a command, gives every reply but the last one to `progress`, and returns the last
    /// one's message.
    ///
    /// # Errors
    /// The last reply is an error or does not come within `limit`.
    pub fn follow(
        &mut self,
        command: &str,
        args: &[&str],
        limit: Duration,
        mut progress: impl FnMut(&str),
    ) -> Result<String> {
        let deadline = Instant::now() + limit;
        self.last_id += 1;
        let request = json!({ key::COMMAND: command, key::ARGS: args, key::ID: self.last_id });
        let line = format!("{request}\n").replace('%', "\\u0025");
        self.stream.get_mut().write_all(line.as_bytes()).context("cannot send a command")?;
        loop {
            let reply = self.read_reply(deadline).with_context(|| format!("reply to {command}"))?;
            if reply[key::REQUEST_ID] != self.last_id {
                continue;
            }
            let message = reply[key::MESSAGE].as_str().unwrap_or_default();
            if reply[key::WAIT] == true {
                progress(message);
            } else if let Some(code) = reply[key::ERROR].as_str() {
                bail!("{command} failed: {message} ({code})");
            } else {
                return Ok(message.to_owned());
            }
        }
    }

    fn read_reply(&mut self, deadline: Instant) -> Result<Value> {
        let mut line = Vec::new();
        loop {
            match self.stream.read_until(b'\n', &mut line) {
                Ok(_) if line.ends_with(b"\n") => {
                    return serde_json::from_slice(&line).context("not JSON");
                }
                Ok(_) => return Err(anyhow!("the master closed the connection")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            interrupt::check()?;
            if Instant::now() >= deadline {
                bail!("none came in time");
            }
        }
    }
}
