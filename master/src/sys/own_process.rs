//! Tests that change something of the whole process (signal mask, children, title), or that
//! count on a closed descriptor being closed, run in a process of their own: the test program
//! calls itself for that one test. (While another test forks, its child holds a copy of every
//! descriptor for a moment, and with it locks and listening sockets.)

use std::env;

const ALONE: &str = "TEST_RUNS_ALONE";

/// First line of a test: the rest runs in a process of its own.
macro_rules! alone {
    () => {
        fn this_test() {}
        let name = std::any::type_name_of_val(&this_test);
        if !$crate::sys::own_process::is_alone() {
            return $crate::sys::own_process::run(name);
        }
    };
}

pub(crate) use alone;

/// Whether this is the process of the one test.
pub(crate) fn is_alone() -> bool {
    env::var_os(ALONE).is_some()
}

/// Runs a test, given by the type name of a function in it, and fails with its output if it
/// fails or does not exist.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "the test program is no child of a master")]
pub(crate) fn run(inner: &str) {
    let (_, path) = inner.split_once("::").unwrap();
    let (test, _) = path.rsplit_once("::").unwrap();
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
