//! Servers that know nothing of einhorn, by the command lines of `docs/any-program.md`: five
//! upgrades under load.
//!
//! Needs `packaging/setup`, which installs them.

use einhorn_conformance::{
    columns::{Column, master_program, project},
    load::{Connection, Load},
    master::{Launch, Master},
    output::{Failure, must, until},
    proc,
};
use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// Answers that the clients must see between two steps.
const ANSWERS: u64 = 100;
const UPGRADES: usize = 5;
const WORKERS: usize = 2;
/// Connections that are open and silent while the workers are replaced.
const UNREAD: usize = 4;

/// What is asked of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Nothing is lost, on kept connections either.
    Everything,
    /// Nothing is lost where each request has a connection of its own.
    FreshConnections,
    /// It loses some by its own fault, as the table says: every upgrade ends, and nobody loses
    /// more than one request by each worker that is asked to stop.
    Little,
}

static MASTER: LazyLock<()> = LazyLock::new(|| {
    if env::var_os("EINHORN_BIN").is_none() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "einhorn", "--bins"]).current_dir(project());
        assert!(build.status().unwrap().success());
    }
    assert!(master_program().exists());
});

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().unwrap().to_owned()
}

fn folder() -> PathBuf {
    project().join("examples/any_program")
}

/// The server with what is installed for it.
fn column(name: &'static str, command: &str) -> Column {
    let tools = project().join("target/tools");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = [tools.join("python/bin")].into_iter().chain(env::split_paths(&path));
    let path = env::join_paths(path).unwrap().into_string().unwrap();
    let environment = vec![
        ("PATH", path),
        ("NODE_PATH", text(tools.join("node/node_modules"))),
        ("PYTHONPATH", text(folder())),
    ];
    Column { name, command: command.split(' ').map(str::to_owned).collect(), environment }
}

type State = BTreeMap<u32, BTreeMap<String, String>>;

fn all_up(state: &State) -> Option<()> {
    let up = |values: &BTreeMap<String, String>| values.get(":acked") == Some(&"true".into());
    (state.len() == WORKERS && state.values().all(up)).then_some(())
}

fn port(master: &Master) -> Result<u16, Failure> {
    let state = master.send("state")?.last()?;
    let digits = |rest: &str| -> String {
        rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect()
    };
    let found = state.split_once(":bound_ports:").and_then(|(_, rest)| digits(rest).parse().ok());
    found.ok_or_else(|| format!("no port in {state}"))
}

fn enough(load: &Load) -> Result<(), Failure> {
    let before = load.seen().answered();
    until("too few answers", || (load.seen().answered() >= before + ANSWERS).then_some(()))
}

fn start(column: &Column, options: &str, folder: &Path) -> Result<(Master, u16), Failure> {
    LazyLock::force(&MASTER);
    let fixed = format!("-b 127.0.0.1:0 -n {WORKERS} -s 0.1 --chdir {}", text(folder));
    let mut master = Launch::new(column, &format!("{fixed} {options}"), "").start()?;
    until("it was not up", || all_up(&master.state().ok()?))
        .map_err(|error| format!("{error}:\n{}", master.log()))?;
    let port = port(&master)?;
    Ok((master, port))
}

fn upgrade(master: &mut Master) -> Result<(), Failure> {
    let said = master.send("upgrade")?.last()?;
    must(said.contains("done"), || format!("{said}\n{}", master.log()))
}

fn wait_for_end(workers: &State) -> Result<(), Failure> {
    let gone = || workers.keys().all(|&worker| !proc::is_alive(worker)).then_some(());
    until("an old worker did not end", gone)
}

/// Connections that the workers have accepted and are asked on only after an upgrade.
fn run_unread(column: &Column, options: &str, folder: &Path) -> Result<(), Failure> {
    let (mut master, port) = start(column, options, folder)?;
    let old = master.state()?;
    let unread: Result<Vec<_>, _> = (0..UNREAD).map(|_| Connection::open(port)).collect();
    // The queue is in order: who is answered came after them.
    Connection::open(port)?.ask(false)?;
    upgrade(&mut master)?;
    for mut connection in unread? {
        let (worker, _) = connection.ask(false)?;
        must(old.contains_key(&worker), || format!("{worker} answered, which is new"))?;
    }
    wait_for_end(&old)
}

