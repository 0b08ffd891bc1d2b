//! `docs/migrating-from-ruby.md`, step by step as it stands there.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::stand_in::{self, Process, numbers_in, ports_in, visit, yaml_request};
use crate::support::{EINHORN, Folder, pids};
use crate::worker::told;

/// Writes the recipe of that name into `folder` and says where.
#[track_caller]
fn recipe(folder: &Folder, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migrating-from-ruby.md");
    let text = fs::read_to_string(path).unwrap().replace("\n   ", "\n");
    let mark = format!("<!-- recipe: {name} -->\n```sh\n#!/bin/sh\n");
    let (_, after) = text.split_once(&mark).unwrap_or_else(|| panic!("no recipe {name}"));
    folder.script(name, after.split_once("```").unwrap().0)
}

fn run(process: &Process, words: &[&str]) -> Output {
    let own = Path::new(EINHORN).parent().unwrap().to_str().unwrap();
    let path = format!("{own}:{}", std::env::var("PATH").unwrap());
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("PATH", path).env("TMPDIR", process.master.folder.path());
    command.output().unwrap()
}

#[track_caller]
fn succeeds(process: &Process, words: &[&str]) -> String {
    let output = run(process, words);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

#[test]
fn there_and_back() {
    let folder = Folder::new();
    fs::create_dir(folder.join("bin")).unwrap();
    let move_to = recipe(&folder, "move");
    let process = stand_in::started_as(folder, "bin/einhorn", &told(&["ack", "serve"]));
    let told = process.told("replays");
    let (command, copy) =
        (process.master.folder.word("bin/einhorn"), process.master.folder.word("bin/ruby"));
    let socket = process.master.socket.to_str().unwrap().to_owned();
    let socket = ["-d", socket.as_str()];

    let state = succeeds(&process, &["einhornsh", socket[0], socket[1], "-e", "state"]);
    assert!(state.contains(&command), "{state}");
    // What a Ruby master does not have, it does not answer with success.
    let status = ["einhornsh", socket[0], socket[1], "-e", "status"];
    assert!(!succeeds(&process, &status).contains("STAGE"));
    succeeds(&process, &["cp", "-p", &command, &copy]);
    succeeds(&process, &[&move_to, &command, EINHORN, socket[0], socket[1]]);
    assert!(succeeds(&process, &status).contains("2 of 2 up"));
    process.master.wait_for_line("took over 2 workers");
    let mut found = pids(&process.master.status());
    found.sort_unstable();
    let mut expected = numbers_in(&told["workers"]);
    expected.sort_unstable();
    assert_eq!(found, expected);
    succeeds(&process, &["einhornsh", socket[0], socket[1], "-e", "upgrade"]);
    for port in ports_in(&told) {
        visit(port);
    }

    succeeds(&process, &[&move_to, &command, &copy, socket[0], socket[1]]);
    assert_eq!(process.told("took over")["pid"], process.master.pid());
    for port in ports_in(&told) {
        visit(port);
    }
    process.had_no_complaints();
    // A command that cannot start is not even put in place.
    let output = run(&process, &[&move_to, &command, "/bin/false", socket[0], socket[1]]);
    assert!(!output.status.success());
    assert_eq!(fs::canonicalize(&command).unwrap(), Path::new(&copy));
    // The way there once more, by the script that sets an option from the first moment on.
    let script = format!("exec {EINHORN} --upgrade-timeout 600 \"$@\"");
    let script = process.master.folder.script("bin/mine", &script);
    succeeds(&process, &[&move_to, &command, &script, socket[0], socket[1]]);
    process.is_ours();
    let state = process.master.state();
    assert!(state.contains(":timeout: 600"), "{state}");
    let mut client = process.master.client();
    client.send(yaml_request("die", "d"));
}
