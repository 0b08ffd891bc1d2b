//! `docs/faults.md` is the table that is run, and every call has a row in it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::PARTS;

const BEGIN: &str = "<!-- made from master/tests/faults -->\n";
const END: &str = "<!-- end of what is made -->\n";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")
}

fn table() -> String {
    let mut text = String::new();
    for (part, rows) in PARTS {
        let head =
            "| while | call | fails with | what the master does |\n| --- | --- | --- | --- |";
        writeln!(text, "\n### {part}\n\n{head}").unwrap();
        for row in *rows {
            let names: Vec<&str> = row.failures.iter().map(|(name, _)| *name).collect();
            let (doing, call, outcome) = (row.doing, row.call, row.outcome);
            writeln!(text, "| {doing} | `{call}` | {} | {outcome} |", names.join(", ")).unwrap();
        }
    }
    text.push('\n');
    text
}

fn made(document: &str) -> String {
    let (head, rest) = document.split_once(BEGIN).expect("where the table begins");
    let (_, tail) = rest.split_once(END).expect("where the table ends");
    format!("{head}{BEGIN}{}{END}{tail}", table())
}

#[test]
fn the_document_tells_what_is_run() {
    let document = fs::read_to_string(path()).unwrap();
    let hint = "cargo test -p einhorn --test faults -- --ignored write_the_document";
    assert!(document == made(&document), "docs/faults.md is stale: {hint}");
}

#[test]
#[ignore = "writes docs/faults.md"]
fn write_the_document() {
    let document = fs::read_to_string(path()).unwrap();
    fs::write(path(), made(&document)).unwrap();
}
