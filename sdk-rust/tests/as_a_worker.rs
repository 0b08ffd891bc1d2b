//! The library inside real processes, under a master that this test plays.
//!
//! A worker is this very test binary, started again with a role in `EINHORN_TEST_ROLE`. What
//! it inherits beside its environment comes as its standard input, descriptor 0.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests start the processes that they observe")]

use einhorn_worker as einhorn;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, Signal, kill_process},
};
use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};
use tempfile::TempDir;

const ROLE: &str = "EINHORN_TEST_ROLE";
/// Before each line that a role prints; the test harness prints lines of its own.
const MARK: &str = "worker: ";
/// Longer than any machine needs.
const LONG: Duration = Duration::from_secs(60);

/// What a worker does, if this process is one.
#[test]
fn role() {
    match env::var(ROLE).as_deref() {
        Ok("ack") => say(&outcome(einhorn::ack())),
        Ok("ack quickly") => {
            let limit = Duration::from_millis(100);
            say(&outcome(einhorn::prepare_ack().and_then(|ready| ready.deliver_within(limit))));
        }
        Ok("ping") => say(&outcome(einhorn::ping("50% of é"))),
        Ok("identity") => {
            say(&format!("{} {:?}", einhorn::is_worker(), einhorn::child_index()));
        }
        Ok("serve") => serve(),
        Ok("callbacks") => callbacks(),
        Ok("poll") => poll_for_shutdown(),
        Ok("listen") => {
            let listener = UnixListener::bind(env::var("EINHORN_TEST_PATH").unwrap()).unwrap();
            say("listening");
            let connection = listener.accept().unwrap();
            wait_for_end_of_input();
            drop(connection);
        }
        _ => {}
    }
}

fn say(line: &str) {
    println!("{MARK}{line}");
}

fn outcome(result: einhorn::Result<()>) -> String {
    result.map_or_else(|error| format!("{:?}: {error}", error.kind()), |()| "taken".into())
}

fn serve() {
    say(&format!("{} sockets", einhorn::socket_count()));
    let first = einhorn::tcp_listener(0).unwrap();
    let second = einhorn::tcp_listener(0).unwrap();
    drop(first);
    say(&einhorn::unix_listener(0).unwrap_err().to_string());
    second.accept().unwrap().0.write_all(b"hello").unwrap();
}

fn callbacks() {
    let (sender, receiver) = mpsc::channel();
    for number in [1, 2] {
        let sender = sender.clone();
        einhorn::on_graceful_shutdown(move || {
            sender.send((number, std::thread::current().id())).unwrap();
            if number == 1 {
                std::panic::resume_unwind(Box::new("a callback that panics ends alone"));
            }
        })
        .unwrap();
    }
    say("registered");
    for expected in [1, 2] {
        let (number, thread) = receiver.recv_timeout(LONG).unwrap();
        assert_eq!(number, expected);
        assert_ne!(thread, std::thread::current().id());
    }
    say("asked");
    wait_for_end_of_input();
    let late = sender.clone();
    einhorn::on_graceful_shutdown(move || late.send((3, std::thread::current().id())).unwrap())
        .unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap().0, 3);
    assert!(receiver.try_recv().is_err(), "nothing is called twice");
    assert!(is_readable(einhorn::graceful_shutdown_fd().unwrap()));
    say("late one called");
}

fn poll_for_shutdown() {
    let fd = einhorn::graceful_shutdown_fd().unwrap();
    assert!(!is_readable(fd));
    say("registered");
    while let Err(rustix::io::Errno::INTR) = poll(&mut [PollFd::new(&fd, PollFlags::IN)], None) {}
    assert!(is_readable(einhorn::graceful_shutdown_fd().unwrap()));
    let (sender, receiver) = mpsc::channel();
    einhorn::on_graceful_shutdown(move || sender.send(()).unwrap()).unwrap();
    receiver.recv_timeout(LONG).unwrap();
    say("asked");
}

fn is_readable(fd: impl AsFd) -> bool {
    let now = rustix::event::Timespec::default();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).unwrap() > 0
}

fn wait_for_end_of_input() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// The master that the test plays.
struct Master {
    folder: TempDir,
    commands: UnixListener,
}

impl Master {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let commands = UnixListener::bind(folder.path().join("einhorn.sock")).unwrap();
        Self { folder, commands }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("einhorn.sock")
    }

    fn worker(&self, role: &str) -> Command {
        worker(role, &self.path())
    }

    fn accept(&self) -> BufReader<UnixStream> {
        BufReader::new(self.commands.accept().unwrap().0)
    }
}

