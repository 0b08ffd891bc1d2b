//! The shell's scripts (`einhornsh -e`) against a master that runs.

use std::process::{Command, Stdio};

use crate::support::process::{Process, start};
use crate::support::{Folder, IDLE, Launch, Master, pids};
use crate::worker::told;

struct Ran {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command) -> Ran {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = start(command).wait_with_output().unwrap();
    Ran {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn shell(master: &Master) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_einhornsh"));
    command.env("TMPDIR", master.folder.path()).env_remove("HOME");
    command
}

fn script(master: &Master, script: &str) -> Ran {
    run(shell(master).args(["-e", script]))
}

#[test]
fn commands_are_run_one_after_the_other_and_replies_printed() {
    let master = Master::start(&["-n", "1", "-m", "0", "-s", "0.01"], &IDLE);
    let ran = script(&master, "inc; set_workers 3; louder; status");
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].contains("1 -> 2") && lines[1].contains("2 -> 3"), "{lines:?}");
    assert_eq!(lines[2], "0");
    assert!(ran.stdout.contains("PID") && ran.stdout.contains("of 3 up"), "{}", ran.stdout);
}

#[test]
fn the_last_error_makes_the_exit_status() {
    let master = Master::start(&["-n", "1", "-m", "0"], &IDLE);
    for (commands, status) in [
        ("upgrad", 1),
        ("set_workers 0", 1),
        ("signal NOPE", 1),
        ("abort", 1),
        ("set_workers 0; help", 0),
        ("help; set_workers 0", 1),
        ("config '{seconds: 0.5}'", 0),
        ("config '{secnds: 0.5}'", 1),
    ] {
        let ran = script(&master, commands);
        assert_eq!(ran.status, Some(status), "{commands}: {}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(master.status()["target"], 1);
    assert!(master.state().contains(":seconds: 0.5\n"));
}

#[test]
fn an_upgrade_is_over_when_the_script_is() {
    let program = told(&["ack", "hang"]);
    let master = Master::start(&["-n", "2", "-m", "manual", "-s", "0.01"], &program);
    let before = pids(&master.wait_for_up(2));
    for (command, version) in [("upgrade", 1), ("upgrade_fleet", 2)] {
        let ran = script(&master, command);
        assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.lines().last().unwrap().contains("upgrade done"), "{}", ran.stdout);
        let status = master.status();
        assert_eq!(status["version"], version);
        assert!(status["upgrade"].is_null());
    }
    for pid in before {
        Process::of(pid).wait();
    }
}

#[test]
fn the_exit_status_tells_how_an_upgrade_that_was_none_has_ended() {
    let folder = Folder::new();
    let program = folder.script("worker", "echo ready >&2; exec sleep 1000000");
    let master = Launch::within(folder, &["-m", "0", "-s", "0.01"], &[&program]).start();
    master.wait_for_up(1);
    master.wait_for_line("ready");
    std::fs::remove_file(&program).unwrap();
    let ran = script(&master, "upgrade");
    assert_eq!(ran.status, Some(2), "reload failed");
    assert!(ran.stdout.contains("no such file"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn the_exit_status_tells_of_an_upgrade_that_was_superseded_or_aborted() {
    let master = Master::start(&["-m", "manual"], &IDLE);
    master.acknowledge(master.only_pid());
    let begin = |version: u64| {
        let mut command = shell(&master);
        command.args(["-e", "upgrade"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let waiting = start(command.stderr(Stdio::piped()));
        master.wait_for("an upgrade", |status| status["version"] == version);
        waiting
    };
    let (first, second) = (begin(1), begin(2));
    assert_eq!(script(&master, "abort").status, Some(0));
    for (waiting, status, word) in [(first, 5, "superseded"), (second, 4, "aborted")] {
        let output = waiting.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(status), "{word}: {said}");
        assert!(said.lines().last().unwrap().contains(word), "{said}");
    }
}

#[test]
fn it_works_while_the_master_reloads() {
    let folder = Folder::new();
    let gate = folder.gate("gate");
    let body = format!(
        "case \"$*\" in *--with-state-fd*) : > {}; : < {};; esac; exec {} \"$@\"",
        folder.word("waiting"),
        folder.word("gate"),
        crate::support::EINHORN
    );
    let next = folder.script("next", &body);
    let master = Launch::within(folder, &["-m", "0", "--reexec-as", &next], &IDLE).start();
    master.wait_for_up(1);
    let mut command = shell(&master);
    command.args(["-e", "reload"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let caller = start(command.stderr(Stdio::piped()));
    let waiting = master.folder.join("waiting");
    master.wait_until("it waits at the gate", || waiting.exists().then_some(()));
    let mut command = shell(&master);
    command.args(["-e", "ehlo; status"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let early = start(command.stderr(Stdio::piped()));
    let _open = gate.open();
    let output = early.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("1 of 1 up"), "{said}");
    let output = caller.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "reloaded, generation 1\n");
}

#[test]
fn die_from_the_shell_ends_it_all() {
    let mut master = Master::start(&["-n", "2", "-m", "0"], &IDLE);
    master.running();
    assert_eq!(script(&master, "die").status, Some(0));
    assert_eq!(master.wait(), 0);
    let ran = script(&master, "status");
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("einhorn.sock"), "{}", ran.stderr);
}

#[test]
fn masters_are_told_apart_by_name() {
    let shop = Launch::new(&["-c", "shop", "-n", "2"], &IDLE).socket("einhorn-shop.sock").start();
    for arguments in [&["-c", "shop"][..], &["shop"], &["-d", shop.socket.to_str().unwrap()]] {
        let ran = run(shell(&shop).args(arguments).args(["-e", "status"]));
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        assert!(ran.stdout.contains("of 2 up") && ran.stdout.contains("shop"), "{}", ran.stdout);
    }
    let ran = script(&shop, "status");
    assert_eq!(ran.status, Some(1), "{}", ran.stdout);
}
