//! `einhorn.h` is what the source says, and its numbers are the library's.

use einhorn_worker::ErrorKind;
use std::{collections::BTreeMap, fs, path::Path};

/// Writes the header anew instead of comparing it.
const WRITE: &str = "EINHORN_WRITE_HEADER";

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn made_now() -> String {
    let config = cbindgen::Config::from_file(folder().join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::generate_with_config(folder(), config).unwrap();
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).unwrap().lines().map(|line| in_parentheses(line) + "\n").collect()
}

/// `#define NAME -1` as `#define NAME (-1)`, which no operator before it can spoil.
fn in_parentheses(line: &str) -> String {
    match line.split_once(" -").filter(|(define, _)| define.starts_with("#define ")) {
        Some((define, number)) => format!("{define} (-{number})"),
        None => line.to_owned(),
    }
}

#[test]
fn the_committed_header_is_fresh() {
    let path = folder().join("include/einhorn.h");
    let made = made_now();
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "{} is stale; make it anew with {WRITE}=1 cargo test -p einhorn-c --test header",
        path.display()
    );
}

#[test]
fn every_kind_of_error_has_its_number_in_the_header() {
    let header = made_now();
    let numbers: BTreeMap<&str, i32> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define EINHORN_E_")?.split_once(' '))
        .map(|(name, number)| (name, number.trim_matches(['(', ')']).parse().unwrap()))
        .collect();
    for kind in ErrorKind::all() {
        assert_eq!(numbers.get(kind.name()), Some(&-kind.number()), "{kind:?}");
    }
    assert_eq!(numbers.len(), ErrorKind::all().count() + 2);
}
