//! Each report: how loud, whether those who follow an upgrade hear it, and its words.

use super::*;

fn worker() -> String {
    "812 (index 2)".to_string()
}

#[track_caller]
fn check(report: &Report, level: Level, is_progress: bool, text: &str) {
    assert_eq!(report.to_string(), text);
    assert_eq!(report.level(), level, "{text}");
    assert_eq!(report.is_progress(), is_progress, "{text}");
}

/// Said of one worker, told to those who follow an upgrade.
#[track_caller]
fn check_progress(report: &Report, level: Level, text: &str) {
    check(report, level, true, text);
}

/// For the log alone.
#[track_caller]
fn check_other(report: &Report, level: Level, text: &str) {
    check(report, level, false, text);
}

#[test]
fn a_workers_life() {
    let (next, exit) = (Duration::from_millis(1500), Exit::Status(3));
    check_progress(
        &Report::Started { worker: worker(), version: 4 },
        Level::Info,
        "worker 812 (index 2) started, version 4",
    );
    check_progress(
        &Report::NotStarted { index: 2, reason: "out of processes".to_string(), next },
        Level::Error,
        "cannot start a worker (index 2): out of processes; next start in 1.5 s",
    );
    check_progress(
        &Report::Withdrawn { index: 2 },
        Level::Info,
        "a worker (index 2) is not started: it is not wanted any more",
    );
    check_progress(
        &Report::Acknowledged { worker: worker(), acked: 3, target: 4 },
        Level::Info,
        "worker 812 (index 2) is up (3/4 acknowledged)",
    );
    check_progress(
        &Report::DiedEarly { worker: worker(), exit, next },
        Level::Warn,
        "worker 812 (index 2) exited before it was acknowledged: status 3; next start in 1.5 s",
    );
    check_progress(
        &Report::DiedSoaking { worker: worker(), exit: Exit::Unknown, next },
        Level::Warn,
        "worker 812 (index 2) exited before it had soaked: status unknown; next start in 1.5 s",
    );
    check_progress(
        &Report::Died { worker: worker(), exit: Exit::Signal(Signal::KILL) },
        Level::Warn,
        "worker 812 (index 2) exited: killed by SIGKILL; nobody asked it to",
    );
    check_progress(
        &Report::Lingering { worker: worker(), pid: 812, waited: Duration::from_secs(300) },
        Level::Warn,
        "worker 812 (index 2) was to stop 300 s ago and still lives, and nothing ends it: give \
         --signal-timeout (config signal_timeout does so at once), or kill -KILL 812",
    );
    check_progress(
        &Report::Stopped { worker: worker(), exit: Exit::Status(0) },
        Level::Info,
        "worker 812 (index 2) stopped: status 0",
    );
}

#[test]
fn what_a_worker_says() {
    check_other(
        &Report::AcknowledgementIgnored { worker: worker(), reason: "it is up already" },
        Level::Warn,
        "acknowledgement for worker 812 (index 2) ignored: it is up already",
    );
    check_other(
        &Report::Retiring { worker: worker(), counts: true },
        Level::Info,
        "worker 812 (index 2) is stopping of its own accord",
    );
    check_other(
        &Report::Retiring { worker: worker(), counts: false },
        Level::Info,
        "worker 812 (index 2) is stopping of its own accord, before it has served",
    );
    check_other(&Report::Pinged { worker: worker() }, Level::Debug, "worker 812 (index 2) pinged");
}

#[test]
fn why_a_worker_gets_a_signal() {
    let usr2 = |why, level, reason: &str| {
        let report = Report::Signaled { worker: worker(), signal: Signal::USR2, why };
        check_progress(&report, level, &format!("sent SIGUSR2 to worker 812 (index 2): {reason}"));
    };
    usr2(Why::Replaced, Level::Info, "a newer worker took its place");
    usr2(Why::OldVersion, Level::Info, "its version is not the current one");
    usr2(Why::AboveTarget, Level::Info, "there are more workers than the target");
    usr2(
        Why::NotAcknowledged(Duration::from_secs(300)),
        Level::Warn,
        "no acknowledgement within 300 s",
    );
    usr2(Why::Stopping, Level::Info, "the master is stopping");
    usr2(
        Why::StillAlive(Duration::from_millis(2500)),
        Level::Warn,
        "it was asked to stop 2.5 s ago and is still alive",
    );
    usr2(Why::Requested, Level::Info, "as requested");
    usr2(Why::Recycled, Level::Info, "its replacement is up");
    usr2(Why::Silent, Level::Info, "it is to say where it hangs (--ping-signal)");
    let all = |count| Report::SignaledAll { count, signal: Signal::HUP, why: Why::Requested };
    check_other(&all(1), Level::Info, "sent SIGHUP to 1 worker: as requested");
    check_other(&all(2), Level::Info, "sent SIGHUP to 2 workers: as requested");
}

