//! What is promised is shown: each row of `docs/guarantees.md` names tests, and they are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use einhorn_handbook::{project, read};

/// Where the tests are that show what the master does.
const FOLDERS: [&str; 2] = ["master/tests", "bench/tests"];

/// Every `file::function` that is a test which runs.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in FOLDERS {
        collect(&project().join(folder), &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            found.extend(tests_in(&text).into_iter().map(|name| format!("{file}::{name}")));
        }
    }
}

/// The functions behind `#[test]`, but for ignored ones.
fn tests_in(text: &str) -> Vec<String> {
    let after = text.split("#[test]").skip(1);
    let names = after.filter_map(|after| {
        let (before, rest) = after.split_once("fn ")?;
        let is_run = matches!(before.trim(), "" | "pub(crate)");
        is_run.then(|| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
    });
    names.collect()
}

/// Names of tests in a line: code with two colons in it.
fn named(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect()
}

/// The rows of tables, without their headers.
fn rows(text: &str) -> Vec<&str> {
    let is_row = |line: &&str| line.starts_with("| ");
    let is_header = |line: &str| line.starts_with("| event |") || line.starts_with("| --- |");
    text.lines().filter(is_row).filter(|line| !is_header(line)).collect()
}

#[test]
fn every_promise_names_a_test_and_every_named_test_is_there() {
    let (text, tests) = (read("docs/guarantees.md").unwrap(), tests());
    let rows = rows(&text);
    assert!(rows.len() > 20, "{rows:#?}");
    for row in rows {
        assert_eq!(row.matches('|').count(), 7, "six cells: {row}");
        let shown_by = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        assert!(!named(shown_by).is_empty(), "nothing shows it: {row}");
    }
    for name in text.lines().flat_map(named) {
        assert!(tests.contains(name), "there is no test {name}");
    }
}

#[test]
fn only_a_function_that_is_run_as_a_test_is_one() {
    let text = "fn a() {}\n#[test]\nfn b() {}\n#[test]\n#[ignore]\nfn c() {}\n";
    assert_eq!(tests_in(text), ["b"]);
    assert_eq!(named("`make soak` and `a::b`, a::c"), ["a::b"]);
}
