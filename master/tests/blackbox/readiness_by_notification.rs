//! `-m notify`: what workers say by `sd_notify(3)` to the socket in `NOTIFY_SOCKET`.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::process::{environment, send};
use crate::support::{Folder, IDLE, Launch, Master, NONE, pids, worker_of, workers};

/// Says the lines that come through the pipe `words`, one message each; `\n` divides a message.
const SPEAKER: &str = r#"
import os, socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.connect(os.environ["NOTIFY_SOCKET"])
print(os.getpid(), "is there", file=sys.stderr, flush=True)
for line in open(sys.argv[1] + os.environ["EINHORN_CHILD_INDEX"], "rb", buffering=0):
    word = line.rstrip(b"\n").replace(b"\\n", b"\n")
    if word == b"exit":
        sys.exit(0)
    elif word == b"flood":
        for _ in range(20000):
            manager.send(b"READY=1\nSTATUS=flood")
    elif word == b"long":
        manager.send(b"READY=1\n" + b"x" * 4089)
    elif word == b"binary":
        manager.send(bytes(range(256)) * 16)
    elif word == b"helper":
        if os.fork() == 0:
            manager.send(b"READY=1")
            os._exit(0 if os.read(0, 1) else 0)
    elif word == b"stranger":
        if os.fork() == 0:
            os.setsid()
            manager.send(b"READY=1")
            os.read(os.open(sys.argv[1] + "gate", os.O_RDONLY), 1)
    else:
        manager.send(word)
    print(os.getpid(), "said", word[:20], file=sys.stderr, flush=True)
"#;

/// A master whose workers say what they are told.
struct Spoken {
    master: Master,
    pipes: Vec<std::fs::File>,
}

impl Spoken {
    fn start(number: usize, options: &[&str]) -> Self {
        let folder = Folder::new();
        let pipes = (0..number).map(|n| folder.gate(&format!("words{n}")).open()).collect();
        let _gate = folder.gate("wordsgate");
        let count = number.to_string();
        let fixed = ["-m", "notify", "-s", "0.01", "-n", &count];
        let options: Vec<&str> = fixed.iter().chain(options).copied().collect();
        let words = folder.word("words");
        let program = ["python3", "-c", SPEAKER, &words];
        let master = Launch::within(folder, &options, &program).start();
        for pid in master.pids() {
            master.wait_for_line(&format!("{pid} is there"));
        }
        Self { master, pipes }
    }

    /// Has the worker of that index say it, and waits until it has.
    fn say(&mut self, index: usize, words: &str) {
        use std::io::Write as _;
        let mark = self.master.log.mark();
        self.pipes[index].write_all(format!("{words}\n").as_bytes()).unwrap();
        if words != "exit" {
            self.master.log.wait_for_from(mark, " said ");
        }
    }

    fn stage_of(&self, pid: i32) -> Json {
        worker_of(&self.master.status(), pid)["stage"].clone()
    }
}

fn socket(master: &Master) -> PathBuf {
    master.folder.join("einhorn.sock.notify/socket")
}

#[test]
fn what_a_worker_says_is_understood() {
    let mut spoken = Spoken::start(2, &[]);
    let all = spoken.master.pids();
    assert_eq!(environment(all[0])["NOTIFY_SOCKET"], socket(&spoken.master).to_str().unwrap());
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(spoken.master.folder.join("einhorn.sock.notify")), 0o700);
    spoken.say(0, "STATUS=loading 4 of 9\\nMAINPID=1\\nFDSTORE=1");
    spoken
        .master
        .wait_for("its status", |status| worker_of(status, all[0])["status"] == "loading 4 of 9");
    assert_eq!(spoken.stage_of(all[0]), "starting");
    spoken.say(0, "READY=1\\nSTATUS=\u{1b}[31mred\\nWATCHDOG=1");
    let status =
        spoken.master.wait_for("it is up", |status| worker_of(status, all[0])["stage"] == "up");
    assert_eq!(worker_of(&status, all[0])["status"], "\\u{1b}[31mred");
    assert!(worker_of(&status, all[0])["last_ping_seconds"].is_f64());
    assert_eq!(worker_of(&status, all[1])["last_ping_seconds"], Json::Null);
    let table = spoken.master.command("status", &[]);
    assert!(table.contains("STATUS") && table.contains("\\u{1b}[31mred"), "{table}");
    // Twice is once, and what it said crosses a reload.
    spoken.say(0, "READY=1");
    spoken.master.command("reload", &[]);
    let status = spoken.master.wait_for("the next image", |status| status["generation"] == 1);
    assert_eq!(worker_of(&status, all[0])["status"], "\\u{1b}[31mred");
    spoken.say(1, "READY=1");
    spoken.master.wait_for_up(2);
    spoken.say(0, "STATUS=");
    spoken
        .master
        .wait_for("nothing any more", |status| worker_of(status, all[0])["status"] == Json::Null);
    let text = spoken.master.log.text();
    assert_eq!(text.matches("is up (").count(), 2, "{text}");
    spoken.master.stop();
}

