//! Starting: what a new master opens and runs, and what it refuses before it has touched
//! anything.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::support::{Folder, IDLE, Launch, Master, NONE, Process, pids, workers};
use crate::worker::{told, told_in_shell};

#[test]
fn all_workers_start_at_once_and_the_files_are_there() {
    // The second start of a gradual replenishment would come after 1000 s.
    let master = Master::start(&["-n", "3", "-s", "1000", "-m", "manual"], &IDLE);
    let status = master.status();
    assert_eq!(status["pid"], master.pid());
    assert_eq!(status["target"], 3);
    assert_eq!(pids(&status).len(), 3);
    let indexes: Vec<_> = workers(&status).iter().map(|worker| worker["index"].clone()).collect();
    assert_eq!(indexes, [0, 1, 2]);
    assert!(workers(&status).iter().all(|worker| worker["stage"] == "starting"));

    assert_eq!(master.folder.read("einhorn.pid").trim(), master.pid().to_string());
    let mode = fs::metadata(&master.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(master.folder.join("einhorn.lock").is_file());
    master.stop();
}

#[test]
fn without_a_program_it_tells_how_it_is_used() {
    for options in [&[][..], &["-n", "2"], &["--"]] {
        let finished = Launch::new(options, &NONE).run();
        assert_eq!(finished.status.code(), Some(1));
        assert!(finished.stdout.starts_with("## Usage"), "{}", finished.stdout);
        assert_eq!(finished.folder.names(), ["stdout"]);
    }
}

#[test]
fn the_check_needs_no_program_and_touches_nothing() {
    for program in [&[][..], &["/no/such/program"]] {
        let finished = Launch::new(&["--upgrade-check", "--"], program).run();
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
        assert_eq!(finished.folder.names(), ["stdout"]);
    }
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let folder = Folder::new();
    let plain = folder.write("plain", "echo\n").to_str().unwrap().to_owned();
    let bad_interpreter = folder.program("bad-interpreter", "#!/no/such/interpreter\n");
    let cases = [
        ("/no/such/program".to_owned(), "no such file"),
        ("no-such-program-in-path".to_owned(), "PATH"),
        (plain, "not executable"),
        ("/".to_owned(), "folder"),
        ("/dev/null".to_owned(), "not a regular file"),
        (bad_interpreter, "/no/such/interpreter"),
    ];
    for (program, reason) in &cases {
        let finished = Launch::new(&["-b", "127.0.0.1:0", "-n", "2"], &[program]).run();
        let line = finished.refused(&[]);
        assert!(line.contains(program) && line.contains(reason), "{line}");
    }
}

#[test]
fn a_bind_that_fails_leaves_nothing_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let path = folder.word("web.sock");
    let evidence = folder.word("evidence");
    let options = ["-b", "127.0.0.1:0", "-b", &format!("unix:{path}"), "-b", &address];
    let finished = Launch::within(folder, &options, &["touch", &evidence]).run();
    let line = finished.refused(&[]);
    assert!(line.contains(&format!("cannot bind {address}: address already in use")), "{line}");
    assert!(line.contains('('), "no hint: {line}");
}

#[test]
fn a_second_master_on_the_same_files_is_refused() {
    let first = Master::start(&["-n", "1"], &IDLE);
    let worker = first.only_pid();
    let own_folder = first.folder.path();
    let second = Launch::new(&["-n", "1"], &IDLE).env("TMPDIR", own_folder).run();
    assert_eq!(second.status.code(), Some(1));
    let line = second.stderr.lines().last().unwrap().to_owned();
    assert!(line.contains("einhorn.sock") && line.contains("-d"), "{line}");

    assert_eq!(first.folder.read("einhorn.pid").trim(), first.pid().to_string());
    assert_eq!(first.only_pid(), worker);
    // Nor does one that only shares the pid file's path by option, and fails later, touch it.
    let pidfile = first.folder.word("einhorn.pid");
    let third = Launch::new(&["-e", &pidfile, "-b", "192.0.2.1:80"], &IDLE).run();
    assert_eq!(third.status.code(), Some(1));
    assert_eq!(first.folder.read("einhorn.pid").trim(), first.pid().to_string());
}

#[test]
fn a_dead_command_socket_is_replaced() {
    let folder = Folder::new();
    folder.dead_socket("einhorn.sock");
    let master = Launch::within(folder, &["-n", "1"], &IDLE).start();
    assert_eq!(master.pids().len(), 1);
}

