//! The worker that most tests start: this very test program, told by words what to do.
//!
//! `act` is a test only in name. Run by the test runner it does nothing; run by a master it
//! does what the words after [`AS_WORKER`] say, one after the other.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde_json::json;

use crate::support::{EINHORN, LONG};

const AS_WORKER: &str = "as-worker";

/// The command line of a worker that does as told.
pub(crate) fn told(words: &[&str]) -> Vec<String> {
    let own = env::current_exe().unwrap().into_os_string().into_string().unwrap();
    // What follows the name of the test are names of tests that do not exist.
    let run = ["--exact", "worker::act", "--nocapture", "--test-threads=1", AS_WORKER];
    let words = run.iter().chain(words).map(|word| (*word).to_owned());
    [own].into_iter().chain(words).collect()
}

/// The same as a line for a script.
pub(crate) fn told_in_shell(words: &[&str]) -> String {
    let quoted = |word: &String| format!("'{word}'");
    let words: Vec<String> = told(words).iter().map(quoted).collect();
    format!("exec {}", words.join(" "))
}

#[test]
fn act() {
    let mut words = env::args().skip_while(|word| word != AS_WORKER);
    if words.next().is_none() {
        return;
    }
    let mut version = String::from("-");
    let mut habits = Habits::default();
    for word in words {
        let (verb, object) = word.split_once('=').unwrap_or((&word, ""));
        match verb {
            "version" => object.clone_into(&mut version),
            "say" => say(&format!("worker {} says {object}", process::id())),
            "ack" => einhorn_worker::ack().unwrap(),
            "ack-without-reading" => drop(by_path(&ack_as_json())),
            "ack-for" => confirmed(&ack_as_json_for(object.parse().unwrap())),
            "ack-for-and-go" => drop(by_path(&ack_as_json_for(object.parse().unwrap()))),
            "ack-as-ruby" => confirmed(&ack_as_yaml()),
            "ack-by-descriptor" => by_descriptor(&ack_as_json()),
            "ping" => einhorn_worker::ping(object).unwrap(),
            "ask-by-descriptor" => ask_by_descriptor(object),
            "ping-by-descriptor" => by_descriptor(&ping_as_json(object)),
            "become-master-alone" => become_master_alone(),
            "talk" => talk(object),
            "crowd" => crowd(object),
            "crowd-of-worker" => crowd_of_worker(object.parse().unwrap()),
            "leak" => habits.leak = object.parse().unwrap(),
            "beat" => habits.beat = Some(object.to_owned()),
            "hang-at" => habits.hang_at = Some(object.to_owned()),
            "serve" => serve(&version, &habits),
            "await" => drop(std::fs::File::open(object).unwrap()),
            "exit" => process::exit(object.parse().unwrap()),
            "hang" => hang(),
            other => panic!("no worker can {other}"),
        }
    }
    process::exit(0);
}

