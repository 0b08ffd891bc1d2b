//! Workers that are replaced while they serve: under load, looked at every 10 ms.

use rustix::process::Signal;
use serde_json::json;

use crate::support::load::Load;
use crate::support::process::send;
use crate::support::site::{Site, TARGET};
use crate::support::{pids, worker_of, workers};
use crate::worker::told_in_shell;

fn serving() -> String {
    told_in_shell(&["version=1", "ack", "serve"])
}

/// Waits until nobody of `before` is left and the rest is up.
#[track_caller]
fn wait_for_others(site: &Site, before: &[i32]) {
    site.master.wait_for("others in their places", |status| {
        pids(status).len() == TARGET
            && !pids(status).iter().any(|pid| before.contains(pid))
            && workers(status).iter().all(|worker| worker["stage"] == "up")
    });
}

#[test]
fn all_at_request_without_a_loss() {
    let site = Site::start(&[], &serving());
    let before = site.master.pids();
    let (load, watch) = (Load::heavy(site.port), site.watch());
    let told = site.shell("recycle all");
    assert_eq!(told.status, 0, "{}", told.all);
    assert!(told.last.starts_with("Replacing 4 workers"), "{}", told.last);
    wait_for_others(&site, &before);
    watch.finish();
    load.finish(&["1"]);
    site.master.stop();
}

#[test]
fn one_by_its_index_or_its_pid() {
    let site = Site::start(&[], &serving());
    let first = site.master.pids()[0];
    let index = worker_of(&site.master.status(), first)["index"].clone();
    for typed in [format!("index={index}"), first.to_string(), format!("pid={first}")] {
        let before = site.master.pids();
        let told = site.shell(&format!("recycle {typed}"));
        if before.contains(&first) {
            assert!(told.last.contains(&format!("worker {first} ")), "{}", told.last);
            site.master.wait_for("another in its place", |status| {
                pids(status).len() == TARGET && !pids(status).contains(&first)
            });
        } else {
            assert_eq!(told.status, 1, "{}", told.all);
            let reply = site.master.ask(&json!({"command": "recycle", "args": [typed]}));
            assert_eq!(reply["error"], "unknown_worker", "{reply}");
        }
    }
}

#[test]
fn a_replacement_that_does_not_come_up_leaves_the_stale_one_and_is_told_once() {
    let body = format!("test -e ../broken && exit 3; {}", serving());
    let site = Site::start(&[], &body);
    let before = site.master.pids();
    let (load, watch) = (Load::start(site.port), site.watch());
    site.master.folder.write("broken", "");
    site.master.command("recycle", &[&format!("pid={}", before[0])]);
    site.master.wait_for_line("did not come up; it stays");
    site.master.command("louder", &[]);
    let told = site.master.log.mark();
    for _ in 0..3 {
        site.master.log.wait_for_from(site.master.log.mark(), "exited before it was acknowledged");
    }
    let status = site.master.status();
    assert_eq!(worker_of(&status, before[0])["stage"], "recycling");
    let again = &site.master.log.lines()[told..];
    assert!(!again.iter().any(|line| line.contains("did not come up")), "{again:?}");
    std::fs::remove_file(site.master.folder.join("broken")).unwrap();
    site.master.wait_for("another in its place", |status| {
        pids(status).len() == TARGET && !pids(status).contains(&before[0])
    });
    watch.finish();
    load.finish(&["1"]);
    site.master.stop();
}

#[test]
fn a_reload_in_the_middle_changes_nothing() {
    let body = format!("test -e ../slow && read line < ../gate; {}", serving());
    let site = Site::start(&[], &body);
    let before = site.master.pids();
    let gate = site.master.folder.gate("gate");
    let (load, watch) = (Load::start(site.port), site.watch());
    site.master.folder.write("slow", "");
    site.master.command("recycle", &["all"]);
    site.master.wait_for("a replacement", |status| workers(status).len() == TARGET + 1);
    assert_eq!(site.shell("reload").status, 0);
    let status = site.master.status();
    assert_eq!((&status["generation"], workers(&status).len()), (&json!(1), TARGET + 1));
    std::fs::remove_file(site.master.folder.join("slow")).unwrap();
    drop(gate.open());
    wait_for_others(&site, &before);
    watch.finish();
    load.finish(&["1"]);
    site.master.stop();
}

#[test]
fn a_stale_worker_that_is_killed_meanwhile() {
    let body = format!("test -e ../slow && read line < ../gate; {}", serving());
    let site = Site::start(&[], &body);
    let before = site.master.pids();
    let gate = site.master.folder.gate("gate");
    site.master.folder.write("slow", "");
    site.master.command("recycle", &["all"]);
    site.master.wait_for("a replacement", |status| workers(status).len() == TARGET + 1);
    send(before[0], Signal::KILL);
    std::fs::remove_file(site.master.folder.join("slow")).unwrap();
    drop(gate.open());
    wait_for_others(&site, &before);
}
