//! Nothing of the master's is open in a worker, whatever there is: each kind of descriptor that
//! a master can have, before and after a reload.

use serde_json::{Value as Json, json};

use crate::support::process::{descriptors, send};
use crate::support::{Client, IDLE, Launch, Master, pids};

/// What a master has open beside its standard descriptors, each by a word of `/proc/PID/fd`.
#[track_caller]
fn has_all(master: &Master, kinds: &[&str]) {
    let open = descriptors(master.pid());
    for kind in kinds {
        let there = open.iter().any(|(number, what)| *number > 2 && what.contains(kind));
        assert!(there, "the master has no {kind}: {open:?}");
    }
}

/// A new worker's descriptors above 2: nothing but those that are meant for it.
#[track_caller]
fn of_a_new_worker(master: &Master, expected: &[i32]) {
    // Old ones of an upgrade may be on their way out.
    let before = pids(&master.wait_for("all settled", |status| pids(status).len() == 2));
    send(before[0], rustix::process::Signal::KILL);
    let status = master.wait_for("another worker", |status| {
        pids(status).len() == before.len() && !pids(status).contains(&before[0])
    });
    let worker = *pids(&status).iter().find(|pid| !before.contains(pid)).unwrap();
    master.wait_until_it_runs(worker);
    // The loader has a library open at first.
    master.wait_until("nothing but its own", || {
        let open = descriptors(worker);
        let above: Vec<i32> = open.keys().copied().filter(|number| *number > 2).collect();
        (above == expected).then_some(())
    });
}

fn listeners(status: &Json) -> Vec<i32> {
    let fd = |listener: &Json| i32::try_from(listener["fd"].as_i64().unwrap()).unwrap();
    status["listeners"].as_array().unwrap().iter().map(fd).collect()
}

fn reload(master: &Master) {
    let generation = master.status()["generation"].as_u64().unwrap();
    master.command("reload", &[]);
    master.wait_for("the next image", |status| status["generation"] == generation + 1);
}

/// Clients of every sort: idle, with half a line, with an answer unread, waiting for an upgrade.
fn clients(master: &Master) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..3).map(|_| master.client()).collect();
    clients[1].send("{\"command\":");
    clients[2].send_json(&json!({"command": "ehlo"}));
    clients
}

/// A shell raises no hard limit, and the soft one is less than what clients take.
#[test]
fn more_clients_than_the_limit_at_the_start_keep_nobody_from_an_upgrade() {
    let launch = Launch::new(&["-n", "2", "-m", "0", "-s", "0.01"], &IDLE);
    let limited = ["sh", "-c", "ulimit -S -n 40; exec \"$@\"", "sh"];
    let master = launch.under(&limited).start();
    let before = pids(&master.wait_for_up(2));
    let mut clients: Vec<_> = (0..80).map(|_| master.client()).collect();
    for client in &mut clients {
        assert!(client.ask(&json!({"command": "ehlo"}))["message"].is_string());
    }
    let told = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(told["error"], Json::Null, "{told}");
    let after = pids(&master.wait_for_up(2));
    assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
    for client in &mut clients {
        assert!(client.ask(&json!({"command": "ehlo"}))["message"].is_string());
    }
    for pid in after {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(line.split_ascii_whitespace().nth(3), Some("40"), "{line}");
    }
}

#[test]
fn of_every_kind_with_notifications() {
    let folder = crate::support::Folder::new();
    let place = folder.word("place");
    std::fs::create_dir(&place).unwrap();
    let unix = format!("unix:{}", folder.word("web.sock"));
    let options = ["-b", "127.0.0.1:0", "-b", &unix, "-b", "[::1]:0", "-n", "2", "-s", "0.01"];
    let more = ["-m", "notify", "--chdir", &place, "--max-unacked", "9"];
    let master = Launch::within(folder, &[&options[..], &more].concat(), &IDLE).start();
    let _clients = clients(&master);
    for _ in 0..2 {
        // Poll, signals, sockets of all sorts, the folder, the descriptor that is to spare, and
        // standard error opened anew for the log.
        has_all(&master, &["eventpoll", "signalfd", "socket:", "/place", "/dev/null", "pipe:"]);
        of_a_new_worker(&master, &listeners(&master.status()));
        reload(&master);
    }
    master.stop();
}

