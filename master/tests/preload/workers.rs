//! What a forked worker finds: the same as one that was started by exec.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::json;

use crate::language::{Language, children_of, in_each_language, preloader_of, report_of};
use crate::support::process::{Process, descriptors, send};
use crate::support::{Folder, Launch};

in_each_language! {
    workers_are_children_of_the_master_and_lead_their_groups,
    the_environment_is_that_of_the_protocol,
    a_worker_has_its_sockets_and_nothing_else,
    a_preloader_holds_no_socket_when_it_has_forked,
    arguments_are_those_of_the_program,
    what_main_returns_or_exits_with_is_the_status,
    random_numbers_differ,
    garbage_is_collected_if_asked_for,
    a_nice_level_holds,
    workers_are_asked_to_stop_when_the_master_is_killed,
    they_are_started_one_after_the_other_and_all_at_once,
    each_way_of_saying_that_it_is_up_holds,
    a_list_of_processes_shows_workers_as_the_masters_children,
}

/// Reports, and waits for SIGUSR2.
fn reporting(language: Language) -> String {
    let main = language.choose("wait { report; ack }", "wait(lambda: (report(), ack()))");
    language.code("1", "", main)
}

fn workers_are_children_of_the_master_and_lead_their_groups(language: Language) {
    let master = language.start(&reporting(language), &["-n", "3", "-m", "manual"]);
    let status = master.wait_for_up(3);
    let pids: BTreeSet<i32> = crate::support::pids(&status).into_iter().collect();
    let preloader = preloader_of(&master);
    let children: BTreeSet<i32> = children_of(master.pid()).into_iter().collect();
    assert_eq!(children, pids.iter().copied().chain([preloader]).collect());
    for &pid in &pids {
        let report = report_of(&master, pid);
        assert_eq!(report["parent"], json!(master.pid()));
        assert_eq!(report["group"], json!(pid));
        assert_eq!(report["blocked"], "0000000000000000");
        assert_eq!(children_of(pid), [0_i32; 0]);
    }
    assert_eq!(children_of(preloader), [0_i32; 0]);
    master.stop();
}

fn the_environment_is_that_of_the_protocol(language: Language) {
    let options = ["-n", "2", "-m", "manual", "-g", "-b", "127.0.0.1:0", "-b", "[::1]:0"];
    let master = language.start(&reporting(language), &options);
    let status = master.wait_for_up(2);
    for (index, pid) in crate::support::pids(&status).into_iter().enumerate() {
        let mut found = report_of(&master, pid)["environment"].clone();
        let fd = |name: &str| found[name].as_str().unwrap().to_owned();
        let (first, second) = (fd("EINHORN_FD_0"), fd("EINHORN_FD_1"));
        let numbers: BTreeSet<String> =
            [&first, &second, &fd("EINHORN_SOCK_FD")].into_iter().cloned().collect();
        assert_eq!(numbers.len(), 3, "{found}");
        assert_eq!(found["EINHORN_FDS"], format!("{first} {second}"));
        for name in ["EINHORN_FD_0", "EINHORN_FD_1", "EINHORN_SOCK_FD", "EINHORN_FDS"] {
            found.as_object_mut().unwrap().remove(name);
        }
        let expected = json!({
            "EINHORN_MASTER_PID": master.pid().to_string(),
            "EINHORN_SOCK_PATH": master.socket.to_str().unwrap(),
            "EINHORN_FD_COUNT": "2",
            "EINHORN_FD_FAMILY_0": "AF_INET",
            "EINHORN_FD_FAMILY_1": "AF_INET6",
            "EINHORN_CHILD_INDEX": index.to_string(),
        });
        assert_eq!(found, expected);
    }
}

