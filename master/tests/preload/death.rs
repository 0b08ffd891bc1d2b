//! A preloader that dies is missed, and replaced.

use rustix::process::Signal;

use crate::language::{Language, children_of, in_each_language, preloader_of, report_of};
use crate::support::process::send;
use crate::support::{Folder, Process, pids};

in_each_language! {
    a_preloader_that_is_killed_is_replaced,
    while_it_cannot_be_replaced_workers_are_started_by_exec,
    it_ends_with_its_master,
}

const OPTIONS: [&str; 6] = ["-n", "2", "-m", "manual", "-s", "0.01"];

fn a_preloader_that_is_killed_is_replaced(language: Language) {
    let master = language.start(&language.server("1", ""), &OPTIONS);
    let before = pids(&master.wait_for_up(2));
    let first = preloader_of(&master);
    master.folder.write(language.file(), &language.server("2", ""));
    send(first, Signal::KILL);
    let line = master.wait_for_line("lost the preloader of");
    assert!(line.contains("its process was killed by SIGKILL"), "{line}");
    master.wait_until("another one", || {
        let found = preloader_of(&master);
        (found != first).then_some(())
    });
    assert_eq!(master.pids(), before);
    send(before[0], Signal::KILL);
    master.wait_for("a replacement", |status| !pids(status).contains(&before[0]));
    let status = master.wait_for_up(2);
    assert_eq!(report_of(&master, pids(&status)[1])["version"], "2");
    assert_eq!(report_of(&master, pids(&status)[1])["parent"], master.pid());
    master.stop();
}

/// Nobody waits for a worker longer than a fork may take.
#[test]
fn one_that_hangs_is_replaced() {
    let language = Language::Ruby;
    let master = language.start(&language.server("1", ""), &OPTIONS);
    let before = pids(&master.wait_for_up(2));
    let first = preloader_of(&master);
    send(first, Signal::STOP);
    send(before[0], Signal::KILL);
    master.wait_for_line("it did not fork a worker within 30 s");
    master.wait_for_up(2);
    assert_ne!(preloader_of(&master), first);
    master.stop();
}

fn while_it_cannot_be_replaced_workers_are_started_by_exec(language: Language) {
    let folder = Folder::new();
    // Run as a program it reports and serves as well.
    let main = language
        .choose("einhorn_main if $0 == __FILE__", "if __name__ == '__main__': einhorn_main()");
    let both = |version: &str, top: &str| format!("{}{main}\n", language.server(version, top));
    folder.write(language.file(), &both("1", ""));
    let master = language.launch(folder, &OPTIONS, &[]).start();
    let before = pids(&master.wait_for_up(2));
    let broken = language.choose(
        "raise 'not preloaded' unless $0 == __FILE__",
        "if __name__ != '__main__': raise Exception('not preloaded')",
    );
    master.folder.write(language.file(), &both("2", broken));
    send(preloader_of(&master), Signal::KILL);
    let line = master.wait_for_line("cannot load");
    assert!(line.contains("not preloaded"), "{line}");
    assert!(line.contains("until then workers are started by exec"), "{line}");
    send(before[0], Signal::KILL);
    master.wait_for("a replacement", |status| !pids(status).contains(&before[0]));
    let status = master.wait_for_up(2);
    assert_eq!(report_of(&master, pids(&status)[1])["version"], "2");
    // It is tried again until it works.
    master.folder.write(language.file(), &both("3", ""));
    preloader_of(&master);
    send(before[1], Signal::KILL);
    master.wait_for("a replacement", |status| !pids(status).contains(&before[1]));
    let status = master.wait_for_up(2);
    assert_eq!(report_of(&master, pids(&status)[1])["version"], "3");
    master.stop();
}

fn it_ends_with_its_master(language: Language) {
    for signal in [Signal::KILL, Signal::QUIT, Signal::TERM, Signal::INT] {
        let mut master = language.start(&language.server("1", ""), &OPTIONS);
        let workers = pids(&master.wait_for_up(2));
        let preloader = Process::of(preloader_of(&master));
        master.signal(signal);
        preloader.wait();
        if signal == Signal::KILL {
            for pid in workers {
                Process::of(pid).signal(Signal::KILL);
            }
        } else {
            master.wait();
        }
    }
}

/// Orphans come to the master while it preloads; they are reaped, and nobody else's business.
#[test]
fn a_grandchild_that_is_left_behind_is_reaped() {
    let language = Language::Python;
    let main = "\
import subprocess
subprocess.run(['sh', '-c', 'sleep 0.01 & echo $! > $TMPDIR/grandchild'])
wait(ack)";
    let master = language.start(&language.code("1", "", main), &["-m", "manual"]);
    master.wait_for_up(1);
    let grandchild = master.folder.read("grandchild").trim().parse().unwrap();
    Process::of(grandchild).wait();
    master.wait_until("it is reaped", || {
        (!std::path::Path::new(&format!("/proc/{grandchild}")).exists()).then_some(())
    });
    assert_eq!(children_of(master.pid()).len(), 2);
    master.stop();
}
