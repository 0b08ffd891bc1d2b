//! A master that runs, as its clients, its operator and the system see it.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use super::LONG;
use super::client::Client;
use super::folder::Folder;
use super::launch::Launch;
use super::log::Log;
use super::process::{self, Process};

/// How often a condition is looked at again when no event says so.
const GLANCE: Duration = Duration::from_millis(50);

/// A master, its folder and everything that runs below it; all of it ends with this value.
pub(crate) struct Master {
    pub(crate) folder: Folder,
    pub(crate) socket: PathBuf,
    pub(crate) log: Log,
    child: Child,
}

#[track_caller]
pub(crate) fn wait_for_exit(child: &mut Child, log: &Log) -> ExitStatus {
    let process = Process::of(child.id().try_into().unwrap());
    assert!(process.ends_within(LONG), "the master is still there:\n{}", log.text());
    child.wait().unwrap()
}

impl Master {
    #[track_caller]
    pub(crate) fn start<O: AsRef<OsStr>, P: AsRef<OsStr>>(options: &[O], program: &[P]) -> Self {
        Launch::new(options, program).start()
    }

    #[track_caller]
    pub(crate) fn started(folder: Folder, socket: PathBuf, child: Child, log: Log) -> Self {
        let mut master = Self { folder, socket, log, child };
        let until = Instant::now() + LONG;
        while !master.is_answering() {
            let ended = master.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "no master: {ended:?}");
            master.glance();
        }
        master
    }

    /// A socket takes connections before there is somebody who answers.
    fn is_answering(&self) -> bool {
        let Ok(mut client) = Client::connect(&self.socket) else { return false };
        client.try_send(b"{\"command\":\"ehlo\"}\n").is_ok() && client.line().is_some()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Waits a moment, or for news.
    fn glance(&self) {
        self.log.wait_for_more(self.log.mark(), Instant::now() + GLANCE);
    }

    /// Looks again and again until there is something.
    #[track_caller]
    pub(crate) fn wait_until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + LONG;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < until, "not within {LONG:?}: {what}");
            self.glance();
        }
    }

    /// Waits until `status` is as it should be.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut is: impl FnMut(&Json) -> bool) -> Json {
        self.wait_until(what, || Some(self.status()).filter(|status| is(status)))
    }

    /// Waits until `number` workers are up and there are no others.
    #[track_caller]
    pub(crate) fn wait_for_up(&self, number: usize) -> Json {
        self.wait_for("all workers up", |status| {
            let workers = workers(status);
            workers.len() == number && workers.iter().all(|worker| worker["stage"] == "up")
        })
    }

    #[track_caller]
    pub(crate) fn wait_for_line(&self, words: &str) -> String {
        self.log.wait_for_from(0, words)
    }

    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket).unwrap()
    }

    /// The reply to a request on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, request: &Json) -> Json {
        self.client().ask(request)
    }

    /// The message of a command that succeeds.
    #[track_caller]
    pub(crate) fn command(&self, command: &str, args: &[&str]) -> String {
        let reply = self.ask(&json!({"command": command, "args": args}));
        assert_eq!(reply["error"], Json::Null, "{reply}");
        reply["message"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    /// The code of a command that fails, and the message.
    #[track_caller]
    pub(crate) fn failure(&self, request: &Json) -> (String, String) {
        let reply = self.ask(request);
        let text = |key: &str| reply[key].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        (text("error"), text("message"))
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Json {
        serde_json::from_str(&self.command("status", &["json"])).unwrap()
    }

    #[track_caller]
    pub(crate) fn state(&self) -> String {
        self.command("state", &[])
    }

    /// The pids of the workers, the oldest first.
    #[track_caller]
    pub(crate) fn pids(&self) -> Vec<i32> {
        pids(&self.status())
    }

    #[track_caller]
    pub(crate) fn only_pid(&self) -> i32 {
        match self.pids()[..] {
            [pid] => pid,
            ref other => panic!("not one worker but {other:?}"),
        }
    }

    /// The pids of the workers, each as soon as it runs its program.
    #[track_caller]
    pub(crate) fn running(&self) -> Vec<i32> {
        let pids = self.pids();
        for pid in &pids {
            self.wait_until_it_runs(*pid);
        }
        pids
    }

    /// Waits until a new process is no copy of its master any more.
    #[track_caller]
    pub(crate) fn wait_until_it_runs(&self, pid: i32) {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).ok();
        self.wait_until("it runs its program", || {
            let name = read("comm").filter(|name| name != b"einhorn\n");
            name.and(read("environ")).filter(|variables| !variables.is_empty())
        });
    }

    /// Says that a worker is up, in its place, and waits until that is known.
    #[track_caller]
    pub(crate) fn acknowledge(&self, pid: i32) {
        let mut client = self.client();
        client.send_json(&json!({"command": "worker:ack", "pid": pid}));
        assert!(client.is_closed());
    }

    /// Asks for an upgrade and leaves the connection open for its replies.
    #[track_caller]
    pub(crate) fn begin(&self, command: &str) -> Client {
        let mut client = self.client();
        client.send_json(&json!({"command": command, "id": command}));
        client
    }

    /// Upgrades to the end; returns all replies.
    #[track_caller]
    pub(crate) fn upgrade(&self, command: &str) -> Vec<Json> {
        self.begin(command).replies()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::send(self.pid(), signal);
    }

    /// Waits for its end; returns its exit status, or 128 and the number of the signal.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> i32 {
        let status = wait_for_exit(&mut self.child, &self.log);
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    /// Whoever is still there has been killed, and only needs a moment.
    #[track_caller]
    pub(crate) fn check_nobody_is_left(&self) {
        for pid in process::marked(&self.folder.mark()) {
            Process::of(pid).wait();
        }
        assert_eq!(process::marked(&self.folder.mark()), [0_i32; 0]);
    }

    /// Stops it as an operator would, and makes sure that nothing is left of it.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.command("die", &["KILL"]);
        assert_eq!(self.wait(), 0);
        self.check_nobody_is_left();
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        process::end_marked(&self.folder.mark());
        if std::thread::panicking() {
            eprintln!("what master {} said:\n{}", self.pid(), self.log.text());
        }
    }
}

pub(crate) fn workers(status: &Json) -> Vec<&Json> {
    status["workers"].as_array().unwrap().iter().collect()
}

pub(crate) fn pids(status: &Json) -> Vec<i32> {
    let pid = |worker: &Json| worker["pid"].as_i64().and_then(|pid| pid.try_into().ok());
    workers(status).into_iter().filter_map(pid).collect()
}

/// The row of the worker with that pid.
#[track_caller]
pub(crate) fn worker_of(status: &Json, pid: i32) -> &Json {
    workers(status)
        .into_iter()
        .find(|worker| worker["pid"] == pid)
        .unwrap_or_else(|| panic!("no worker {pid} in {status}"))
}
