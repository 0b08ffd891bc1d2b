//! The words of a command line by option, before they mean anything.
//!
//! Most command lines spell each option out, in words of their own, and need nobody who knows
//! abbreviations, clusters and errors: building that reader takes longer than all other options
//! together, and every start of a master would wait for it. Invariant: a line that is read here is
//! read as clap reads it (a test compares them); any other one is left to clap.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::definition::{DEFINITIONS, Definition, PROGRAM, Takes, syntax};
use super::error::OptionError;

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// Long names with their values, empty where there is none, each time that it was typed.
    options: Vec<(&'static str, OsString)>,
    /// The words after the options.
    pub(super) program: Vec<OsString>,
}

impl Typed {
    pub(super) fn read(words: Vec<OsString>) -> Result<Self, OptionError> {
        match Self::read_plain(&words) {
            Some(typed) => Ok(typed),
            None => Self::read_any(words),
        }
    }

    /// `None`: this is for [`Self::read_any`].
    pub(super) fn read_plain(words: &[OsString]) -> Option<Self> {
        let mut typed = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                break;
            }
            if !bytes.starts_with(b"-") {
                typed.program.push(word.clone());
                break;
            }
            let row = DEFINITIONS.iter().find(|row| row.is_spelt(bytes))?;
            let value = if row.takes.is_valued() {
                rest.next()
                    .filter(|value| !value.is_empty() && !value.as_bytes().starts_with(b"-"))?
            } else {
                OsStr::new("")
            };
            typed.options.push((row.long, value.to_owned()));
        }
        typed.program.extend(rest.cloned());
        Some(typed)
    }

    pub(super) fn read_any(words: Vec<OsString>) -> Result<Self, OptionError> {
        let matches = syntax()
            .no_binary_name(true)
            .try_get_matches_from(words)
            .map_err(|error| OptionError::from_syntax(&error))?;
        let options = DEFINITIONS.iter().flat_map(|row| of_option(&matches, row)).collect();
        let program = matches.get_many(PROGRAM).into_iter().flatten().cloned().collect();
        Ok(Self { options, program })
    }

    /// The value that counts.
    pub(super) fn value(&self, option: &str) -> Option<&OsString> {
        self.all(option).next_back()
    }

    pub(super) fn all(&self, option: &str) -> impl DoubleEndedIterator<Item = &OsString> {
        self.options.iter().filter(move |(long, _)| *long == option).map(|(_, value)| value)
    }

    pub(super) fn count(&self, option: &str) -> u8 {
        u8::try_from(self.all(option).count()).unwrap_or(u8::MAX)
    }

    pub(super) fn has(&self, option: &str) -> bool {
        self.value(option).is_some()
    }
}

fn of_option(matches: &ArgMatches, row: &Definition) -> Vec<(&'static str, OsString)> {
    let values = match row.takes {
        _ if matches.value_source(row.long) != Some(ValueSource::CommandLine) => Vec::new(),
        Takes::Nothing => vec![OsString::new()],
        Takes::Steps => vec![OsString::new(); matches.get_count(row.long).into()],
        Takes::Value(_) | Takes::Values(_) => {
            matches.get_many(row.long).into_iter().flatten().cloned().collect()
        }
    };
    values.into_iter().map(|value| (row.long, value)).collect()
}

impl Definition {
    /// Whether `word` is the option's whole name, with its dashes.
    fn is_spelt(&self, word: &[u8]) -> bool {
        match word {
            [b'-', b'-', long @ ..] => long == self.long.as_bytes(),
            [b'-', short] => self.short == Some(char::from(*short)),
            _ => false,
        }
    }
}

impl Takes {
    fn is_valued(self) -> bool {
        match self {
            Self::Nothing | Self::Steps => false,
            Self::Value(_) | Self::Values(_) => true,
        }
    }
}