#[test]
fn what_makes_no_sense_is_passed_over() {
    let mut spoken = Spoken::start(2, &[]);
    let all = spoken.master.pids();
    for words in ["binary", "long", "READY=0", "READY", "", "X=\\n\\n=\\n", "WATCHDOG=trigger"] {
        spoken.say(0, words);
    }
    spoken.master.wait_for_line("it is longer than 4096 bytes");
    // Whoever may open the folder, but is no worker.
    let stranger = UnixDatagram::unbound().unwrap();
    stranger.send_to(b"READY=1\nSTATUS=I am not", socket(&spoken.master)).unwrap();
    let line = spoken.master.wait_for_line("it is no worker");
    assert!(line.contains(&format!("of process {}", std::process::id())), "{line}");
    // Nor is a child of one that has left its group.
    let mark = spoken.master.log.mark();
    spoken.say(0, "stranger");
    spoken.say(0, "STATUS=after it");
    spoken.master.wait_for("what was said later", |status| {
        worker_of(status, all[0])["status"] == "after it"
    });
    let status = spoken.master.status();
    assert!(workers(&status).iter().all(|worker| worker["stage"] == "starting"), "{status}");
    assert_eq!(pids(&status), all);
    assert!(spoken.master.log.lines()[mark..].iter().all(|line| !line.contains("is up")));
    // A helper in its group may.
    spoken.say(0, "helper");
    spoken
        .master
        .wait_for("its helper's word", |status| worker_of(status, all[0])["stage"] == "up");
    assert_eq!(spoken.stage_of(all[1]), "starting");
}

#[test]
fn a_flood_starves_nobody_and_fills_no_log() {
    use std::io::Write as _;
    let mut spoken = Spoken::start(3, &[]);
    let all = spoken.master.pids();
    spoken.pipes[0].write_all(b"flood\n").unwrap();
    for _ in 0..20 {
        spoken.master.status();
    }
    spoken.say(1, "READY=1");
    spoken.master.wait_for("the other one", |status| worker_of(status, all[1])["stage"] == "up");
    spoken.master.wait_for_line(&format!("{} said b'flood'", all[0]));
    let stranger = UnixDatagram::unbound().unwrap();
    for _ in 0..3000 {
        stranger.send_to(b"READY=1", socket(&spoken.master)).unwrap();
    }
    spoken.say(2, "READY=1");
    spoken.master.wait_for_up(3);
    assert_eq!(spoken.master.pids(), all);
    let text = spoken.master.log.lines();
    let passed_over = text.iter().filter(|line| line.contains("notification of")).count();
    assert!((1..=13).contains(&passed_over), "{passed_over}");
    spoken.master.stop();
}

#[test]
fn one_that_ends_of_its_own_accord_has_not_failed() {
    let mut spoken = Spoken::start(1, &[]);
    let pid = spoken.master.only_pid();
    spoken.say(0, "READY=1");
    spoken.master.wait_for_up(1);
    spoken.say(0, "STOPPING=1\\nSTATUS=bye");
    let status = spoken
        .master
        .wait_for("it retires", |status| worker_of(status, pid)["stage"] == "retiring");
    assert_eq!(worker_of(&status, pid)["signaled"], json!([]));
    // It stays so over a reload, and is not up again by saying so.
    spoken.say(0, "READY=1");
    spoken.master.wait_for_line("its worker is stopping");
    spoken.master.command("reload", &[]);
    spoken.master.wait_for("the next image", |status| status["generation"] == 1);
    assert_eq!(spoken.stage_of(pid), "retiring");
    spoken.say(0, "exit");
    spoken.master.wait_for_line(&format!("worker {pid} (index 0) stopped: status 0"));
    spoken
        .master
        .wait_for("another one", |status| pids(status).len() == 1 && pids(status)[0] != pid);
    let text = spoken.master.log.text();
    assert!(text.contains(&format!("worker {pid} (index 0) is stopping of its own accord")));
    assert!(!text.contains("nobody asked it to"), "{text}");
    // Before it was up it has failed all the same.
    let pid = spoken.master.only_pid();
    spoken.master.wait_for_line(&format!("{pid} is there"));
    spoken.say(0, "STOPPING=1");
    spoken.say(0, "exit");
    spoken.master.wait_for_line(&format!("worker {pid} (index 0) exited before it was"));
}

