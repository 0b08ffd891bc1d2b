//! `docs/limits.md` has a row for each limit with its value, and names tests that exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The value of an expression as the limits are written: a number, a shift, a sum with a name.
fn value(expression: &str, known: &BTreeMap<String, f64>) -> f64 {
    let number = |text: &str| -> f64 {
        let text = text.trim().replace('_', "");
        text.parse().unwrap_or_else(|_| known.get(text.as_str()).copied().unwrap_or(f64::NAN))
    };
    if let Some((number_, shift)) = expression.split_once("<<") {
        return number(number_) * number(shift).exp2();
    }
    if let Some((one, other)) = expression.split_once('+') {
        return value(one, known) + number(other);
    }
    known.get(expression.trim()).copied().unwrap_or_else(|| number(expression))
}

/// Every limit by its name.
fn limits() -> BTreeMap<String, f64> {
    let text = fs::read_to_string(root().join("protocol/src/limit.rs")).unwrap();
    let mut limits = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("pub const ") else { continue };
        let (name, rest) = rest.split_once(':').unwrap();
        let expression = rest.split_once('=').unwrap().1.trim_end_matches(';');
        let value = value(expression, &limits);
        assert!(value > 0.0, "{line}");
        limits.insert(name.to_owned(), value);
    }
    assert!(limits.len() > 30, "{limits:?}");
    limits
}

/// As the page writes it: bytes in the largest unit that divides them.
fn shown(name: &str, value: f64) -> String {
    let is = |unit: f64| name.contains("BYTES") && value % unit == 0.0 && value > 4096.0;
    let kib = 1024.0;
    if is(kib * kib) {
        format!("{} MiB", value / kib / kib)
    } else if is(kib) {
        format!("{} KiB", value / kib)
    } else {
        format!("{value}")
    }
}

/// The rows that have a limit's name: name, value, test.
fn rows() -> Vec<(String, String, String)> {
    let page = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = page.lines().filter(|line| line.starts_with("| ")).map(cells);
    rows.filter(|cells| cells.len() == 5 && cells[1].starts_with('`'))
        .map(|cells| {
            let bare = |cell: &str| cell.trim_matches('`').to_owned();
            (bare(&cells[1]), cells[2].clone(), bare(&cells[4]))
        })
        .collect()
}

#[test]
fn each_limit_has_a_row_with_its_value() {
    let rows = rows();
    for (name, value) in limits() {
        let of_it: Vec<_> = rows.iter().filter(|row| row.0 == name).collect();
        assert_eq!(of_it.len(), 1, "rows of {name} in docs/limits.md");
        assert_eq!(of_it[0].1, shown(&name, value), "{name} in docs/limits.md");
    }
}

#[test]
fn each_row_is_of_a_limit_that_there_is() {
    let limits = limits();
    for (name, _, _) in rows() {
        assert!(limits.contains_key(&name), "docs/limits.md: no limit {name}");
    }
}

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn each_row_names_a_test_that_there_is() {
    let mut text = String::new();
    for folder in ["master/src", "master/tests", "sdk-rust/src", "sdk-rust/tests"] {
        sources(&root().join(folder), &mut text);
    }
    for (name, _, test) in rows() {
        assert!(text.contains(&format!("fn {test}(")), "docs/limits.md, {name}: no test {test}");
    }
}
