//! An event as one line.

use ::log::Level;

use super::escape::escaped;
use super::timestamp::timestamp;
use crate::moment::WallTime;

/// Longest line, newline included: what a pipe takes in one piece (`PIPE_BUF`, pipe(7)), so
/// that the master's lines and its workers' never mix.
pub(super) const LINE_BYTES_MAX: usize = 4096;

/// What stands for the rest of a longer line.
const CUT: &str = "...\n";

/// `2026-11-23T10:18:47.520Z  INFO 812 einhorn: message`, with its newline.
pub(super) fn compose(time: WallTime, level: Level, pid: u32, message: &str) -> Vec<u8> {
    let time = timestamp(time);
    let mut line = format!("{time} {level:>5} {pid} einhorn: {}\n", escaped(message));
    if line.len() > LINE_BYTES_MAX {
        let end = (0..=LINE_BYTES_MAX - CUT.len()).rev().find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or(0));
        line.push_str(CUT);
    }
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(level: Level, message: &str, expected: &str) {
        let time = WallTime { nanoseconds: 1_795_429_127_520_000_000 };
        let line = compose(time, level, 812, message);
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    const HEAD: &str = "2026-11-23T10:18:47.520Z  INFO 812 einhorn: ";

    #[test]
    fn one_format() {
        check(Level::Info, "hello", &format!("{HEAD}hello\n"));
        check(Level::Error, "no", "2026-11-23T10:18:47.520Z ERROR 812 einhorn: no\n");
        check(Level::Debug, "", "2026-11-23T10:18:47.520Z DEBUG 812 einhorn: \n");
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let forged = "x\n2026-11-23T10:18:47.520Z  INFO 1 einhorn: y\r\u{1b}[A";
        check(
            Level::Info,
            forged,
            &format!("{HEAD}x\\n2026-11-23T10:18:47.520Z  INFO 1 einhorn: y\\r\\u{{1b}}[A\n"),
        );
    }

    #[test]
    fn a_line_at_the_limit_and_one_past_it() {
        let fits = LINE_BYTES_MAX - HEAD.len() - 1;
        check(Level::Info, &"x".repeat(fits), &format!("{HEAD}{}\n", "x".repeat(fits)));
        check(Level::Info, &"x".repeat(fits + 1), &format!("{HEAD}{}...\n", "x".repeat(fits - 3)));
        check(
            Level::Info,
            &format!("x{}", "\u{20ac}".repeat(fits)),
            &format!("{HEAD}x{}...\n", "\u{20ac}".repeat((fits - 4) / 3)),
        );
    }
}
