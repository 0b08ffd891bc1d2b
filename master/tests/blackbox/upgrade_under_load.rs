//! An upgrade either happens or it did not happen: under load, looked at every 10 ms.

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::{Value as Json, json};

use crate::support::load::{Bounds, Load, Watch, request};
use crate::support::process::send;
use crate::support::site::{Site, TARGET, point, release};
use crate::support::{Client, Folder, Launch, Process, pids, workers};
use crate::worker::{told, told_in_shell};

fn good(version: &str) -> String {
    told_in_shell(&[&format!("version={version}"), "ack", "serve"])
}

/// Release 1 serves under load while `deploy` puts release 2 in place and `upgrade` tries it;
/// that must fail for a reason that has `cause` in it. Release 1 serves on, comes back where a
/// worker of it is killed, and is then replaced by release 3.
#[track_caller]
fn check(options: &[&str], deploy: impl FnOnce(&Site), upgrade: &str, cause: &str) -> Site {
    let site = Site::start(options, &good("1"));
    let before = pids(&site.master.status());
    let (load, watch) = (Load::start(site.port), site.watch());
    deploy(&site);
    let told = site.shell(upgrade);
    assert_eq!(told.status, 3, "{}", told.all);
    assert!(told.last.contains("rolled back") && told.last.contains(cause), "{}", told.last);
    let accepted = after_rollback(&site, &before, &watch);
    watch.finish();
    load.finish_but(&["1"], accepted);
    commits(&site, "3");
    site
}

/// The old workers serve, and one that is killed comes back as the old version. Returns whom
/// that one had accepted.
#[track_caller]
fn after_rollback(site: &Site, before: &[i32], watch: &Watch) -> Vec<u16> {
    let status = site.master.wait_for_up(TARGET);
    assert_eq!((&status["version"], &status["upgrade"]), (&json!(0), &Json::Null));
    // What another master would read.
    let state = site.master.state();
    for line in [":version: 0\n", ":consecutive_deaths_before_ack: 0\n", ":upgrading: false\n"] {
        assert!(state.contains(line), "{line} in {state}");
    }
    assert_eq!(pids(&status), before, "the old workers have served on");
    site.answers("1");
    let lost = watch.kill(&Process::of(before[0]));
    site.master.wait_for("another worker of the old version", |status| {
        pids(status).len() == TARGET
            && !pids(status).contains(&before[0])
            && workers(status).iter().all(|worker| worker["stage"] == "up")
    });
    site.answers("1");
    lost
}

/// A good release replaces the old one without a loss.
#[track_caller]
fn commits(site: &Site, release: &str) {
    let (load, watch) = (Load::start(site.port), site.watch());
    site.deploy(release, &good(release));
    let told = site.shell("upgrade");
    assert_eq!(told.status, 0, "{}", told.all);
    assert!(told.last.contains("committed"), "{}", told.last);
    watch.finish();
    site.master.wait_for_up(TARGET);
    site.answers(release);
    load.finish(&["1", release]);
}

#[test]
fn a_deploy_that_crashes() {
    check(&[], |site| site.deploy("2", "exit 3"), "upgrade --attempts 2", "status 3").master.stop();
}

#[test]
fn a_deploy_that_never_acknowledges() {
    let options = ["--ack-timeout", "2", "-t", "1"];
    let deploy = |site: &Site| site.deploy("2", "exec sleep 1000000");
    let cause = "no acknowledgement within 2 s";
    check(&options, deploy, "upgrade --attempts 1", cause).master.stop();
}

#[test]
fn a_deploy_whose_workers_are_stopped() {
    let options = ["--ack-timeout", "2", "-t", "0.2"];
    let deploy = |site: &Site| site.deploy("2", "kill -STOP $$");
    let cause = "no acknowledgement within 2 s";
    check(&options, deploy, "upgrade --attempts 1", cause).master.stop();
}

/// What has left its worker's process is nobody's to stop; the upgrade fails all the same.
#[test]
fn a_deploy_that_forks_away() {
    let deploy = |site: &Site| site.deploy("2", "sleep 1000000 & exit 0");
    check(&[], deploy, "upgrade --attempts 1", "status 0");
}