#[test]
fn options_out_of_range_are_named_before_anything_is_opened() {
    let cases: [(&[&str], &str); 22] = [
        (&["-n", "0"], "0"),
        (&["-n", "10001"], "10001"),
        (&["-n", "two"], "two"),
        (&["-s", "0"], "seconds"),
        (&["-s", "-1"], "-1"),
        (&["-s", "nan"], "nan"),
        (&["-m", "auto"], "auto"),
        (&["-m", "-1"], "-1"),
        (&["-t", "-3"], "-3"),
        (&["-l", "0"], "backlog"),
        (&["--max-unacked", "0"], "max-unacked"),
        (&["--max-upgrade-additional", "0"], "max-upgrade-additional"),
        (&["--ack-timeout", "-1"], "ack-timeout"),
        (&["-m", "5", "--ack-timeout", "3"], "ack timeout of 3 s"),
        (&["--nice", "20"], "nice"),
        (&["--fd-base", "2"], "fd-base"),
        (&["-b", "127.0.0.1"], "no port"),
        (&["-b", "127.0.0.1:65536"], "65536"),
        (&["-b", "127.0.0.1:0,x"], "\"x\""),
        (&["-b", "a=127.0.0.1:0", "-b", "a=127.0.0.1:0"], "\"a\""),
        (&["--reexec-as", "'einhorn"], "reexec-as"),
        (&["--no-such-option"], "--no-such-option"),
    ];
    for (options, words) in cases {
        let options: Vec<&str> = ["-b", "127.0.0.1:0"].iter().chain(options).copied().collect();
        let finished = Launch::new(&options, &IDLE).run();
        let line = finished.refused(&[]);
        assert!(line.contains(words), "{options:?}: {line}");
        // Not even the lock was taken.
        assert_eq!(finished.folder.names(), ["stdout"], "{options:?}");
    }
}

#[test]
fn a_name_is_looked_up_in_path_once() {
    let folder = Folder::new();
    fs::create_dir(folder.join("bin")).unwrap();
    folder.script("bin/my-worker", "exec sleep 1000000");
    let path = format!("{}:{}", folder.word("bin"), std::env::var("PATH").unwrap());
    let resolved = folder.word("bin/my-worker");
    let master =
        Launch::within(folder, &["-n", "1"], &["my-worker", "--x"]).env("PATH", path).start();
    let state = master.state();
    assert!(state.contains(":orig_cmd:\n- my-worker\n"), "{state}");
    assert!(state.contains(&format!(":cmd:\n- \"{resolved}\"")), "{state}");
}

#[test]
fn a_worker_that_lives_long_enough_is_up() {
    let master = Master::start(&["-n", "2", "-m", "0.01"], &IDLE);
    master.wait_for_up(2);
    let master = Master::start(&["-n", "2", "-m", "0"], &IDLE);
    master.wait_for_up(2);
}

#[test]
fn a_worker_that_is_gone_is_replaced_with_the_same_index() {
    let master = Master::start(&["-n", "2", "-m", "0", "-s", "0.01"], &told(&["hang"]));
    let before = master.wait_for_up(2);
    let (gone, stays) = (pids(&before)[0], pids(&before)[1]);
    Process::of(gone).signal(rustix::process::Signal::KILL);
    let after = master.wait_for("a new worker", |status| {
        workers(status).len() == 2 && !pids(status).contains(&gone)
    });
    assert!(pids(&after).contains(&stays));
    assert_eq!(pids(&after).iter().filter(|pid| **pid == stays).count(), 1);
    let mut indexes: Vec<_> =
        workers(&after).iter().map(|worker| worker["index"].as_u64()).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [Some(0), Some(1)]);
    let line = master.wait_for_line(&format!("worker {gone} (index 0) exited"));
    assert!(line.contains("KILL") && line.contains("WARN"), "{line}");
}

#[test]
fn deaths_before_the_acknowledgement_are_told_with_the_wait_that_follows() {
    let master = Master::start(&["-m", "manual", "-s", "0.1"], &told(&["exit=3"]));
    for seconds in ["0.15", "0.225"] {
        let words =
            format!("exited before it was acknowledged: status 3; next start in {seconds} s");
        master.wait_for_line(&words);
    }
    master.wait_for_line("index 0");
}

#[test]
fn the_process_list_shows_the_name() {
    let shown = |master: &Master| {
        let path = format!("/proc/{}/cmdline", master.pid());
        let text = fs::read(path).unwrap();
        String::from_utf8(text).unwrap().trim_end_matches('\0').to_owned()
    };
    let named = Launch::new(&["-c", "shop"], &IDLE).socket("einhorn-shop.sock").start();
    assert_eq!(shown(&named), "einhorn: shop");
    assert!(named.folder.join("einhorn-shop.pid").is_file());
    assert!(named.folder.join("einhorn-shop.lock").is_file());
    let unnamed = Master::start(&NONE, &IDLE);
    assert_eq!(shown(&unnamed), "einhorn: sleep 1000000");
}

#[test]
fn a_script_without_a_first_line_runs_as_a_shell_would_run_it() {
    let folder = Folder::new();
    let script = folder.program("plain", told_in_shell(&["say=hello", "hang"]));
    let master = Launch::within(folder, &["-m", "manual"], &[script]).start();
    master.wait_for_line("says hello");
}

#[test]
fn workers_are_acknowledged_by_all_ways_there_are() {
    for (options, way) in [
        (&[][..], "ack"),
        (&[], "ack-without-reading"),
        (&[], "ack-as-ruby"),
        (&["-g"], "ack"),
        (&["-g"], "ack-by-descriptor"),
    ] {
        let options: Vec<&str> =
            ["-n", "2", "-m", "manual"].iter().chain(options).copied().collect();
        let master = Master::start(&options, &told(&[way, "hang"]));
        master.wait_for_up(2);
        master.wait_for_line("2 workers up");
        assert_eq!(master.status()["upgrade"], json!(null));
    }
}
