//! The new code is loaded before the old one is given up.

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::language::{Language, children_of, in_each_language, preloader_of, report_of};
use crate::load::Load;
use crate::support::process::send;
use crate::support::{Folder, Master, Process, pids};

in_each_language! {
    five_upgrades_under_load_lose_nothing,
    an_upgrade_to_code_that_does_not_load_fails_and_says_why,
    an_upgrade_to_code_that_takes_too_long_fails,
    an_upgrade_that_is_aborted_while_code_is_loaded_ends_at_once,
    until_the_commit_the_old_code_goes_on,
    a_reload_loads_the_code_anew,
    a_master_with_other_code_loads_it,
    code_that_never_loaded_does_not_hold_an_upgrade_back,
    code_that_loads_again_is_preloaded_again,
}

/// Fewer connections in all are no load.
const CONNECTIONS_MIN: usize = 2000;

const OPTIONS: [&str; 8] = ["-b", "127.0.0.1:0", "-n", "3", "-m", "manual", "-s", "0.01"];

#[track_caller]
fn start(language: Language) -> Master {
    let master = language.start(&language.server("1", ""), &OPTIONS);
    master.wait_for_up(3);
    master
}

/// What the upgrade ends with.
#[track_caller]
fn upgrade(master: &Master, command: &str) -> Json {
    master.upgrade(command).pop().unwrap()
}

#[track_caller]
fn succeeds(reply: &Json) {
    assert_eq!(reply["error"], Json::Null, "{reply}");
}

/// The versions of all workers' code, once they are there.
#[track_caller]
fn versions(master: &Master, number: usize) -> Vec<String> {
    let status = master.wait_for_up(number);
    let version = |pid| report_of(master, pid)["version"].as_str().unwrap().to_owned();
    pids(&status).into_iter().map(version).collect()
}