#[test]
fn a_deploy_for_another_architecture() {
    // A 64-bit program for a machine that was never built.
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend([2, 0, 0xfe, 0xca, 1, 0, 0, 0]);
    header.resize(4096, 0);
    let deploy = |site: &Site| site.deploy_bytes("2", &header);
    check(&[], deploy, "upgrade --attempts 1", "status 126").master.stop();
}

#[test]
fn a_deploy_that_takes_too_long() {
    let deploy = |site: &Site| site.deploy("2", "exec sleep 1000000");
    check(&[], deploy, "upgrade --timeout 0.5", "it took longer than 0.5 s").master.stop();
}

#[test]
fn a_deploy_that_acknowledges_and_dies_two_seconds_later() {
    let words: Vec<String> = told(&["ack-for"]).iter().map(|word| format!("'{word}'")).collect();
    let body = format!("{}=$$; sleep 2; exit 7", words.join(" "));
    let deploy = |site: &Site| site.deploy("2", &body);
    check(&[], deploy, "upgrade --soak 5 --attempts 1", "status 7").master.stop();
}

/// It serves after its acknowledgement, and dies while the others soak.
#[test]
fn a_deploy_that_acknowledges_and_dies() {
    let site = Site::start(&[], &good("1"));
    let before = pids(&site.master.status());
    let gate = site.master.folder.gate("gate");
    let (load, watch) = (Load::start(site.port), site.watch());
    let dies =
        told_in_shell(&["ack", &format!("await={}", site.master.folder.word("gate")), "exit=7"]);
    site.deploy("2", &dies);
    let mut client = site.master.client();
    let args = ["--soak", "600", "--attempts", "1"];
    client.send_json(&json!({"command": "upgrade", "id": 1, "args": args}));
    site.master.wait_for("one that soaks", |status| {
        status["upgrade"]["phase"] == "canary" && status["upgrade"]["soaking"] == 1
    });
    let _open = gate.open();
    let last = client.replies().pop().unwrap();
    assert_eq!(last["error"], "rolled_back", "{last}");
    let result = &last["result"];
    assert_eq!((&result["outcome"], &result["from_version"]), (&json!("rolled_back"), &json!(0)));
    assert_eq!(
        (&result["to_version"], &result["worker"]["reason"]),
        (&json!(1), &json!("status 7"))
    );
    assert!(result["worker"]["pid"].is_i64() && result["seconds"].is_f64(), "{last}");
    let accepted = after_rollback(&site, &before, &watch);
    watch.finish();
    load.finish_but(&["1"], accepted);
    commits(&site, "3");
}

#[test]
fn an_old_worker_that_dies_meanwhile_is_replaced_by_its_like() {
    let site = Site::start(&["--ack-timeout", "0"], &good("1"));
    let before = pids(&site.master.status());
    site.deploy("2", "exec sleep 1000000");
    // The old release is where its workers left it, under whatever name.
    let folder = &site.master.folder;
    std::fs::rename(folder.join("1"), folder.join("elsewhere")).unwrap();
    let mut client = site.master.begin("upgrade");
    site.master.wait_for("a canary", |status| workers(status).len() == TARGET + 1);
    for pid in &before {
        send(*pid, Signal::KILL);
        site.master.wait_for("its like", |status| {
            let up = workers(status).iter().filter(|worker| worker["stage"] == "up, old").count();
            up == TARGET && !pids(status).contains(pid)
        });
    }
    site.answers("1");
    assert_eq!(site.shell("abort").status, 0);
    let last = client.replies().pop().unwrap();
    assert_eq!(
        (&last["error"], &last["result"]["outcome"]),
        (&json!("aborted"), &json!("aborted"))
    );
    site.master.wait_for_up(TARGET);
    site.answers("1");
}

#[test]
fn a_fleet_upgrade_that_fails_leaves_the_old_fleet() {
    let site = Site::start(&[], &good("1"));
    let before = pids(&site.master.status());
    let load = Load::start(site.port);
    site.deploy("2", "exit 3");
    let told = site.shell("upgrade_fleet --attempts 3");
    assert_eq!(told.status, 3, "{}", told.all);
    assert!(told.last.contains("status 3"), "{}", told.last);
    // A fleet is a whole set more.
    let bounds = Bounds { target: TARGET, most: 2 * TARGET, others: 0 };
    let watch = Watch::within(site.master.socket.clone(), site.master.pid(), bounds);
    let accepted = after_rollback(&site, &before, &watch);
    watch.finish();
    load.finish_but(&["1"], accepted);
    let load = Load::start(site.port);
    site.deploy("3", &good("3"));
    assert_eq!(site.shell("upgrade_fleet").status, 0);
    site.master.wait_for_up(TARGET);
    site.answers("3");
    load.finish(&["1", "3"]);
}