fn run(column: &Column, options: &str, folder: &Path, demand: Demand) -> Result<(), Failure> {
    let (mut master, port) = start(column, options, folder)?;
    let load = match demand {
        Demand::Everything => Load::start(port),
        Demand::FreshConnections | Demand::Little => Load::on_fresh_connections(port),
    };
    for _ in 0..UPGRADES {
        enough(&load)?;
        let old = master.state()?;
        upgrade(&mut master)?;
        wait_for_end(&old)?;
    }
    enough(&load)?;
    let (answered, lost) = (load.seen().answered(), load.seen().lost());
    let clients = load.clients();
    println!("{}: {lost} lost beside {answered} answered", column.name);
    match (load.end(), demand) {
        (Err(_), Demand::Little) => must(lost <= clients * WORKERS * UPGRADES, || {
            format!("{lost} lost beside {answered} answered")
        }),
        (Err(lost), _) => Err(format!("{lost}\n{}", master.log())),
        (Ok(seen), _) => {
            let workers = seen.workers.lock().unwrap().len();
            must(workers > UPGRADES, || format!("only {workers} processes answered"))
        }
    }
}

/// `typed` stands in the documentation so.
#[track_caller]
fn check_in(folder: &Path, name: &'static str, options: &str, command: &str, demand: Demand) {
    let docs = std::fs::read_to_string(project().join("docs/any-program.md")).unwrap();
    let typed = format!("`einhorn -b ADDR {options} {command}`");
    assert!(docs.contains(&typed), "docs/any-program.md lacks {typed}");
    run(&column(name, command), options, folder, demand)
        .unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

#[track_caller]
fn check_unread(name: &'static str, options: &str, command: &str) {
    run_unread(&column(name, command), options, &folder())
        .unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

#[track_caller]
fn check(name: &'static str, options: &str, command: &str, demand: Demand) {
    check_in(&folder(), name, options, command, demand);
}

#[test]
fn gunicorn() {
    let options = "--listen-fds -m notify";
    check("gunicorn", options, "gunicorn wsgi_app:app", Demand::Everything);
}

#[test]
fn uvicorn() {
    let command = "uvicorn --fd 3 --log-level warning asgi_app:app";
    check("uvicorn", "--listen-fds -m 2", command, Demand::Little);
}

#[test]
fn hypercorn() {
    let command = "hypercorn -w 0 --bind fd://3 asgi_app:app";
    check("hypercorn", "--listen-fds -m 2", command, Demand::Little);
}

const PUMA: &str = "puma -q -C puma.rb --bind-to-activated-sockets=only config.ru";
const NODE: &str = "node http_fd.js";
const FASTIFY: &str = "node fastify_fd.js";

#[test]
fn puma() {
    check("puma", "--listen-fds -m 2", PUMA, Demand::Everything);
}

#[test]
fn puma_answers_on_connections_it_has_not_read_from() {
    check_unread("puma", "--listen-fds -m 2", PUMA);
}

#[test]
fn node_http() {
    check("node", "--listen-fds", NODE, Demand::FreshConnections);
}

#[test]
fn node_http_answers_on_connections_it_has_not_read_from() {
    check_unread("node", "--listen-fds", NODE);
}

#[test]
fn fastify() {
    check("fastify", "--listen-fds", FASTIFY, Demand::FreshConnections);
}

#[test]
fn fastify_answers_on_connections_it_has_not_read_from() {
    check_unread("fastify", "--listen-fds", FASTIFY);
}

#[test]
fn c_with_listen_fds() {
    let built = tempfile::tempdir().unwrap();
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
        .arg(built.path().join("listen_fds"))
        .arg(folder().join("listen_fds.c"))
        .status();
    assert!(compiled.unwrap().success());
    let options = "--listen-fds -m 0.2";
    check_in(built.path(), "c", options, "./listen_fds", Demand::Everything);
}
