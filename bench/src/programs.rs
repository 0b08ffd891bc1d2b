//! Where the built programs are: beside the one that runs, unless the environment says else.

use std::env;
use std::path::PathBuf;

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
