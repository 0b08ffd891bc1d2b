//! Variations of a recorded state, field by field: of older masters and newer ones, with what
//! nobody expects, and with descriptors that are not what they are said to be.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use einhorn_master::psych::Value;
use serde_json::{Value as Json, json};

use crate::stand_in::{
    self, MANUAL, Process, edited, follow, number_in, numbers_in, ports_in, without_upgrade,
    yaml_request,
};
use crate::support::process::{descriptors, environment};
use crate::support::{EINHORN, Folder, IDLE, pids, worker_of, workers};

/// Hands `dump` over and checks what must hold always: one process, its two workers.
#[track_caller]
fn taken_over(dump: &str) -> (Process, Json) {
    let process = stand_in::replaying(dump, &IDLE);
    let told = process.told("replays");
    process.go();
    let status = process.master.status();
    let mut found = pids(&status);
    found.sort_unstable();
    let mut expected = numbers_in(&told["workers"]);
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(status["pid"], process.master.pid());
    process.had_no_complaints();
    (process, told)
}

fn idle() -> String {
    without_upgrade(MANUAL)
}

/// Without entries, by the beginnings of their lines, and without what is below them.
fn without(dump: &str, entries: &[&str]) -> String {
    let mut kept = String::new();
    let mut below = None;
    for line in dump.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        let is_below = |outer| depth > outer || (depth == outer && text.starts_with("- "));
        if below.is_some_and(is_below) {
            continue;
        }
        below = entries.iter().any(|entry| text.starts_with(entry)).then_some(depth);
        if below.is_none() {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

#[track_caller]
fn worker(process: &Process, told: &Json, recorded: &str) -> Json {
    worker_of(&process.master.status(), number_in(&told["workers"][recorded])).clone()
}

#[test]
fn the_newest_way_to_write_a_set() {
    let asked =
        "!ruby/set\n        USR2: true\n      :last_signaled_at: 2026-11-23 10:18:46 +00:00\n";
    let old = "!ruby/object:Set\n        hash: {}\n      :last_signaled_at:\n";
    let dump = idle().replacen(old, asked, 1);
    let dump = edited(&dump, &[("!ruby/object:Set\n        hash: {}", "!ruby/set {}")]);
    let (process, told) = taken_over(&dump);
    assert_eq!(worker(&process, &told, "4566")["signaled"], json!(["USR2"]));
    assert_eq!(worker(&process, &told, "4567")["signaled"], json!([]));
}

#[test]
fn the_older_way_to_write_a_time() {
    let (process, told) = taken_over(&edited(&idle(), &[(" +00:00", " Z")]));
    let state = process.master.state();
    assert!(state.contains(".520615809 Z\n") && state.contains(".594114287 Z\n"), "{state}");
    assert_eq!(worker(&process, &told, "4566")["ping_request_id"], "req-1 50% done");
}

#[test]
fn a_state_of_the_line_before_1_0() {
    let later = [
        ":index:",
        ":last_signaled_at:",
        ":pinged",
        ":command_socket_as_fd:",
        ":kill_children_on_exit:",
        ":drop_environment_variables:",
        ":signal_timeout:",
        ":preloaded:",
        ":generation:",
        ":nice:",
        ":last_upgraded:",
        ":versions:",
        ":subscriptions:",
    ];
    let (process, told) = taken_over(&without(&idle(), &later));
    let mut indexes =
        ["4566", "4567"].map(|recorded| worker(&process, &told, recorded)["index"].clone());
    indexes.sort_by_key(Json::as_u64);
    assert_eq!(indexes, [json!(0), json!(1)]);
    // The next one is told an index that nobody has.
    process.master.command("inc", &[]);
    process.master.wait_for("one more", |status| pids(status).len() == 3);
    let newest = *process.master.running().last().unwrap();
    assert_eq!(environment(newest)["EINHORN_CHILD_INDEX"], "2");
}

#[test]
fn nothing_but_descriptors_children_and_the_command() {
    let needed = [":children:", ":bind_fds:", ":cmd:", ":socket_path:"];
    let state: Vec<&str> = MANUAL
        .lines()
        .take_while(|line| !line.starts_with(":persistent"))
        .filter_map(|line| line.strip_prefix("  :"))
        .filter_map(|line| line.split_inclusive(':').next())
        .collect();
    let others: Vec<String> = state
        .into_iter()
        .map(|key| format!(":{key}"))
        .filter(|key| !needed.contains(&key.as_str()) && !key.starts_with(":version:"))
        .collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let of_workers = [":signaled:", ":index:", ":spinup_time:", ":pinged", ":last_signaled"];
    let dump = without(&without(MANUAL, &others), &of_workers);
    let (process, _) = taken_over(&dump);
    // A state that does not say how many there should be retires nobody.
    let status = process.master.status();
    assert_eq!(status["target"], 2, "{status}");
    assert!(workers(&status).iter().all(|worker| worker["stage"] == "up"));
    assert_eq!(status["listeners"].as_array().unwrap().len(), 2);
    process.master.wait_for_line("number is missing");
}

#[test]
fn only_some_workers_have_an_index() {
    // The first has none, and the second has the one that would be the first free one.
    let dump = edited(&idle().replacen("      :index: 0\n", "", 1), &[(":index: 1", ":index: 0")]);
    let (process, told) = taken_over(&dump);
    assert_eq!(worker(&process, &told, "4566")["index"], 1);
    assert_eq!(worker(&process, &told, "4567")["index"], 0);
}

#[test]
fn an_index_of_billions() {
    let (process, told) = taken_over(&edited(&idle(), &[(":index: 1", ":index: 4294967295")]));
    assert_eq!(worker(&process, &told, "4567")["index"], 1);
}

#[test]
fn keys_that_nobody_knows() {
    let dump = edited(
        &idle(),
        &[
            ("  :config:\n", "  :colour: blue\n  :config:\n    :speed: [1, {a: b}]\n"),
            ("      :index: 0\n", "      :index: 0\n      :mood: good\n"),
            ("  :socket: 11\n", "  :socket: 11\n  :since: 2026-01-01 00:00:00 Z\n"),
            (":persistent_descriptors:\n", ":other_part: 1\n:persistent_descriptors:\n"),
            (
                "- :class: Einhorn::Event::CommandServer",
                "- :class: Einhorn::Event::Telegraph\n- :class: Einhorn::Event::CommandServer",
            ),
        ],
    );
    let (process, _) = taken_over(&dump);
    for key in [":colour", ":speed", ":mood", ":since", ":other_part", "Telegraph"] {
        process.master.wait_for_line(key);
    }
}

#[test]
fn aliases_wherever_there_may_be_some() {
    let set = "!ruby/object:Set\n        hash: {}";
    let dump = idle().replacen(set, &format!("&7 {set}"), 1).replacen(
        "!ruby/object:Set\n        hash: {}\n      :last_signaled_at:\n      :index: 1",
        "*7\n      :last_signaled_at:\n      :index: 1",
        1,
    );
    let flags = ("    - 0\n    - []\n  - - 127.0.0.1", "    - 0\n    - &8 []\n  - - 127.0.0.1");
    let dump = edited(
        &dump,
        &[
            ("&1 2026", "&time 2026"),
            ("*1", "*time"),
            flags,
            ("  :bound_ports:", "  :unknown: *8\n  :bound_ports:"),
            ("- - 127.0.0.1\n    - 0\n    - &8", "- - &host 127.0.0.1\n    - 0\n    - &8"),
            ("- - 127.0.0.1\n", "- - *host\n"),
            ("  :last_upgraded:\n", "  :last_upgraded: *time\n"),
        ],
    );
    let (process, told) = taken_over(&dump);
    assert_eq!(worker(&process, &told, "4567")["signaled"], json!([]));
    assert!(!process.master.state().contains(":last_upgraded:\n"));
}

#[test]
fn names_that_are_no_text() {
    let dump = edited(&idle(), &[(":cmd_name: vec", ":cmd_name: !binary |-\n    dv8=")]);
    let name = OsString::from_vec(b"name\xff\xfe".to_vec());
    let program: [OsString; 4] =
        ["sh".into(), "-c".into(), "exec sleep 1000000".into(), name.clone()];
    let process = stand_in::replaying(&dump, &program);
    let old = numbers_in(&process.told("replays")["workers"]);
    process.go();
    process.master.command("inc", &[]);
    let status = process.master.wait_for("one more", |status| pids(status).len() == 3);
    let newest = pids(&status).into_iter().find(|pid| !old.contains(pid)).unwrap();
    // Its shell has the name as $0 until it becomes something else.
    process.master.wait_until("it runs", || {
        let words = std::fs::read(format!("/proc/{newest}/cmdline")).ok()?;
        let is_sleep = words.starts_with(b"sleep\0");
        assert!(
            is_sleep
                || words.ends_with(b"name\xff\xfe\0")
                || words.is_empty()
                || words.starts_with(b"einhorn")
        );
        is_sleep.then_some(())
    });
    assert!(process.master.state().contains("!binary"), "{}", process.master.state());
}

/// Says that it runs preloaded, and with which arguments.
const APP: &str = "def einhorn_main\n  trap('USR2') { exit }\n  \
                   warn \"#{Process.pid} is preloaded, #{ARGV}\"\n  sleep\nend\n";

#[test]
fn a_preloading_master() {
    let folder = Folder::new();
    let app = folder.write("app.rb", APP);
    let dump = edited(
        &idle(),
        &[
            (":preloaded: false", ":preloaded: true"),
            ("  :path:\n", &format!("  :path: {}\n", app.display())),
            (":type: :manual", ":type: :timer\n    :timeout: 0"),
            (":seconds: 1", ":seconds: 0.01"),
        ],
    );
    let process = stand_in::replaying_in(folder, &dump, &IDLE);
    let told = process.told("replays");
    process.go();
    // Ours has no code loaded by then, so it loads it for those that come.
    let mut client = process.master.client();
    client.send(yaml_request("upgrade", "u"));
    assert_eq!(follow(&mut client, &"u".into()).error, None);
    let status = process.master.wait_for_up(2);
    for pid in pids(&status) {
        let line = process.master.wait_for_line(&format!("{pid} is preloaded"));
        assert!(line.ends_with("[\"1000000\"]"), "{line}");
    }
    // Into another master cross the workers, and not what they were forked from.
    process.next_is_ruby();
    process.master.command("reload", &[]);
    assert_eq!(numbers_in(&process.told("took over")["workers"]), pids(&status));
    assert_eq!(process.listening(&told).len(), 3);
    process.had_no_complaints();
}

#[test]
fn acknowledged_by_any_length_of_timer() {
    for (timeout, stage) in
        [("0", "up"), ("0.0", "up"), ("3600", "starting"), ("999.5", "starting")]
    {
        let mode = format!(":type: :timer\n    :timeout: {timeout}");
        let dump = edited(
            &idle(),
            &[("    :type: :manual", &format!("    {mode}")), (":acked: true", ":acked: false")],
        );
        let process = stand_in::replaying(&dump, &IDLE);
        process.go();
        process.master.wait_for(stage, |status| {
            workers(status).len() == 2
                && workers(status).iter().all(|worker| worker["stage"] == stage)
        });
    }
}

#[test]
fn a_command_that_was_not_looked_up() {
    let process = stand_in::replaying(&idle(), &["sleep", "1000000"]);
    process.go();
    assert!(!process.master.state().contains(":cmd:\n- sleep\n"));
    process.master.command("inc", &[]);
    process.master.wait_for("one more", |status| pids(status).len() == 3);
    process.master.running();
}

#[test]
fn a_program_that_is_gone() {
    let folder = Folder::new();
    let program = folder.script("program", "exec sleep 1000000");
    let process = stand_in::replaying_in(folder, MANUAL, &[&program]);
    let workers = numbers_in(&process.told("replays")["workers"]);
    let mut subscriber = process.recorded_client(1);
    // A shell opens its script by name.
    for pid in &workers {
        process.master.wait_until("it runs", || {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (name == "sleep\n").then_some(())
        });
    }
    std::fs::remove_file(&program).unwrap();
    process.go();
    let last = follow(&mut subscriber, &Value::Integer(9));
    assert_eq!(last.error.as_deref(), Some("reload_failed"), "{last:?}");
    assert!(last.message.contains("program"), "{last:?}");
    let status = process.master.status();
    assert_eq!((pids(&status).len(), &status["version"]), (2, &json!(0)));
    assert!(workers.iter().all(|pid| pids(&status).contains(pid)));
}

#[test]
fn a_master_that_is_leaving() {
    let dump = edited(MANUAL, &[(":respawn: true", ":respawn: false")]);
    let mut process = stand_in::replaying(&dump, &IDLE);
    let workers = numbers_in(&process.told("replays")["workers"]);
    let mut subscriber = process.recorded_client(1);
    process.go();
    let last = follow(&mut subscriber, &Value::Integer(9));
    assert_eq!(last.error.as_deref(), Some("shutting_down"), "{last:?}");
    for pid in workers {
        crate::support::Process::of(pid).signal(rustix::process::Signal::KILL);
    }
    assert_eq!(process.master.wait(), 0);
    assert_eq!(process.master.folder.names(), ["dump", "next", "stdout"]);
}

#[test]
fn a_socket_that_stands_in_the_list_twice() {
    let dump = edited(&idle(), &[("  - 7\n  - 9\n", "  - 7\n  - 7\n")]);
    let (process, told) = taken_over(&dump);
    let status = process.master.status();
    let listeners = status["listeners"].as_array().unwrap();
    let port = ports_in(&told)[0];
    assert!(listeners.len() == 2 && listeners.iter().all(|one| one["port"] == port), "{status}");
    // A worker has the same socket under both numbers.
    process.master.command("inc", &[]);
    process.master.wait_for("one more", |status| pids(status).len() == 3);
    let newest = *process.master.running().last().unwrap();
    let own = environment(newest);
    let open = descriptors(newest);
    let [first, second] = ["0", "1"].map(|n| own[&format!("EINHORN_FD_{n}")].parse().unwrap());
    assert!(first != second && open[&first] == open[&second], "{open:?}");
}

#[test]
fn descriptors_that_are_something_else() {
    // A socket and the command socket under numbers that nobody has, a client that is standard
    // output, and one that is a bound socket.
    let dump = edited(
        &idle(),
        &[
            ("  - 7\n  - 9\n", "  - 991\n  - 9\n"),
            (":server: 8", ":server: 992"),
            (":socket: 11", ":socket: 1"),
            (":socket: 12", ":socket: 9"),
        ],
    );
    let (process, told) = taken_over(&dump);
    for number in [991, 992, 1, numbers_in(&told["bind_fds"])[1]] {
        process.master.wait_for_line(&format!("descriptor {number}"));
    }
    // Both are found by what they are, so that nothing is lost but the clients.
    let status = process.master.status();
    let listeners = status["listeners"].as_array().unwrap().iter();
    let numbers = |key: &str| -> Vec<i32> {
        listeners.clone().map(|listener| number_in(&listener[key])).collect()
    };
    assert_eq!(numbers("fd"), numbers_in(&told["bind_fds"]));
    let ports: Vec<i32> = ports_in(&told).into_iter().map(i32::from).collect();
    assert_eq!(numbers("port"), ports);
    assert_eq!(process.listening(&told).len(), 3);
}

/// A process that is somebody else's, and what it is in a state.
struct Stranger(std::process::Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_that_is_somebody_elses_process() {
    let mut stranger =
        Stranger(std::process::Command::new("sleep").arg("1000000").spawn().unwrap());
    let pid = stranger.0.id();
    let entry = format!(
        "    {pid}:\n      :type: :worker\n      :version: 0\n      :acked: true\n      \
         :signaled: !ruby/object:Set\n        hash: {{}}\n      :last_signaled_at:\n      \
         :index: 7\n      :pinged_request_id: not a child\n    4609:\n"
    );
    let (process, _) = taken_over(&edited(&idle(), &[("    4609:\n", &entry)]));
    process.master.wait_for_line(&format!("worker {pid} of the state is no more"));
    process.master.command("die", &["KILL"]);
    let mut process = process;
    assert_eq!(process.master.wait(), 0);
    assert!(stranger.0.try_wait().unwrap().is_none(), "it was signalled");
}

#[test]
fn a_worker_that_ends_in_between() {
    let dump = edited(&idle(), &[(":seconds: 1", ":seconds: 0.01")]);
    let process = stand_in::replaying(&dump, &IDLE);
    let victim = number_in(&process.told("replays")["workers"]["4567"]);
    // It is gone, unreaped, before the next image has begun.
    process.next_is_script(&format!(
        "case $1 in --with-state-fd) kill -9 {victim};; esac; exec {EINHORN} \"$@\""
    ));
    process.go();
    let status = process.master.wait_for("a replacement", |status| {
        pids(status).len() == 2 && !pids(status).contains(&victim)
    });
    assert_eq!(status["target"], 2);
}
