//! Replies on stdout. In a terminal that can do it, progress is one line that rewrites itself;
//! anywhere else each reply is a line of its own, so that a pipe or a log has all of them.

use std::io::{self, Write};

use super::exchange::Meaning;
use super::session::ShellError;

/// Goes to the start of the line and empties it.
const REWRITE: &str = "\r\x1b[K";
/// Where a terminal does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;

/// Prints the replies to one request.
#[derive(Debug)]
pub(super) struct Printer<W: Write> {
    output: W,
    columns: Option<usize>,
    is_on_line: bool,
}

impl<W: Write> Printer<W> {
    /// `columns` only where lines can be rewritten; 0: unknown.
    pub(super) fn new(output: W, columns: Option<usize>) -> Self {
        let columns = columns.map(|columns| if columns == 0 { COLUMNS_DEFAULT } else { columns });
        Self { output, columns, is_on_line: false }
    }

    /// Prints a reply.
    ///
    /// # Errors
    /// Those of write(2).
    pub(super) fn print(&mut self, meaning: Meaning, message: &str) -> Result<(), ShellError> {
        match (self.columns, meaning) {
            (Some(columns), Meaning::Progress) => self.rewrite(message, columns),
            _ => self.write_lines(message),
        }
        .map_err(ShellError::Stdout)
    }

    fn rewrite(&mut self, message: &str, columns: usize) -> io::Result<()> {
        // The last column stays free: a full line may already be the next one.
        let fits = columns.saturating_sub(1);
        let first = message.lines().next().unwrap_or_default();
        let line: String = if first.chars().count() > fits {
            first.chars().take(fits.saturating_sub(1)).chain(['…']).collect()
        } else {
            first.to_owned()
        };
        self.is_on_line = true;
        write!(self.output, "{REWRITE}{line}")?;
        self.output.flush()
    }

    fn write_lines(&mut self, message: &str) -> io::Result<()> {
        let start = if std::mem::take(&mut self.is_on_line) { REWRITE } else { "" };
        let end = if message.ends_with('\n') { "" } else { "\n" };
        write!(self.output, "{start}{message}{end}")?;
        self.output.flush()
    }
}

/// What follows begins on a line of its own, however it came to the end.
impl<W: Write> Drop for Printer<W> {
    fn drop(&mut self) {
        if self.is_on_line {
            // There is nobody left to tell.
            let _ = writeln!(self.output).and_then(|()| self.output.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(columns: Option<usize>, replies: &[(Meaning, &str)], expect: &str) {
        let mut written = Vec::new();
        let mut printer = Printer::new(&mut written, columns);
        for (meaning, message) in replies {
            printer.print(*meaning, message).unwrap();
        }
        drop(printer);
        assert_eq!(String::from_utf8(written).unwrap(), expect);
    }

    #[test]
    fn without_a_terminal_every_reply_is_a_line() {
        let replies = [(Meaning::Progress, "1/2"), (Meaning::Done, "done")];
        check(None, &replies, "1/2\ndone\n");
        check(None, &[(Meaning::Done, "a\nb\n")], "a\nb\n");
    }

    #[test]
    fn in_a_terminal_progress_is_one_line() {
        let replies =
            [(Meaning::Progress, "1/2"), (Meaning::Progress, "2/2"), (Meaning::Done, "done")];
        check(Some(20), &replies, "\r\x1b[K1/2\r\x1b[K2/2\r\x1b[Kdone\n");
        check(Some(20), &[(Meaning::Done, "done")], "done\n");
        check(Some(0), &[(Meaning::Progress, "1/2")], "\r\x1b[K1/2\n");
    }

    #[test]
    fn a_long_line_is_cut_and_the_last_reply_is_not() {
        let replies = [(Meaning::Progress, "12345678\nmore"), (Meaning::Failed(3), "123456789")];
        check(Some(8), &replies, "\r\x1b[K123456…\r\x1b[K123456789\n");
        check(Some(9), &replies[..1], "\r\x1b[K12345678\n");
    }
}