fn a_worker_has_its_sockets_and_nothing_else(language: Language) {
    let options = ["-n", "2", "-m", "1000", "-g", "-b", "127.0.0.1:0"];
    // Without anything of its own open.
    let main = language.choose("report; sleep", "report(); signal.pause()");
    let master = language.start(&language.code("1", "", main), &options);
    master.wait_for("two workers", |status| crate::support::pids(status).len() == 2);
    for pid in master.pids() {
        let environment = report_of(&master, pid)["environment"].clone();
        let mut expected: BTreeSet<i32> = [0, 1, 2].into();
        for name in ["EINHORN_FD_0", "EINHORN_SOCK_FD"] {
            expected.insert(environment[name].as_str().unwrap().parse().unwrap());
        }
        // What an interpreter opens for itself is no file, socket or pipe.
        let mut open = descriptors(pid);
        open.retain(|_, what| !what.starts_with("anon_inode:"));
        let numbers: BTreeSet<i32> = open.keys().copied().collect();
        assert_eq!(numbers, expected, "{open:?}");
    }
}

fn a_preloader_holds_no_socket_when_it_has_forked(language: Language) {
    let options = ["-n", "3", "-m", "manual", "-g", "-b", "127.0.0.1:0"];
    let master = language.start(&reporting(language), &options);
    master.wait_for_up(3);
    let preloader = preloader_of(&master);
    master.wait_until("its channel, and nothing else", || {
        let mut open = descriptors(preloader);
        open.retain(|number, what| *number > 2 && !what.starts_with("anon_inode:"));
        (open.len() == 1 && open.values().all(|what| what.starts_with("socket:"))).then_some(())
    });
}

fn arguments_are_those_of_the_program(language: Language) {
    let code = reporting(language);
    let option = language.choose("-W0", "-u");
    let cases: [(&[&str], &[&str]); 3] = [
        (&[language.interpreter(), option, "APP", "a b", "--c"], &["a b", "--c"]),
        (&[language.interpreter(), "other-file", "APP"], &["APP"]),
        (&["sleep", "100", "APP"], &["100", "APP"]),
    ];
    for (program, expected) in cases {
        let folder = Folder::new();
        let path = folder.write(language.file(), &code).to_str().unwrap().to_owned();
        let word = |word: &&str| if *word == "APP" { path.clone() } else { (*word).to_owned() };
        let program: Vec<String> = program.iter().map(word).collect();
        let master = Launch::within(folder, &["-p", &path, "-m", "manual"], &program).start();
        master.wait_for_up(1);
        let expected: Vec<String> = expected.iter().map(word).collect();
        assert_eq!(report_of(&master, master.only_pid())["argv"], json!(expected));
    }
}

fn what_main_returns_or_exits_with_is_the_status(language: Language) {
    let cases = [
        ("3", "return 3", "status 3"),
        ("nothing", language.choose("nil", "return None"), "status 0"),
        ("text", "return 'text'", "status 0"),
        ("exit", language.choose("exit 4", "sys.exit(4)"), "status 4"),
        ("at once", language.choose("exit! 5", "os._exit(5)"), "status 5"),
        ("error", language.choose("raise 'x' + 'y'", "raise ValueError('x' + 'y')"), "status 1"),
        (
            "signal",
            language.choose("Process.kill('TERM', $$); sleep", "os.kill(os.getpid(), 15)"),
            "killed by SIGTERM",
        ),
    ];
    for (name, main, expected) in cases {
        let master = language.start(&language.code("1", "", main), &["-s", "30"]);
        let line = master.wait_for_line("exited before it was acknowledged");
        assert!(line.contains(expected), "{name}: {line}");
        if name == "error" {
            // The traceback is about the code alone.
            let log = master.log.text();
            assert!(log.contains("xy"), "{log}");
            assert!(log.contains(language.file()), "{log}");
            assert!(!log.contains("/proc/self/fd"), "{log}");
        }
    }
}