#[test]
fn of_every_kind_while_an_upgrade_is_checked() {
    let folder = crate::support::Folder::new();
    let gate = folder.gate("gate");
    let wrapper = folder.script(
        "next",
        &format!(
            "case $* in *--upgrade-check*) read line < {}; esac; exec {} \"$@\"",
            folder.word("gate"),
            crate::support::EINHORN
        ),
    );
    let options =
        ["-b", "127.0.0.1:0", "-n", "2", "-s", "0.01", "-m", "0", "--reexec-as", &wrapper];
    let master = Launch::within(folder, &options, &IDLE).start();
    master.wait_for_up(2);
    let mut caller = master.begin("upgrade");
    master.wait_for("the check", |status| status["checking"] == true);
    has_all(&master, &["eventpoll", "signalfd", "socket:", "pipe:"]);
    of_a_new_worker(&master, &listeners(&master.status()));
    let open = gate.open();
    std::io::Write::write_all(&mut &open, b"go\n").unwrap();
    let last = caller.replies().pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    of_a_new_worker(&master, &listeners(&master.status()));
    master.stop();
}

/// With `-g` and `-m fd` a worker has one more of each, and none of another worker's.
#[test]
fn of_every_kind_with_gifts() {
    let options =
        ["-b", "127.0.0.1:0", "-n", "3", "-s", "0.01", "-g", "-m", "fd", "--max-unacked", "9"];
    let master = Master::start(&options, &IDLE);
    let _clients = clients(&master);
    for _ in 0..2 {
        has_all(&master, &["eventpoll", "signalfd", "socket:", "pipe:"]);
        for pid in master.running() {
            let variables = crate::support::process::environment(pid);
            let number = |name: &str| variables[name].parse::<i32>().unwrap();
            let mut expected = listeners(&master.status());
            expected.extend([number("EINHORN_SOCK_FD"), number("EINHORN_READY_FD")]);
            expected.sort_unstable();
            master.wait_until("nothing but its own", || {
                let open = descriptors(pid);
                let above: Vec<i32> = open.keys().copied().filter(|number| *number > 2).collect();
                (above == expected).then_some(())
            });
        }
        reload(&master);
        let before = master.pids();
        send(before[0], rustix::process::Signal::KILL);
        master.wait_for("another worker", |status| {
            pids(status).len() == 3 && !pids(status).contains(&before[0])
        });
    }
    master.stop();
}

#[test]
fn no_secret_of_the_environment_is_told_anywhere() {
    let options = ["-n", "2", "-m", "0", "-s", "0.01", "-v", "-b", "127.0.0.1:0"];
    let master = Launch::new(&options, &IDLE).env("TOKEN", "a-secret-word").start();
    master.wait_for_up(2);
    let last = master.upgrade("upgrade").pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    reload(&master);
    let all = [master.state(), master.command("status", &[]), master.status().to_string()];
    for text in all.iter().chain(&[master.log.text(), master.command("help", &[])]) {
        assert!(!text.contains("a-secret-word"), "{text}");
    }
    // The workers have it.
    let worker = master.running()[0];
    assert_eq!(crate::support::process::environment(worker)["TOKEN"], "a-secret-word");
    master.stop();
}

#[test]
fn what_a_reload_runs_is_looked_up_once_and_logged() {
    let folder = crate::support::Folder::new();
    let first = folder.join("first");
    let second = folder.join("second");
    for path in [&first, &second] {
        std::fs::create_dir(path).unwrap();
    }
    let link = |from: &std::path::Path| {
        std::os::unix::fs::symlink(crate::support::EINHORN, from.join("own-einhorn")).unwrap();
    };
    link(&second);
    let path =
        format!("{}:{}:{}", first.display(), second.display(), std::env::var("PATH").unwrap());
    let options = ["-n", "1", "--reexec-as", "own-einhorn"];
    let master = Launch::within(folder, &options, &IDLE).env("PATH", path).start();
    reload(&master);
    master.wait_for_line(&format!("generation 1, with {}/own-einhorn", second.display()));
    link(&first);
    reload(&master);
    master.wait_for_line(&format!("generation 2, with {}/own-einhorn", first.display()));
    master.stop();
}
