//! What can be wrong with a command line, on one line each.

use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::bind::BindError;
use super::definition::DEFINITIONS;
use crate::log::shown;

/// Why a command line was refused. Displays as one line, without a final stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No option has that name.
    #[error("unknown option {typed} (einhorn --help lists the options)")]
    Unknown {
        /// As it was typed.
        typed: String,
    },
    /// An abbreviation of more than one option.
    #[error("{typed} could be {}: write more of it", candidates.join(" or "))]
    Ambiguous {
        /// As it was typed.
        typed: String,
        /// The options, with their dashes.
        candidates: Vec<String>,
    },
    /// The option is the last word, and takes a value.
    #[error("{option} needs a value")]
    MissingValue {
        /// The option, with its dashes.
        option: String,
    },
    /// `--quiet=3`.
    #[error("{option} takes no value, but was given \"{value}\"")]
    UnexpectedValue {
        /// The option, with its dashes.
        option: String,
        /// What it was given.
        value: String,
    },
    /// Not a value that the option takes.
    #[error("--{option} cannot be \"{value}\": it must be {allowed}")]
    Value {
        /// The option's long name.
        option: &'static str,
        /// What it was given.
        value: String,
        /// What it takes.
        allowed: &'static str,
    },
    /// A bad address to bind, or two that are in each other's way.
    #[error("--bind {typed}: {reason}")]
    Bind {
        /// The address as it was typed.
        typed: String,
        /// What is wrong with it.
        reason: BindError,
    },
    /// Two options that cannot both hold.
    #[error(transparent)]
    Contradiction(#[from] crate::settings::Contradiction),
    /// Code that is loaded has descriptors of its own where the sockets would be put.
    #[error(
        "--listen-fds cannot be had with --preload: a worker forked from loaded code may use \
         descriptors from 3 on already (let the code read EINHORN_FD_0, or leave --preload out)"
    )]
    ListenFdsAndPreload,
    /// The program's name is an empty word.
    #[error("the program to run has an empty name")]
    EmptyProgram,
    /// Anything else that is not a command line.
    #[error("{0}")]
    Syntax(String),
}

impl OptionError {
    pub(super) fn value(option: &'static str, value: &OsStr, allowed: &'static str) -> Self {
        Self::Value { option, value: shown(&value.to_string_lossy()), allowed }
    }

    pub(super) fn bind(typed: &OsStr, reason: BindError) -> Self {
        Self::Bind { typed: shown(&typed.to_string_lossy()), reason }
    }

    pub(super) fn from_syntax(error: &clap::Error) -> Self {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => shown(text),
            _ => String::new(),
        };
        // Dots or a value's name follow the option's: `--quiet...`, `--number <N>`.
        let option = || {
            let argument = context(ContextKind::InvalidArg);
            argument.split([' ', '=', '.']).next().unwrap_or_default().to_owned()
        };
        match error.kind() {
            ErrorKind::UnknownArgument => Self::unknown(context(ContextKind::InvalidArg)),
            ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::TooFewValues => {
                Self::MissingValue { option: option() }
            }
            ErrorKind::TooManyValues => Self::UnexpectedValue {
                option: option(),
                value: context(ContextKind::InvalidValue),
            },
            _ => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Self::Syntax(shown(line.strip_prefix("error: ").unwrap_or(line)))
            }
        }
    }

    fn unknown(typed: String) -> Self {
        let candidates: Vec<String> = typed
            .strip_prefix("--")
            .into_iter()
            .flat_map(|start| DEFINITIONS.iter().filter(move |row| row.long.starts_with(start)))
            .map(|row| format!("--{}", row.long))
            .collect();
        if candidates.is_empty() {
            Self::Unknown { typed }
        } else {
            Self::Ambiguous { typed, candidates }
        }
    }
}
