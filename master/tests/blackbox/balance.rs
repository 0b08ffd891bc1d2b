//! `-b ADDR,balance`: a queue for each slot, and nobody who waits in one is lost.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::load::Load;
use crate::support::process::{descriptors, send};
use crate::support::{Folder, LONG, Launch, Master, Process, pids, workers};
use crate::worker::{told, told_in_shell};

fn code(version: usize) -> String {
    told_in_shell(&["ack", &format!("version={version}"), "serve"])
}

fn server(number: &str, binds: &[&str]) -> Master {
    server_with(&[], number, binds)
}

fn server_with(others: &[&str], number: &str, binds: &[&str]) -> Master {
    server_of(&code(0), others, number, binds)
}

fn server_of(code: &str, others: &[&str], number: &str, binds: &[&str]) -> Master {
    let folder = Folder::new();
    let script = folder.script("server", code);
    let mut options = vec!["-n", number, "-m", "manual", "-s", "0.01"];
    options.extend(others);
    options.extend(binds.iter().flat_map(|bind| ["-b", bind]));
    let master = Launch::within(folder, &options, &[script]).start();
    master.wait_for_up(number.parse().unwrap());
    master
}

fn port(status: &Json, listener: usize) -> u16 {
    status["listeners"][listener]["port"].as_u64().unwrap().try_into().unwrap()
}

/// Each slot below the target has one worker, and there is nobody else.
fn wait_for_slots(master: &Master, target: u64) -> Json {
    master.wait_for("a worker in each slot", |status| {
        let slot = |worker: &&Json| worker["slot"].as_u64().filter(|_| worker["stage"] == "up");
        let found: Vec<Option<u64>> = workers(status).iter().map(slot).collect();
        let unique: BTreeSet<u64> = found.iter().copied().flatten().collect();
        found.len() == unique.len() && unique == (0..target).collect()
    })
}

fn worker_in(status: &Json, slot: u64) -> i32 {
    let worker = workers(status).into_iter().find(|worker| worker["slot"] == slot).unwrap();
    i32::try_from(worker["pid"].as_i64().unwrap()).unwrap()
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LONG).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    BufReader::new(stream)
}

/// Asks and leaves the answer for later.
fn ask(address: SocketAddr) -> BufReader<TcpStream> {
    let mut client = connect(address);
    client.get_mut().write_all(b"which\n").unwrap();
    client
}

/// The worker that answers.
fn answer(client: &mut BufReader<TcpStream>) -> i32 {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no answer: {line:?}"))
}

/// The inodes of all sockets that listen, as `/proc/net` has them.
fn listening(table: &str) -> Vec<String> {
    let table = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap();
    let inode = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        (cells[3] == "0A").then(|| cells[9].to_owned())
    };
    table.lines().skip(1).filter_map(inode).collect()
}

/// So many that both of two queues have some, but for one run in 2^63.
fn ask_both(address: SocketAddr) -> Vec<BufReader<TcpStream>> {
    (0..64).map(|_| ask(address)).collect()
}

#[test]
fn changes_of_the_target_and_upgrades_lose_nothing() {
    let binds = ["127.0.0.1:0,balance", "127.0.0.1:0", "six=[::1]:0,balance,n"];
    let master = server("2", &binds);
    let status = master.status();
    let loads = [Load::heavy(port(&status, 0)), Load::start(port(&status, 1))];
    let mut version = 0;
    for target in [4, 1, 6, 3, 5, 2] {
        master.command("set_workers", &[&target.to_string()]);
        wait_for_slots(&master, target);
        if target > 2 {
            version += 1;
            master.folder.script("server", &code(version));
            let command = if version % 2 == 0 { "upgrade" } else { "upgrade_fleet" };
            let last = master.upgrade(command).pop().unwrap();
            assert_eq!(last["error"], Json::Null, "{last}");
            wait_for_slots(&master, target);
        }
        let enough: Vec<usize> = loads.iter().map(|load| load.answered() + 20).collect();
        master.wait_until("some more answers", || {
            loads.iter().zip(&enough).all(|(load, enough)| load.answered() > *enough).then_some(())
        });
    }
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, port(&status, 2)));
    let answered: BTreeSet<i32> = ask_both(six).iter_mut().map(answer).collect();
    assert_eq!(answered, pids(&master.status()).into_iter().collect());
    for load in loads {
        load.finish(&["0", "1", "2", "3", "4"]);
    }
    assert!(!master.log.text().contains("found no worker"), "{}", master.log.text());
    // What is above the target is closed again: three sockets, two of them twice.
    let inodes: BTreeSet<String> = ["tcp", "tcp6"].into_iter().flat_map(listening).collect();
    let own = descriptors(master.pid());
    let open = own.values().filter_map(|to| to.strip_prefix("socket:[")?.strip_suffix(']'));
    assert_eq!(open.filter(|inode| inodes.contains(*inode)).count(), 5);
    master.stop();
}

