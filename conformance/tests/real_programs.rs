//! The examples: servers as people write them, under load through an upgrade, nothing lost.
//!
//! Needs `packaging/setup`, which installs the frameworks.

use einhorn_conformance::{
    columns::{self, Column, kit, project},
    load::Load,
    master::Launch,
    output::{Failure, must, until},
    proc,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// Answers that the clients must see between two steps.
const ANSWERS: u64 = 200;

/// Everything that the programs need, built once.
static PREPARED: LazyLock<()> = LazyLock::new(|| {
    columns::prepare().unwrap();
    let cargo = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "hyper_server"])
        .current_dir(project())
        .status();
    assert!(cargo.unwrap().success());
});

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().unwrap().to_owned()
}

fn tools() -> PathBuf {
    project().join("target/tools")
}

fn program(name: &'static str, command: &[String]) -> Column {
    Column { name, command: command.to_vec(), environment: Vec::new() }
}

fn python(file: &'static str) -> Column {
    let command = [
        text(tools().join("python/bin/python")),
        text(project().join("examples/python").join(file)),
    ];
    let environment = vec![("PYTHONPATH", text(kit().join("python")))];
    Column { environment, ..program(file, &command) }
}

fn node(file: &'static str) -> Column {
    let modules = [kit().join("node/node_modules"), tools().join("node/node_modules")];
    let path = std::env::join_paths(modules).unwrap().into_string().unwrap();
    let command = ["node".to_owned(), text(project().join("examples/node").join(file))];
    Column { environment: vec![("NODE_PATH", path)], ..program(file, &command) }
}

/// Serves, is upgraded twice under load, and stops; gives how many answers came on kept
/// connections.
fn run(column: &Column) -> Result<u64, Failure> {
    LazyLock::force(&PREPARED);
    let options = "-b 127.0.0.1:0 -n 2 -m manual -s 0.1";
    let mut master = Launch::new(column, options, "").start()?;
    until("it was not acknowledged", || all_acked(&mut master.state().ok()?))
        .map_err(|error| format!("{error}:\n{}", master.log()))?;
    let ports = master.send("state")?.last()?;
    let port = port_in(&ports).ok_or_else(|| format!("no port in {ports}"))?;
    let load = Load::start(port);
    let first = master.state()?;
    for _ in 0..2 {
        let before = load.seen().answered();
        enough(&load, before)?;
        let said = master.send("upgrade")?.last()?;
        must(said.contains("done"), || said.clone())?;
    }
    let gone = || first.keys().all(|&worker| !proc::is_alive(worker)).then_some(());
    until("an old worker did not end", gone)?;
    enough(&load, load.seen().answered())?;
    let seen = load.end().map_err(|lost| format!("{lost}\n{}", master.log()))?;
    let workers = seen.workers.lock().unwrap().len();
    must(workers >= 6, || format!("only {workers} workers answered"))?;
    Ok(seen.on_kept.load(std::sync::atomic::Ordering::SeqCst))
}

type State = std::collections::BTreeMap<u32, std::collections::BTreeMap<String, String>>;

fn all_acked(state: &mut State) -> Option<()> {
    let acked =
        |values: &std::collections::BTreeMap<_, _>| values.get(":acked") == Some(&"true".into());
    (state.len() == 2 && state.values().all(acked)).then_some(())
}

/// The port under `:bound_ports`, in whichever style the list is written.
fn port_in(state: &str) -> Option<u16> {
    let (_, rest) = state.split_once(":bound_ports:")?;
    let digits: String = rest
        .chars()
        .skip_while(|character| !character.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

fn enough(load: &Load, before: u64) -> Result<(), Failure> {
    let enough = || load.seen().answered() >= before + ANSWERS || load.seen().any_lost();
    until("too few answers", || enough().then_some(()))
}

#[track_caller]
fn check(column: &Column) -> u64 {
    run(column).unwrap_or_else(|failure| panic!("{}: {failure}", column.name))
}

/// The connections must have been kept, so that it was shown how they end.
#[track_caller]
fn check_with_keep_alive(column: &Column) {
    let on_kept = check(column);
    assert!(on_kept > ANSWERS, "{}: {on_kept} answers on kept connections", column.name);
}

#[test]
fn python_http_server() {
    check_with_keep_alive(&python("http_server.py"));
}

#[test]
fn python_asyncio() {
    check_with_keep_alive(&python("asyncio_server.py"));
}

#[test]
fn python_uvicorn() {
    check_with_keep_alive(&python("uvicorn_app.py"));
}

#[test]
fn node_http() {
    check_with_keep_alive(&node("http_server.js"));
}

#[test]
fn node_express() {
    check_with_keep_alive(&node("express_app.js"));
}

#[test]
fn node_fastify() {
    check_with_keep_alive(&node("fastify_app.js"));
}

#[test]
fn ruby_puma() {
    let library = text(kit().join("ruby/lib"));
    let program_file = text(project().join("examples/ruby/puma_app.rb"));
    // puma ends kept connections at once when it stops, so this one keeps none.
    check(&program("puma_app.rb", &["ruby".into(), "-I".into(), library, program_file]));
}

#[test]
fn rust_hyper() {
    let server = text(project().join("target/debug/hyper_server"));
    check_with_keep_alive(&program("hyper_server", &[server]));
}

#[test]
fn c_poll_loop() {
    LazyLock::force(&PREPARED);
    let folder = tempfile::tempdir().unwrap();
    let server = text(folder.path().join("http_poll"));
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", &server])
        .arg(project().join("examples/c/http_poll.c"))
        .arg(format!("-I{}", text(kit().join("c/include"))))
        .arg(format!("-L{}", text(kit().join("c/lib"))))
        .arg(format!("-Wl,-rpath,{}", text(kit().join("c/lib"))))
        .arg("-leinhorn")
        .status();
    assert!(compiled.unwrap().success());
    check_with_keep_alive(&program("http_poll", &[server]));
}
