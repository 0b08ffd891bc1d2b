//! A program that runs, and the lines that it prints.
//!
//! Every wait has a limit that no machine reaches while things are well.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// Why something did not hold, for a person to read.
pub type Failure = String;

/// Longer than anything takes that works.
pub const LONG: Duration = Duration::from_secs(60);

/// A line of a worker: who said what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The worker's pid, which begins the line.
    pub pid: u32,
    /// The rest of the line.
    pub text: String,
}

/// A running program; killed when dropped.
pub struct Running {
    child: Child,
    lines: Receiver<Said>,
}

impl Running {
    /// Starts `command` with its output read and, unless given, its input held open.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let output = child.stdout.take().ok_or("no output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let (pid, text) = line.split_once(' ').unwrap_or(("", &line));
                let pid = pid.parse().unwrap_or(0);
                let text = if pid == 0 { line.clone() } else { text.to_owned() };
                if sender.send(Said { pid, text }).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// The program's pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line.
    ///
    /// # Errors
    /// When the program ends or stays silent.
    pub fn next(&self) -> Result<Said, Failure> {
        self.lines.recv_timeout(LONG).map_err(|error| match error {
            RecvTimeoutError::Timeout => "it printed nothing".to_owned(),
            RecvTimeoutError::Disconnected => "its output ended".to_owned(),
        })
    }

    /// The next line, which must be `text`; gives who said it.
    ///
    /// # Errors
    /// When it is another line, or none.
    pub fn expect(&self, text: &str) -> Result<u32, Failure> {
        let said = self.next().map_err(|error| format!("{error}, not {text:?}"))?;
        if said.text == text { Ok(said.pid) } else { Err(format!("{:?}, not {text:?}", said.text)) }
    }

    /// The next line, which must begin with `start`; gives the rest.
    ///
    /// # Errors
    /// When it is another line, or none.
    pub fn expect_start(&self, start: &str) -> Result<String, Failure> {
        let said = self.next().map_err(|error| format!("{error}, not {start:?}"))?;
        let rest = said.text.strip_prefix(start).map(str::to_owned);
        rest.ok_or_else(|| format!("{:?}, not {start:?}", said.text))
    }

    /// Writes a line to its input.
    ///
    /// # Errors
    /// When it does not take any.
    pub fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.child.stdin.as_mut().ok_or("its input is not ours")?;
        writeln!(input, "{line}").map_err(|error| error.to_string())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        kill_process(Pid::from_child(&self.child), signal).map_err(|error| error.to_string())
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it does not end.
    pub fn end(&mut self) -> Result<ExitStatus, Failure> {
        until("it did not end", || self.child.try_wait().ok().flatten())
    }

    /// Waits until it ends with status 0, having printed nothing more.
    ///
    /// # Errors
    /// When it does otherwise.
    pub fn end_well(&mut self) -> Result<(), Failure> {
        match self.lines.recv_timeout(LONG) {
            Ok(said) => return Err(format!("{:?} instead of its end", said.text)),
            Err(RecvTimeoutError::Timeout) => return Err("it did not end".to_owned()),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        let status = self.end()?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
    }

    /// Kills it and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// `otherwise`, when there never is.
pub fn until<T>(otherwise: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if begun.elapsed() > LONG {
            return Err(otherwise.to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// `Err` with the text unless `holds`.
///
/// # Errors
/// When it does not hold.
pub fn must(holds: bool, otherwise: impl FnOnce() -> Failure) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
