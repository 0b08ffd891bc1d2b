//! Code that cannot be loaded at the first start: the log says why, and workers are started by
//! exec.

use crate::language::{Language, children_of, in_each_language};
use crate::support::{Folder, Launch, Master};

in_each_language! {
    code_that_does_not_load_is_named_with_its_reason,
    code_that_takes_too_long_is_left,
    a_master_that_stops_while_code_is_loaded_does_not_wait_for_it,
    a_master_that_is_killed_while_code_is_loaded_leaves_nothing,
    one_worker_less_while_code_is_loaded_is_one_less,
}

/// Masters run this if they cannot preload.
fn fallback(folder: &Folder) -> String {
    folder.script("fallback", "echo started by exec with $# arguments >&2; exec sleep 1000")
}

#[track_caller]
fn start(language: Language, code: &str, options: &[&str]) -> Master {
    let folder = Folder::new();
    let path = folder.write(language.file(), code).to_str().unwrap().to_owned();
    let program = fallback(&folder);
    let options: Vec<&str> = ["-p", &path].into_iter().chain(options.iter().copied()).collect();
    Launch::within(folder, &options, &[&program, "a", "b"]).start()
}

fn code_that_does_not_load_is_named_with_its_reason(language: Language) {
    let exception = language.choose("raise 'no' + ' luck'", "raise ValueError('no' + ' luck')");
    let error = language.choose("(RuntimeError)", "ValueError: no luck");
    let cases: [(&str, &str, &[&str]); 8] = [
        (
            "syntax",
            language.choose("def (\n", "def (:\n"),
            language.choose(&["(SyntaxError)"], &["SyntaxError", "line 1"]),
        ),
        ("exception", exception, &[error, "no luck"]),
        (
            "import",
            language.choose("require 'no_such'", "import no_such"),
            language.choose(&["(LoadError)", "no_such"], &["ModuleNotFoundError", "no_such"]),
        ),
        (
            "exit",
            language.choose("exit 3", "import sys\nsys.exit(3)"),
            &["it called exit(3) while it was loaded"],
        ),
        (
            "at once",
            language.choose("exit! 4", "import os\nos._exit(4)"),
            &["its process ended with status 4"],
        ),
        (
            "killed",
            language.choose("Process.kill(9, $$)", "import os\nos.kill(os.getpid(), 9)"),
            &["its process was killed by SIGKILL"],
        ),
        (
            "no main",
            "x = 1",
            language.choose(
                &["it defines no method einhorn_main"],
                &["it defines no function einhorn_main"],
            ),
        ),
        ("empty", "", &["einhorn_main"]),
    ];
    for (name, code, expected) in cases {
        let master = start(language, code, &[]);
        let line = master.wait_for_line("cannot preload");
        assert!(line.contains(&master.folder.word(language.file())), "{name}: {line}");
        for words in expected {
            assert!(line.contains(words), "{name}: {line}");
        }
        assert!(line.contains("workers are started by exec"), "{name}: {line}");
        master.wait_for_line("started by exec with 2 arguments");
        // It is not tried again.
        only_workers(&master);
        // The whole traceback is on the log, and nothing of ours in it.
        let log = master.log.text();
        assert!(!log.contains("/proc/self/fd"), "{name}: {log}");
        master.stop();
    }
}

fn code_that_takes_too_long_is_left(language: Language) {
    let code = language.choose("sleep", "import time\ntime.sleep(1000000)");
    let master = start(language, code, &["--preload-timeout", "0.5"]);
    let line = master.wait_for_line("cannot preload");
    assert!(line.contains("it takes longer than 0.5 s (--preload-timeout)"), "{line}");
    master.wait_for_line("started by exec");
    only_workers(&master);
    master.stop();
}

/// Waits until the master has no other children.
#[track_caller]
fn only_workers(master: &Master) {
    master.wait_until("workers and nobody else", || {
        (children_of(master.pid()) == master.pids()).then_some(())
    });
}

/// Code that says that it is being loaded and goes on for ever.
fn endless(language: Language) -> &'static str {
    language.choose(
        "$stderr.puts 'in the middle of it'; sleep",
        "import sys, time\nprint('in the middle of it', file=sys.stderr)\ntime.sleep(1000000)",
    )
}

fn a_master_that_stops_while_code_is_loaded_does_not_wait_for_it(language: Language) {
    let mut master = start(language, endless(language), &["-n", "3"]);
    master.wait_for_line("in the middle of it");
    assert_eq!(master.pids(), [0_i32; 0]);
    master.command("die", &[]);
    assert_eq!(master.wait(), 0);
    assert!(!master.log.text().contains("started by exec"), "{}", master.log.text());
}

fn a_master_that_is_killed_while_code_is_loaded_leaves_nothing(language: Language) {
    let master = start(language, endless(language), &[]);
    master.wait_for_line("in the middle of it");
    let [loading] = children_of(master.pid())[..] else { panic!("one process") };
    let loading = crate::support::Process::of(loading);
    master.signal(rustix::process::Signal::KILL);
    loading.wait();
}

fn one_worker_less_while_code_is_loaded_is_one_less(language: Language) {
    let folder = Folder::new();
    let gate = folder.gate("gate");
    let top = language.choose(
        "$stderr.puts 'at the gate'; File.open(\"#{ENV['TMPDIR']}/gate\").close",
        "print('at the gate', file=sys.stderr)\nopen(os.environ['TMPDIR'] + '/gate').close()",
    );
    folder.write(language.file(), &language.server("1", top));
    let master = language.launch(folder, &["-n", "3", "-m", "manual"], &[]).start();
    master.wait_for_line("at the gate");
    master.command("dec", &[]);
    let _open = gate.open();
    let status = master.wait_for_up(2);
    assert_eq!(status["workers"].as_array().unwrap().len(), 2);
    master.wait_for_line("is not started: it is not wanted any more");
    master.stop();
}

/// Neither an interpreter nor an ending says what to do with it.
#[test]
fn code_that_nobody_can_load() {
    for (name, expected) in
        [("app", "its name ends in neither .rb nor .py"), ("missing.py", "No such file")]
    {
        let folder = Folder::new();
        folder.write("app", "x = 1\n");
        let (path, program) = (folder.word(name), fallback(&folder));
        let master = Launch::within(folder, &["-p", &path], &[&program]).start();
        let line = master.wait_for_line("cannot preload");
        assert!(line.contains(expected), "{line}");
        master.wait_for_line("started by exec");
        master.stop();
    }
}