#[test]
fn who_waits_in_the_queue_of_a_slot_that_goes_is_served_first() {
    for host in ["127.0.0.1", "[::1]"] {
        let master = server("2", &[&format!("{host}:0,balance")]);
        let status = wait_for_slots(&master, 2);
        let address: SocketAddr = format!("{host}:{}", port(&status, 0)).parse().unwrap();
        let (stays, goes) = (worker_in(&status, 0), worker_in(&status, 1));
        Process::of(goes).accepted_while_stopped();
        let mut clients = ask_both(address);
        master.command("set_workers", &["1"]);
        master.wait_for("draining", |status| {
            workers(status).iter().any(|w| w["stage"] == "draining" && w["slot"] == 1)
        });
        // Nobody new comes into that queue, so all of these are answered while it waits.
        for _ in 0..32 {
            assert_eq!(answer(&mut ask(address)), stays, "{host}");
        }
        // The queue has been looked at several times by then.
        master.wait_for("half a second of draining", |status| {
            let worker = workers(status).into_iter().find(|w| w["slot"] == 1).unwrap();
            assert_eq!(worker["signaled"], json!([]), "{host}");
            worker["due"]["seconds"].as_f64().unwrap() < 9.5
        });
        send(goes, Signal::CONT);
        let answered: BTreeSet<i32> = clients.iter_mut().map(answer).collect();
        assert_eq!(answered, [stays, goes].into(), "{host}");
        wait_for_slots(&master, 1);
        master.stop();
    }
}

