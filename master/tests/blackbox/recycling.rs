//! Workers that are replaced while they serve: under load, looked at every 10 ms.

use rustix::process::Signal;
use serde_json::json;

use crate::support::load::Load;
use crate::support::process::send;
use crate::support::site::{Site, TARGET};
use crate::support::{Folder, IDLE, Launch, pids, worker_of, workers};
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
    // Those that are replaced serve on, and so all are up each time that a newcomer is.
    let lines = site.master.log.lines();
    let up: Vec<&String> = lines.iter().filter(|line| line.contains(" is up (")).collect();
    assert!(up.len() >= 2 * TARGET, "{up:?}");
    let all = format!("({TARGET}/{TARGET} ");
    assert!(up.iter().skip(TARGET).all(|line| line.contains(&all)), "{up:?}");
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

/// Serves under load while a rule finds all of its workers stale.
#[track_caller]
fn all_are_replaced(options: &[&str], words: &[&str], rule: &str) {
    let words: Vec<&str> =
        ["version=1", "ack"].iter().chain(words).chain(&["serve"]).copied().collect();
    let site = Site::start(options, &told_in_shell(&words));
    let before = site.master.pids();
    let (load, watch) = (Load::start(site.port), site.watch());
    // They are replaced again and again.
    site.master.wait_for("others in their places", |status| {
        !pids(status).iter().any(|pid| before.contains(pid))
    });
    for pid in &before {
        site.master.wait_for_line(&format!("worker {pid} "));
    }
    site.master.wait_for_line(rule);
    watch.finish();
    load.finish(&["1"]);
    site.master.stop();
}

#[test]
fn leaking_workers_under_load() {
    all_are_replaced(&["--max-rss", "64M"], &["leak=65536"], "more than 64M (--max-rss)");
}

#[test]
fn ageing_workers_under_load() {
    all_are_replaced(&["--max-age", "2"], &[], " s old (--max-age)");
}

#[test]
fn a_hanging_worker_under_load() {
    let folder = Folder::new();
    let hang_at = format!("hang-at={}", folder.word("hang"));
    let words = ["version=1", "ack", "beat=request-7", &hang_at, "serve"];
    let options = ["--ping-timeout", "3", "--ping-signal", "WINCH", "-t", "1"];
    let site = Site::start(&options, &told_in_shell(&words));
    let before = site.master.pids();
    let (load, watch) = (Load::start(site.port), site.watch());
    let hung = before[1];
    site.master
        .wait_for("its ping", |status| worker_of(status, hung)["ping_request_id"] == "request-7");
    folder.write(&format!("hang.{hung}"), "");
    let told = site.master.wait_for_line(&format!("worker {hung} hangs"));
    assert!(!told.is_empty());
    site.master.wait_for("another in its place", |status| {
        pids(status).len() == TARGET && !pids(status).contains(&hung)
    });
    watch.finish();
    load.finish(&["1"]);
    let lines = site.master.log.lines();
    let name = format!("worker {hung} ");
    let mut told = lines.iter().filter(|line| line.contains(&name));
    for words in [
        "has not pinged for 3",
        "as /proc has it: state S (sleeping), system call ",
        "sent SIGWINCH",
        "its replacement is up",
        "sent SIGKILL",
    ] {
        assert!(told.any(|line| line.contains(words)), "{words} in {}", site.master.log.text());
    }
    let silent = lines.iter().find(|line| line.contains("has not pinged")).unwrap();
    assert!(silent.contains("its last request id is \"request-7\""), "{silent}");
    site.master.stop();
}

#[test]
fn the_rules_are_settings_that_a_reload_keeps() {
    let options =
        ["--max-age", "1000", "--max-rss", "2G", "--ping-timeout", "60", "--ping-signal", "QUIT"];
    let site = Site::start(&options, &serving());
    assert_eq!(site.shell("reload").status, 0);
    let same = "config {max_age: 1000, max_rss: 2048M, ping_timeout: 60, ping_signal: QUIT}";
    assert_eq!(site.shell(same).last, "Nothing changed");
    let table = site.master.command("status", &[]);
    assert!(table.contains("stale in 15m") && table.contains("MEMORY"), "{table}");
    let before = site.master.pids();
    let changed = site.shell("config {max_age: 1, max_rss: 0, ping_timeout: 0}").last;
    assert!(changed.contains("max_age: 1000 -> 1, max_rss: 2G -> none"), "{changed}");
    site.master.wait_for("others in their places", |status| {
        !pids(status).iter().any(|pid| before.contains(pid))
    });
    assert_eq!(site.shell("config {max_age: 0}").status, 0);
    site.master.wait_for_up(TARGET);
}

#[test]
fn rules_that_make_no_sense_are_refused_at_the_start() {
    for (option, value) in [
        ("--max-age", "0.5"),
        ("--max-rss", "500"),
        ("--max-rss", "12X"),
        ("--ping-timeout", "soon"),
        ("--ping-signal", "KILL"),
        ("--ping-signal", "9"),
    ] {
        let line = Launch::new(&[option, value], &IDLE).run().refused(&[]);
        assert!(line.contains(option) && line.contains(value), "{line}");
    }
}