fn random_numbers_differ(language: Language) {
    let main = reporting(language);
    let master = language.start(&main, &["-n", "4", "-m", "manual"]);
    let status = master.wait_for_up(4);
    let numbers: BTreeSet<String> = crate::support::pids(&status)
        .into_iter()
        .map(|pid| report_of(&master, pid)["random"].to_string())
        .collect();
    assert_eq!(numbers.len(), 4, "{numbers:?}");
}

fn garbage_is_collected_if_asked_for(language: Language) {
    let collected = |options: &[&str]| {
        let options: Vec<&str> = ["-m", "manual"].iter().chain(options).copied().collect();
        let master = language.start(&reporting(language), &options);
        master.wait_for_up(1);
        report_of(&master, master.only_pid())["collected"].as_u64().unwrap()
    };
    assert!(collected(&["--gc-before-fork"]) > collected(&[]));
}

fn a_nice_level_holds(language: Language) {
    let options = ["-m", "manual", "--nice", "0:7"];
    let master = language.start(&reporting(language), &options);
    master.wait_for_up(1);
    assert_eq!(report_of(&master, master.only_pid())["nice"], 7);
}

fn workers_are_asked_to_stop_when_the_master_is_killed(language: Language) {
    let top = language.choose(
        "at_exit { File.write(\"#{ENV['TMPDIR']}/asked\", '') if ENV['EINHORN_MASTER_PID'] }",
        "import atexit\natexit.register(lambda: open(os.environ['TMPDIR'] + '/asked', 'w'))",
    );
    let main = language.choose("wait { ack }", "wait(ack)");
    let master = language.start(&language.code("1", top, main), &["-k", "-m", "manual"]);
    master.wait_for_up(1);
    let processes = [master.only_pid(), preloader_of(&master)].map(Process::of);
    assert!(!master.folder.join("asked").exists());
    send(master.pid(), Signal::KILL);
    processes.iter().for_each(Process::wait);
    // It went the way of SIGUSR2, not that of a signal that kills.
    assert!(master.folder.join("asked").exists());
}

fn they_are_started_one_after_the_other_and_all_at_once(language: Language) {
    let master = language.start(&reporting(language), &["-n", "1", "-m", "manual"]);
    master.wait_for_up(1);
    master.command("set_workers", &["30"]);
    master.command("config", &["{seconds: 0.01, max_unacked: 100}"]);
    let status = master.wait_for_up(30);
    let indexes: BTreeSet<u64> = crate::support::workers(&status)
        .iter()
        .map(|worker| worker["index"].as_u64().unwrap())
        .collect();
    assert_eq!(indexes, (0..30).collect());
    master.stop();
}

/// `ps` shows the workers below the master.
fn a_list_of_processes_shows_workers_as_the_masters_children(language: Language) {
    let master = language.start(&reporting(language), &["-n", "2", "-m", "manual"]);
    master.wait_for_up(2);
    let pid = master.pid().to_string();
    let output = std::process::Command::new("ps")
        .args(["-o", "pid=,args=", "--ppid", &pid])
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    for worker in master.pids() {
        let line = listed
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{worker} ")))
            .unwrap_or_else(|| panic!("no {worker} in {listed}"));
        assert!(line.ends_with(&master.folder.word(language.file())), "{line}");
    }
}

/// A virtual environment's interpreter keeps its packages: as the program's first word, in the
/// first line of a script, and as the one that `PATH` has.
#[test]
fn a_virtual_environment_holds() {
    for by in ["word", "script", "path"] {
        let folder = Folder::new();
        let environment = folder.word("venv");
        let made = std::process::Command::new("python3")
            .args(["-m", "venv", "--without-pip", &environment])
            .status()
            .unwrap();
        assert!(made.success());
        let interpreter = folder.word("venv/bin/python");
        let path = folder.write("app.py", &reporting(Language::Python));
        let path = path.to_str().unwrap().to_owned();
        let script = folder.word("server");
        std::fs::write(&script, format!("#!{interpreter}\n")).unwrap();
        rustix::fs::chmod(script.as_str(), rustix::fs::Mode::RWXU).unwrap();
        let program = match by {
            "word" => vec![&interpreter, &path, "a"],
            "script" => vec![&script[..], "a"],
            _ => vec!["true", "a"],
        };
        let options = ["-p", &path, "-m", "manual"];
        let mut launch = Launch::within(folder, &options, &program);
        if by == "path" {
            let others = std::env::var("PATH").unwrap();
            launch = launch.env("PATH", format!("{environment}/bin:{others}"));
        }
        let master = launch.start();
        master.wait_for_up(1);
        let report = report_of(&master, master.only_pid());
        assert_eq!(report["prefix"], json!(environment), "{report}");
        assert_eq!(report["argv"], json!(["a"]), "{report}");
    }
}