#[test]
fn a_storm_of_hups_ends_with_the_new_version() {
    let site = Site::start(&[], &good("1"));
    let (load, watch) = (Load::start(site.port), site.watch());
    site.deploy("2", &good("2"));
    let old = pids(&site.master.status());
    for _ in 0..50 {
        site.master.signal(Signal::HUP);
    }
    site.master.wait_for("the upgrade's end", |status| {
        status["upgrade"].is_null()
            && status["checking"] == false
            && pids(status).len() == TARGET
            && !pids(status).iter().any(|pid| old.contains(pid))
            && workers(status).iter().all(|worker| worker["stage"] == "up")
    });
    site.answers("2");
    watch.finish();
    load.finish(&["1", "2"]);
    site.master.stop();
}

#[test]
fn a_reload_in_the_middle_of_a_rollback() {
    let site = Site::start(&["-t", "600"], &good("1"));
    let before = pids(&site.master.status());
    let (load, watch) = (Load::start(site.port), site.watch());
    // It stays although it is asked to go, so that the rollback waits for it.
    site.deploy("2", &format!("trap '' USR2; {}", told_in_shell(&["ack", "hang"])));
    let mut client = site.master.client();
    client.send_json(&json!({"command": "upgrade", "id": 1, "args": ["--soak", "600"]}));
    site.master.wait_for("one that soaks", |status| status["upgrade"]["soaking"] == 1);
    assert_eq!(site.shell("abort").status, 0);
    let status =
        site.master.wait_for("the rollback", |status| status["upgrade"]["phase"] == "rollback");
    assert_eq!(site.shell("reload").status, 0);
    let newcomer = pids(&status).into_iter().find(|pid| !before.contains(pid)).unwrap();
    send(newcomer, Signal::KILL);
    let last = client.replies().pop().unwrap();
    assert_eq!(
        (&last["error"], &last["result"]["outcome"]),
        (&json!("aborted"), &json!("aborted"))
    );
    let status = site.master.status();
    assert_eq!((&status["generation"], &status["version"]), (&json!(2), &json!(0)));
    let accepted = after_rollback(&site, &before, &watch);
    watch.finish();
    load.finish_but(&["1"], accepted);
}

#[test]
fn a_newer_upgrade_supersedes_one_that_hangs() {
    let site = Site::start(&["--ack-timeout", "0"], &good("1"));
    let (load, watch) = (Load::start(site.port), site.watch());
    site.deploy("2", "exec sleep 1000000");
    let mut first = site.master.begin("upgrade");
    site.master.wait_for("a canary", |status| workers(status).len() == TARGET + 1);
    site.deploy("3", &good("3"));
    let told = site.shell("upgrade");
    assert_eq!(told.status, 0, "{}", told.all);
    let last = first.replies().pop().unwrap();
    assert_eq!(last["error"], "superseded", "{last}");
    site.master.wait_for_up(TARGET);
    site.answers("3");
    watch.finish();
    load.finish(&["1", "3"]);
}

#[test]
fn a_deploy_that_exits_at_random_is_committed_while_attempts_last() {
    let site = Site::start(&[], &good("1"));
    site.master.folder.write("starts", "1");
    let starts = site.master.folder.word("starts");
    let (load, watch) = (Load::start(site.port), site.watch());
    // Every other start fails.
    let count =
        format!("read n < {starts}; echo $((n + 1)) > {starts}.$$; mv {starts}.$$ {starts}");
    site.deploy("2", &format!("{count}; test $((n % 2)) = 0 && exit 3; {}", good("2")));
    let told = site.shell("upgrade --attempts 0");
    assert_eq!(told.status, 0, "{}", told.all);
    assert!(told.all.contains("status 3"), "{}", told.all);
    site.master.wait_for_up(TARGET);
    site.answers("2");
    watch.finish();
    load.finish(&["1", "2"]);
}

