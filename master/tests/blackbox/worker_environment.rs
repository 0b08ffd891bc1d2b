//! What a worker finds: variables, descriptors, signals, process group, working directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::support::process::{descriptors, environment, status_field};
use crate::support::{Folder, IDLE, Launch, Master, NONE, workers};
use crate::worker::told;

/// The variables of the protocol that the only worker has, without the prefix.
fn protocol(master: &Master) -> Vec<(String, String)> {
    let pid = master.running()[0];
    let pairs = environment(pid).into_iter();
    pairs
        .filter_map(|(name, value)| Some((name.strip_prefix("EINHORN_")?.to_owned(), value)))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut pairs: Vec<_> = expected.iter().map(own).collect();
    pairs.sort();
    pairs
}

/// The number under which a worker has socket `index`.
fn number(master: &Master, index: usize) -> String {
    master.status()["listeners"][index]["fd"].to_string()
}

#[test]
fn without_sockets() {
    let master = Master::start(&NONE, &IDLE);
    let expected = [
        ("MASTER_PID", master.pid().to_string().as_str()),
        ("SOCK_PATH", master.socket.to_str().unwrap()),
        ("FD_COUNT", "0"),
        ("FDS", ""),
        ("CHILD_INDEX", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(protocol(&master), expected);
}

#[test]
fn one_socket_is_numbered_both_ways() {
    let master = Master::start(&["-b", "127.0.0.1:0"], &IDLE);
    let fd = number(&master, 0);
    let expected = pairs(&[
        ("MASTER_PID", &master.pid().to_string()),
        ("SOCK_PATH", master.socket.to_str().unwrap()),
        ("FD_COUNT", "1"),
        ("FDS", &fd),
        ("FD_0", &fd),
        ("FD_1", &fd),
        ("FD_FAMILY_0", "AF_INET"),
        ("FD_FAMILY_1", "AF_INET"),
        ("CHILD_INDEX", "0"),
    ]);
    assert_eq!(protocol(&master), expected);
}

#[test]
fn several_sockets_are_in_the_order_of_the_options() {
    for (base, names) in [("0", ["0", "1", "2"]), ("1", ["1", "2", "3"])] {
        let folder = Folder::new();
        let path = format!("unix:{}", folder.word("web.sock"));
        let options = ["--fd-base", base, "-b", &path, "-b", "127.0.0.1:0", "-b", "[::1]:0"];
        let master = Launch::within(folder, &options, &IDLE).start();
        let found = environment(master.running()[0]);
        for (index, (name, family)) in
            names.iter().zip(["AF_UNIX", "AF_INET", "AF_INET6"]).enumerate()
        {
            assert_eq!(found[&format!("EINHORN_FD_{name}")], number(&master, index));
            assert_eq!(found[&format!("EINHORN_FD_FAMILY_{name}")], family);
        }
        assert_eq!(found["EINHORN_FD_COUNT"], "3");
        let all: Vec<String> = (0..3).map(|index| number(&master, index)).collect();
        assert_eq!(found["EINHORN_FDS"], all.join(" "));
        let counted = found.keys().filter(|name| name.starts_with("EINHORN_FD_"));
        assert_eq!(counted.count(), 7, "{found:?}");
    }
}

#[test]
fn a_worker_has_its_sockets_open_and_nothing_else_of_the_master() {
    let options = ["-b", "127.0.0.1:0", "-b", "127.0.0.1:0", "-g", "-m", "manual"];
    let master = Master::start(&options, &told(&["ack-by-descriptor", "say=idle", "hang"]));
    master.wait_for_up(1);
    // A worker that is started while the master has clients and more descriptors open.
    let _idle: Vec<_> = (0..3).map(|_| master.client()).collect();
    master.command("inc", &[]);
    let status = master.wait_for_up(2);
    for worker in workers(&status) {
        let pid = i32::try_from(worker["pid"].as_i64().unwrap()).unwrap();
        master.wait_for_line(&format!("worker {pid} says idle"));
        let own = environment(pid);
        let named = ["EINHORN_FD_0", "EINHORN_FD_1", "EINHORN_SOCK_FD"];
        let mut expected: BTreeSet<i32> = [0, 1, 2].into();
        expected.extend(named.map(|name| own[name].parse::<i32>().unwrap()));
        assert_eq!(expected.len(), 6);
        let open = descriptors(pid);
        assert_eq!(open.keys().copied().collect::<BTreeSet<i32>>(), expected, "{open:?}");
        assert!(named.iter().all(|name| open[&own[*name].parse().unwrap()].starts_with("socket:")));
    }
}

#[test]
fn the_command_socket_is_told_by_its_absolute_path() {
    let folder = Folder::new();
    let here = folder.path().to_owned();
    let master = Launch::within(folder, &["-d", "./my.sock"], &IDLE)
        .working_directory(here)
        .socket("my.sock")
        .start();
    let told = environment(master.running()[0])["EINHORN_SOCK_PATH"].clone();
    assert_eq!(told, master.folder.word("my.sock"));
}

#[test]
fn what_was_said_to_the_master_alone_is_not_passed_on() {
    let own = ["EINHORN_FD_7", "EINHORN_SOCK_FD", "EINHORN_ANYTHING", "EINHORN_MASTER_PID"];
    let of_the_service_manager = [
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
    ];
    let mut launch = Launch::new(&NONE, &IDLE).env("KEPT", "as it = is\n").env("EMPTY", "");
    for name in own.iter().chain(&of_the_service_manager) {
        launch = launch.env(name, "1");
    }
    let master = launch.start();
    let found = environment(master.running()[0]);
    for name in of_the_service_manager.iter().chain(&own[..3]) {
        assert!(!found.contains_key(*name), "{name}");
    }
    assert_eq!(found["EINHORN_MASTER_PID"], master.pid().to_string());
    assert_eq!((found["KEPT"].as_str(), found["EMPTY"].as_str()), ("as it = is\n", ""));
    assert_eq!(found["TMPDIR"], master.folder.path().to_str().unwrap());
}

#[test]
fn signals_are_as_if_freshly_logged_in() {
    // HUP is ignored as under nohup, and so is what a careless parent may ignore.
    let ignoring = ["sh", "-c", "trap '' HUP INT USR2 PIPE CHLD; exec \"$@\"", "sh"];
    let master = Launch::new(&NONE, &IDLE).under(&ignoring).start();
    let pid = master.running()[0];
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(status_field(pid, field), "0000000000000000", "{field}");
    }
    // The master sees its workers' ends all the same.
    crate::support::process::send(pid, rustix::process::Signal::TERM);
    master.wait_for("another worker", |status| {
        workers(status).len() == 1 && workers(status)[0]["pid"] != pid
    });
}

#[test]
fn a_worker_leads_its_own_process_group_and_has_the_rest_from_the_master() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("cwd")).unwrap();
    let here = folder.join("cwd");
    let input = folder.write("input", "");
    let master = Launch::within(folder, &["-n", "2"], &IDLE)
        .under(&["sh", "-c", "umask 027; exec \"$@\"", "sh"])
        .working_directory(here.clone())
        .stdin(File::open(&input).unwrap())
        .start();
    for pid in master.running() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        assert_eq!(fields[1], master.pid().to_string(), "parent");
        assert_eq!(fields[2], pid.to_string(), "process group");
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), here);
        assert_eq!(status_field(pid, "Umask"), "0027");
        let open = descriptors(pid);
        assert_eq!(open[&0], input.to_str().unwrap());
        assert_eq!(open[&1], master.folder.word("stdout"));
    }
}

