//! A talk from its greeting to its end: with a person, or for a script.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, ErrorKind, IsTerminal, Read, Write};

use einhorn_protocol::limit;
use thiserror::Error;

use super::arguments::Arguments;
use super::completion::LEAVING;
use super::editor::{Editor, PLAIN_TERMINALS, TerminalError};
use super::exchange::{self, Meaning, Outgoing, Requests};
use super::history;
use super::link::{ConnectError, Link, LinkError, Received};
use super::location::socket_path;
use super::printer::Printer;
use super::words::{self, Unclosed};
use crate::control::Malformed;
use crate::sys::files::is_writable_folder;
use crate::sys::interrupt::InterruptSource;
use crate::sys::terminal::columns;

/// How a talk ended that went as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Exit 0.
    Well,
    /// A script's last reply was an error: exit with this status, 1 to 5.
    LastReplyFailed(u8),
}

/// Why a talk could not begin or go on. The shell exits 1.
#[derive(Debug, Error)]
pub enum ShellError {
    /// There is no master to talk to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The talk has ended before its time.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What came is no reply.
    #[error("the master's reply makes no sense: {0}")]
    Reply(#[from] Malformed),
    /// A script that cannot be taken apart.
    #[error(transparent)]
    Words(#[from] Unclosed),
    /// Nothing can be read from the person.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// Nothing can be read from the pipe.
    #[error("cannot read commands from stdin: {0}")]
    Stdin(io::Error),
    /// Nothing can be printed.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    /// Ctrl-C cannot be listened to.
    #[error("cannot listen to SIGINT: {0}")]
    Signal(io::Error),
}

impl ShellError {
    /// Whether whoever read the output has left, who wants to hear nothing more.
    pub fn is_closed_stdout(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == ErrorKind::BrokenPipe)
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The exit status for it.
    Failed(u8),
    /// Ctrl-C.
    Interrupted,
}

/// What is to happen after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Leave,
}

/// Talks to a master as `arguments` say, from beginning to end. `lookup` reads a variable of
/// the environment.
///
/// # Errors
/// See [`ShellError`].
pub fn run(
    arguments: &Arguments,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<Ending, ShellError> {
    let path = socket_path(arguments, &lookup, is_writable_folder);
    let terminal = lookup("TERM");
    let stdout = Stdout::on(terminal.as_deref());
    if let Some(scripts) = &arguments.execute {
        // Taken apart first: half a script is worse than none.
        let commands = words::commands(&scripts.join("\n"))?;
        let mut script = Script::new(Link::open(&path)?, stdout);
        script.run_all(&commands)?;
        return Ok(script.ending);
    }
    let link = Link::open(&path)?;
    if !io::stdin().is_terminal() {
        let mut script = Script::new(link, stdout);
        script.run_lines(io::stdin().lock())?;
        return Ok(script.ending);
    }
    let user = lookup("USER").or_else(|| lookup("LOGNAME")).unwrap_or_default();
    let editor = Editor::new(terminal.as_deref(), history::file(lookup))?;
    Dialogue::new(link, editor, stdout)?.run(&user.to_string_lossy())?;
    Ok(Ending::Well)
}

/// The connection, and the numbers of the requests on it.
struct Talk {
    link: Link,
    requests: Requests,
}

impl Talk {
    fn new(link: Link) -> Self {
        Self { link, requests: Requests::default() }
    }

    /// Sends a request and prints what comes, up to the last reply.
    fn exchange(
        &mut self,
        request: &Outgoing,
        interrupt: Option<&InterruptSource>,
        mut print: impl FnMut(Meaning, &str) -> Result<(), ShellError>,
    ) -> Result<Outcome, ShellError> {
        self.link.send(&request.line)?;
        loop {
            let line = match self.link.receive(interrupt)? {
                Received::Line(line) => line,
                Received::Interrupted => return Ok(Outcome::Interrupted),
            };
            let incoming = exchange::read(&line, request.id)?;
            match incoming.meaning {
                Meaning::Stale => say(&incoming.message),
                meaning => print(meaning, &incoming.message)?,
            }
            match incoming.meaning {
                Meaning::Stale | Meaning::Progress => {}
                Meaning::Done => return Ok(Outcome::Done),
                Meaning::Failed(status) => return Ok(Outcome::Failed(status)),
            }
        }
    }
}

/// How replies are printed.
#[derive(Clone, Copy, Debug)]
struct Stdout {
    /// It is a terminal that understands how to rewrite a line.
    rewrites: bool,
}

impl Stdout {
    fn on(terminal: Option<&OsStr>) -> Self {
        let understands = terminal.is_some_and(|name| !PLAIN_TERMINALS.iter().any(|p| name == *p));
        Self { rewrites: understands && io::stdout().is_terminal() }
    }

    /// Prints the replies to one request.
    fn printer(self) -> impl FnMut(Meaning, &str) -> Result<(), ShellError> {
        let columns = self.rewrites.then(|| columns(io::stdout()).unwrap_or(0));
        let mut printer = Printer::new(io::stdout(), columns);
        move |meaning, message| printer.print(meaning, message)
    }
}

/// Commands that nobody types.
struct Script {
    talk: Talk,
    stdout: Stdout,
    ending: Ending,
}

impl Script {
    fn new(link: Link, stdout: Stdout) -> Self {
        Self { talk: Talk::new(link), stdout, ending: Ending::Well }
    }

    fn run_lines(&mut self, mut input: impl BufRead) -> Result<(), ShellError> {
        while let Some(line) = read_line(&mut input).map_err(ShellError::Stdin)? {
            if self.run_all(&words::commands(&line)?)? == Next::Leave {
                break;
            }
        }
        Ok(())
    }

    fn run_all(&mut self, commands: &[Vec<String>]) -> Result<Next, ShellError> {
        for words in commands {
            if leaves(words) {
                return Ok(Next::Leave);
            }
            let request = self.talk.requests.command(words);
            self.ending = match self.talk.exchange(&request, None, self.stdout.printer())? {
                Outcome::Done | Outcome::Interrupted => Ending::Well,
                Outcome::Failed(status) => Ending::LastReplyFailed(status),
            };
        }
        Ok(Next::GoOn)
    }
}

/// A talk with a person.
struct Dialogue {
    talk: Talk,
    stdout: Stdout,
    editor: Editor,
    interrupt: InterruptSource,
}

impl Dialogue {
    fn new(link: Link, editor: Editor, stdout: Stdout) -> Result<Self, ShellError> {
        let interrupt = InterruptSource::new().map_err(ShellError::Signal)?;
        Ok(Self { talk: Talk::new(link), stdout, editor, interrupt })
    }

    fn run(&mut self, user: &str) -> Result<(), ShellError> {
        let greeting = self.talk.requests.greeting(user);
        let to_stderr = |_: Meaning, message: &str| {
            say(message);
            Ok(())
        };
        if self.talk.exchange(&greeting, Some(&self.interrupt), to_stderr)? == Outcome::Interrupted
        {
            return Ok(());
        }
        say(self.editor.hint());
        while let Some(line) = self.editor.read_line(&self.interrupt)? {
            match words::commands(&line) {
                Ok(commands) if self.run_all(&commands)? == Next::Leave => break,
                Ok(_) => {}
                Err(unclosed) => say(&unclosed.to_string()),
            }
        }
        Ok(())
    }

    fn run_all(&mut self, commands: &[Vec<String>]) -> Result<Next, ShellError> {
        for words in commands {
            if leaves(words) {
                return Ok(Next::Leave);
            }
            let request = self.talk.requests.command(words);
            let outcome =
                self.talk.exchange(&request, Some(&self.interrupt), self.stdout.printer())?;
            if outcome == Outcome::Interrupted {
                say("interrupted; what was begun goes on in the master");
                return Ok(Next::Leave);
            }
        }
        Ok(Next::GoOn)
    }
}

fn leaves(words: &[String]) -> bool {
    words.first().is_some_and(|word| LEAVING.contains(&word.as_str()))
}

/// Something that is not a reply to a command.
fn say(message: &str) {
    // Nobody is left to be told that nobody can be told.
    let _ = writeln!(io::stderr(), "{}", message.trim_end());
}

/// The next line with its newline; none at the end.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let limit = u64::try_from(limit::LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = String::new();
    input.take(limit).read_line(&mut line)?;
    if line.len() >= limit::LINE_BYTES_MAX && !line.ends_with('\n') {
        let reason = format!("a line is longer than {} bytes", limit::LINE_BYTES_MAX);
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    Ok((!line.is_empty()).then_some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_up_to_the_limit_and_not_past_it() {
        let mut input = &b"a\nb"[..];
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some("a\n"));
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some("b"));
        assert_eq!(read_line(&mut input).unwrap(), None);

        let mut line = vec![b'x'; limit::LINE_BYTES_MAX - 1];
        line.push(b'\n');
        assert!(read_line(&mut line.as_slice()).is_ok());
        line.insert(0, b'x');
        let error = read_line(&mut line.as_slice()).unwrap_err();
        assert!(error.to_string().contains("longer than"));
        assert!(read_line(&mut &b"\xff\n"[..]).is_err());
    }

    #[test]
    fn two_words_leave() {
        assert!(leaves(&["quit".into()]) && leaves(&["exit".into(), "now".into()]));
        assert!(!leaves(&["die".into()]) && !leaves(&[]));
    }
}
