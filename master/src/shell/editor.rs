//! The terminal: line editing, history, completion. Prompts go to the terminal itself, never
//! into a pipe behind stdout.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, CompletionType, Config, Context};
use thiserror::Error;

use super::{completion, history};
use crate::sys::interrupt::{self, Awake, InterruptSource};

const PROMPT: &str = "einhorn> ";

/// Values of `TERM` for terminals that cannot move their cursor.
pub(super) const PLAIN_TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// The terminal cannot be used.
#[derive(Debug, Error)]
#[error("cannot read from the terminal: {0}")]
pub struct TerminalError(#[source] ReadlineError);

/// Reads lines from a person.
pub(super) enum Editor {
    /// With line editing.
    Rich(Box<RichEditor>),
    /// As the terminal gives them, with the prompt on stderr.
    Plain,
}

/// Line editing on the terminal that controls the process.
pub(super) struct RichEditor {
    terminal: rustyline::Editor<Completion, FileHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    /// Prepares a terminal of the type `term`, with the history in the file `history` if it
    /// can be read.
    ///
    /// # Errors
    /// [`TerminalError`].
    pub(super) fn new(
        term: Option<&OsStr>,
        history: Option<PathBuf>,
    ) -> Result<Self, TerminalError> {
        let is_plain = term.is_none_or(|term| PLAIN_TERMINALS.iter().any(|plain| *plain == term));
        if is_plain || File::open("/dev/tty").is_err() {
            return Ok(Self::Plain);
        }
        let rich = RichEditor::new(history).map_err(TerminalError)?;
        Ok(Self::Rich(Box::new(rich)))
    }

    /// What a person should know to begin.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Rich(_) => {
                "Type `help` for the commands; Tab completes; Ctrl-D or `quit` leaves."
            }
            Self::Plain => "Type `help` for the commands; Ctrl-D or `quit` leaves.",
        }
    }

    /// The next line; none at the end of the input or after Ctrl-C.
    ///
    /// # Errors
    /// [`TerminalError`].
    pub(super) fn read_line(
        &mut self,
        interrupt: &InterruptSource,
    ) -> Result<Option<String>, TerminalError> {
        let line = match self {
            Self::Rich(editor) => editor.read_line(),
            Self::Plain => read_plain_line(interrupt).map_err(ReadlineError::from),
        };
        match line {
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            other => other.map_err(TerminalError),
        }
    }
}

impl RichEditor {
    fn new(history: Option<PathBuf>) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .behavior(Behavior::PreferTerm)
            .completion_type(CompletionType::List)
            .max_history_size(history::LINES_MAX)?
            .history_ignore_space(true)
            .build();
        let mut terminal = rustyline::Editor::with_config(config)?;
        terminal.set_helper(Some(Completion));
        if let Some(file) = &history {
            // The first time there is none.
            let _ = terminal.load_history(file);
        }
        Ok(Self { terminal, history })
    }

    fn read_line(&mut self) -> Result<Option<String>, ReadlineError> {
        let line = self.terminal.readline(PROMPT)?;
        self.remember(&line);
        Ok(Some(line))
    }

    /// Keeps `line`, at once: a shell may end in many ways. That it cannot be kept is not
    /// worth a word.
    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let _ = self.terminal.add_history_entry(line);
        let Some(file) = &self.history else { return };
        if let Some(folder) = file.parent() {
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        let _ = self.terminal.append_history(file);
    }
}

/// A terminal gives one line a read, so nothing is left in the buffer of stdin that the wait
/// would miss.
fn read_plain_line(interrupt: &InterruptSource) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    write!(io::stderr(), "{PROMPT}")?;
    let mut line = String::new();
    if interrupt::wait(&stdin, Some(interrupt))? == Awake::Readable {
        stdin.lock().read_line(&mut line)?;
    }
    if line.is_empty() {
        writeln!(io::stderr())?;
        return Ok(None);
    }
    Ok(Some(line))
}

/// What Tab does.
pub(super) struct Completion;

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(completion::complete(line.get(..position).unwrap_or_default()))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Validator for Completion {}

impl rustyline::Helper for Completion {}
