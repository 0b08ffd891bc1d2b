//! Tests that change something of the whole process (signal mask, children, title) run in a
//! process of their own: the test program calls itself for that one test.

use std::env;

const ALONE: &str = "TEST_RUNS_ALONE";

/// Whether this is the process of the one test.
pub(crate) fn is_alone() -> bool {
    env::var_os(ALONE).is_some()
}

/// Runs the test of that full name, module path included, in a process of its own and fails
/// with its output if it fails or does not exist.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "the test program is no child of a master")]
pub(crate) fn run_alone(test: &str) {
    let output = std::process::Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    assert!(printed.contains("1 passed"), "no test {test}: {printed}{errors}");
}
