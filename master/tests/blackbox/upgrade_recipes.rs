//! The recipes of `docs/upgrades.md`, as they stand there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::support::process::start;
use crate::support::site::release;
use crate::support::{EINHORN, Folder, Launch, Master, workers};
use crate::worker::{told, told_in_shell};

/// Writes the recipe of that name into `folder` and says where.
#[track_caller]
fn recipe(folder: &Folder, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/upgrades.md");
    let text = fs::read_to_string(path).unwrap();
    let mark = format!("<!-- recipe: {name} -->\n```sh\n#!/bin/sh\n");
    let (_, after) = text.split_once(&mark).unwrap_or_else(|| panic!("no recipe {name}"));
    folder.script(name, after.split_once("```").unwrap().0)
}

/// `PATH` with the programs of this build first.
fn path() -> String {
    let own = Path::new(EINHORN).parent().unwrap().to_str().unwrap();
    format!("{own}:{}", std::env::var("PATH").unwrap())
}

fn run(master: &Master, words: &[&str]) -> Output {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("PATH", path()).env("TMPDIR", master.folder.path());
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    start(command).wait_with_output().unwrap()
}

fn server(version: &str) -> String {
    told_in_shell(&[&format!("say={version}"), "ack", "hang"])
}

fn add_release(folder: &Folder, name: &str, body: &str) {
    let name = format!("site/releases/{name}");
    release(folder, &name, "");
    folder.script(&format!("{name}/server"), body);
}

#[test]
fn release_folders_and_a_pipeline() {
    let folder = Folder::new();
    let [start, deploy, pipeline] = ["start", "deploy", "pipeline"].map(|n| recipe(&folder, n));
    add_release(&folder, "1", &server("1"));
    symlink("releases/1", folder.join("site/current")).unwrap();
    let site = folder.word("site");
    let launch = Launch::within(folder, &[site.as_str()], &["--"]).called(start);
    let master = launch.env("PATH", path()).start();
    let current = || fs::read_link(master.folder.join("site/current")).unwrap();
    let deploys = |release: &str, status: i32, word: &str| {
        let output = run(&master, &[&pipeline, &deploy, &site, release]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.lines().last().unwrap().starts_with(word), "{text}");
        master.wait_for_up(2)
    };
    master.wait_for_up(2);
    add_release(&master.folder, "2", "exit 3");
    assert_eq!(deploys("2", 3, "broken: it was started")["version"], 0);
    assert_eq!(current(), Path::new("releases/1"));
    assert_eq!(deploys("none", 2, "broken: it cannot even")["version"], 0);
    assert_eq!(current(), Path::new("releases/1"));
    add_release(&master.folder, "3", &server("3"));
    let status = deploys("3", 0, "deployed");
    let versions: Vec<_> = workers(&status).iter().map(|worker| &worker["version"]).collect();
    assert!(versions.iter().all(|version| *version != 0), "{status}");
    assert_eq!(current(), Path::new("releases/3"));
    master.wait_for_line("says 3");
    master.stop();
}

#[test]
fn a_container_is_stopped_gracefully() {
    let folder = Folder::new();
    let entrypoint = recipe(&folder, "entrypoint");
    let program = told(&["serve"]);
    let launch = Launch::within(folder, &program, &crate::support::NONE).called(entrypoint);
    let launch = launch.env("PATH", path()).env("BIND", "127.0.0.1:0").env("WORKERS", "2");
    let mut master = launch.start();
    master.wait_for_up(2);
    assert_eq!(run(&master, &["einhornsh", "-e", "upgrade"]).status.code(), Some(0));
    master.wait_for_up(2);
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}
