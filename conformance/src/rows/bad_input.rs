//! Bad input: an error that names the variable and its value, soon, and nothing closed.

use super::Row;
use crate::{
    columns::Column,
    output::{Failure, LONG, Running, must},
    proc,
};
use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

pub(super) const VARIABLES: Row =
    Row { sentence: "variables that lie are named", holds: variables };
pub(super) const DESCRIPTORS: Row =
    Row { sentence: "descriptors that lie are named, and left open", holds: descriptors };
pub(super) const NOWHERE: Row =
    Row { sentence: "a command socket that leads nowhere is named", holds: nowhere };
pub(super) const STRANGER: Row =
    Row { sentence: "a stranger behind the command socket is no success", holds: stranger };
pub(super) const NEVER_READS: Row =
    Row { sentence: "a master that never reads costs bounded time", holds: never_reads };

/// Longest wait for an acknowledgement, and what a busy machine may add.
const ACK_WAIT_MAX: Duration = Duration::from_secs(30 + 15);

/// A worker under this very process, with `environment`.
fn worker(column: &Column, environment: &[(&str, &str)], words: &str) -> Result<Running, Failure> {
    let mut command = column.worker(words);
    command.env("EINHORN_MASTER_PID", std::process::id().to_string());
    command.envs(environment.iter().copied());
    Running::start(command.stdin(Stdio::null()))
}

/// One environment, the words said in it, and what each line must contain.
struct Lie<'a> {
    environment: &'a [(&'a str, &'a str)],
    words: &'a str,
    lines: &'a [&'a str],
}

fn check(column: &Column, lies: &[Lie<'_>]) -> Result<(), Failure> {
    for lie in lies {
        let mut worker = worker(column, lie.environment, lie.words)?;
        for line in lie.lines {
            let said = worker.next()?.text;
            must(said.contains(line), || format!("{said:?} does not say {line:?}"))?;
        }
        worker.end_well()?;
    }
    Ok(())
}

fn variables(column: &Column) -> Result<(), Failure> {
    let long = "9".repeat(100_000);
    check(
        column,
        &[
            Lie {
                environment: &[
                    ("EINHORN_FD_COUNT", "abc"),
                    ("EINHORN_CHILD_INDEX", "one"),
                    ("EINHORN_SOCK_FD", "two"),
                    ("EINHORN_SOCK_PATH", ""),
                ],
                words: "facts fd:0 ack-fd",
                lines: &[
                    "facts worker=yes index=none sockets=0",
                    "fd:0 error EINHORN_FD_COUNT is \"abc\", but must be a number of sockets",
                    "ack error EINHORN_SOCK_FD is \"two\", but must be the number of a descriptor",
                ],
            },
            Lie {
                environment: &[
                    ("EINHORN_FD_COUNT", "2"),
                    ("EINHORN_FD_1", "-7"),
                    ("EINHORN_FD_2", "stdin"),
                    ("EINHORN_MASTER_PID", "me"),
                ],
                words: "facts fd:0 fd:1 fd:2 ack ping:x",
                lines: &[
                    "facts worker=no index=none sockets=2",
                    "fd:0 error EINHORN_FD_1 is \"-7\", but must be the number of a descriptor",
                    "fd:1 error EINHORN_FD_2 is \"stdin\", but must be the number",
                    "fd:2 error there is no socket 2: EINHORN_FD_COUNT is 2",
                    "ack error EINHORN_MASTER_PID is \"me\", but must be the pid of the master",
                    "ping error EINHORN_MASTER_PID is \"me\"",
                ],
            },
            Lie {
                environment: &[("EINHORN_FD_COUNT", &long), ("EINHORN_MASTER_PID", &long)],
                words: "facts fd:0 ack",
                lines: &[
                    "facts worker=no index=none sockets=0",
                    "fd:0 error EINHORN_FD_COUNT is \"999",
                    "ack error EINHORN_MASTER_PID is \"999",
                ],
            },
            Lie {
                environment: &[("EINHORN_FD_COUNT", "1")],
                words: "fd:0 ack",
                lines: &[
                    "fd:0 error EINHORN_FD_0 is not set",
                    "ack error EINHORN_SOCK_PATH is not set",
                ],
            },
        ],
    )
}

fn descriptors(column: &Column) -> Result<(), Failure> {
    let environment = [
        ("EINHORN_FD_COUNT", "2"),
        ("EINHORN_FD_0", "0"),
        ("EINHORN_FD_1", "987"),
        ("EINHORN_SOCK_FD", "0"),
        ("EINHORN_SOCK_PATH", "/nonexistent/einhorn.sock"),
    ];
    let words = "fd:0 fd:1 listener:0 ack-fd idle";
    let worker = worker(column, &environment, words)?;
    worker.expect("fd:0 error EINHORN_FD_0 is 0, but descriptor 0 is not a socket")?;
    worker.expect("fd:1 error EINHORN_FD_1 is 987, but descriptor 987 is not open")?;
    worker.expect("listener:0 error EINHORN_FD_0 is 0, but descriptor 0 is not a socket")?;
    worker.expect_start("ack error cannot reach the master at \"/nonexistent/einhorn.sock\"")?;
    worker.expect("idle")?;
    let open = proc::descriptors(worker.pid());
    must(open.get(&0).is_some_and(|file| file == "/dev/null"), || format!("{open:?}"))
}

fn nowhere(column: &Column) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("file"), "").map_err(|error| error.to_string())?;
    drop(UnixListener::bind(at("dead")));
    for name in ["absent", "file", "dead"] {
        let path = at(name);
        let said =
            format!("ack error cannot reach the master at {path:?} (from EINHORN_SOCK_PATH)");
        let environment = [("EINHORN_SOCK_PATH", path.as_str())];
        check(column, &[Lie { environment: &environment, words: "ack", lines: &[&said] }])?;
    }
    let path = at(&"x".repeat(200));
    let environment = [("EINHORN_SOCK_PATH", path.as_str())];
    let said = "ack error EINHORN_SOCK_PATH is too long for a socket's path";
    check(column, &[Lie { environment: &environment, words: "ack", lines: &[said] }])
}

/// Listens at `path` and does `with` each connection, as long as the process lives.
fn listen(path: &Path, with: fn(&mut std::os::unix::net::UnixStream)) -> Result<(), Failure> {
    let listener = UnixListener::bind(path).map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            with(&mut connection);
        }
    });
    Ok(())
}

fn stranger(column: &Column) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("s");
    listen(&path, |connection| {
        let _ = connection.read(&mut [0; 1000]);
        let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    })?;
    let path = path.display().to_string();
    let said = format!("ack error refused by whoever listens at {path:?}");
    let environment = [("EINHORN_SOCK_PATH", path.as_str())];
    check(column, &[Lie { environment: &environment, words: "ack", lines: &[&said] }])
}

fn never_reads(column: &Column) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("s");
    let _listener = UnixListener::bind(&path).map_err(|error| error.to_string())?;
    let path = path.display().to_string();
    let begun = Instant::now();
    let said = format!("ack error sent, not confirmed: nobody took the message at {path:?}");
    let environment = [("EINHORN_SOCK_PATH", path.as_str())];
    check(column, &[Lie { environment: &environment, words: "ack", lines: &[&said] }])?;
    let took = begun.elapsed();
    must(took < ACK_WAIT_MAX.min(LONG), || format!("it took {took:?}"))
}