fn five_upgrades_under_load_lose_nothing(language: Language) {
    let master = start(language);
    let mut preloaders = vec![preloader_of(&master)];
    let load = Load::start(&master, 4);
    load.wait_for(&master, 50);
    for round in 2..=6 {
        if round == 4 {
            master.folder.write(language.file(), language.choose("raise 'x'", "raise Exception"));
            assert_eq!(upgrade(&master, "upgrade")["error"], "reload_failed");
            load.wait_for(&master, 50);
            assert_eq!(preloader_of(&master), preloaders[2]);
        }
        let code = language.server(&round.to_string(), "");
        master.folder.write(language.file(), &code);
        let command = if round % 2 == 0 { "upgrade" } else { "upgrade_fleet" };
        succeeds(&upgrade(&master, command));
        load.wait_for(&master, 50);
        preloaders.push(preloader_of(&master));
    }
    load.wait_for_all(&master, CONNECTIONS_MIN);
    let tally = load.stop();
    assert_eq!(tally.lost, [""; 0]);
    let served: Vec<&str> = tally.served.keys().map(String::as_str).collect();
    assert_eq!(served, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(versions(&master, 3), ["6"; 3]);
    // One a generation.
    preloaders.sort_unstable();
    preloaders.dedup();
    assert_eq!(preloaders.len(), 6);
    assert_eq!(children_of(master.pid()).len(), 4);
    master.stop();
}

fn an_upgrade_to_code_that_does_not_load_fails_and_says_why(language: Language) {
    let master = start(language);
    let (before, preloader) = (master.pids(), preloader_of(&master));
    let inner = language.choose(
        "def deep\n  raise 'too ' + 'deep'\nend\ndeep\n",
        "def deep():\n    raise ValueError('too ' + 'deep')\ndeep()\n",
    );
    let path = master.folder.word(language.file());
    let traceback = language.choose(
        vec![format!("{path}:2:in `deep'"), format!("{path}:4:in")],
        vec![format!("{path}\", line 2, in deep"), format!("{path}\", line 3, in <module>")],
    );
    let exit = language.choose("exit! 9", "import os\nos._exit(9)");
    let cases: [(&str, Vec<String>); 4] = [
        (inner, [traceback, vec!["too deep".to_owned()]].concat()),
        (language.choose("exit", "exit()"), vec!["it called exit(".to_owned()]),
        (exit, vec!["its process ended with status 9".to_owned()]),
        ("x = 1", vec!["einhorn_main".to_owned()]),
    ];
    for (code, expected) in cases {
        master.folder.write(language.file(), code);
        let replies = master.upgrade("upgrade");
        let last = replies.last().unwrap();
        assert_eq!(last["error"], "reload_failed", "{last}");
        let message = last["message"].as_str().unwrap();
        assert!(message.contains(&format!("cannot preload {path}: ")), "{message}");
        for words in &expected {
            assert!(message.contains(words.as_str()), "{words} in {message}");
        }
        let progress: Vec<&str> =
            replies.iter().filter_map(|reply| reply["message"].as_str()).collect();
        assert!(progress.contains(&format!("loading {path}").as_str()), "{progress:?}");
    }
    let status = master.status();
    assert_eq!((pids(&status), &status["generation"]), (before.clone(), &Json::from(0)));
    assert_eq!((&status["version"], &status["checking"]), (&Json::from(0), &Json::from(false)));
    // The old code serves replacements.
    assert_eq!(preloader_of(&master), preloader);
    send(before[0], Signal::KILL);
    master.wait_for("a replacement", |status| !pids(status).contains(&before[0]));
    assert_eq!(versions(&master, 3), ["1"; 3]);
    master.stop();
}

fn an_upgrade_to_code_that_takes_too_long_fails(language: Language) {
    let master = start(language);
    let preloader = preloader_of(&master);
    master.command("config", &["{preload_timeout: 0.5}"]);
    let endless = language.choose("sleep", "import time\ntime.sleep(1000000)");
    master.folder.write(language.file(), endless);
    let reply = upgrade(&master, "upgrade");
    assert_eq!(reply["error"], "reload_failed", "{reply}");
    let message = reply["message"].as_str().unwrap();
    assert!(message.contains("it takes longer than 0.5 s (--preload-timeout)"), "{message}");
    assert_eq!(preloader_of(&master), preloader);
    // The limit crosses a reload.
    master.command("config", &["{preload_timeout: 61}"]);
    master.folder.write(language.file(), &language.server("2", ""));
    succeeds(&upgrade(&master, "upgrade"));
    assert_eq!(master.command("config", &["{preload_timeout: 61}"]), "Nothing changed");
    master.stop();
}

fn an_upgrade_that_is_aborted_while_code_is_loaded_ends_at_once(language: Language) {
    let master = start(language);
    let preloader = preloader_of(&master);
    let endless = language.choose(
        "$stderr.puts 'in the middle of it'; sleep",
        "import sys, time\nprint('in the middle of it', file=sys.stderr)\ntime.sleep(1000000)",
    );
    master.folder.write(language.file(), endless);
    let mut follower = master.begin("upgrade");
    master.wait_for_line("in the middle of it");
    master.command("abort", &[]);
    assert_eq!(follower.replies().pop().unwrap()["error"], "aborted");
    assert_eq!(preloader_of(&master), preloader);
    master.folder.write(language.file(), &language.server("2", ""));
    succeeds(&upgrade(&master, "upgrade"));
    assert_eq!(versions(&master, 3), ["2"; 3]);
    master.stop();
}

fn until_the_commit_the_old_code_goes_on(language: Language) {
    let master = start(language);
    // Newcomers that never come up.
    let wait = language.choose("serve { report }", "serve(report)");
    master.folder.write(language.file(), &language.code("2", "", wait));
    let mut follower = master.begin("upgrade");
    let newcomer = master.wait_until("a newcomer", || {
        let status = master.status();
        let all = crate::support::workers(&status);
        let pid = all.iter().find(|worker| worker["version"] == 1)?["pid"].as_i64()?;
        i32::try_from(pid).ok()
    });
    assert_eq!(report_of(&master, newcomer)["version"], "2");
    // An old worker that dies now is replaced by its like.
    let [old, ..] = master.pids()[..] else { panic!("workers") };
    send(old, Signal::KILL);
    let replacement = master.wait_until("a replacement", || {
        let status = master.status();
        let mut old = crate::support::workers(&status);
        old.retain(|worker| worker["version"] == 0);
        let last = old.last()?["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())?;
        (old.len() == 3).then_some(last)
    });
    assert_eq!(report_of(&master, replacement)["version"], "1");
    assert_eq!(report_of(&master, replacement)["parent"], Json::from(master.pid()));
    // And back.
    master.command("abort", &[]);
    assert_eq!(follower.replies().pop().unwrap()["error"], "aborted");
    assert_eq!(versions(&master, 3), ["1"; 3]);
    master.stop();
}

fn a_reload_loads_the_code_anew(language: Language) {
    let master = start(language);
    let (before, preloader) = (master.pids(), preloader_of(&master));
    master.folder.write(language.file(), language.choose("exit 3", "exit(3)"));
    let (code, message) = master.failure(&serde_json::json!({"command": "reload"}));
    assert_eq!(code, "reload_failed");
    assert!(message.contains("it called exit(3)"), "{message}");
    assert_eq!(preloader_of(&master), preloader);
    master.folder.write(language.file(), &language.server("2", ""));
    master.command("reload", &[]);
    master.wait_for("the next generation", |status| status["generation"] == 1);
    assert_eq!(master.pids(), before);
    assert_ne!(preloader_of(&master), preloader);
    Process::of(preloader).wait();
    send(before[0], Signal::KILL);
    master.wait_for("a replacement", |status| !pids(status).contains(&before[0]));
    assert_eq!(versions(&master, 3), ["1", "1", "2"]);
    master.stop();
}

/// The next master has another `-p`, so what was loaded for it is of no use.
fn a_master_with_other_code_loads_it(language: Language) {
    let folder = Folder::new();
    folder.write(language.file(), &language.server("1", ""));
    let other = folder.word(language.choose("other.rb", "other.py"));
    std::fs::write(&other, language.server("other", "")).unwrap();
    let next = format!("{} -p {other}", crate::support::EINHORN);
    let options: Vec<&str> = OPTIONS.iter().copied().chain(["--reexec-as", &next]).collect();
    let master = language.launch(folder, &options, &[]).start();
    assert_eq!(versions(&master, 3), ["1"; 3]);
    succeeds(&upgrade(&master, "upgrade"));
    assert_eq!(versions(&master, 3), ["other"; 3]);
    assert_eq!(children_of(master.pid()).len(), 4);
    master.stop();
}

fn code_that_never_loaded_does_not_hold_an_upgrade_back(language: Language) {
    let folder = Folder::new();
    // As a program it serves; as code to be preloaded it has nothing to call.
    let main = language.choose(
        "serve { report; ack }",
        "if __name__ == '__main__': serve(lambda: (report(), ack()))",
    );
    let top =
        if language == Language::Ruby { format!("{main} if $0 == __FILE__") } else { main.into() };
    let code = |version: &str| {
        language
            .code(version, &top, language.choose("nil", "pass"))
            .replace("einhorn_main", "other")
    };
    folder.write(language.file(), &code("1"));
    let master = language.launch(folder, &OPTIONS, &[]).start();
    assert_eq!(versions(&master, 3), ["1"; 3]);
    assert_eq!(children_of(master.pid()).len(), 3);
    master.folder.write(language.file(), &code("2"));
    succeeds(&upgrade(&master, "upgrade"));
    assert_eq!(versions(&master, 3), ["2"; 3]);
    assert_eq!(children_of(master.pid()).len(), 3);
    let said = master.log.lines().iter().filter(|line| line.contains("cannot preload")).count();
    assert_eq!(said, 2, "{}", master.log.text());
    master.stop();
}

fn code_that_loads_again_is_preloaded_again(language: Language) {
    let folder = Folder::new();
    folder.write(language.file(), language.choose("exit 3", "exit(3)"));
    let master = language.launch(folder, &OPTIONS, &[]).start();
    master.wait_for_line("cannot preload");
    master.folder.write(language.file(), &language.server("2", ""));
    succeeds(&upgrade(&master, "upgrade_fleet"));
    assert_eq!(versions(&master, 3), ["2"; 3]);
    assert!(preloader_of(&master) > 0);
    master.stop();
}
