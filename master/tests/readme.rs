//! The README names every option, command, signal, variable and error code that there is.

use std::path::Path;
use std::process::Command;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap()
}

#[track_caller]
fn names_all(what: &str, names: impl IntoIterator<Item = String>) {
    let readme = readme();
    let missing: Vec<String> = names.into_iter().filter(|name| !readme.contains(name)).collect();
    assert!(missing.is_empty(), "the README lacks {what}: {missing:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test starts the program that it is about")]
fn every_option() {
    let help = Command::new(env!("CARGO_BIN_EXE_einhorn")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options: Vec<String> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
        .filter(|word| word != "--its-own-options")
        .collect();
    assert!(options.len() > 20, "{options:?}");
    names_all("options", options);
}

#[test]
fn every_command() {
    let table = &einhorn_master::commands::TABLE;
    names_all("commands", table.iter().map(|row| format!("`{}", row.name)));
}

/// The values of the public string constants in a file of `einhorn-protocol`.
fn constants(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/src").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let values: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("pub const") && line.contains(": &str = "))
        .filter_map(|line| line.split('"').nth(1).map(str::to_string))
        .collect();
    assert!(values.len() > 5, "{file}: {values:?}");
    values
}

#[test]
fn every_variable_of_a_worker() {
    let internal = ["EINHORN_UPGRADE_CHECK_FD", "EINHORN_PRELOAD_FD", "EINHORN_PRELOAD_GC"];
    names_all(
        "variables",
        constants("environment.rs").into_iter().filter(|name| !internal.contains(&name.as_str())),
    );
}

#[test]
fn every_error_code() {
    names_all(
        "error codes",
        constants("error_code.rs").into_iter().map(|code| format!("`{code}`")),
    );
}