/// Puts connections off until the client has said something (`TCP_DEFER_ACCEPT`): for so long
/// each is a handshake that is not over, though the client thinks that it is.
const DEFERRED: &str = "python3 -c 'import os, socket
listener = socket.socket(fileno=int(os.environ[\"EINHORN_FD_0\"]))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)'
";

#[test]
fn a_handshake_that_is_half_way_into_a_slot_that_goes_is_waited_for() {
    for host in ["127.0.0.1", "[::1]"] {
        let code = format!("{DEFERRED}{}", code(0));
        let master = server_of(&code, &[], "2", &[&format!("{host}:0,balance")]);
        let status = wait_for_slots(&master, 2);
        let address: SocketAddr = format!("{host}:{}", port(&status, 0)).parse().unwrap();
        let (stays, goes) = (worker_in(&status, 0), worker_in(&status, 1));
        let mut clients: Vec<_> = (0..64).map(|_| connect(address)).collect();
        master.command("set_workers", &["1"]);
        // There is nothing in its queue, and yet it is not asked to stop.
        master.wait_for("half a second of draining", |status| {
            let worker = workers(status).into_iter().find(|w| w["slot"] == 1).unwrap();
            assert_eq!(worker["signaled"], json!([]), "{host}");
            worker["due"]["seconds"].as_f64().is_some_and(|left| left < 9.5)
        });
        for client in &mut clients {
            client.get_mut().write_all(b"which\n").unwrap();
        }
        let answered: BTreeSet<i32> = clients.iter_mut().map(answer).collect();
        assert_eq!(answered, [stays, goes].into(), "{host}");
        wait_for_slots(&master, 1);
        assert!(!master.log.text().contains("is not empty"), "{}", master.log.text());
        master.stop();
    }
}

#[test]
fn a_queue_whose_worker_hangs_is_given_up_and_a_stop_waits_for_none() {
    let mut master = server("2", &["127.0.0.1:0,balance"]);
    let status = wait_for_slots(&master, 2);
    let address = SocketAddr::from(([127, 0, 0, 1], port(&status, 0)));
    let goes = worker_in(&status, 1);
    Process::of(goes).accepted_while_stopped();
    let _clients = ask_both(address);
    master.command("set_workers", &["1"]);
    master.wait_for_line("is not empty after 10 s; it is asked to stop anyway");
    master.signal(Signal::TERM);
    send(goes, Signal::CONT);
    assert_eq!(master.wait(), 0);
}

#[test]
fn the_queue_of_a_dead_worker_is_the_next_one_s() {
    let master = server("2", &["127.0.0.1:0,balance"]);
    let status = wait_for_slots(&master, 2);
    let address = SocketAddr::from(([127, 0, 0, 1], port(&status, 0)));
    let (stays, dies) = (worker_in(&status, 0), worker_in(&status, 1));
    Process::of(dies).accepted_while_stopped();
    let mut clients = ask_both(address);
    send(dies, Signal::KILL);
    let answered: BTreeSet<i32> = clients.iter_mut().map(answer).collect();
    let next = worker_in(&wait_for_slots(&master, 2), 1);
    assert_eq!(answered, [stays, next].into());
    master.stop();
}

#[test]
fn a_reload_keeps_slots_and_queues() {
    // By the convention of socket activation too: each worker finds its queue in its place.
    let others = ["--listen-fds", "--stop-signal", "USR2"];
    let master = server_with(&others, "3", &["127.0.0.1:0", "127.0.0.1:0,balance"]);
    let before = wait_for_slots(&master, 3);
    let slots = |status: &Json| -> Vec<(u64, i32)> {
        (0..3).map(|slot| (slot, worker_in(status, slot))).collect()
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port(&before, 1)));
    let last = worker_in(&before, 2);
    Process::of(last).accepted_while_stopped();
    let mut clients = ask_both(address);
    master.command("reload", &[]);
    let after = master.wait_for("the next image", |status| status["generation"] == 1);
    assert_eq!(slots(&after), slots(&before));
    master.command("set_workers", &["2"]);
    send(last, Signal::CONT);
    for client in &mut clients {
        answer(client);
    }
    wait_for_slots(&master, 2);
    master.command("set_workers", &["3"]);
    wait_for_slots(&master, 3);
    let answered: BTreeSet<i32> = ask_both(address).iter_mut().map(answer).collect();
    assert_eq!(answered, pids(&master.status()).into_iter().collect());
    master.stop();
}

#[test]
fn a_master_that_knows_no_balance_is_not_reloaded_into() {
    let folder = Folder::new();
    // Passes the check in silence, and takes no option that it does not know.
    let foreign = "case \"$*\" in *--no-*) exit 1 ;; *--upgrade-check*) exit 0 ;; esac; exit 1";
    let next = folder.script("next", foreign);
    let options = ["-n", "2", "-b", "127.0.0.1:0,balance", "--reexec-as", &next];
    let master = Launch::within(folder, &options, &told(&["serve"])).start();
    master.wait_for_up(2);
    let (_, message) = master.failure(&json!({"command": "reload", "id": 1}));
    assert!(message.contains("the next master knows no balance"), "{message}");
    assert!(message.contains("127.0.0.1:"), "{message}");
    master.stop();
}

#[test]
fn nobody_joins_by_accident() {
    let master = server("2", &["127.0.0.1:0,balance"]);
    let bind = format!("127.0.0.1:{},balance", port(&master.status(), 0));
    let other = Launch::new(&["-b", &bind], &told(&["hang"])).run();
    assert_eq!(other.status.code(), Some(1));
    assert!(other.stderr.contains("ddress already in use"), "{}", other.stderr);
    let path = Launch::new(&["-b", "unix:/nowhere/x,balance"], &told(&["hang"])).run();
    assert_eq!(path.status.code(), Some(1));
    assert!(path.stderr.contains("a unix socket has one queue"), "{}", path.stderr);
    master.stop();
}
