//! Prints the table: every row in every language, or what the arguments name.

use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    einhorn_conformance::table::run(&wanted)
}
