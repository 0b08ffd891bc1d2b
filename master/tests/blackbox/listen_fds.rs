//! `--listen-fds`: a worker finds its sockets by the convention of socket activation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::support::process::{descriptors, environment};
use crate::support::{Folder, IDLE, Launch, Master, pids, workers};
use crate::worker::told;

/// What the worker is told by the convention, checked to be for it and nobody else.
#[track_caller]
fn convention(pid: i32) -> (usize, Vec<String>) {
    let own = environment(pid);
    assert_eq!(own["LISTEN_PID"], pid.to_string());
    let names = own["LISTEN_FDNAMES"].split(':').map(str::to_owned).collect();
    (own["LISTEN_FDS"].parse().unwrap(), names)
}

/// Whether the worker has the master's sockets, in order, from descriptor 3 on, and nothing
/// else but `others` after them.
#[track_caller]
fn check_descriptors(master: &Master, status: &Json, pid: i32, others: usize) {
    let listeners = status["listeners"].as_array().unwrap();
    let of_master = descriptors(master.pid());
    let end = 3 + i32::try_from(listeners.len() + others).unwrap();
    let numbers: BTreeSet<i32> = (0..end).collect();
    // It is up before it has closed the connection on which it has said so.
    let of_worker = master.wait_until("these descriptors and no others", || {
        let open = descriptors(pid);
        (open.keys().copied().collect::<BTreeSet<i32>>() == numbers).then_some(open)
    });
    for (listener, number) in listeners.iter().zip(3..) {
        let here = i32::try_from(listener["fd"].as_i64().unwrap()).unwrap();
        assert_eq!(of_worker[&number], of_master[&here], "{number}");
    }
    let own = environment(pid);
    for (index, number) in (0..listeners.len()).zip(3..) {
        assert_eq!(own[&format!("EINHORN_FD_{index}")], number.to_string());
    }
}

#[test]
fn sockets_are_from_three_on_by_name_and_the_connection_comes_after_them() {
    let folder = Folder::new();
    let path = format!("unix:{}", folder.word("web.sock"));
    let options =
        ["-b", "web=127.0.0.1:0", "-b", &path, "-b", "a.b-c=[::1]:0", "-g", "--listen-fds"];
    let worker = told(&["ack-by-descriptor", "say=idle", "hang"]);
    let master =
        Launch::within(folder, &[&options[..], &["-m", "manual"]].concat(), &worker).start();
    let status = master.wait_for_up(1);
    let pid = master.only_pid();
    master.wait_for_line(&format!("worker {pid} says idle"));
    let names = ["web", "unknown", "a.b-c"].map(str::to_owned).to_vec();
    assert_eq!(convention(pid), (3, names));
    check_descriptors(&master, &status, pid, 1);
    assert_eq!(environment(pid)["EINHORN_SOCK_FD"], "6");
}

#[test]
fn whatever_numbers_the_master_has_them_under() {
    // The master is started with descriptors of somebody else where its own would be.
    let taken = "exec 3</dev/null 4</dev/null 6</dev/null 9</dev/null; exec \"$@\"";
    let addresses: Vec<String> = (0..150).map(|n| format!("n{n}=127.0.0.1:0")).collect();
    let mut options = vec!["--listen-fds", "-m", "manual"];
    options.extend(addresses.iter().flat_map(|address| ["-b", address]));
    let worker = told(&["ack", "say=idle", "hang"]);
    let master = Launch::new(&options, &worker).under(&["bash", "-c", taken, "bash"]).start();
    let status = master.wait_for_up(1);
    let pid = master.only_pid();
    let (count, names) = convention(pid);
    assert_eq!((count, names[149].as_str()), (150, "n149"));
    check_descriptors(&master, &status, pid, 0);
}

#[test]
fn many_workers_each_find_their_own_pid() {
    let options = ["-b", "127.0.0.1:0", "--listen-fds", "-n", "100", "-m", "0"];
    let master = Master::start(&options, &IDLE);
    let status = master.wait_for("all workers", |status| workers(status).len() == 100);
    for pid in pids(&status) {
        master.wait_until_it_runs(pid);
        assert_eq!(convention(pid).0, 1);
    }
}

#[test]
fn it_stays_so_after_a_reload_and_an_upgrade_and_only_workers_are_renumbered() {
    let options = ["-b", "web=127.0.0.1:0", "-b", "127.0.0.1:0", "--listen-fds", "-m", "manual"];
    let master = Master::start(&options, &told(&["ack", "say=idle", "hang"]));
    let before = master.wait_for_up(1);
    let inodes = |status: &Json| -> BTreeMap<i64, String> {
        let open = descriptors(master.pid());
        let listeners = status["listeners"].as_array().unwrap();
        let number = |listener: &Json| listener["fd"].as_i64().unwrap();
        listeners
            .iter()
            .map(|listener| {
                (number(listener), open[&i32::try_from(number(listener)).unwrap()].clone())
            })
            .collect()
    };
    let held = inodes(&before);
    // What another master would read: its own numbers.
    let state = master.state();
    let lines: Vec<String> = held.keys().map(|number| format!("- {number}")).collect();
    assert!(state.contains(&format!(":bind_fds:\n{}\n", lines.join("\n"))), "{state}");
    for generation in 1..=3 {
        if generation == 1 {
            master.command("reload", &[]);
            master.wait_for("the next image", |status| status["generation"] == 1);
            master.command("inc", &[]);
        } else {
            let replies = master.upgrade("upgrade");
            assert_eq!(replies.last().unwrap()["error"], Json::Null, "{replies:?}");
        }
        let status = master.wait_for_up(2);
        assert_eq!(inodes(&status), held);
        let newest = *pids(&status).last().unwrap();
        master.wait_for_line(&format!("worker {newest} says idle"));
        assert_eq!(status["stop_signal"], "TERM");
        assert_eq!(convention(newest), (2, vec!["web".to_owned(), "unknown".to_owned()]));
        check_descriptors(&master, &status, newest, 0);
    }
}

#[test]
fn without_sockets_nothing_is_said() {
    let master = Launch::new(&["--listen-fds"], &IDLE).env("LISTEN_FDS", "1").start();
    let pid = master.running()[0];
    let own = environment(pid);
    assert!(own.keys().all(|name| !name.starts_with("LISTEN_")), "{own:?}");
}

#[test]
fn code_that_is_loaded_before_cannot_have_it() {
    let folder = Folder::new();
    let code = folder.write("app.py", "def einhorn_main(): pass\n");
    let options = ["--listen-fds", "-p", code.to_str().unwrap()];
    let line = Launch::within(folder, &options, &IDLE).run().refused(&["app.py"]);
    assert!(line.contains("--listen-fds") && line.contains("--preload"), "{line}");
    assert!(line.contains("EINHORN_FD_0"), "{line}");
}