/// Nothing can be written any more, not even the state.
#[test]
fn a_disk_that_is_full() {
    let site = Site::start(&[], &good("1"));
    let before = pids(&site.master.status());
    let limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Pid::from_raw(site.master.pid()), Resource::Fsize, limit).unwrap();
    };
    let (load, watch) = (Load::start(site.port), site.watch());
    site.deploy("2", &good("2"));
    limit(Some(0));
    let told = site.shell("upgrade");
    assert_eq!(told.status, 2, "{}", told.all);
    assert!(told.last.contains("cannot keep the state in memory"), "{}", told.last);
    assert_eq!(pids(&site.master.wait_for_up(TARGET)), before);
    site.answers("1");
    watch.finish();
    load.finish(&["1"]);
    limit(None);
    commits(&site, "3");
}

#[test]
fn a_single_worker_is_replaced_without_a_gap() {
    let folder = Folder::new();
    release(&folder, "1", &good("1"));
    point(&folder, "1");
    let current = folder.word("current");
    let options = ["-b", "127.0.0.1:0", "-m", "manual", "-s", "0.01", "--chdir", &current];
    let options: Vec<&str> = options.into_iter().chain(["--max-upgrade-additional", "1"]).collect();
    let master = Launch::within(folder, &options, &["./run"]).start();
    let port = master.wait_for_up(1)["listeners"][0]["port"].as_u64().unwrap();
    let load = Load::start(port.try_into().unwrap());
    let watch = Watch::start(master.socket.clone(), master.pid(), 1, 2);
    release(&master.folder, "2", "exit 3");
    point(&master.folder, "2");
    assert_eq!(master.upgrade("upgrade").pop().unwrap()["error"], "rolled_back");
    release(&master.folder, "3", &good("3"));
    point(&master.folder, "3");
    assert!(master.upgrade("upgrade").pop().unwrap()["error"].is_null());
    master.wait_for_up(1);
    watch.finish();
    assert_eq!(request(port.try_into().unwrap()).unwrap(), "3");
    load.finish(&["1", "3"]);
}

/// As the Ruby master's own shell asks: escaped YAML, and the last reply has no `wait`.
fn yaml_upgrade(client: &mut Client) -> String {
    ask_for_upgrade(client);
    last_yaml_reply(client)
}

fn ask_for_upgrade(client: &mut Client) {
    client.send("---%0Acommand: upgrade%0Aargs: []%0Aid: '7'%0A\n");
}

fn last_yaml_reply(client: &mut Client) -> String {
    loop {
        let reply = client.yaml_reply();
        assert!(
            reply.contains("request_id: '7'") || reply.contains("request_id: \"7\""),
            "{reply}"
        );
        if !reply.contains("wait: true") {
            return reply;
        }
    }
}

#[test]
fn who_speaks_yaml_gets_a_last_reply_to_each_end() {
    let site = Site::start(&["--upgrade-attempts", "1"], &good("1"));
    site.deploy("2", "exit 3");
    let reply = yaml_upgrade(&mut site.master.client());
    assert!(reply.contains("rolled back") && reply.contains("status 3"), "{reply}");
    std::fs::remove_file(site.master.folder.join("2/run")).unwrap();
    let reply = yaml_upgrade(&mut site.master.client());
    assert!(reply.contains("upgrade failed") && reply.contains("no such file"), "{reply}");
    site.deploy("2", "exec sleep 1000000");
    let [mut first, mut second] = [site.master.client(), site.master.client()];
    for client in [&mut first, &mut second] {
        ask_for_upgrade(client);
        site.master.wait_for("a canary", |status| status["upgrade"]["phase"] == "canary");
    }
    let reply = last_yaml_reply(&mut first);
    assert!(reply.contains("superseded"), "{reply}");
    assert_eq!(site.shell("abort").status, 0);
    let reply = last_yaml_reply(&mut second);
    assert!(reply.contains("aborted"), "{reply}");
    site.deploy("3", &good("3"));
    let reply = yaml_upgrade(&mut site.master.client());
    assert!(reply.contains("committed"), "{reply}");
}
