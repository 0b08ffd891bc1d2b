//! The smallest workers that the README shows, as they stand: served by a master, upgraded twice
//! under load, and not one connection is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use einhorn_handbook::{project, read};

use crate::support::{blocks, programs, run};

const LONG: Duration = Duration::from_secs(120);
const CLIENTS: usize = 4;

/// A row for each language.
struct Language {
    name: &'static str,
    file: &'static str,
    /// What a client says first; a worker that reads nothing is told nothing.
    request: &'static str,
}

const LANGUAGES: [Language; 5] = [
    Language { name: "python", file: "hello.py", request: "" },
    Language {
        name: "js",
        file: "hello.mjs",
        request: "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    },
    Language { name: "ruby", file: "hello.rb", request: "" },
    Language { name: "c", file: "hello.c", request: "" },
    // Built from a file that another test compares.
    Language { name: "rust", file: "hello.rs", request: "" },
];

struct Master(Child);

impl Drop for Master {
    fn drop(&mut self) {
        // With -k its workers end with it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn readme_block(language: &str) -> String {
    let readme = read("README.md").unwrap();
    let begin = format!("```{language}\n");
    let (_, code) = readme.split_once(&begin).unwrap_or_else(|| panic!("no block {language}"));
    code.split("```").next().unwrap().to_owned()
}

/// What the README says behind a worker, in a folder that has the project's `target`: with a
/// port of its own, and so that nothing stays when a test fails.
fn commands(language: &str) -> String {
    let readme = read("README.md").unwrap();
    let (_, below) = readme.split_once(&readme_block(language)).unwrap();
    let (_, block) = below.split_once("```sh\n").unwrap();
    let commands = block.split("```").next().unwrap().replace("127.0.0.1:7000", "127.0.0.1:0");
    // Where the sources are is another folder.
    let commands = commands.lines().filter(|line| !line.starts_with("cargo "));
    let begin = |line: &str| line.replace("einhorn -b", "exec einhorn -k -q -s 0.1 -b");
    commands.map(begin).collect::<Vec<_>>().join("\n")
}

fn greeted(port: u16, request: &str) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(said)?;
    stream.set_read_timeout(Some(LONG)).map_err(said)?;
    stream.write_all(request.as_bytes()).map_err(said)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(said)?;
    if answer.ends_with("hello\n") { Ok(()) } else { Err(format!("{answer:?}")) }
}

fn tell(folder: &Path, command: &str) -> String {
    let mut shell = Command::new(programs().join("einhornsh"));
    run(shell.env("TMPDIR", folder).args(["-e", command]))
}

#[track_caller]
fn upgrade_under_load(language: &Language, code: &str) {
    let folder = tempfile::tempdir().unwrap();
    let target = project().canonicalize().unwrap().join("target");
    std::os::unix::fs::symlink(target, folder.path().join("target")).unwrap();
    std::fs::write(folder.path().join(language.file), code).unwrap();
    let mut master = Command::new("bash");
    master.args(["--norc", "-euc", &commands(language.name)]).current_dir(folder.path());
    let path = std::env::var("PATH").unwrap();
    master.env("PATH", format!("{}:{path}", programs().display())).env("TMPDIR", folder.path());
    let mut master = Master(master.spawn().unwrap());
    let begun = Instant::now();
    while !folder.path().join("einhorn.pid").exists() {
        let ended = master.0.try_wait().unwrap();
        assert!(ended.is_none() && begun.elapsed() < LONG, "{}: {ended:?}", language.name);
        thread::sleep(Duration::from_millis(10));
    }
    let status = tell(folder.path(), "status json");
    let (_, port) = status.split_once("\"port\":").unwrap();
    let port = port.split(['}', ',']).next().unwrap().parse().unwrap();

    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lost: Vec<String> = thread::scope(|scope| {
        let client = || {
            let mut lost = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match greeted(port, language.request) {
                    Ok(()) => _ = served.fetch_add(1, Ordering::Relaxed),
                    Err(reason) => lost.push(reason),
                }
            }
            lost
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let said: Vec<String> = (0..2).map(|_| tell(folder.path(), "upgrade")).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(said.iter().all(|said| said.contains("upgrade done")), "{said:?}");
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let served = served.into_inner();
    assert!(served > CLIENTS, "{}: {served}", language.name);
    assert!(lost.is_empty(), "{}: {served} served, lost {}: {lost:?}", language.name, lost.len());
}

#[test]
fn the_smallest_workers_lose_nothing_in_an_upgrade() {
    run(Command::new(project().join("packaging/kit")).args(["c", "python", "node", "ruby"]));
    let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    build.current_dir(project()).args(["build", "--quiet", "--example", "hello"]);
    run(build.args(["--package", "einhorn-handbook"]));
    for language in &LANGUAGES {
        upgrade_under_load(language, &readme_block(language.name));
    }
}

/// What the protocol's description shows needs no library.
#[test]
fn a_worker_of_the_protocol_alone_loses_nothing_in_an_upgrade() {
    let page = read("docs/protocol.md").unwrap();
    let worker = blocks(&page).into_iter().find(|block| block.mark == "worker").unwrap();
    assert!(!worker.text.contains("einhorn_worker"));
    run(Command::new(project().join("packaging/kit")).arg("python"));
    upgrade_under_load(&LANGUAGES[0], &worker.text);
}

/// One text in three places: here, in the README of its library, and for Rust in what is built.
#[test]
fn the_smallest_workers_are_those_of_the_libraries() {
    for (folder, name) in
        [("python", "python"), ("node", "js"), ("ruby", "ruby"), ("c", "c"), ("rust", "rust")]
    {
        let page = read(format!("sdk-{folder}/README.md")).unwrap();
        assert!(page.contains(&readme_block(name)), "{name}: README.md has another worker");
    }
    let built = read("handbook/examples/hello.rs").unwrap();
    assert!(built.ends_with(&readme_block("rust")), "handbook/examples/hello.rs is another worker");
    assert!(!blocks(&read("README.md").unwrap()).is_empty());
}
