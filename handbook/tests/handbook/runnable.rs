//! Blocks of code that are marked `<!-- run -->`, run as they stand: those of a page one after the
//! other in one shell, as a reader pastes them.
//!
//! Only what a test must have of its own is another: the port, and builds without optimisation.

use std::net::TcpListener;
use std::process::Command;

use einhorn_handbook::{project, read};

use crate::support::{blocks, pages, programs, run};

/// The page's blocks as a script for this machine.
fn script(page: &str) -> Option<String> {
    let text = read(page).unwrap();
    let marked: Vec<String> = blocks(&text)
        .into_iter()
        .filter(|block| block.mark == "run")
        .map(|block| block.text)
        .collect();
    if marked.is_empty() {
        return None;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let script = marked.join("\n").replace("127.0.0.1:8080", &free.to_string());
    Some(script.replace("target/release", "target/debug").replace(" --release", ""))
}

#[test]
fn every_block_that_is_marked_runs() {
    programs();
    let mut seen = 0;
    for page in pages() {
        let Some(script) = script(&page) else { continue };
        let folder = tempfile::tempdir().unwrap();
        // Whatever goes wrong, no master stays.
        let script = format!(
            "set -euo pipefail\ntrap 'kill -QUIT $(jobs -p) 2> /dev/null || true' EXIT\n\
             cd \"$PROJECT\"\n{}",
            script.replace("demo.log", "\"$TMPDIR\"/demo.log")
        );
        let mut command = Command::new("bash");
        command.args(["--norc", "-c", &script]).env("TMPDIR", folder.path());
        let said = run(command.env("PROJECT", project().canonicalize().unwrap()));
        assert!(!said.is_empty(), "{page} printed nothing");
        seen += 1;
    }
    assert!(seen > 0, "no page has a block that is marked <!-- run -->");
}