#[test]
fn who_drains() {
    check_progress(
        &Report::Draining { worker: worker() },
        Level::Info,
        "worker 812 (index 2) is to stop once nobody waits in its queue",
    );
    check_progress(
        &Report::NotDrained { worker: worker() },
        Level::Warn,
        "the queue of worker 812 (index 2) is not empty after 10 s; it is asked to stop anyway",
    );
    check_progress(
        &Report::Kept { worker: worker() },
        Level::Info,
        "worker 812 (index 2) goes on: it is needed",
    );
}

#[test]
fn who_is_to_be_replaced() {
    let stale = |cause, level, reason: &str| {
        let report = Report::Stale { worker: worker(), cause };
        check_other(&report, level, &format!("worker 812 (index 2) is to be replaced: {reason}"));
    };
    let age = Duration::from_secs(60);
    let silent = |id: Option<&str>| Cause::Silent { silent: age, request_id: id.map(String::from) };
    stale(
        silent(Some("GET /")),
        Level::Warn,
        "it has not pinged for 60 s; its last request id is \"GET /\"",
    );
    stale(silent(None), Level::Warn, "it has not pinged for 60 s; it never told a request id");
    stale(
        Cause::Memory { resident: 600 << 20, limit: 500 << 20, age },
        Level::Info,
        "it has 614400K of memory, more than 500M (--max-rss), 60 s after its start",
    );
    stale(Cause::Requested, Level::Info, "as requested");
    stale(Cause::Age { age }, Level::Info, "it is 60 s old (--max-age)");
    check_other(
        &Report::Heard { worker: worker() },
        Level::Info,
        "worker 812 (index 2) pinged again: it was slow and does not hang",
    );
    let failed = |others| Report::ReplacementFailed { kept: worker(), others };
    check_other(
        &failed(0),
        Level::Warn,
        "the replacement of worker 812 (index 2) did not come up; it stays until one does, and \
         that is tried in silence",
    );
    check_other(
        &failed(2),
        Level::Warn,
        "the replacements of worker 812 (index 2) and 2 more did not come up; they stay until \
         some do, and that is tried in silence",
    );
}

#[test]
fn what_was_said_before_is_said_softly() {
    let again = |report| Report::Again(Box::new(report));
    check_progress(
        &again(Report::Started { worker: worker(), version: 1 }),
        Level::Debug,
        "worker 812 (index 2) started, version 1",
    );
    check_other(&again(Report::AllGone), Level::Debug, "all workers are gone");
}

#[test]
fn the_fleet_and_the_master() {
    check_other(&Report::FleetUp { target: 1 }, Level::Info, "1 worker up");
    check_other(&Report::FleetUp { target: 3 }, Level::Info, "3 workers up");
    check_other(
        &Report::ReloadFailed { reason: "no such file".to_string() },
        Level::Error,
        "reload failed, everything is as it was: no such file",
    );
    check_other(&Report::AllGone, Level::Info, "all workers are gone");
}

#[test]
fn the_way_of_an_upgrade() {
    let begun = |mode| Report::UpgradeBegun { mode, from: 1, to: 2, target: 4 };
    check_progress(
        &begun(UpgradeMode::Smooth),
        Level::Info,
        "smooth upgrade from version 1 to 2 begins, 4 workers",
    );
    check_progress(
        &begun(UpgradeMode::Fleet),
        Level::Info,
        "fleet upgrade from version 1 to 2 begins, 4 workers",
    );
    let progress = |soaking, waiting_for: &[&str], again| Report::UpgradeProgress {
        acked: 1,
        target: 4,
        soaking,
        old: 3,
        retiring: 2,
        waiting_for: waiting_for.iter().map(ToString::to_string).collect(),
        again,
    };
    check_progress(
        &progress(0, &[], false),
        Level::Debug,
        "1/4 acknowledged, 3 old serving, 2 old retiring",
    );
    check_progress(
        &progress(1, &["812 (index 2)", "813 (index 3)"], true),
        Level::Info,
        "1/4 acknowledged, 1 of them soaking, 3 old serving, 2 old retiring; waiting for worker \
         812 (index 2), 813 (index 3)",
    );
    check_progress(
        &Report::CanariesPassed { count: 1 },
        Level::Info,
        "1 canary up, starting the others",
    );
    check_progress(
        &Report::CanariesPassed { count: 2 },
        Level::Info,
        "2 canaries up, starting the others",
    );
}

