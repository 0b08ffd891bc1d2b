//! Programs that never heard of einhorn are replaced without a loss, whatever their way of
//! saying that they are ready.

use crate::support::load::Load;
use crate::support::plain_program::serves;
use crate::support::site::{Site, TARGET};

/// Three upgrades under load; at every moment enough workers serve.
#[track_caller]
fn check(mode: &str, words: &[&str]) {
    check_with(&[], mode, words);
}

#[track_caller]
fn check_with(options: &[&str], mode: &str, words: &[&str]) {
    let site = Site::start(&[options, &["-m", mode]].concat(), &serves("1", words));
    let status = site.master.status();
    assert_eq!((&status["ack_mode"], &status["stop_signal"]), (&mode.into(), &"TERM".into()));
    let (load, watch) = (Load::start(site.port), site.watch());
    for version in ["2", "3", "4"] {
        site.deploy(version, &serves(version, words));
        let told = site.shell("upgrade");
        assert_eq!(told.status, 0, "{}", told.all);
        site.master.wait_for_up(TARGET);
        site.answers(version);
    }
    watch.finish();
    load.finish(&["1", "2", "3", "4"]);
    // All ended by the signal that they were asked by, and as they wanted.
    let log = site.master.log.text();
    assert!(log.contains("stopped: status 0") && !log.contains("killed by"), "{log}");
    site.master.stop();
}

#[test]
fn by_a_newline_on_a_descriptor() {
    check("fd", &["fd"]);
}

#[test]
fn by_a_newline_on_a_descriptor_behind_the_sockets() {
    check_with(&["--listen-fds"], "fd", &["fd"]);
}

#[test]
fn by_a_notification() {
    check("notify", &["notify"]);
}

#[test]
fn by_a_check() {
    // The program leaves a file; the check looks for it in the folder of the release.
    check("exec:sh -c 'test -e ready.$EINHORN_WORKER_PID'", &["file"]);
}