fn worker(role: &str, path: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "role", "--nocapture"])
        .env(ROLE, role)
        .env("EINHORN_MASTER_PID", std::process::id().to_string())
        .env("EINHORN_SOCK_PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// A running worker and what it prints; killed when dropped.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line that the role printed; its exit where it printed none.
    fn line(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim_end().to_owned();
            }
            line.clear();
        }
        format!("{}", self.child.wait().unwrap())
    }

    fn signal(&self) {
        kill_process(Pid::from_child(&self.child), Signal::USR2).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

fn ack_line(worker: &Running) -> String {
    format!("{{\"command\": \"worker:ack\", \"pid\": {}}}\n", worker.child.id())
}

#[test]
fn an_ack_by_path_returns_when_the_master_closes() {
    let master = Master::new();
    let mut worker = Running::start(&mut master.worker("ack"));
    let mut connection = master.accept();
    assert_eq!(read_line(&mut connection), ack_line(&worker));
    assert!(worker.child.try_wait().unwrap().is_none());
    drop(connection);
    assert_eq!(worker.line(), "taken");
}

#[test]
fn a_ping_is_ascii_and_needs_no_unescaping() {
    let master = Master::new();
    let mut worker = Running::start(&mut master.worker("ping"));
    let pid = worker.child.id();
    assert_eq!(
        read_line(&mut master.accept()),
        format!(
            "{{\"command\": \"worker:ping\", \"pid\": {pid}, \
             \"request_id\": \"50\\u0025 of \\u00e9\"}}\n"
        )
    );
    assert_eq!(worker.line(), "taken");
}

#[test]
fn an_ack_by_descriptor_goes_through_it_and_leaves_it_open() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = worker("ack", Path::new("/nonexistent/einhorn.sock"));
    command.env("EINHORN_SOCK_FD", "0").stdin(OwnedFd::from(theirs));
    let mut worker = Running::start(&mut command);
    assert_eq!(read_line(&mut BufReader::new(&ours)), ack_line(&worker));
    assert_eq!(worker.line(), "taken");
}

#[test]
fn a_descriptor_that_is_no_connection_to_the_master_is_left_alone() {
    let master = Master::new();
    for (number, input) in [("0", Stdio::null()), ("999", Stdio::null()), ("0", Stdio::piped())] {
        let mut command = master.worker("ack");
        let mut worker = Running::start(command.env("EINHORN_SOCK_FD", number).stdin(input));
        assert_eq!(read_line(&mut master.accept()), ack_line(&worker));
        assert_eq!(worker.line(), "taken");
    }
}

#[test]
fn nothing_is_written_to_a_stranger_s_connection() {
    let master = Master::new();
    let path = master.folder.path().join("database.sock");
    let mut listen = worker("listen", &master.path());
    let mut stranger = Running::start(listen.env("EINHORN_TEST_PATH", &path).stdin(Stdio::piped()));
    assert_eq!(stranger.line(), "listening");
    let connection = UnixStream::connect(&path).unwrap();
    let watched = connection.try_clone().unwrap();
    let mut command = master.worker("ack");
    command.env("EINHORN_SOCK_FD", "0").stdin(OwnedFd::from(connection));
    let mut worker = Running::start(&mut command);
    assert_eq!(read_line(&mut master.accept()), ack_line(&worker));
    assert_eq!(worker.line(), "taken");
    drop(stranger.child.stdin.take());
    // Had anything been written, the end would be a reset: the stranger read nothing.
    assert_eq!((&watched).read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_socket_path_that_leads_nowhere_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "").unwrap();
    drop(UnixListener::bind(at("dead")).unwrap());
    let shown = |path: &Path| format!("{:?} (from EINHORN_SOCK_PATH)", path.display().to_string());
    for (name, reason) in [
        ("absent", "No such file or directory (os error 2)"),
        ("file", "Connection refused (os error 111)"),
        ("dead", "Connection refused (os error 111)"),
    ] {
        let mut worker = Running::start(&mut worker("ack", &at(name)));
        let expected = format!("cannot reach the master at {}: {reason}", shown(&at(name)));
        assert_eq!(worker.line(), format!("Unreachable: {expected}"));
    }
    let long = at(&"x".repeat(108));
    let bytes = long.as_os_str().len();
    let mut worker = Running::start(&mut worker("ack", &long));
    assert_eq!(
        worker.line(),
        format!(
            "Environment: EINHORN_SOCK_PATH is too long for a socket's path ({bytes} bytes, most \
             systems take 107): {:?}",
            long.display().to_string()
        )
    );
}

#[test]
fn a_master_that_never_reads_costs_bounded_time() {
    let master = Master::new();
    let mut worker = Running::start(&mut master.worker("ack quickly"));
    let _open = master.accept();
    assert_eq!(
        worker.line(),
        format!(
            "NotConfirmed: sent, not confirmed: nobody took the message at {:?} (from \
             EINHORN_SOCK_PATH) within 0.1 s",
            master.path().display().to_string()
        )
    );
}

#[test]
fn a_queue_that_stays_full_costs_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.sock");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    let mut worker = Running::start(&mut worker("ack quickly", &path));
    assert_eq!(
        worker.line(),
        format!(
            "Unreachable: cannot reach the master at {:?} (from EINHORN_SOCK_PATH): timed out",
            path.display().to_string()
        )
    );
}

