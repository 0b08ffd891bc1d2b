//! The shell as a program, against servers that behave well and badly.

mod fake_master;
mod pseudo_terminal;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use fake_master::FakeMaster;
use pseudo_terminal::Terminal;
use serde_json::json;

const SHELL: &str = env!("CARGO_BIN_EXE_einhornsh");

/// A user that owns nothing, `nobody` on most systems.
const NOBODY: u32 = 65534;

/// Held while a program is started, and by a test that counts on something being closed: for
/// a moment a new process has a copy of every descriptor.
static FORK: Mutex<()> = Mutex::new(());

fn start(command: &mut Command) -> Child {
    let _alone = FORK.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap()
}

struct Ran {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

#[allow(clippy::disallowed_methods, reason = "the program under test is no worker")]
fn shell(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn run(command: &mut Command) -> Ran {
    let output = start(command.stderr(Stdio::piped())).wait_with_output().unwrap();
    Ran {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs `script` with `-e` against `master`.
fn execute(master: &FakeMaster, script: &str) -> Ran {
    let path = master.path();
    run(&mut shell(Path::new(SHELL), &["-d", path.to_str().unwrap(), "-e", script]))
}

/// Runs the shell with `script` on its stdin.
fn pipe(master: &FakeMaster, script: &str) -> Ran {
    let path = master.path();
    let mut command = shell(Path::new(SHELL), &["-d", path.to_str().unwrap()]);
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    run(command.stdin(input))
}

#[track_caller]
fn check(ran: &Ran, status: i32, stdout: &str, stderr_has: &str) {
    assert_eq!(ran.stdout, stdout, "{}", ran.stderr);
    assert!(ran.stderr.contains(stderr_has), "{}", ran.stderr);
    assert_eq!(ran.stderr.is_empty(), stderr_has.is_empty(), "{}", ran.stderr);
    assert_eq!(ran.status, Some(status), "{}", ran.stderr);
}

#[test]
fn every_reply_is_printed_up_to_the_last_one() {
    let master = FakeMaster::start(|mut client| {
        let first = client.expect(&["upgrade"]);
        client.reply(&first, "begun, 50%", json!({"wait": true}));
        client.reply(&first, "half", json!({"wait": true}));
        client.done(&first, "done");
        let second = client.expect(&["signal", "USR1", "a;b"]);
        assert_ne!(first, second);
        client.done(&second, "sent");
        client.expect_end();
    });
    let ran = execute(&master, "upgrade; signal USR1 'a;b'");
    check(&ran, 0, "begun, 50%\nhalf\ndone\nsent\n", "");
    master.finish();
}

#[test]
fn a_ruby_master_is_understood() {
    let master = FakeMaster::start(|mut client| {
        let id = client.expect(&["upgrade"]);
        client.send(&format!(
            "---%0Amessage: 'a: 50%25'%0Arequest_id: {id}%0Await: true%0A\n\
             --- %0Amessage: |%0A  two%0A  lines%0Arequest_id: {id}%0A\n"
        ));
        client.expect_end();
    });
    check(&execute(&master, "upgrade"), 0, "a: 50%\ntwo\nlines\n", "");
    master.finish();
}

#[test]
fn the_last_reply_decides_the_exit_status() {
    for (first, second, status) in
        [(json!({"error": "failed"}), json!({}), 0), (json!({}), json!({"error": "failed"}), 1)]
    {
        let master = FakeMaster::start(move |mut client| {
            let id = client.expect(&["inc"]);
            client.reply(&id, "one", first);
            let id = client.expect(&["dec"]);
            client.reply(&id, "two", second);
        });
        check(&execute(&master, "inc; dec"), status, "one\ntwo\n", "");
        master.finish();
    }
}

#[test]
fn an_error_without_an_id_is_the_answer_too() {
    let master = FakeMaster::start(|mut client| {
        client.request();
        client.send("{\"message\":\"busy\",\"error\":\"overloaded\"}\n");
    });
    check(&execute(&master, "inc"), 1, "busy\n", "");
    master.finish();
}

#[test]
fn a_late_reply_to_another_request_is_no_answer() {
    let master = FakeMaster::start(|mut client| {
        let id = client.expect(&["inc"]);
        client.reply(&json!(99), "old news", json!({"error": "superseded"}));
        client.done(&id, "up");
    });
    check(&execute(&master, "inc"), 0, "up\n", "old news");
    master.finish();
}

#[test]
fn a_connection_lost_midway_is_a_failure() {
    let master = FakeMaster::start(|mut client| {
        let id = client.expect(&["upgrade"]);
        client.reply(&id, "begun", json!({"wait": true}));
        client.send("{\"message\":\"hal");
    });
    check(&execute(&master, "upgrade; inc"), 1, "begun\n", "connection to the master was lost");
    master.finish();
}

#[test]
fn a_reply_that_makes_no_sense_is_a_failure() {
    let master = FakeMaster::start(|mut client| {
        client.request();
        client.send("- a list\n");
        client.expect_end();
    });
    check(&execute(&master, "inc"), 1, "", "makes no sense: the line is a list");
    master.finish();
}

#[test]
fn a_long_reply_in_tiny_pieces_is_printed_as_it_is() {
    let state = "42: {acked: true} # 100%\n".repeat(50_000);
    let expect = state.clone();
    let master = FakeMaster::start(move |mut client| {
        let id = client.expect(&["state"]);
        let line = format!("{}\n", json!({"message": state, "request_id": id}));
        let (head, tail) = line.split_at(100);
        head.chars().for_each(|piece| client.send(&piece.to_string()));
        client.send(tail);
    });
    let ran = execute(&master, "state");
    assert!(ran.stdout == expect, "{} bytes: {}", ran.stdout.len(), ran.stderr);
    assert_eq!(ran.status, Some(0));
    master.finish();
}

#[test]
fn a_pipe_is_a_script() {
    let master = FakeMaster::start(|mut client| {
        let id = client.expect(&["inc"]);
        client.done(&id, "one");
        let id = client.expect(&["set_workers", "3"]);
        client.reply(&id, "no", json!({"error": "failed"}));
        client.expect_end();
    });
    let ran = pipe(&master, "# a comment; inc\ninc\n\n set_workers 3 ;quit; dec\ndec\n");
    check(&ran, 1, "one\nno\n", "");
    master.finish();
}

#[test]
fn a_script_that_cannot_be_taken_apart_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("x");
    let arguments = ["-d", nowhere.to_str().unwrap(), "-e", "inc; signal 'USR1"];
    let ran = run(&mut shell(Path::new(SHELL), &arguments));
    check(&ran, 1, "", "a quote is not closed; nothing was sent");
}

#[test]
fn an_empty_script_finds_out_whether_a_master_is_there() {
    let master = FakeMaster::start(|mut client| client.expect_end());
    check(&execute(&master, ""), 0, "", "");
    master.finish();
}

#[test]
fn nobody_to_read_the_replies_ends_it_in_silence() {
    let master = FakeMaster::start(|mut client| {
        let id = client.expect(&["state"]);
        client.done(&id, "text");
        client.expect_end();
    });
    let path = master.path();
    let mut command = shell(Path::new(SHELL), &["-d", path.to_str().unwrap(), "-e", "state; inc"]);
    let writer = {
        let _alone = FORK.lock().unwrap_or_else(PoisonError::into_inner);
        std::io::pipe().unwrap().1
    };
    check(&run(command.stdout(writer)), 1, "", "");
    master.finish();
}

#[test]
fn the_socket_is_found_by_name_path_and_folder() {
    let check = |socket: &str, arguments: &[&str], folder: Option<&str>| {
        let master = FakeMaster::start_as(socket, None, |mut client| {
            let id = client.expect(&["inc"]);
            client.done(&id, "found");
        });
        let own = master.folder().to_str().unwrap().to_owned();
        let mut command = shell(Path::new(SHELL), &["-e", "inc"]);
        command.args(arguments.iter().map(|word| word.replace("OWN", &own)));
        command.env("TMPDIR", folder.unwrap_or(&own));
        let ran = run(&mut command);
        assert_eq!(ran.stdout, "found\n", "{arguments:?}: {}", ran.stderr);
        master.finish();
    };
    check("einhorn.sock", &[], None);
    check("einhorn-web.sock", &["web"], None);
    check("einhorn-web.sock", &["-c", "web", "api"], None);
    check("s", &["-d", "OWN/s", "-c", "web", "api"], Some("/nonexistent"));
    check("einhorn.sock", &["-d", "OWN"], Some("/nonexistent"));
}

#[test]
fn no_master_is_an_error_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    {
        let _alone = FORK.lock().unwrap_or_else(PoisonError::into_inner);
        drop(UnixListener::bind(at("dead")).unwrap());
    }
    fs::write(at("file"), "").unwrap();
    for (name, hint) in [
        ("missing", "there is no such file (start one with einhorn"),
        ("dead", "nobody listens on that socket"),
        ("file", "is not a socket"),
        (&"x".repeat(120), "longer than 107 bytes"),
    ] {
        let ran = run(&mut shell(Path::new(SHELL), &["-d", &at(name), "-e", "inc"]));
        check(&ran, 1, "", hint);
        assert!(ran.stderr.contains(&at(name)) && ran.stderr.starts_with("einhornsh: "));
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for (argument, text) in [("-h", "Usage:"), ("--help", "-e"), ("--version", "einhornsh ")] {
        let ran = run(&mut shell(Path::new(SHELL), &[argument]));
        assert!(ran.stdout.contains(text) && ran.stdout.ends_with('\n'), "{}", ran.stdout);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    }
    let ran = run(&mut shell(Path::new(SHELL), &["--frob"]));
    check(&ran, 1, "", "'--frob'");
}

/// Changing users takes root; elsewhere there is nothing to try.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The shell where every user may start it.
fn public_shell(folder: &Path) -> std::path::PathBuf {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.join("einhornsh");
    fs::copy(SHELL, &copy).unwrap();
    copy
}

#[test]
fn a_server_of_another_user_is_sent_nothing() {
    if !is_root() {
        return;
    }
    let master =
        FakeMaster::start_as("einhorn.sock", Some(NOBODY), |mut client| client.expect_end());
    let ran = execute(&master, "die");
    check(&ran, 1, "", "runs as uid 65534, which is neither uid 0 nor root, and the folder");
    master.finish();
}

#[test]
fn a_server_of_roots_is_trusted() {
    if !is_root() {
        return;
    }
    let master = FakeMaster::start(|mut client| {
        let id = client.expect(&["inc"]);
        client.done(&id, "up");
    });
    let folder = tempfile::tempdir().unwrap();
    let path = master.path();
    let arguments = ["-d", path.to_str().unwrap(), "-e", "inc"];
    let mut command = shell(&public_shell(folder.path()), &arguments);
    check(&run(command.uid(NOBODY).gid(NOBODY)), 0, "up\n", "");
    master.finish();
}

#[test]
fn a_socket_of_somebody_elses_is_denied() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("einhorn.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let arguments = ["-d", path.to_str().unwrap(), "-e", "inc"];
    let mut command = shell(&public_shell(folder.path()), &arguments);
    check(&run(command.uid(NOBODY).gid(NOBODY)), 1, "", "permission denied (run einhornsh as");
}

/// Starts the shell on a terminal against `master` and waits for its prompt.
fn terminal(master: &FakeMaster, home: &Path) -> Terminal {
    let path = master.path();
    let environment = [("HOME", home.to_str().unwrap()), ("USER", "ann")];
    let arguments = ["-d", path.to_str().unwrap()];
    let mut terminal = Terminal::start(Path::new(SHELL), &arguments, &environment);
    terminal.wait_for("Welcome, ann!");
    terminal.wait_for_prompt();
    terminal
}

fn greet(client: &mut fake_master::Client) {
    let greeting = client.request();
    assert_eq!(greeting["command"], "ehlo");
    let message = format!("Welcome, {}!", greeting["user"].as_str().unwrap());
    client.done(&greeting["id"], &message);
}

#[test]
fn a_person_is_greeted_and_helped_and_only_replies_go_to_stdout() {
    let master = FakeMaster::start(|mut client| {
        greet(&mut client);
        for reply in ["one", "two"] {
            let id = client.expect(&["help"]);
            client.done(&id, reply);
        }
        let id = client.expect(&["signal", "USR2"]);
        client.reply(&id, "no", json!({"error": "failed"}));
        client.expect_end();
    });
    let home = tempfile::tempdir().unwrap();
    let mut terminal = terminal(&master, home.path());
    terminal.press("hel\t\r");
    terminal.stdout.wait_for("one\n");
    terminal.wait_for_prompt();
    terminal.press("\x1b[A\r");
    terminal.stdout.wait_for("two\n");
    terminal.wait_for_prompt();
    terminal.press("inc 'a\r");
    terminal.wait_for("a quote is not closed");
    terminal.wait_for_prompt();
    terminal.press("signal usr2\t\r");
    terminal.stdout.wait_for("no\n");
    terminal.wait_for_prompt();
    terminal.press("\x04");
    let (status, _, stdout) = terminal.finish();
    assert_eq!((status, stdout.as_str()), (Some(0), ""));
    master.finish();

    let history = home.path().join(".local/state/einhorn/history");
    assert!(fs::read_to_string(&history).unwrap().contains("help"));
    assert_eq!(history.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn every_way_out_exits_0() {
    for keys in ["\x03", "\x04", "quit\r", "exit\r", "inc 'x\x03"] {
        let master = FakeMaster::start(|mut client| {
            greet(&mut client);
            client.expect_end();
        });
        let home = tempfile::tempdir().unwrap();
        let mut terminal = terminal(&master, home.path());
        terminal.press(keys);
        let (status, screen, _) = terminal.finish();
        assert_eq!(status, Some(0), "{keys:?}: {screen}");
        master.finish();
    }
}

#[test]
fn ctrl_c_leaves_a_request_that_takes_long() {
    let master = FakeMaster::start(|mut client| {
        greet(&mut client);
        let id = client.expect(&["upgrade"]);
        client.reply(&id, "begun", json!({"wait": true}));
        client.expect_end();
    });
    let home = tempfile::tempdir().unwrap();
    let mut terminal = terminal(&master, home.path());
    terminal.press("upgrade\r");
    terminal.stdout.wait_for("begun\n");
    // What it says then may be lost: the key makes the terminal drop its output.
    terminal.press("\x03");
    assert_eq!(terminal.finish().0, Some(0));
    master.finish();
}

#[test]
fn a_master_that_goes_away_ends_the_talk() {
    let master = FakeMaster::start(|mut client| {
        greet(&mut client);
        let id = client.expect(&["die"]);
        client.done(&id, "bye");
    });
    let home = tempfile::tempdir().unwrap();
    let mut terminal = terminal(&master, home.path());
    terminal.press("die\r");
    terminal.stdout.wait_for("bye\n");
    terminal.wait_for_prompt();
    master.finish();
    terminal.press("inc\r");
    terminal.wait_for("connection to the master was lost");
    assert_eq!(terminal.finish().0, Some(1));
}

/// A script whose stdout is a terminal of this kind; what it shows.
fn on_terminal(kind: &str) -> String {
    let master = FakeMaster::start(|mut client| {
        let id = client.expect(&["upgrade"]);
        client.reply(&id, "1/2 acknowledged", json!({"wait": true}));
        client.reply(&id, "2/2 acknowledged", json!({"wait": true}));
        client.reply(&id, "rolled back", json!({"error": "rolled_back"}));
        client.expect_end();
    });
    let path = master.path();
    let script = format!("{SHELL} -d {} -e upgrade >&2", path.display());
    let terminal = Terminal::start(Path::new("/bin/sh"), &["-c", &script], &[("TERM", kind)]);
    let (status, screen, _) = terminal.finish();
    assert_eq!(status, Some(3), "{screen}");
    master.finish();
    screen
}

#[test]
fn in_a_terminal_progress_is_one_line_that_rewrites_itself() {
    let screen = on_terminal("xterm");
    let line = "\r\x1b[K1/2 acknowledged\r\x1b[K2/2 acknowledged\r\x1b[Krolled back\r\n";
    assert_eq!(screen, line);
    assert_eq!(on_terminal("dumb"), "1/2 acknowledged\r\n2/2 acknowledged\r\nrolled back\r\n");
}
