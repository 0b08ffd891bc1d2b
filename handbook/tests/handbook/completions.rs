//! The completions, asked by the shells themselves.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use einhorn_handbook::project;

use crate::support::run;

/// The two that complete by what the key finds on the line: each as its users start it.
const SHELLS: [(&str, &[&str]); 2] =
    [("bash", &["--noprofile", "--rcfile", "bashrc", "-i"]), ("zsh", &["-i"])];

/// What a shell offers when the tab key is pressed behind each of these lines.
fn offered(shell: &str, arguments: &[&str], lines: &[&str], folder: &Path) -> Vec<Vec<String>> {
    let project = project().canonicalize().unwrap();
    for file in ["press_tab.zsh", ".zshrc", "bashrc"] {
        fs::copy(project.join("handbook/tests/shells").join(file), folder.join(file)).unwrap();
    }
    let (typed, offers) = (folder.join("typed"), folder.join("offers"));
    fs::write(&typed, lines.join("\n") + "\n").unwrap();
    fs::write(&offers, "").unwrap();
    // A shell that does not answer costs a minute, not the night.
    let mut command = Command::new("timeout");
    command.args(["60", "zsh", "-f", "press_tab.zsh", shell]).args(arguments).current_dir(folder);
    command.env("SCRIPTS", project.join("packaging/completions")).env("ZDOTDIR", folder);
    command.env("OFFERED", &offers).env("TMPDIR", folder).env("HOME", folder);
    // Only what is typed is completed, whoever else has programs and masters here.
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.display())).env("TERM", "dumb");
    run(command.stdin(File::open(typed).unwrap()));
    let text = fs::read_to_string(offers).unwrap();
    let offers = text.strip_suffix("---\n").unwrap_or_else(|| panic!("{shell}: {text}"));
    let sorted = |offer: &str| {
        // zsh says what stands before the value, too.
        let words =
            offer.lines().map(|word| word.rsplit_once('=').map_or(word, |(_, value)| value));
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    offers.split("---\n").map(|offer| sorted(offer).into_iter().collect()).collect()
}

#[test]
fn bash_and_zsh_offer_options_values_masters_and_commands() {
    let rows: [(&str, &[&str]); 21] = [
        ("einhorn --upgrade-a", &["--upgrade-attempts"]),
        ("einhorn -m man", &["manual"]),
        ("einhorn --ack-mode=no", &["notify"]),
        ("einhorn -n 2 --stop-signal US", &["USR1", "USR2"]),
        ("einhorn -n ", &[]),
        ("einhorn -b 127.0.0.1:0 --upgrade-a", &["--upgrade-attempts"]),
        ("einhorn --chdir rel", &["releases"]),
        ("einhorn --drop-env-var OFFER", &["OFFERED"]),
        // Behind the program's name nothing is ours, and the program itself is looked up.
        ("einhorn -b 127.0.0.1:0 ls --upgrade-a", &[]),
        ("einhorn -b 127.0.0.1:0 a-serv", &["a-server"]),
        ("einhornsh ", &["api.v2", "web"]),
        ("einhornsh -c w", &["web"]),
        ("einhornsh web -e upg", &["upgrade", "upgrade_fleet"]),
        ("einhornsh -e 'inc; stat", &["inc; state", "inc; status"]),
        ("einhornsh -e \"signal US", &["signal USR1", "signal USR2"]),
        ("einhornsh -e \"signal HUP US", &["signal HUP USR1", "signal HUP USR2"]),
        ("einhornsh -e 'inc; die T", &["inc; die TERM"]),
        ("einhornsh --ex", &["--execute"]),
        ("einhornsh web --ex", &["--execute"]),
        ("einhornsh web --execute=upgrade_", &["upgrade_fleet"]),
        ("einhornsh web a", &[]),
    ];
    let lines: Vec<&str> = rows.iter().map(|(line, _)| *line).collect();
    for (shell, arguments) in SHELLS {
        let folder = tempfile::tempdir().unwrap();
        let _web = UnixListener::bind(folder.path().join("einhorn-web.sock")).unwrap();
        let _api = UnixListener::bind(folder.path().join("einhorn-api.v2.sock")).unwrap();
        fs::write(folder.path().join("einhorn-not.sock"), "a file").unwrap();
        fs::create_dir(folder.path().join("releases")).unwrap();
        std::os::unix::fs::symlink("/bin/true", folder.path().join("a-server")).unwrap();
        let offered = offered(shell, arguments, &lines, folder.path());
        for ((line, expected), offered) in rows.iter().zip(&offered) {
            assert_eq!(offered, expected, "{shell}: {line}");
        }
        assert_eq!(offered.len(), rows.len(), "{shell}");
    }
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
