//! What the word under the cursor may become.

use einhorn_protocol::command;

use super::words;
use crate::signal::Signal;

/// Commands that the shell itself understands.
pub(super) const LEAVING: [&str; 2] = ["exit", "quit"];

/// Where the word that ends at the end of `line` begins, and all that it may become, each
/// with a blank after it.
pub(super) fn complete(line: &str) -> (usize, Vec<String>) {
    let start = line.rfind([' ', '\t', ';', '\n']).map_or(0, |blank| blank + 1);
    let word = line.get(start..).unwrap_or_default();
    let piece = words::pieces(line).last().copied().unwrap_or_default();
    let before = piece.get(..piece.len().saturating_sub(word.len())).unwrap_or_default();
    let mut earlier = before.split_whitespace();
    let mut candidates: Vec<String> = match (earlier.next(), earlier.next()) {
        (None, _) => commands().filter(|name| name.starts_with(word)).map(str::to_owned).collect(),
        (Some(command::SIGNAL), _) | (Some(command::DIE), None) => signals(word),
        (Some(command::STATUS), None) if "json".starts_with(word) => vec!["json".to_owned()],
        _ => Vec::new(),
    };
    for candidate in &mut candidates {
        candidate.push(' ');
    }
    (start, candidates)
}

fn commands() -> impl Iterator<Item = &'static str> {
    command::FOR_PEOPLE.into_iter().chain(LEAVING)
}

/// Names of signals, with `SIG` where it was begun with.
fn signals(word: &str) -> Vec<String> {
    let typed = word.to_ascii_uppercase();
    let starting = |name: &String| name.starts_with(&typed);
    let bare: Vec<String> = Signal::names().map(str::to_owned).filter(starting).collect();
    if !bare.is_empty() {
        return bare;
    }
    Signal::names().map(|name| format!("SIG{name}")).filter(starting).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, start: usize, expect: &[&str]) {
        let (found, candidates) = complete(line);
        assert_eq!((found, candidates), (start, expect.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn commands_come_first() {
        check("upg", 0, &["upgrade ", "upgrade_fleet "]);
        check("inc; ex", 5, &["exit "]);
        check("inc;h", 4, &["help "]);
        check("'a;b' h", 6, &[]);
        check("worker:", 0, &[]);
        assert_eq!(complete("").1.len(), command::FOR_PEOPLE.len() + LEAVING.len());
    }

    #[test]
    fn signals_where_signals_go() {
        check("signal US", 7, &["USR1 ", "USR2 "]);
        check("signal usr2", 7, &["USR2 "]);
        check("signal USR1 sigus", 12, &["SIGUSR1 ", "SIGUSR2 "]);
        check("die TE", 4, &["TERM "]);
        check("die TERM TE", 9, &[]);
        check("inc US", 4, &[]);
        assert_eq!(complete("signal ").1.len(), Signal::names().count());
    }

    #[test]
    fn the_form_of_status() {
        check("status ", 7, &["json "]);
        check("status x", 7, &[]);
    }

    proptest! {
        #[test]
        fn no_line_panics(line: String) {
            let (start, _) = complete(&line);
            prop_assert!(line.is_char_boundary(start));
        }
    }
}
