use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use super::*;
use crate::sys::children::{self, ChildState, Exit, ExitStatus};
use crate::sys::own_process::alone;
use crate::sys::signals::{self, SignalSource};
use crate::sys::vfork::spawn_alone;
use crate::sys::{descriptor, limits, priority};

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn shell(script: &str) -> [CString; 3] {
    [c("sh"), c("-c"), c(script)]
}

/// Runs a plan with its output and errors in a pipe, by both ways of starting it, and returns both
/// ends of the story.
#[track_caller]
fn run(plan: &SpawnPlan<'_>) -> (String, ExitStatus) {
    let copied = run_by(spawn, plan);
    assert_eq!(run_by(spawn_alone, plan), copied);
    copied
}

fn run_by(
    start: fn(&SpawnPlan<'_>) -> io::Result<Pid>,
    plan: &SpawnPlan<'_>,
) -> (String, ExitStatus) {
    let (reader, writer) = descriptor::pipe().unwrap();
    let mut plan = plan.clone();
    plan.stdio[1] = Some(writer.as_fd());
    plan.stdio[2] = Some(writer.as_fd());
    let pid = start(&plan).unwrap();
    drop(plan);
    drop(writer);
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    (text, children::wait_for_end(pid).status)
}

#[track_caller]
fn check(change: impl FnOnce(&mut SpawnPlan<'_>), script: &str, expect: &str) {
    let arguments = shell(script);
    let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
    change(&mut plan);
    assert_eq!(run(&plan), (expect.to_owned(), ExitStatus::Exited(0)));
}

#[test]
fn arguments_and_environment_arrive() {
    check(|plan| plan.environment = vec![c"A=1", c"B=x y"], "echo $0 $A \"$B\"", "sh 1 x y\n");
}

#[test]
fn statuses_are_told_apart() {
    let arguments = shell("exit 7");
    let (_, status) = run(&SpawnPlan::new(c"/bin/sh", &arguments));
    assert_eq!(status, ExitStatus::Exited(7));
    let arguments = shell("ulimit -c 0; kill -9 $$");
    let (_, status) = run(&SpawnPlan::new(c"/bin/sh", &arguments));
    assert_eq!(status, ExitStatus::Signaled { signal: 9, core: false });
    // One without a name.
    let arguments = shell("kill -40 $$");
    let (_, status) = run(&SpawnPlan::new(c"/bin/sh", &arguments));
    assert_eq!(status, ExitStatus::Signaled { signal: 40, core: false });
}

#[test]
fn exactly_the_listed_descriptors_are_open() {
    let (kept, other) = descriptor::pipe().unwrap();
    let script = "cd /proc/self/fd; for n in *; do test -e $n && echo $n; done";
    let arguments = shell(script);
    let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
    plan.inherit = vec![Inherit::in_place(kept.as_fd())];
    let (text, _) = run(&plan);
    let numbers: Vec<RawFd> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.contains(&kept.as_raw_fd()), "{text}");
    assert!(!numbers.contains(&other.as_raw_fd()), "{text}");
    assert!(descriptor::is_close_on_exec(kept.as_fd()).unwrap());
}

#[test]
fn descriptors_change_their_numbers_in_any_order() {
    alone!();
    descriptor::mark_all_close_on_exec().unwrap();
    let list = "exec find /proc/self/fd -lname 'pipe:*' -printf '%f %l\n'";
    let arguments = shell(list);
    let (ends, _others): (Vec<_>, Vec<_>) = (0..4).map(|_| descriptor::pipe().unwrap()).unzip();
    let base = ends[0].as_raw_fd();
    let what = |end: &OwnedFd| {
        let path = format!("/proc/self/fd/{}", end.as_raw_fd());
        std::fs::read_link(path).unwrap().to_str().unwrap().to_owned()
    };
    // Shifted, reversed, in place, in a circle, far away, twice.
    let orders: [&[(usize, RawFd)]; 7] = [
        &[(0, base + 2), (1, base + 4), (2, base + 6)],
        &[(0, base + 2), (1, base + 1), (2, base)],
        &[(0, base), (1, base + 2)],
        &[(0, base + 2), (1, base + 4), (2, base)],
        &[(0, base + 2), (1, base), (2, base + 4), (3, base + 60)],
        &[(3, base), (3, base + 2), (0, base + 4)],
        &[(0, 3), (1, 4), (2, 5), (3, 6)],
    ];
    for order in orders {
        let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
        plan.inherit = order
            .iter()
            .map(|&(place, number)| Inherit { descriptor: ends[place].as_fd(), number })
            .collect();
        let mut expect: Vec<String> =
            order.iter().map(|&(place, to)| format!("{to} {}", what(&ends[place]))).collect();
        expect.sort();
        for start in [spawn, spawn_alone] {
            let (text, status) = run_by(start, &plan);
            assert_eq!(status, ExitStatus::Exited(0), "{text}");
            let mut found: Vec<String> = text.lines().map(str::to_owned).collect();
            found.retain(|line| !line.starts_with("1 ") && !line.starts_with("2 "));
            found.sort();
            assert_eq!(found, expect, "{order:?}");
        }
    }
    assert!(ends.iter().all(|end| descriptor::is_close_on_exec(end.as_fd()).unwrap()));
}

#[test]
fn a_number_that_no_process_can_have_ends_the_child() {
    let (end, _other) = descriptor::pipe().unwrap();
    let arguments = shell("echo runs");
    let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
    plan.inherit = vec![Inherit { descriptor: end.as_fd(), number: RawFd::MAX - 1 }];
    let (text, status) = run(&plan);
    assert_eq!(status, ExitStatus::Exited(EXIT_CANNOT_RUN), "{text}");
    assert!(text.contains("cannot hand the descriptors to /bin/sh: "), "{text}");
}

#[test]
fn the_child_finds_its_own_pid() {
    let arguments = shell("test $OWN = $$ && echo $A; env | grep -c ^OWN=");
    for _ in 0..20 {
        let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
        let path = c(&format!("PATH={}", std::env::var("PATH").unwrap()));
        plan.environment = vec![c"A=1", &path];
        plan.own_pid_in = Some(c"OWN");
        assert_eq!(run(&plan), ("1\n1\n".to_owned(), ExitStatus::Exited(0)));
    }
    let room = OwnPid::variable(c"OWN");
    room.write(Pid::MAX);
    let text: Vec<u8> = room.text.iter().map(Cell::get).collect();
    assert_eq!(text, [b"OWN=2147483647".as_slice(), &[0]].concat());
}

#[test]
fn standard_streams_may_be_exchanged() {
    let (input, mut writer) = {
        let (reader, writer) = descriptor::pipe().unwrap();
        (reader, File::from(writer))
    };
    io::Write::write_all(&mut writer, b"in\nin\n").unwrap();
    drop(writer);
    let arguments = shell("read line; echo $line; echo err >&2");
    let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
    plan.stdio[0] = Some(input.as_fd());
    for start in [spawn, spawn_alone] {
        assert_eq!(run_by(start, &plan).0, "in\nerr\n");
    }

    // Standard error becomes what standard output was, which needs care with the order.
    let (reader, writer) = descriptor::pipe().unwrap();
    let inner = "echo to-err >&2";
    let arguments = shell(inner);
    let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
    let out = io::stdout();
    plan.stdio = [None, Some(writer.as_fd()), Some(out.as_fd())];
    let pid = spawn(&plan).unwrap();
    drop(plan);
    drop(writer);
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(children::wait_for_end(pid).status, ExitStatus::Exited(0));
    assert_eq!(text, "");
}

#[test]
fn it_leads_its_own_group_if_asked() {
    check(
        |plan| plan.process_group = true,
        "read a b c d group rest < /proc/$$/stat; test $group = $$ && echo leads",
        "leads\n",
    );
    let own_group = rustix::process::getpgrp().as_raw_nonzero();
    check(
        |_| (),
        "read a b c d group rest < /proc/$$/stat; echo $group",
        &format!("{own_group}\n"),
    );
}

#[test]
fn signals_start_afresh() {
    alone!();
    let _source = SignalSource::new().unwrap();
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let script = "while read key value; do case $key in SigBlk:|SigIgn:) echo $value;; esac; \
                  done < /proc/self/status";
    check(|_| (), script, "0000000000000000\n0000000000000000\n");
}

#[test]
fn a_program_that_cannot_run_says_so_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "echo hi\n").unwrap();
    let missing = c(folder.path().join("missing").to_str().unwrap());
    let arguments = [c("missing")];
    let (text, status) = run(&SpawnPlan::new(&missing, &arguments));
    assert_eq!(status, ExitStatus::Exited(EXIT_NOT_FOUND));
    assert!(text.starts_with("einhorn: cannot run /") && text.ends_with("(errno 2)\n"), "{text}");
    let plain = c(plain.to_str().unwrap());
    let (text, status) = run(&SpawnPlan::new(&plain, &arguments));
    assert_eq!(status, ExitStatus::Exited(EXIT_CANNOT_RUN));
    assert!(text.contains("plain: permission denied (errno 13)"), "{text}");
}

