//! A stand-in for a Ruby master that runs, and whatever it becomes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use einhorn_master::psych::{self, Limits, Value};
use serde_json::Value as Json;

use crate::support::process::descriptors;
use crate::support::{Client, EINHORN, Folder, LONG, Launch, Master};

/// The program; it is executable.
pub(crate) const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ruby/standin.rb");

/// Recorded: two workers, manual acknowledgement, half a line, a subscriber; about to upgrade.
pub(crate) const MANUAL: &str = include_str!("../vectors/state-manual.yaml");
/// Recorded: the same with a timer of 30 s, `-t`, `-g`, `-k` and `--nice`.
pub(crate) const TIMER: &str = include_str!("../vectors/state-timer.yaml");
/// Recorded: three versions in the middle of a smooth upgrade, two subscribers.
pub(crate) const MID_UPGRADE: &str = include_str!("../vectors/state-mid-upgrade.yaml");

/// What a recorded state says while no upgrade was asked for.
pub(crate) fn without_upgrade(dump: &str) -> String {
    edited(dump, &[(":reloading_for_upgrade: true", ":reloading_for_upgrade: false")])
}

/// The text with each left one replaced by the right one, wherever it stands.
#[track_caller]
pub(crate) fn edited(text: &str, edits: &[(&str, &str)]) -> String {
    let edit = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "no {from:?} in\n{text}");
        text.replace(from, to)
    };
    edits.iter().fold(text.to_owned(), edit)
}

/// A process that is now one master and now another.
pub(crate) struct Process {
    /// As the harness knows masters. Its commands work while it is one of ours.
    pub(crate) master: Master,
}

/// Fails with a clear word where there is no Ruby.
#[track_caller]
fn need_ruby() {
    let version = Command::new("ruby").arg("--version").output();
    let found = version.is_ok_and(|output| output.status.success());
    assert!(found, "these tests need `ruby` in PATH (apt-get install ruby)");
}

/// The file that decides what comes after the next reload. Its name is what a child is called
/// until it has become a worker.
fn next_in(folder: &Path) -> PathBuf {
    folder.join("next").join("einhorn")
}

fn point(next: &Path, to: &str) {
    fs::create_dir_all(next.parent().unwrap()).unwrap();
    let beside = next.with_extension("new");
    symlink(to, &beside).unwrap();
    fs::rename(&beside, next).unwrap();
}

/// A stand-in that replays a recorded state; its next image is ours.
#[track_caller]
pub(crate) fn replaying<P: AsRef<OsStr>>(dump: &str, program: &[P]) -> Process {
    replaying_in(Folder::new(), dump, program)
}

/// The same in a folder that has something in it already.
#[track_caller]
pub(crate) fn replaying_in<P: AsRef<OsStr>>(folder: Folder, dump: &str, program: &[P]) -> Process {
    need_ruby();
    folder.write("dump", dump);
    let (dump, next, here) = (folder.word("dump"), folder.word("next/einhorn"), folder.word("."));
    point(&next_in(folder.path()), EINHORN);
    let options = ["--replay", &dump, "--folder", &here, "--reexec-as", &next, "--"];
    Process { master: Launch::within(folder, &options, program).called(STAND_IN).start() }
}

/// One of ours whose next image is the stand-in.
#[track_caller]
pub(crate) fn ours<P: AsRef<OsStr>>(options: &[&str], program: &[P]) -> Process {
    need_ruby();
    let folder = Folder::new();
    let next = folder.word("next/einhorn");
    point(&next_in(folder.path()), STAND_IN);
    let options: Vec<&str> = options.iter().copied().chain(["--reexec-as", &next]).collect();
    Process { master: Launch::within(folder, &options, program).start() }
}

/// A stand-in that was started as a file of that folder, by which it reloads.
#[track_caller]
pub(crate) fn started_as<P: AsRef<OsStr>>(folder: Folder, name: &str, program: &[P]) -> Process {
    need_ruby();
    folder.write("dump", &without_upgrade(MANUAL));
    let (dump, here) = (folder.word("dump"), folder.word("."));
    let own_name = folder.join(name);
    for (from, to) in [
        (STAND_IN.to_owned(), own_name.clone()),
        (STAND_IN.replace(".rb", "_state.rb"), own_name.with_file_name("standin_state.rb")),
    ] {
        fs::copy(from, to).unwrap();
    }
    let options = ["--replay", &dump, "--folder", &here, "--"];
    Process { master: Launch::within(folder, &options, program).called(own_name).start() }
}

impl Process {
    /// From now on the next image is ours.
    pub(crate) fn next_is_ours(&self) {
        point(&next_in(self.master.folder.path()), EINHORN);
    }

    /// From now on the next image is the stand-in.
    pub(crate) fn next_is_ruby(&self) {
        point(&next_in(self.master.folder.path()), STAND_IN);
    }

    /// From now on the next image is whatever a script for `/bin/sh` becomes.
    pub(crate) fn next_is_script(&self, body: &str) {
        let next = next_in(self.master.folder.path());
        fs::remove_file(&next).unwrap();
        self.master.folder.script("next/einhorn", body);
    }

