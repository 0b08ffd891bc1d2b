//! From a line to commands: quoting as in a shell, `;` and line ends between commands, `#`
//! before a comment.

use thiserror::Error;

/// A quote is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a quote is not closed; nothing was sent")]
pub struct Unclosed;

/// The commands of `text` as words; empty ones are left out.
///
/// # Errors
/// [`Unclosed`].
pub(super) fn commands(text: &str) -> Result<Vec<Vec<String>>, Unclosed> {
    let mut commands = Vec::new();
    for piece in pieces(text) {
        let words = shell_words::split(piece).map_err(|_| Unclosed)?;
        if !words.is_empty() {
            commands.push(words);
        }
    }
    Ok(commands)
}

/// The text between separators that are not quoted. The last piece is the one being written.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut place = Place::BetweenWords;
    for (index, character) in text.char_indices() {
        place = place.after(character);
        if place == Place::Separator {
            pieces.push(text.get(start..index).unwrap_or_default());
            start = index + character.len_utf8();
            place = Place::BetweenWords;
        }
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

/// Where in a line a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    BetweenWords,
    Word,
    Escaped,
    SingleQuotes,
    DoubleQuotes,
    EscapedInDoubleQuotes,
    Comment,
    Separator,
}

impl Place {
    fn after(self, character: char) -> Self {
        match (self, character) {
            (Self::SingleQuotes, '\'') | (Self::DoubleQuotes, '"') | (Self::Escaped, _) => {
                Self::Word
            }
            (Self::DoubleQuotes, '\\') => Self::EscapedInDoubleQuotes,
            (Self::EscapedInDoubleQuotes, _) => Self::DoubleQuotes,
            (Self::SingleQuotes | Self::DoubleQuotes, _) => self,
            (Self::Comment, '\n') => Self::Separator,
            (Self::Comment, _) | (Self::BetweenWords, '#') => Self::Comment,
            (Self::BetweenWords | Self::Word | Self::Separator, _) => match character {
                ';' | '\n' => Self::Separator,
                '\\' => Self::Escaped,
                '\'' => Self::SingleQuotes,
                '"' => Self::DoubleQuotes,
                ' ' | '\t' => Self::BetweenWords,
                _ => Self::Word,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[&[&str]]) {
        assert_eq!(commands(text).unwrap(), expect, "{text}");
    }

    #[test]
    fn words_and_separators() {
        check("", &[]);
        check(" ; ;\n; ", &[]);
        check("inc", &[&["inc"]]);
        check("inc;dec ; set_workers  3;", &[&["inc"], &["dec"], &["set_workers", "3"]]);
        check("inc\ndec", &[&["inc"], &["dec"]]);
    }

    #[test]
    fn quoted_separators_separate_nothing() {
        check("a 'b;c' \"d;e\" f\\;g; h", &[&["a", "b;c", "d;e", "f;g"], &["h"]]);
        check("a '\"' ; b \"'\" ; c \"\\\";\"", &[&["a", "\""], &["b", "'"], &["c", "\";"]]);
        check("a 'b\nc'", &[&["a", "b\nc"]]);
        check("a ''", &[&["a", ""]]);
        check("config '{signal_timeout: 5}'", &[&["config", "{signal_timeout: 5}"]]);
    }

    #[test]
    fn comments_end_with_the_line() {
        check("# all; of this\ninc # 'more; \n dec", &[&["inc"], &["dec"]]);
        check("a#b; c", &[&["a#b"], &["c"]]);
        check("''#b; c", &[&["#b"], &["c"]]);
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        for text in ["'", "inc; 'dec", "a \"b"] {
            assert_eq!(commands(text), Err(Unclosed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn words_survive_quoting(
            all in proptest::collection::vec(proptest::collection::vec(".{0,8}", 1..5), 0..5),
        ) {
            let text: Vec<String> = all.iter().map(shell_words::join).collect();
            prop_assert_eq!(commands(&text.join("; ")), Ok(all));
        }

        #[test]
        fn pieces_lose_only_separators(text in "[ab;'\"\\\\# \n\t\u{e9}]{0,30}") {
            let length: usize = pieces(&text).iter().map(|piece| piece.len() + 1).sum();
            prop_assert_eq!(length, text.len() + 1);
            let _ = commands(&text);
        }
    }
}