#[test]
fn the_index_is_the_smallest_that_nobody_living_has() {
    let master = Master::start(&["-n", "3", "-m", "0", "-s", "0.01"], &told(&["hang"]));
    let status = master.wait_for_up(3);
    let second = crate::support::pids(&status)[1];
    crate::support::Process::of(second).signal(rustix::process::Signal::KILL);
    let status = master.wait_for("a replacement", |status| {
        workers(status).len() == 3 && !crate::support::pids(status).contains(&second)
    });
    let newest = *crate::support::pids(&status).last().unwrap();
    master.wait_until("it runs", || {
        let own = environment(newest);
        own.get("EINHORN_CHILD_INDEX").filter(|index| *index == "1").cloned()
    });
    assert_eq!(crate::support::worker_of(&status, newest)["index"], json!(1));
}

#[test]
fn nice_levels_are_absolute_and_one_that_is_refused_is_no_reason_to_fail() {
    let level = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse::<i32>().unwrap()
    };
    let master = Master::start(&["--nice", "11:13"], &IDLE);
    let worker = master.running()[0];
    assert_eq!((level(master.pid()), level(worker)), (11, 13));
    let master = Master::start(&["--nice", "12"], &IDLE);
    let worker = master.running()[0];
    assert_eq!((level(master.pid()), level(worker)), (12, 12));
}

#[test]
fn a_worker_may_open_as_many_files_as_the_master_was_given() {
    let limited = ["sh", "-c", "ulimit -S -n 64; exec \"$@\"", "sh"];
    let print = ["sh", "-c", "echo limit $(ulimit -n) >&2; exec sleep 1000000"];
    let master = Launch::new(&NONE, &print).under(&limited).start();
    master.wait_for_line("limit 64");
}

#[test]
fn a_stranger_to_the_group_may_still_reach_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    let address = format!("unix:{}", path.display());
    let _master = Launch::within(folder, &["-b", &address], &IDLE)
        .under(&["sh", "-c", "umask 022; exec \"$@\"", "sh"])
        .start();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}