#[test]
fn what_is_said_while_the_master_is_replaced_is_heard_after_it() {
    let mut spoken = Spoken::start(1, &[]);
    let pid = spoken.master.only_pid();
    send(spoken.master.pid(), Signal::STOP);
    let mut client = spoken.master.client();
    client.send_json(&json!({"command": "reload", "id": 1}));
    spoken.say(0, "READY=1\\nSTATUS=waited");
    send(spoken.master.pid(), Signal::CONT);
    client.replies();
    spoken.master.wait_for_up(1);
    assert_eq!(worker_of(&spoken.master.status(), pid)["status"], "waited");
    spoken.master.stop();
}

/// The service manager above hears nothing of what workers say, nor do they know of it.
#[test]
fn nothing_reaches_the_service_manager() {
    let folder = Folder::new();
    let above = UnixDatagram::bind(folder.join("above")).unwrap();
    above.set_nonblocking(true).unwrap();
    let path = folder.word("above");
    let code = "import os, signal, socket\n\
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                s.sendto(b'READY=1\\nSTATUS=mine\\nWATCHDOG=1', os.environ['NOTIFY_SOCKET'])\n\
                signal.pause()";
    let options = ["-m", "notify", "-n", "2", "-s", "0.01"];
    let master = Launch::within(folder, &options, &["python3", "-c", code])
        .env("NOTIFY_SOCKET", path.clone())
        .env("WATCHDOG_USEC", "1000000")
        .start();
    master.wait_for_up(2);
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], Json::Null, "{last}");
    let status = master.wait_for_up(2);
    for pid in pids(&status) {
        let own = environment(pid);
        assert_eq!(own["NOTIFY_SOCKET"], socket(&master).to_str().unwrap());
        assert!(!own.contains_key("WATCHDOG_USEC"));
    }
    // The master itself still knows whom it works for.
    assert_eq!(environment(master.pid())["NOTIFY_SOCKET"], path);
    let heard = above.recv(&mut [0; 64]).unwrap_err();
    assert_eq!(heard.kind(), std::io::ErrorKind::WouldBlock);
    master.stop();
}

#[test]
fn the_folder_goes_with_its_master() {
    let mut master = Master::start(&["-m", "notify"], &IDLE);
    assert!(socket(&master).exists());
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert!(!master.folder.names().contains(&"einhorn.sock.notify".to_owned()));
    // One that was killed has left it, and the next one takes it over.
    let mut first = Master::start(&["-m", "notify"], &IDLE);
    first.running();
    first.signal(Signal::KILL);
    first.wait();
    assert!(socket(&first).exists());
    let second = Launch::new(&["-m", "notify"], &IDLE).env("TMPDIR", first.folder.path());
    let mut second = second.socket_at(first.socket.clone()).start();
    second.signal(Signal::TERM);
    assert_eq!(second.wait(), 0);
    assert!(!socket(&first).exists());
    // A start that fails leaves nothing.
    let finished = Launch::new(&["-m", "notify", "-b", "192.0.2.1:1"], &IDLE).run();
    finished.refused(&[]);
    // What is somebody else's is left alone.
    let folder = Folder::new();
    folder.write("einhorn.sock.notify", "");
    let finished = Launch::within(folder, &["-m", "notify"], &IDLE).run();
    let line = finished.refused(&["einhorn.sock.notify"]);
    assert!(line.contains("it is a plain file"), "{line}");
    assert!(!Master::start(&NONE, &IDLE).folder.join("einhorn.sock.notify").exists());
}