    /// What the stand-in told about `event`, the first time from line `mark` on.
    #[track_caller]
    pub(crate) fn told_from(&self, mark: usize, event: &str) -> Json {
        let words = format!("stand-in: {event} {{");
        let line = self.master.log.wait_for_from(mark, &words);
        serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap()
    }

    /// What the stand-in told about `event`, which happens once.
    #[track_caller]
    pub(crate) fn told(&self, event: &str) -> Json {
        self.told_from(0, event)
    }

    /// Waits until ours has taken over.
    #[track_caller]
    pub(crate) fn is_ours(&self) {
        // The stand-in answers in YAML, whoever asks.
        self.master.wait_until("ours answers", || {
            let mut client = self.master.client();
            client.send("{\"command\":\"ehlo\"}\n");
            client.line().filter(|line| line.starts_with('{'))
        });
    }

    /// A connection that stands for the recorded one of that place.
    #[track_caller]
    pub(crate) fn recorded_client(&self, place: usize) -> Client {
        let mut client = self.master.client();
        client.send(format!("{{\"command\":\"standin:be\",\"args\":[\"{place}\"]}}\n"));
        assert!(client.yaml_reply().contains("you are"));
        client
    }

    /// Hands the recorded state over, and waits until ours has taken over.
    #[track_caller]
    pub(crate) fn go(&self) {
        self.master.client().send("{\"command\":\"standin:go\"}\n");
        self.is_ours();
    }

    /// The sockets that the stand-in said it listens on, by number, as they are now.
    #[track_caller]
    pub(crate) fn listening(&self, told: &Json) -> BTreeMap<i32, String> {
        let mut numbers = numbers_in(&told["bind_fds"]);
        numbers.push(number_in(&told["server"]));
        let mut open = descriptors(self.master.pid());
        open.retain(|number, what| numbers.contains(number) && what.starts_with("socket:"));
        assert_eq!(open.len(), numbers.len(), "{open:?}");
        open
    }

    /// The helper that wrote the state is reaped.
    #[track_caller]
    pub(crate) fn has_reaped_the_helper(&self) {
        let passer = number_in(&self.told("hands over")["passer"]);
        let path = PathBuf::from(format!("/proc/{passer}"));
        self.master.wait_until("the helper is reaped", || (!path.exists()).then_some(()));
    }

    /// The stand-in found nothing wrong.
    #[track_caller]
    pub(crate) fn had_no_complaints(&self) {
        let lines = self.master.log.lines();
        let complaints: Vec<&String> =
            lines.iter().filter(|line| line.contains("stand-in complains")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// A number that the stand-in told.
#[track_caller]
pub(crate) fn number_in(told: &Json) -> i32 {
    i32::try_from(told.as_i64().unwrap_or_else(|| panic!("{told}"))).unwrap()
}

/// Numbers that the stand-in told, in order, or as they were recorded.
#[track_caller]
pub(crate) fn numbers_in(told: &Json) -> Vec<i32> {
    match told {
        Json::Object(by_recorded) => by_recorded.values().map(number_in).collect(),
        list => list.as_array().unwrap().iter().map(number_in).collect(),
    }
}

/// The next reply, which is YAML: request id, whether more follows, code of the error, message.
#[track_caller]
pub(crate) fn yaml_reply(client: &mut Client) -> Reply {
    let text = client.yaml_reply();
    let reply = psych::read(text.as_bytes(), &Limits::request()).unwrap();
    let named = |key: &str| reply.get(key).and_then(Value::as_str).map(str::to_owned);
    Reply {
        id: reply.get("request_id").cloned(),
        waits: reply.get("wait") == Some(&Value::Bool(true)),
        error: named("error"),
        message: named("message").unwrap(),
    }
}

/// A reply in YAML.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) id: Option<Value>,
    pub(crate) waits: bool,
    pub(crate) error: Option<String>,
    pub(crate) message: String,
}

/// Follows an upgrade under `id` to its end; every reply is for that id. Returns the last.
#[track_caller]
pub(crate) fn follow(client: &mut Client, id: &Value) -> Reply {
    loop {
        let reply = yaml_reply(client);
        assert_eq!(reply.id.as_ref(), Some(id), "{reply:?}");
        if !reply.waits {
            return reply;
        }
    }
}

/// A request as the Ruby shell sends it.
pub(crate) fn yaml_request(command: &str, id: &str) -> String {
    format!("---%0Acommand: {command}%0Aid: {id}%0Aargs: []%0A\n")
}

/// What a worker behind `port` answers: its pid, index and version.
#[track_caller]
pub(crate) fn visit(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"hello\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}

/// The ports that the stand-in has bound.
pub(crate) fn ports_in(told: &Json) -> Vec<u16> {
    let port = |port: &Json| u16::try_from(port.as_u64().unwrap()).unwrap();
    told["ports"].as_array().unwrap().iter().map(port).collect()
}