#[test]
fn plain_text_is_read_by_a_shell_if_asked() {
    use std::os::unix::fs::PermissionsExt;
    alone!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    std::fs::write(&path, "echo $# $1\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = c(path.to_str().unwrap());
    let arguments = [c("plain"), c("a"), c("b")];
    let mut plan = SpawnPlan::new(&path, &arguments);
    let (text, status) = run(&plan);
    assert_eq!(status, ExitStatus::Exited(EXIT_CANNOT_RUN), "{text}");
    plan.shell_for_plain_text = true;
    assert_eq!(run(&plan), ("2 a\n".to_owned(), ExitStatus::Exited(0)));
}

#[test]
fn nice_and_the_descriptor_limit_are_set() {
    let level = (priority::own() + 2).min(19);
    check(
        |plan| plan.nice = Some(level),
        "set -- $(cat /proc/$$/stat); echo ${19}",
        &format!("{level}\n"),
    );
    let hard = limits::open_files().hard;
    check(|plan| plan.open_files = Some(OpenFiles { soft: Some(77), hard }), "ulimit -Sn", "77\n");
}

#[test]
fn the_parents_death_is_felt() {
    // A parent of its own: a process that spawns, says the pid, and is gone.
    alone!();
    children::set_subreaper(true).unwrap();
    assert!(rustix::process::child_subreaper().unwrap().is_some());
    let (reader, writer) = descriptor::pipe().unwrap();
    let arguments = shell("echo ready; exec sleep 20");
    // SAFETY: the intermediate makes one spawn and waits to be killed; this test has its
    // process to itself.
    let intermediate = unsafe { libc::fork() };
    if intermediate == 0 {
        // Not to be left behind by a test that fails.
        // SAFETY: prctl with a number.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
        plan.parent_death = Some(Signal::USR2);
        plan.stdio[1] = Some(writer.as_fd());
        let _ = spawn(&plan);
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    }
    drop(writer);
    let mut reader = File::from(reader);
    let mut ready = [0; 6];
    reader.read_exact(&mut ready).unwrap();
    signals::send(intermediate, Signal::KILL).unwrap();
    assert_eq!(
        children::wait_for_end(intermediate).status,
        ExitStatus::Signaled { signal: 9, core: false }
    );
    // The orphan came to this process, and the signal to the orphan.
    rustix::process::waitid(
        rustix::process::WaitId::All,
        rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
    )
    .unwrap();
    let orphan = children::reap_next().unwrap().unwrap();
    assert_eq!(orphan.status, ExitStatus::Signaled { signal: libc::SIGUSR2, core: false });
    assert_eq!(children::reap_next().unwrap(), None);
    children::set_subreaper(false).unwrap();
    assert!(rustix::process::child_subreaper().unwrap().is_none());
}

#[test]
fn a_child_is_looked_at_without_being_reaped() {
    alone!();
    let (input, hold) = descriptor::pipe().unwrap();
    let arguments = shell("read line; exit 3");
    let mut plan = SpawnPlan::new(c"/bin/sh", &arguments);
    plan.stdio[0] = Some(input.as_fd());
    let pid = spawn(&plan).unwrap();
    assert_eq!(children::state_of(pid).unwrap(), ChildState::Living);
    assert!(children::is_living_child(pid).unwrap());
    assert_eq!(children::reap_next().unwrap(), None);
    drop(hold);
    rustix::process::waitid(
        rustix::process::WaitId::All,
        rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
    )
    .unwrap();
    assert_eq!(children::state_of(pid).unwrap(), ChildState::Ended);
    assert!(!children::is_living_child(pid).unwrap());
    let exit = Exit { pid, status: ExitStatus::Exited(3) };
    assert_eq!(children::reap_next().unwrap(), Some(exit));
    for stranger in [pid, 1, 0, -1, parent_pid()] {
        assert_eq!(children::state_of(stranger).unwrap(), ChildState::Unknown);
    }
}

#[test]
fn numbers_are_written_without_memory() {
    for number in [0, 7, 13, 120, i32::MAX] {
        let mut digits = [0; DIGITS];
        assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
    }
}