/// A line in one piece: others write to the same place.
fn say(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn ack_as_json() -> String {
    ack_as_json_for(process::id())
}

fn ack_as_json_for(pid: u32) -> String {
    format!("{}\n", json!({"command": "worker:ack", "pid": pid}))
}

fn ping_as_json(id: &str) -> String {
    format!("{}\n", json!({"command": "worker:ping", "pid": process::id(), "request_id": id}))
}

fn ack_as_yaml() -> String {
    format!("---%0Acommand: worker:ack%0Apid: {}%0A\n", process::id())
}

/// Becomes a master with the words in `MASTER_WORDS`, and hands no descriptor on to it.
fn become_master_alone() {
    einhorn_master::sys::descriptor::mark_all_close_on_exec().unwrap();
    let words = env::var("MASTER_WORDS").unwrap();
    let mut master = process::Command::new(EINHORN);
    panic!("{}", master.args(words.split(' ')).exec());
}

/// As a client of whoever listens there.
fn talk(path: &str) {
    let mut master = UnixStream::connect(path).unwrap();
    master.set_read_timeout(Some(LONG)).unwrap();
    // Whoever is turned away may be so before it has said anything.
    let _ = master.write_all(b"{\"command\":\"ehlo\"}\n");
    let mut answer = String::new();
    let _ = BufReader::new(master).read_line(&mut answer);
    say(&answer);
}

/// As `count` clients of whoever listens there (`count,path`), each of which is answered, until
/// the input ends.
fn crowd(count_and_path: &str) {
    let (count, path) = count_and_path.split_once(',').unwrap();
    let clients = (0..count.parse().unwrap()).map(|_| {
        let mut client = UnixStream::connect(path).unwrap();
        client.write_all(b"{\"command\":\"ehlo\"}\n").unwrap();
        let mut answer = String::new();
        BufReader::new(&client).read_line(&mut answer).unwrap();
        assert!(answer.contains("Welcome"), "{answer}");
        client
    });
    let clients: Vec<UnixStream> = clients.collect();
    say(&format!("{} are in", clients.len()));
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// Opens `count` connections that stay, and says what is answered on one more.
fn crowd_of_worker(count: usize) {
    let clients: Vec<UnixStream> = (0..count).map(|_| by_path("")).collect();
    let late = by_path("");
    let mut answer = String::new();
    BufReader::new(late).read_line(&mut answer).unwrap();
    say(&answer);
    drop(clients);
}

fn by_path(line: &str) -> UnixStream {
    let mut master = UnixStream::connect(env::var_os("EINHORN_SOCK_PATH").unwrap()).unwrap();
    master.write_all(line.as_bytes()).unwrap();
    master
}

fn confirmed(line: &str) {
    let master = by_path(line);
    master.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(BufReader::new(master).read_line(&mut String::new()).unwrap(), 0);
}

fn by_descriptor(line: &str) {
    given_connection().write_all(line.as_bytes()).unwrap();
}

/// Says what the answer is.
fn ask_by_descriptor(command: &str) {
    let mut master = given_connection();
    writeln!(master, "{}", json!({"command": command})).unwrap();
    let mut answer = String::new();
    BufReader::new(master).read_line(&mut answer).unwrap();
    say(&answer);
}

fn given_connection() -> UnixStream {
    let number = env::var("EINHORN_SOCK_FD").unwrap().parse().unwrap();
    // A number alone is nothing that safe code can write to; a duplicate of it is.
    let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let descriptor = pidfd_getfd(own, number, PidfdGetfdFlags::empty()).unwrap();
    UnixStream::from(descriptor)
}

/// What makes a worker that serves go stale.
#[derive(Default)]
struct Habits {
    /// Bytes that each request costs it for good.
    leak: usize,
    /// It pings under this id, at least every [`BEAT`].
    beat: Option<String>,
    /// A path; where that and its pid are a file, it takes no request any more and hangs.
    hang_at: Option<String>,
}

const BEAT: Duration = Duration::from_millis(200);

impl Habits {
    /// Between two requests.
    fn indulge(&self, last_beat: &mut Option<Instant>) {
        let hangs = |path: &String| Path::new(&format!("{path}.{}", process::id())).exists();
        if self.hang_at.as_ref().is_some_and(hangs) {
            say(&format!("worker {} hangs", process::id()));
            hang();
        }
        if let Some(id) = &self.beat
            && last_beat.is_none_or(|at| at.elapsed() >= BEAT)
        {
            einhorn_worker::ping(id).unwrap();
            *last_beat = Some(Instant::now());
        }
    }

    fn leak(&self) {
        std::mem::forget(std::hint::black_box(vec![1_u8; self.leak]));
    }
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

/// Serves every listening socket until SIGUSR2: `pid index version` for a line, `pid` first
/// and the rest after a second line if the first is `hold`.
fn serve(version: &str, habits: &Habits) {
    let pause = Timespec { tv_sec: 0, tv_nsec: BEAT.subsec_nanos().into() };
    let pause = habits.beat.as_ref().map(|_| &pause);
    let mut last_beat = None;
    let stop = einhorn_worker::graceful_shutdown_fd().unwrap();
    let count = einhorn_worker::socket_count();
    let listeners: Vec<TcpListener> =
        (0..count).map(|n| einhorn_worker::tcp_listener(n).unwrap()).collect();
    for listener in &listeners {
        listener.set_nonblocking(true).unwrap();
    }
    loop {
        let mut events = vec![PollFd::new(&stop, PollFlags::IN)];
        events.extend(listeners.iter().map(|l| PollFd::from_borrowed_fd(l.as_fd(), PollFlags::IN)));
        match poll(&mut events, pause) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
        habits.indulge(&mut last_beat);
        let ready: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
        if ready[0] {
            return;
        }
        for (listener, _) in listeners.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            match listener.accept() {
                // A client that goes away is its own loss.
                Ok((client, _)) => {
                    habits.leak();
                    drop(answer(client, version));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn answer(client: TcpStream, version: &str) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(LONG))?;
    let mut client = BufReader::new(client);
    let mut line = String::new();
    let pid = process::id();
    if client.read_line(&mut line)? == 0 {
        return Ok(());
    }
    if line == "hold\n" {
        say(&format!("worker {pid} holds a connection"));
        client.get_mut().write_all(format!("{pid}").as_bytes())?;
        client.read_line(&mut line)?;
        client.get_mut().write_all(b" held\n")?;
        return Ok(());
    }
    let index = einhorn_worker::child_index().map_or(-1, i64::from);
    client.get_mut().write_all(format!("{pid} {index} {version}\n").as_bytes())
}
