//! Code that does what it had better leave alone while it is loaded.

use crate::language::{Language, children_of, in_each_language, preloader_of, report_of};
use crate::support::{Folder, Process, pids};

in_each_language! {
    code_that_forks,
    code_that_goes_on_in_a_child,
    code_that_starts_threads,
    code_that_closes_descriptors,
    code_that_closes_descriptors_in_main,
    code_that_prints_a_lot,
    code_that_catches_signals,
    code_that_changes_its_environment,
    code_that_asks_whether_it_is_a_worker,
    code_that_becomes_another_program,
}

const OPTIONS: [&str; 4] = ["-n", "2", "-m", "manual"];

fn server(language: Language, ruby: &str, python: &str) -> String {
    language.server("1", language.choose(ruby, python))
}

/// A child that lives on is nobody's business; one that comes back from loading ends.
fn code_that_forks(language: Language) {
    let code = server(
        language,
        "spawn('sleep', '1000')\nfork { exit 3 }\nfork",
        "import subprocess\nsubprocess.Popen(['sleep', '1000'])\nos.fork()",
    );
    let master = language.start(&code, &OPTIONS);
    let status = master.wait_for_up(2);
    let line = master.wait_for_line("forked while the code was loaded, ends here");
    let preloader = preloader_of(&master);
    assert!(!line.contains(&format!("process {preloader},")), "{line}");
    for pid in pids(&status) {
        assert_eq!(report_of(&master, pid)["parent"], master.pid());
    }
}

/// As a daemon does: the process that was asked ends, its child would go on.
fn code_that_goes_on_in_a_child(language: Language) {
    let code = server(language, "exit! 0 if fork", "if os.fork(): os._exit(0)");
    let folder = Folder::new();
    let path = folder.write(language.file(), &code).to_str().unwrap().to_owned();
    let program = folder.script("fallback", "exec sleep 1000");
    let master = crate::support::Launch::within(folder, &["-p", &path], &[&program]).start();
    let line = master.wait_for_line("cannot preload");
    assert!(line.contains("its process ended with status 0"), "{line}");
    master.wait_for_line("forked while the code was loaded, ends here");
    master.wait_for_up(1);
    master.wait_until("the child is gone", || {
        (children_of(master.pid()) == master.pids()).then_some(())
    });
}

fn code_that_starts_threads(language: Language) {
    let code = server(
        language,
        "2.times { Thread.new { sleep } }",
        "import threading, time\nfor _ in range(2): threading.Thread(target=time.sleep, args=[1e6], daemon=True).start()",
    );
    let master = language.start(&code, &OPTIONS);
    master.wait_for_up(2);
    let line = master.wait_for_line("threads started while the code was loaded (2)");
    assert!(line.contains("are in no worker: start them in einhorn_main"), "{line}");
    assert!(line.contains("WARN"), "{line}");
    master.stop();
}

fn code_that_closes_descriptors(language: Language) {
    let code = server(
        language,
        "(3..255).each { |number| IO.for_fd(number).close rescue nil }",
        "os.closerange(3, 256)",
    );
    let folder = Folder::new();
    let path = folder.write(language.file(), &code).to_str().unwrap().to_owned();
    let program = folder.script("fallback", "exec sleep 1000");
    let master = crate::support::Launch::within(folder, &["-p", &path], &[&program]).start();
    let line = master.wait_for_line("cannot preload");
    let words = "the code has closed a descriptor that is not its own";
    assert!(line.contains(words), "{line}");
    master.wait_for_up(1);
    master.stop();
}

/// Those of a worker are its own affair.
fn code_that_closes_descriptors_in_main(language: Language) {
    let main = language.choose(
        "report; ack; (0..255).each { |number| IO.for_fd(number).close rescue nil }; loop { select(nil, nil, nil, 1000) }",
        "report(); ack(); os.closerange(0, 256); signal.pause()",
    );
    let master = language.start(&language.code("1", "", main), &OPTIONS);
    let before = pids(&master.wait_for_up(2));
    Process::of(before[0]).signal(rustix::process::Signal::KILL);
    master.wait_for("a replacement", |status| !pids(status).contains(&before[0]));
    master.wait_for_up(2);
    master.stop();
}

fn code_that_prints_a_lot(language: Language) {
    let code = server(
        language,
        "20_000.times { $stdout.puts 'x' * 79; $stderr.puts 'y' * 79 }",
        "for _ in range(20000): print('x' * 79); print('y' * 79, file=sys.stderr)",
    );
    let master = language.start(&code, &OPTIONS);
    master.wait_for_up(2);
    // All of it, and only once: nothing unwritten is left for workers to write again.
    master.command("die", &[]);
    master.wait_until("the end", || children_of(master.pid()).is_empty().then_some(()));
    let printed = master.folder.read("stdout");
    assert_eq!(printed.matches('\n').count(), 20_000);
}

/// Handlers that it sets while it is loaded hold in its workers, as those of a program do.
fn code_that_catches_signals(language: Language) {
    let top = language
        .choose("trap('TERM') { exit 7 }", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))");
    let main = language.choose("wait { ack }", "wait(ack)");
    let master = language.start(&language.code("1", top, main), &["-m", "manual", "-s", "30"]);
    master.wait_for_up(1);
    crate::support::process::send(master.only_pid(), rustix::process::Signal::TERM);
    let line = master.wait_for_line("nobody asked it to");
    assert!(line.contains("status 7"), "{line}");
}

fn code_that_changes_its_environment(language: Language) {
    let top = language.choose(
        "ENV['EINHORN_OF_CODE'] = 'x'; Dir.chdir('/')",
        "os.environ['EINHORN_OF_CODE'] = 'x'; os.chdir('/')",
    );
    let master = language.start(&language.server("1", top), &OPTIONS);
    for pid in pids(&master.wait_for_up(2)) {
        let report = report_of(&master, pid);
        assert_eq!(report["environment"]["EINHORN_OF_CODE"], "x");
        assert_eq!(report["folder"], "/");
    }
}

/// Its parent is the master, but it is nobody's worker.
fn code_that_asks_whether_it_is_a_worker(language: Language) {
    let top = language.choose(
        "$stderr.puts \"found #{ENV.keys.grep(/EINHORN/)}\"",
        "print('found', [name for name in os.environ if 'EINHORN' in name], file=sys.stderr)",
    );
    let master = language.start(&language.server("1", top), &OPTIONS);
    master.wait_for_up(2);
    let line = master.wait_for_line("found ");
    assert_eq!(line, "found []");
}

fn code_that_becomes_another_program(language: Language) {
    let code = language.choose("exec 'false'", "import os\nos.execvp('false', ['false'])");
    let folder = Folder::new();
    let path = folder.write(language.file(), code).to_str().unwrap().to_owned();
    let program = folder.script("fallback", "exec sleep 1000");
    let master = crate::support::Launch::within(folder, &["-p", &path], &[&program]).start();
    let line = master.wait_for_line("cannot preload");
    assert!(line.contains("its process ended with status 1"), "{line}");
    master.wait_for_up(1);
    master.stop();
}
