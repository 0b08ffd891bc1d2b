//! What is made from the program's own tables for those who read, install and type: man
//! pages, completions and the tables of `docs/`.
//!
//! Answers for the text only; `generate` writes it, and a test says when a file is stale.
//! Nothing of it is part of the shipped programs. Invariant: no name of an option, command,
//! variable or error code is written here that is not checked against the program.

#![expect(clippy::format_collect, reason = "lines of a short text, once")]

mod c_header;
mod completions;
mod manual;
mod markdown;
mod region;
mod tables;

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A file that is made, and what it should hold.
pub struct Made {
    /// Below the project's folder.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// The project's folder.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads a file of the project; the error names it.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: impl AsRef<Path>) -> io::Result<String> {
    let path = path.as_ref();
    fs::read_to_string(project().join(path))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Every file that is made.
///
/// # Errors
/// A file that they are made from cannot be read, or lacks a section that is asked for.
pub fn made() -> io::Result<Vec<Made>> {
    let mut made = completions::all();
    made.extend(region::all()?);
    made.extend(manual::all(&made)?);
    Ok(made)
}

/// The anchor of a heading, as sites that show Markdown make it.
pub fn anchor(heading: &str) -> String {
    let name = heading.trim().to_lowercase();
    let kept = name.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().replace(' ', "-")
}

fn fault(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
