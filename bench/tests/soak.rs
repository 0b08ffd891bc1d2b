//! A short share of `make soak`: the same run, bounded to seconds.
#![expect(clippy::disallowed_methods, reason = "it runs a program")]

use std::process::Command;

const SECONDS: &str = "8";

#[test]
fn nothing_is_lost_in_a_short_run() {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .env("SOAK_SECONDS", SECONDS)
        .env("BENCH_WORKER", env!("CARGO_BIN_EXE_bench_worker"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaint}");
    assert!(said.contains("Nothing was lost"), "{said}");
}
