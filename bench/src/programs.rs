//! Where the built programs are: beside the one that runs, unless the environment says else.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The path of the program `name`: the variable `variable` if it is set, else the folder of
/// the running program.
///
/// # Errors
/// There is no such file; says how to build it.
pub fn find(name: &str, variable: &str) -> Result<PathBuf> {
    let path = match env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => {
            env::current_exe().context("cannot tell where this program is")?.with_file_name(name)
        }
    };
    if !path.is_file() {
        bail!("{} is not there: build it by `cargo build --release --workspace`", path.display());
    }
    Ok(path)
}

/// The first line of what a program prints, as with `--version`.
///
/// # Errors
/// It cannot be run, or prints nothing.
pub fn first_line(program: &Path, arguments: &[&str]) -> Result<String> {
    let shown = || format!("cannot run {}", program.display());
    let output = Command::new(program).args(arguments).output().with_context(shown)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| !line.trim().is_empty());
    Ok(line.with_context(|| format!("{} prints nothing", program.display()))?.trim().to_owned())
}