#[test]
fn an_answer_is_a_refusal_and_a_reset_is_not_a_success() {
    let master = Master::new();
    let path = format!("{:?} (from EINHORN_SOCK_PATH)", master.path().display().to_string());
    let mut worker = Running::start(&mut master.worker("ack"));
    let mut connection = master.accept();
    read_line(&mut connection);
    connection.get_mut().write_all(b"{\"message\": \"no\"}\n").unwrap();
    assert_eq!(
        worker.line(),
        format!("Refused: refused by whoever listens at {path}: {:?}", "{\"message\": \"no\"}")
    );
    let mut worker = Running::start(&mut master.worker("ack"));
    let connection = master.accept().into_inner();
    poll(&mut [PollFd::new(&connection, PollFlags::IN)], None).unwrap();
    drop(connection);
    assert_eq!(
        worker.line(),
        format!("Refused: the connection to {path} was closed before the message was read")
    );
}

#[test]
fn an_environment_that_lies_is_named() {
    let master = Master::new();
    for (variable, value, expected) in [
        (
            "EINHORN_SOCK_FD",
            "one",
            "EINHORN_SOCK_FD is \"one\", but must be the number of a descriptor",
        ),
        (
            "EINHORN_SOCK_PATH",
            "",
            "EINHORN_SOCK_PATH is \"\", but must be the path of the master's command socket",
        ),
        (
            "EINHORN_MASTER_PID",
            "me",
            "EINHORN_MASTER_PID is \"me\", but must be the pid of the master",
        ),
    ] {
        let mut worker = Running::start(master.worker("ack").env(variable, value));
        assert_eq!(worker.line(), format!("Environment: {expected}"));
    }
    let mut worker = Running::start(master.worker("ack").env_remove("EINHORN_SOCK_PATH"));
    assert_eq!(
        worker.line(),
        "Environment: EINHORN_SOCK_PATH is not set, which every einhorn master does"
    );
    let mut worker = Running::start(master.worker("ack").env_remove("EINHORN_MASTER_PID"));
    assert_eq!(
        worker.line(),
        "NotWorker: not a worker: EINHORN_MASTER_PID is not set (no einhorn master started this \
         program)"
    );
}

#[test]
fn only_a_child_of_the_master_is_a_worker() {
    let master = Master::new();
    let mut worker = Running::start(master.worker("identity").env("EINHORN_CHILD_INDEX", "3"));
    assert_eq!(worker.line(), "true Some(3)");

    let exe = env::current_exe().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "\"$0\" --exact role --nocapture; true"])
        .arg(exe)
        .env(ROLE, "ack")
        .env("EINHORN_MASTER_PID", std::process::id().to_string())
        .env("EINHORN_SOCK_PATH", master.path())
        .stdout(Stdio::piped());
    let mut shell = Running::start(&mut shell);
    let (parent, master) = (shell.child.id(), std::process::id());
    assert_eq!(
        shell.line(),
        format!(
            "NotWorker: not a worker: its parent is {parent}, but EINHORN_MASTER_PID is {master}; \
             start the program with exec, so that nothing stands between it and its master"
        )
    );
    assert_eq!(shell.line(), "exit status: 0");
}

#[test]
fn an_inherited_socket_serves() {
    let master = Master::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = master.worker("serve");
    command.env("EINHORN_FD_COUNT", "1").env("EINHORN_FD_0", "0").stdin(OwnedFd::from(listener));
    let mut worker = Running::start(&mut command);
    drop(command);
    assert_eq!(worker.line(), "1 sockets");
    assert_eq!(worker.line(), "EINHORN_FD_0 is 0, which is a TCP socket, not a unix socket");
    let mut greeting = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "hello");
}

#[test]
fn every_callback_is_called_once_on_another_thread() {
    let master = Master::new();
    let mut worker = Running::start(master.worker("callbacks").stdin(Stdio::piped()));
    assert_eq!(worker.line(), "registered");
    worker.signal();
    assert_eq!(worker.line(), "asked");
    worker.signal();
    drop(worker.child.stdin.take());
    assert_eq!(worker.line(), "late one called");
    assert_eq!(worker.line(), "exit status: 0");
}

#[test]
fn a_poll_loop_sees_the_request() {
    let master = Master::new();
    let mut worker = Running::start(&mut master.worker("poll"));
    assert_eq!(worker.line(), "registered");
    worker.signal();
    assert_eq!(worker.line(), "asked");
}

#[test]
fn before_registration_the_signal_kills() {
    let master = Master::new();
    let path = master.folder.path().join("other.sock");
    let mut command = master.worker("listen");
    let mut worker = Running::start(command.env("EINHORN_TEST_PATH", &path).stdin(Stdio::piped()));
    assert_eq!(worker.line(), "listening");
    worker.signal();
    assert_eq!(worker.line(), "signal: 12 (SIGUSR2)");
}
