//! The completions, asked by the shells themselves.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use einhorn_handbook::project;

use crate::support::run;

/// What bash offers when the tab key is pressed behind these words.
#[track_caller]
fn bash(folder: &Path, words: &[&str]) -> Vec<String> {
    let program = words[0];
    let script = "source \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                  line=\"$*\"; line=${line// = /=}; COMP_LINE=${line// : /:}; \
                  COMP_POINT=${#COMP_LINE}; \"_$1\"; \
                  ((${#COMPREPLY[@]} == 0)) || printf '%s\\n' \"${COMPREPLY[@]}\"";
    let completion = project().join("packaging/completions/bash").join(program);
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", script]).arg(completion).args(words);
    let said = run(command.env("TMPDIR", folder).current_dir(folder));
    let mut offered: Vec<String> = said.lines().map(str::to_owned).collect();
    offered.sort();
    offered
}

#[test]
fn bash_knows_options_and_their_values() {
    let folder = tempfile::tempdir().unwrap();
    let check = |words: &[&str], offered: &[&str]| {
        assert_eq!(bash(folder.path(), words), offered, "{words:?}");
    };
    check(&["einhorn", "--upgrade-a"], &["--upgrade-attempts"]);
    check(&["einhorn", "-m", "man"], &["manual"]);
    check(&["einhorn", "--ack-mode", "=", "no"], &["notify"]);
    check(&["einhorn", "-n", "2", "--stop-signal", "US"], &["USR1", "USR2"]);
    check(&["einhorn", "-n", ""], &[]);
    check(&["einhorn", "-b", "127.0.0.1", ":", "0", "--upgrade-a"], &["--upgrade-attempts"]);
    // Behind the program's name nothing is ours.
    assert!(
        !bash(folder.path(), &["einhorn", "./server", "--upgrade-a"])
            .contains(&"--upgrade-attempts".to_owned())
    );
}

#[test]
fn bash_knows_masters_and_commands() {
    let folder = tempfile::tempdir().unwrap();
    let _web = UnixListener::bind(folder.path().join("einhorn-web.sock")).unwrap();
    let _api = UnixListener::bind(folder.path().join("einhorn-api.v2.sock")).unwrap();
    std::fs::write(folder.path().join("einhorn-not.sock"), "a file").unwrap();
    let check = |words: &[&str], offered: &[&str]| {
        assert_eq!(bash(folder.path(), words), offered, "{words:?}");
    };
    check(&["einhornsh", ""], &["api.v2", "web"]);
    check(&["einhornsh", "-c", "w"], &["web"]);
    check(&["einhornsh", "web", "-e", "upg"], &["upgrade", "upgrade_fleet"]);
    check(&["einhornsh", "-e", "'inc; stat"], &["inc; state", "inc; status"]);
    check(&["einhornsh", "-e", "\"signal US"], &["signal USR1", "signal USR2"]);
    check(&["einhornsh", "--ex"], &["--execute"]);
    check(&["einhornsh", "web", "--ex"], &["--execute"]);
    check(&["einhornsh", "web", "--execute", "=", "upgrade_"], &["upgrade_fleet"]);
}

#[test]
fn bash_zsh_and_fish_can_read_their_scripts() {
    for (shell, folder) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let scripts = std::fs::read_dir(project().join("packaging/completions").join(folder));
        for script in scripts.unwrap() {
            run(Command::new(shell).arg("-n").arg(script.unwrap().path()));
        }
    }
}

/// fish tells what it would offer.
#[test]
fn fish_knows_masters_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let _web = UnixListener::bind(folder.path().join("einhorn-web.sock")).unwrap();
    let offered = |line: &str| {
        let scripts = project().join("packaging/completions/fish");
        let script = format!(
            "source {0}/einhorn.fish; source {0}/einhornsh.fish; complete -C '{line}'",
            scripts.display()
        );
        let mut command = Command::new("fish");
        command.args(["--no-config", "-c", &script]).env("HOME", folder.path());
        run(command.env("TMPDIR", folder.path()).current_dir(folder.path()))
    };
    assert!(offered("einhornsh w").starts_with("web\t"), "{}", offered("einhornsh w"));
    assert!(offered("einhornsh -e upgr").contains("upgrade_fleet\t"));
    assert!(offered("einhorn --upgrade-at").contains("--upgrade-attempts"));
    assert!(offered("einhorn -m man").starts_with("manual"), "{}", offered("einhorn -m man"));
}