/// What seeds itself when it is loaded would draw the same numbers in every worker.
#[test]
fn python_seeds_numpy_anew() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("numpy")).unwrap();
    folder.write("numpy/__init__.py", "");
    folder.write("numpy/random.py", "calls = 0\ndef seed():\n    global calls\n    calls += 1\n");
    let main = "assert numpy.random.calls == 1, numpy.random.calls\nwait(ack)";
    folder.write("app.py", &Language::Python.code("1", "import numpy.random", main));
    let master = Language::Python.launch(folder, &["-n", "2", "-m", "manual"], &[]).start();
    master.wait_for_up(2);
    master.stop();
}

/// As if the code were the main program, but for its name.
#[test]
fn python_finds_its_neighbours() {
    let folder = Folder::new();
    let (top, here) = ("import neighbour", folder.path().to_str().unwrap().to_owned());
    folder.write("neighbour.py", "VALUE = 1\n");
    folder.write("app.py", &Language::Python.code("1", top, "report(); ack(); signal.pause()"));
    let master = Language::Python.launch(folder, &["-m", "manual"], &[]).start();
    master.wait_for_up(1);
    let report = report_of(&master, master.only_pid());
    assert_eq!((&report["path"], &report["name"]), (&json!(here), &json!("app")));
    assert_eq!(report["script"], json!(master.folder.word("app.py")));
}

/// Says in every way for which it finds a variable that it is up.
const RUBY_SAYS: &str = r#"
require 'socket'
if ENV['NOTIFY_SOCKET']
  Socket.new(:UNIX, :DGRAM).send('READY=1', 0, Socket.sockaddr_un(ENV['NOTIFY_SOCKET']))
end
if ENV['EINHORN_READY_FD']
  ready = IO.for_fd(ENV['EINHORN_READY_FD'].to_i)
  ready.write("\n")
  ready.close
end
sleep
"#;

const PYTHON_SAYS: &str = r#"
import os, signal, socket
if "NOTIFY_SOCKET" in os.environ:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
if "EINHORN_READY_FD" in os.environ:
    os.write(int(os.environ["EINHORN_READY_FD"]), b"\n")
    os.close(int(os.environ["EINHORN_READY_FD"]))
signal.pause()
"#;

fn each_way_of_saying_that_it_is_up_holds(language: Language) {
    let code = language.code("1", "", language.choose(RUBY_SAYS, PYTHON_SAYS).trim());
    let check = "exec:sh -c 'kill -0 $EINHORN_WORKER_PID'";
    for mode in ["notify", "fd", check] {
        let options = ["-n", "2", "-m", mode, "-g", "-b", "127.0.0.1:0", "-s", "0.01"];
        let master = language.start(&code, &options);
        let before = crate::support::pids(&master.wait_for_up(2));
        let preloader = preloader_of(&master);
        assert!(children_of(master.pid()).contains(&preloader));
        let last = master.upgrade("upgrade").pop().unwrap();
        assert!(last["error"].is_null(), "{last}");
        let after = crate::support::pids(&master.wait_for_up(2));
        assert!(after.iter().all(|pid| !before.contains(pid)));
        master.stop();
    }
}