/// Each with and without the time that it took.
#[test]
fn the_end_of_an_upgrade() {
    let failure = |pid| Failure { pid, index: 2, reason: "status 3".to_string() };
    let rolled_back = |failure| UpgradeEnd::RolledBack { why: "it failed".to_string(), failure };
    let ended = |end: &UpgradeEnd, took| Report::UpgradeEnded {
        end: end.clone(),
        callers: Callers::UpTo(1),
        from: 1,
        to: 2,
        took,
    };
    let check_end = |end: UpgradeEnd, level, code, is_back, text: &str| {
        check_other(&ended(&end, None), level, text);
        let after = ended(&end, Some(Duration::from_secs(9)));
        check_other(&after, level, &format!("{text}, after 9 s"));
        assert_eq!(end.error(), code);
        assert_eq!(end.name(), code.unwrap_or("committed"));
        assert_eq!(end.is_back(), is_back);
    };
    check_end(
        UpgradeEnd::Committed,
        Level::Info,
        None,
        false,
        "upgrade done: version 1 -> 2 committed",
    );
    check_end(
        rolled_back(None),
        Level::Error,
        Some("rolled_back"),
        true,
        "upgrade to version 2 rolled back, version 1 serves on: it failed",
    );
    check_end(
        rolled_back(Some(failure(Some(812)))),
        Level::Error,
        Some("rolled_back"),
        true,
        "upgrade to version 2 rolled back, version 1 serves on: it failed, first worker 812 \
         (index 2): status 3",
    );
    check_end(
        rolled_back(Some(failure(None))),
        Level::Error,
        Some("rolled_back"),
        true,
        "upgrade to version 2 rolled back, version 1 serves on: it failed, first worker (index \
         2): status 3",
    );
    check_end(
        UpgradeEnd::ReloadFailed("no such file".to_string()),
        Level::Error,
        Some("reload_failed"),
        true,
        "upgrade failed, version 1 serves on: no such file",
    );
    check_end(
        UpgradeEnd::Superseded,
        Level::Info,
        Some("superseded"),
        false,
        "upgrade superseded by a newer one, to version 2",
    );
    check_end(
        UpgradeEnd::Aborted,
        Level::Info,
        Some("aborted"),
        true,
        "upgrade to version 2 aborted, version 1 serves on",
    );
    check_end(
        UpgradeEnd::ShuttingDown,
        Level::Info,
        Some("shutting_down"),
        false,
        "upgrade ended: the master is shutting down",
    );
}

#[test]
fn the_end_of_an_upgrade_as_it_begins_to_be_undone() {
    let failed = UpgradeEnd::RolledBack { why: "it failed".to_string(), failure: None };
    check_progress(
        &Report::RollbackBegun { from: 2, to: 1, end: UpgradeEnd::Aborted },
        Level::Warn,
        "giving version 2 up as asked, going back to version 1",
    );
    check_progress(
        &Report::RollbackBegun { from: 2, to: 1, end: failed },
        Level::Warn,
        "giving version 2 up: it failed, going back to version 1",
    );
}

/// Only what may come in thousands is counted in its stead.
#[test]
fn what_may_be_said_very_often_is_of_a_kind() {
    let (next, exit) = (Duration::ZERO, Exit::Unknown);
    let deaths = Some(Kind::Failure("workers that nobody asked to end"));
    assert_eq!(Report::DiedEarly { worker: worker(), exit, next }.repeats(), deaths);
    assert_eq!(Report::DiedSoaking { worker: worker(), exit, next }.repeats(), deaths);
    assert_eq!(Report::Died { worker: worker(), exit }.repeats(), deaths);
    assert_eq!(
        Report::NotStarted { index: 0, reason: String::new(), next }.repeats(),
        Some(Kind::Failure("workers that could not be started"))
    );
    assert_eq!(
        Report::AcknowledgementIgnored { worker: worker(), reason: "" }.repeats(),
        Some(Kind::Failure("acknowledgements that were ignored"))
    );
    assert_eq!(
        Report::Started { worker: worker(), version: 0 }.repeats(),
        Some(Kind::OfEachWorker("workers that were started"))
    );
    assert_eq!(
        Report::Acknowledged { worker: worker(), acked: 1, target: 1 }.repeats(),
        Some(Kind::OfEachWorker("workers that were up"))
    );
    assert_eq!(
        Report::Stopped { worker: worker(), exit }.repeats(),
        Some(Kind::OfEachWorker("workers that stopped"))
    );
    assert_eq!(Report::AllGone.repeats(), None);
}
