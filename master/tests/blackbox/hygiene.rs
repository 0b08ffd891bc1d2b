//! Processes as they come in practice: a container's first process, orphans, workers that do not
//! want to end, cannot be reaped or die without end, and very many of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getuid};

use crate::support::load::Load;
use crate::support::process::{send, start, status_field};
use crate::support::{EINHORN, Folder, IDLE, Launch, Master, Process, pids, workers};
use crate::worker::told;

/// A field of `/proc/PID/stat`, counted as proc(5) does.
fn stat(pid: i32, number: usize) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, which may have blanks, is the second.
    let rest = text.rsplit(") ").next().unwrap();
    rest.split(' ').nth(number - 3).unwrap().to_owned()
}

/// How long a process has been running on a processor.
fn processor_time(pid: i32) -> Duration {
    let ticks: u64 = [14, 15].map(|field| stat(pid, field).parse::<u64>().unwrap()).iter().sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn children(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// A master that is the first process of a pid namespace, and its pid out here.
fn first_of_a_namespace(script: &str) -> Option<(Master, i32)> {
    if !getuid().is_root() {
        return None;
    }
    let wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let words = ["sh", "-c", script];
    let master = Launch::new(&["-n", "1", "-m", "0", "-s", "0.01"], &words).under(&wrapper).start();
    let pid = children(master.pid())[0];
    assert_eq!(master.status()["pid"], 1);
    Some((master, pid))
}

#[test]
fn the_first_process_of_a_container_reaps_strangers_in_silence() {
    let orphans = "for n in 1 2 3; do (sh -c 'exit 7' &); done; (sleep 1000000 &); \
                   echo ready >&2; exec sleep 1000000";
    let Some((mut master, pid)) = first_of_a_namespace(orphans) else { return };
    master.wait_for_line("ready");
    // The worker, and the orphan that goes on: none is left of those that ended.
    master.wait_until("the dead are gone", || {
        let left = children(pid);
        let is_dead = |pid: &i32| status_field(*pid, "State").starts_with('Z');
        (left.len() == 2 && !left.iter().any(is_dead)).then_some(())
    });
    let text = master.log.text();
    assert!(!text.contains("no known worker") && !text.contains("exited"), "{text}");
    send(pid, Signal::TERM);
    assert_eq!(master.wait(), 0);
    // A namespace ends with its first process.
    master.check_nobody_is_left();
}

#[test]
fn the_first_process_of_a_container_passes_signals_on_and_exits_as_elsewhere() {
    let says = "trap 'echo got TERM >&2; exit 0' TERM; echo ready >&2; \
                while :; do sleep 1000000 & wait $!; done";
    let Some((mut master, pid)) = first_of_a_namespace(says) else { return };
    master.wait_for_line("ready");
    send(pid, Signal::TERM);
    master.wait_for_line("got TERM");
    assert_eq!(master.wait(), 0);
    let Some((mut master, pid)) = first_of_a_namespace("exec sleep 1000000") else { return };
    send(pid, Signal::QUIT);
    assert_eq!(master.wait(), 1);
}

#[test]
fn an_upgrade_in_a_container_replaces_the_master_as_elsewhere() {
    let Some((master, pid)) = first_of_a_namespace("exec sleep 1000000") else { return };
    let last = master.upgrade("upgrade").pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    assert_eq!(master.status()["pid"], 1);
    assert_eq!(children(master.pid()), [pid]);
    master.stop();
}

#[test]
fn what_a_worker_has_started_is_its_own_affair() {
    let script = "sleep 1000000 & echo child $! >&2; exec sleep 1000000";
    let mut master = Master::start(&["-n", "1", "-m", "0", "-s", "0.01"], &["sh", "-c", script]);
    let line = master.wait_for_line("child ");
    let orphan = Process::of(line.rsplit(' ').next().unwrap().parse().unwrap());
    let worker = master.only_pid();
    send(worker, Signal::KILL);
    master.wait_for("the next one", |status| pids(status).len() == 1 && pids(status) != [worker]);
    assert!(orphan.lives());
    // Nobody waits for it either.
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert!(orphan.lives());
}

/// A worker that only KILL ends.
const DEAF: [&str; 3] = [
    "sh",
    "-c",
    "trap '' HUP INT QUIT PIPE ALRM TERM USR1 USR2 TTIN TTOU TSTP CONT; echo deaf >&2; \
     while :; do sleep 1000000; done",
];

#[test]
fn a_worker_that_ignores_everything_but_kill() {
    let options = ["-n", "1", "-m", "0", "-s", "0.01", "-t", "0.2"];
    let mut master = Master::start(&options, &DEAF);
    master.wait_for_line("deaf");
    let old = Process::of(master.only_pid());
    let last = master.upgrade("upgrade").pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    old.wait();
    master.wait_for_line("sent SIGKILL to worker");
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}

#[test]
fn a_stopped_worker_is_replaced_in_an_upgrade_and_killed_in_time() {
    let options = ["-n", "1", "-m", "0", "-s", "0.01", "-t", "0.2"];
    let master = Master::start(&options, &IDLE);
    let old = Process::of(master.running()[0]);
    old.signal(Signal::STOP);
    let last = master.upgrade("upgrade").pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    old.wait();
    // One that nobody asked to stop stays.
    let worker = master.running()[0];
    send(worker, Signal::STOP);
    master.command("inc", &[]);
    assert!(pids(&master.wait_for_up(2)).contains(&worker));
    send(worker, Signal::CONT);
    master.stop();
}

/// Holds a process as a debugger does, and never looks at it again.
const TRACER: &str = "import ctypes, sys, time
seize = 0x4206
result = ctypes.CDLL(None, use_errno=True).ptrace(seize, int(sys.argv[1]), None, None)
print('held' if result == 0 else 'refused', flush=True)
time.sleep(1000000)";

#[test]
fn a_worker_that_a_debugger_holds_costs_no_more_than_itself() {
    let master = Master::start(&["-n", "1", "-m", "0", "-s", "0.01"], &IDLE);
    let worker = master.running()[0];
    let mut command = Command::new("python3");
    command.args(["-c", TRACER, &worker.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut tracer = start(&mut command);
    let mut told = String::new();
    let output = tracer.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut told).unwrap();
    if told.trim() != "held" {
        // Where one may not trace one's own user's processes.
        assert!(!getuid().is_root(), "{told}");
        tracer.kill().unwrap();
        tracer.wait().unwrap();
        return;
    }
    // It is dead, but nobody can reap it as long as it is held.
    send(worker, Signal::KILL);
    master.wait_until("its end", || status_field(worker, "State").starts_with('Z').then_some(()));
    assert_eq!(master.only_pid(), worker);
    master.command("inc", &[]);
    master.wait_for("another one", |status| pids(status).len() == 2);
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    master.wait_for("two that live", |status| {
        pids(status).len() == 2 && !pids(status).contains(&worker)
    });
    master.stop();
}

/// The lines of `/proc/PID/limits` that were changed.
fn limits(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let is_changed = |line: &&str| {
        ["Max open files", "Max core file size", "Max stack size"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    text.lines().filter(is_changed).map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn nice_level_and_limits_are_those_that_the_master_was_started_with() {
    let limited = [
        "sh",
        "-c",
        "ulimit -S -n 300; ulimit -c 7; ulimit -S -s 4096; exec nice -n 3 \"$@\"",
        "sh",
    ];
    let own: i32 = stat(std::process::id().cast_signed(), 19).parse().unwrap();
    let level = (own + 3).min(19).to_string();
    let options = ["-n", "1", "-m", "0", "-s", "0.01"];
    let master = Launch::new(&options, &IDLE).under(&limited).start();
    let first = master.running()[0];
    let of_first = limits(first);
    assert_eq!(of_first.len(), 3, "{of_first:?}");
    assert!(of_first.iter().any(|line| line.starts_with("Maxopenfiles300")), "{of_first:?}");
    assert!(of_first.iter().any(|line| line.starts_with("Maxstacksize4194304")), "{of_first:?}");
    assert_eq!(stat(first, 19), level);
    let last = master.upgrade("upgrade").pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    master.wait_for_up(1);
    let second = master.running()[0];
    assert_ne!(first, second);
    assert_eq!((limits(second), stat(second, 19)), (of_first, level));
    master.stop();
}

#[test]
fn a_thousand_workers_come_and_go() {
    let options = ["-n", "1000", "-m", "0", "-s", "0.001"];
    let mut master = Master::start(&options, &IDLE);
    let status = master.wait_for("a thousand", |status| {
        workers(status).iter().filter(|worker| worker["stage"] == "up").count() == 1000
    });
    let some: Vec<Process> = pids(&status).into_iter().step_by(100).map(Process::of).collect();
    master.command("set_workers", &["3"]);
    master.wait_for_up(3);
    assert!(some.iter().filter(|worker| worker.lives()).count() <= 3);
    let idle = processor_time(master.pid());
    let peak = status_field(master.pid(), "VmHWM");
    let kib: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 64 << 10, "{kib} KiB");
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert!(idle < Duration::from_secs(60), "{idle:?}");
}

/// Looks at a master for a while, and says how much of that time it was on a processor.
fn share_of_processor(master: &Master, span: Duration) -> f64 {
    let (begun, used) = (Instant::now(), processor_time(master.pid()));
    while begun.elapsed() < span {
        master.log.wait_for_more(master.log.mark(), begun + span);
    }
    let used = processor_time(master.pid()).saturating_sub(used);
    used.as_secs_f64() / begun.elapsed().as_secs_f64()
}

/// A worker that dies soon after it counts as up, so that no back-off slows the loop down, and
/// leaves a mark.
fn short_lived(folder: &Folder) -> String {
    folder.script("short-lived", &format!("echo >> {}; sleep 0.02", folder.word("marks")))
}

/// Waits until so many have lived.
fn wait_for_lives(master: &Master, number: usize) {
    let path = master.folder.join("marks");
    master.wait_until("many short lives", || {
        let marks = fs::read(&path).map_or(0, |marks| marks.len());
        (marks >= number).then_some(())
    });
}

#[test]
fn a_crash_loop_neither_floods_the_log_nor_takes_time() {
    let folder = Folder::new();
    let script = short_lived(&folder);
    let options = ["-n", "4", "-m", "0", "-s", "0.002"];
    let mut master = Launch::within(folder, &options, &[script]).start();
    wait_for_lives(&master, 50);
    let share = share_of_processor(&master, Duration::from_secs(2));
    assert!(share < 0.8, "{share}");
    wait_for_lives(&master, 200);
    // Three lines for each life would be 600.
    let lines = master.log.mark();
    assert!(lines < 250, "{lines} lines:\n{}", master.log.text());
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    // What was not printed was counted.
    let counted = master.wait_for_line("more lines about workers that nobody asked to end");
    assert!(counted.contains("the last: worker "), "{counted}");
    let message = counted.split("einhorn: ").nth(1).unwrap();
    let number: usize = message.split(' ').next().unwrap().parse().unwrap();
    assert!(number > 100, "{counted}");
}

#[test]
fn at_the_usual_pace_half_a_minute_of_a_crash_loop_takes_next_to_no_time() {
    let master = Master::start(&["-n", "2"], &["false"]);
    master.wait_for_line("next start in");
    let share = share_of_processor(&master, Duration::from_secs(30));
    assert!(share < 0.1, "{share}");
    let lines = master.log.mark();
    assert!(lines < 100, "{lines} lines:\n{}", master.log.text());
}

#[test]
fn everything_is_logged_where_everything_is_wanted() {
    let folder = Folder::new();
    let script = short_lived(&folder);
    let options = ["-n", "4", "-m", "0", "-s", "0.002", "-v"];
    let master = Launch::within(folder, &options, &[script]).start();
    let is_end = |line: &&String| line.contains("exited") && line.contains("nobody asked");
    master.wait_until("more than are written otherwise", || {
        (master.log.lines().iter().filter(is_end).count() > 80).then_some(())
    });
}

#[test]
fn out_of_descriptors_nothing_is_tried_in_a_circle() {
    let limited = ["sh", "-c", "ulimit -n 30; exec \"$@\"", "sh"];
    let master = Launch::new(&["-n", "1", "-m", "0"], &IDLE).under(&limited).start();
    let mut clients = Vec::new();
    for _ in 0..60 {
        clients.push(master.client());
    }
    master.wait_for_line("raise the limit of open files");
    let share = share_of_processor(&master, Duration::from_secs(1));
    assert!(share < 0.2, "{share}");
    drop(clients);
    master.wait_until("room again", || {
        let mut client = master.client();
        client.try_send(b"{\"command\":\"ehlo\"}\n").ok()?;
        client.line()
    });
}

#[test]
fn the_main_job_as_a_user_without_rights() {
    const USER: u32 = 3_900_011;
    if !getuid().is_root() {
        // Then everything else in here has shown it.
        return;
    }
    let folder = Folder::new();
    std::os::unix::fs::chown(folder.path(), Some(USER), Some(USER)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let einhorn = folder.copy(EINHORN, "einhorn");
    let words = told(&["ack", "version=0", "serve"]);
    folder.copy(&words[0], "server");
    let quoted: Vec<String> = words[1..].iter().map(|word| format!("'{word}'")).collect();
    let code = format!("exec '{}' {}", folder.word("server"), quoted.join(" "));
    let script = folder.script("run", &code);
    let as_user = [
        "setpriv",
        "--reuid=3900011",
        "--regid=3900011",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
    ];
    let options = ["-n", "2", "-m", "manual", "-s", "0.01", "-b", "127.0.0.1:0"];
    let launch = Launch::within(folder, &options, &[script]).called(einhorn).under(&as_user);
    let mut master = launch.start();
    master.wait_for_up(2);
    assert!(status_field(master.pid(), "Uid").starts_with("3900011"));
    let port = master.status()["listeners"][0]["port"].as_u64().unwrap().try_into().unwrap();
    let load = Load::start(port);
    master.folder.script("run", &code.replace("version=0", "version=1"));
    for command in ["upgrade", "upgrade_fleet"] {
        let last = master.upgrade(command).pop().unwrap();
        assert!(last["error"].is_null(), "{last}");
    }
    master.command("reload", &[]);
    let enough = load.answered() + 20;
    master.wait_until("some more answers", || (load.answered() > enough).then_some(()));
    load.finish(&["0", "1"]);
    for pid in master.wait_for_up(2)["workers"].as_array().unwrap() {
        let pid = pid["pid"].as_i64().unwrap().try_into().unwrap();
        assert!(status_field(pid, "CapEff").chars().all(|digit| digit == '0'));
    }
    master.signal(Signal::INT);
    assert_eq!(master.wait(), 0);
}
