//! A program on a terminal of its own, as a person would see it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Longest wait for something to appear; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Line editing asks the terminal to bracket what is pasted, once for each line that it reads.
const EDITING_BEGINS: &str = "\x1b[?2004h";

/// The terminal and the program on it. Stdout is a pipe, the rest is the terminal.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Screen,
    pub(crate) stdout: Screen,
    child: Child,
}

/// Everything that appears somewhere.
pub(crate) struct Screen {
    bytes: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    /// Starts `program` with `arguments`; the terminal controls it.
    pub(crate) fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_prepared(program, arguments, environment, |_| ())
    }

    /// The same, where something is to be done to the command before.
    #[allow(clippy::disallowed_methods, reason = "the program under test is no worker")]
    pub(crate) fn start_prepared(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let keyboard =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        // It must not become the terminal of the tests.
        let flags = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        let terminal =
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap();
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TERM", "xterm")
            .envs(environment.iter().copied())
            .stdin(terminal.try_clone().unwrap())
            .stderr(terminal)
            .stdout(Stdio::piped());
        prepare(&mut command);
        let mut child = crate::start(&mut command);
        // Its copies of the terminal would keep the screen from ending.
        drop(command);
        let keyboard = File::from(keyboard);
        Self {
            screen: Screen::of(keyboard.try_clone().unwrap()),
            stdout: Screen::of(child.stdout.take().unwrap()),
            keyboard,
            child,
        }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` has appeared on the terminal.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.screen.wait_for(text);
    }

    /// Waits until the program reads keys: what is pressed before may be lost.
    #[track_caller]
    pub(crate) fn wait_for_prompt(&mut self) {
        self.screen.wait_for(EDITING_BEGINS);
    }

    /// Waits for the end; the exit status, and what nobody has waited for on the terminal and
    /// on stdout.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (Option<i32>, String, String) {
        let (Some(stdout), Some(screen)) = (self.stdout.rest(), self.screen.rest()) else {
            self.child.kill().unwrap();
            panic!("it goes on");
        };
        (self.child.wait().unwrap().code(), screen, stdout)
    }
}

impl Screen {
    fn of(mut source: impl Read + Send + 'static) -> Self {
        let (send, bytes) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal that nobody has open any more ends with an error.
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { bytes, text: String::new() }
    }

    /// Waits until `text` has appeared, and forgets all up to its end.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            if let Some(at) = self.text.find(text) {
                self.text.drain(..at + text.len());
                return;
            }
            match self.bytes.recv_timeout(PATIENCE) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("no {text:?} ({error}), only {:?}", self.text),
            }
        }
    }

    /// Everything up to the end, if that comes.
    fn rest(mut self) -> Option<String> {
        loop {
            match self.bytes.recv_timeout(PATIENCE) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => return Some(self.text),
                Err(RecvTimeoutError::Timeout) => return None,
            }
        }
    }
}
