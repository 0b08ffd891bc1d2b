//! `-b inherit`: a master that is itself started by socket activation.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::support::load::Load;
use crate::support::process::{descriptors, environment};
use crate::support::{EINHORN, Folder, IDLE, LONG, Launch, Master, pids};
use crate::worker::told;

/// A file beside this one.
fn beside(name: &str) -> String {
    format!("{}/tests/blackbox/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A master that gets what the words say, as `activate.py` reads them.
fn activated<P: AsRef<std::ffi::OsStr>>(
    folder: Folder,
    words: &[&str],
    options: &[&str],
    program: &[P],
) -> Launch {
    let script = beside("activate.py");
    let wrapper: Vec<&str> =
        ["python3", script.as_str()].iter().chain(words).chain(&["--"]).copied().collect();
    Launch::within(folder, options, program).under(&wrapper)
}

fn listeners(status: &Json) -> Vec<&Json> {
    status["listeners"].as_array().unwrap().iter().collect()
}

fn addresses(status: &Json) -> Vec<String> {
    let address = |listener: &&Json| listener["address"].as_str().unwrap().to_owned();
    listeners(status).iter().map(address).collect()
}

fn names(status: &Json) -> Vec<&str> {
    listeners(status).iter().map(|listener| listener["name"].as_str().unwrap_or("-")).collect()
}

/// What the kernel calls each of the master's sockets, by its number.
fn inodes(master: &Master, status: &Json) -> BTreeMap<i64, String> {
    let open = descriptors(master.pid());
    let number = |listener: &Json| listener["fd"].as_i64().unwrap();
    let pair = |listener: &&Json| {
        (number(listener), open[&i32::try_from(number(listener)).unwrap()].clone())
    };
    listeners(status).iter().map(pair).collect()
}

/// What a worker answers there.
#[track_caller]
fn ask(address: &str) -> String {
    let mut answer = String::new();
    if let Some(path) = address.strip_prefix("unix:") {
        let mut client = UnixStream::connect(path).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client.write_all(b"who\n").unwrap();
        client.read_to_string(&mut answer).unwrap();
    } else {
        let mut client = TcpStream::connect(address.parse::<SocketAddr>().unwrap()).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client.write_all(b"who\n").unwrap();
        client.read_to_string(&mut answer).unwrap();
    }
    answer
}

#[test]
fn sockets_are_taken_in_order_and_stay_the_same_ones_over_upgrades() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    let unix = format!("web.socket=unix:{}", path.display());
    let words = ["a=tcp4", &unix, "b@1=tcp6", "a=tcp4"];
    let options = ["--listen-fds", "-m", "0", "-b", "inherit:b@1", "-b", "own=127.0.0.1:0"];
    let options = [&options[..], &["-b", "inherit"]].concat();
    let program = ["python3".to_owned(), beside("convention_server.py")];
    let mut master = activated(folder, &words, &options, &program).start();
    let status = master.wait_for_up(1);
    assert_eq!(names(&status), ["b@1", "own", "a", "web.socket", "a"]);
    let before = addresses(&status);
    assert_eq!(before[3], format!("unix:{}", path.display()));
    assert!(before[0].starts_with("[::1]:"), "{before:?}");
    let held = inodes(&master, &status);
    // Those of the launcher, under their numbers.
    assert!([3, 4, 5, 6].iter().all(|number| held.contains_key(number)), "{held:?}");
    let state = master.state();
    let ports = state.split(":bound_ports:\n").nth(1).unwrap();
    let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
    let expected: Vec<String> = before
        .iter()
        .map(|address| match address.strip_prefix("unix:") {
            Some(_) => "-".to_owned(),
            None => format!("- {}", port(address)),
        })
        .collect();
    assert_eq!(ports.lines().take(5).collect::<Vec<_>>(), expected, "aligned with :bind\n{state}");
    for _ in 0..3 {
        let replies = master.upgrade("upgrade");
        assert_eq!(replies.last().unwrap()["error"], Json::Null, "{replies:?}");
        let status = master.wait_for_up(1);
        assert_eq!(inodes(&master, &status), held);
        assert_eq!((addresses(&status), names(&status)), (before.clone(), names(&status)));
        assert_eq!(names(&status), ["b@1", "own", "a", "web.socket", "a"]);
        let pid = master.only_pid();
        for address in &before {
            assert_eq!(ask(address), format!("{pid} 1\n"), "{address}");
        }
        // Nobody is told what is not for him.
        let found = environment(master.pid());
        assert!(!found.keys().any(|name| name.starts_with("LISTEN_")), "{found:?}");
        assert_eq!(environment(pid)["LISTEN_FDNAMES"], "b@1:own:a:web.socket:a");
    }
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert!(path.exists(), "it is not the master's");
}

#[test]
fn what_nobody_asks_for_reaches_no_worker() {
    let words = ["web=tcp4", "dns=udp", "admin=tcp4"];
    let master = activated(Folder::new(), &words, &["-b", "inherit:web"], &IDLE).start();
    master.wait_for_line("2 of the 3 descriptors");
    has_only_its_socket(&master);
    let master = activated(Folder::new(), &words, &["-b", "127.0.0.1:0"], &IDLE).start();
    master.wait_for_line("3 of the 3 descriptors");
    has_only_its_socket(&master);
}

/// While it is being loaded a program has files open.
#[track_caller]
fn has_only_its_socket(master: &Master) {
    let pid = master.running()[0];
    master.wait_until("the only worker has its socket and no more", || {
        let open = descriptors(pid);
        let others: Vec<&String> = open.range(3..).map(|(_, what)| what).collect();
        (others.len() == 1 && others[0].starts_with("socket:")).then_some(())
    });
}

/// The line by which a start is refused, after what it was started with is seen to be left.
#[track_caller]
fn refused(words: &[&str], options: &[&str], expect: &[&str]) {
    let folder = Folder::new();
    let path = folder.join("kept.sock");
    let unix = format!("kept=unix:{}", path.display());
    let words: Vec<&str> = [unix.as_str()].iter().chain(words).copied().collect();
    let line = activated(folder, &words, options, &IDLE).run().refused(&["kept.sock"]);
    for part in expect {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn what_lies_is_refused_and_named() {
    let all = ["-b", "inherit"];
    refused(&["web=closed"], &all, &["descriptor 4, \"web\"", "is not open", "inherit:NAME"]);
    refused(&["web=file"], &all, &["descriptor 4, \"web\"", "is no socket"]);
    refused(&["web=udp"], &all, &["descriptor 4, \"web\"", "no stream socket"]);
    refused(&["web=silent"], &all, &["descriptor 4, \"web\"", "does not listen"]);
    refused(&["web=connected"], &all, &["descriptor 4, \"web\"", "a single connection"]);
    refused(&["web=abstract:einhorn-test"], &all, &["descriptor 4, \"web\"", "without a path"]);
    refused(&["LISTEN_PID:1"], &all, &["LISTEN_PID is 1, ", "exec"]);
    refused(&["LISTEN_PID:"], &all, &["LISTEN_PID is not set"]);
    refused(&["LISTEN_PID:x"], &all, &["LISTEN_PID is \"x\"", "no number"]);
    refused(&["LISTEN_FDS:"], &all, &["LISTEN_FDS is not set", "socket unit"]);
    refused(&["LISTEN_FDS:0"], &all, &["LISTEN_FDS is 0"]);
    refused(&["LISTEN_FDS:-1"], &all, &["LISTEN_FDS is \"-1\"", "no number"]);
    refused(&["LISTEN_FDS:many"], &all, &["LISTEN_FDS is \"many\"", "no number"]);
    refused(&["LISTEN_FDS:99999999999"], &all, &["LISTEN_FDS is \"99999999999\""]);
    // Without names however many there are said to be.
    let huge = ["LISTEN_FDS:2147483647", "LISTEN_FDNAMES:"];
    refused(&huge, &all, &["descriptor 4, \"unknown\", of LISTEN_FDS=2147483647 is not open"]);
    refused(&["LISTEN_FDS:3"], &all, &["LISTEN_FDNAMES has 1 names", "says 3"]);
    refused(&["LISTEN_FDNAMES:a:b"], &all, &["LISTEN_FDNAMES has 2 names", "says 1"]);
    let by_name = ["-b", "inherit:web"];
    refused(&["admin=tcp4"], &by_name, &["inherit:web: no", "(there are: kept, admin)"]);
    refused(&[], &["-b", "inherit:kept", "-b", "inherit"], &["is left"]);
    // What is not taken may be anything.
    let good = activated(Folder::new(), &["web=tcp4", "x=file", "y=closed"], &by_name, &IDLE);
    assert_eq!(names(&good.start().status()), ["web"]);
}

#[test]
fn a_master_below_another_one_takes_its_sockets_by_the_convention() {
    let folder = Folder::new();
    let worker = told(&["ack", "version=inner", "serve"]).join("' '");
    let inner = format!("exec {EINHORN} -m manual -b inherit '{worker}'");
    let script = folder.script("inner", &inner);
    let options = ["-b", "web=127.0.0.1:0", "--listen-fds", "-m", "manual"];
    let outer = Launch::within(folder, &options, &[script]).start();
    let status = outer.wait_for_up(1);
    let answer = ask(&addresses(&status)[0]);
    assert!(answer.ends_with(" 0 inner\n"), "{answer}");
    let replies = outer.upgrade("upgrade");
    assert_eq!(replies.last().unwrap()["error"], Json::Null, "{replies:?}");
    outer.wait_for_up(1);
    assert!(ask(&addresses(&status)[0]).ends_with(" 0 inner\n"));
}

/// Five upgrades of a program that reads `LISTEN_FDS`, under load.
#[track_caller]
fn five_upgrades(master: &Master) {
    let status = master.wait_for_up(2);
    let port = listeners(&status)[0]["port"].as_u64().unwrap();
    let load = Load::heavy(port.try_into().unwrap());
    let held = inodes(master, &status);
    for _ in 0..5 {
        let old = master.pids();
        let replies = master.upgrade("upgrade");
        assert_eq!(replies.last().unwrap()["error"], Json::Null, "{replies:?}");
        let status = master.wait_for("newcomers alone", |status| {
            pids(status).len() == 2 && pids(status).iter().all(|pid| !old.contains(pid))
        });
        assert_eq!(inodes(master, &status), held);
        let enough = load.answered() + 50;
        master.wait_until("some more answers", || (load.answered() > enough).then_some(()));
    }
    load.finish(&["1"]);
}

#[test]
fn nothing_is_lost_with_sockets_of_its_own_and_with_inherited_ones() {
    let program = ["python3".to_owned(), beside("convention_server.py")];
    assert!(Path::new(&program[1]).exists());
    let options = ["--listen-fds", "-n", "2", "-m", "0.3", "-s", "0.01", "-b"];
    let own = Launch::new(&[&options[..], &["web=127.0.0.1:0"]].concat(), &program).start();
    let inherits = [&options[..], &["inherit:web"]].concat();
    let inherited = activated(Folder::new(), &["web=tcp4"], &inherits, &program).start();
    std::thread::scope(|scope| {
        scope.spawn(|| five_upgrades(&own));
        scope.spawn(|| five_upgrades(&inherited));
    });
}
