//! A master below another one, and einhornsh.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kernel::Kernel;
use crate::pseudo_terminal::Terminal;
use crate::seccomp::Scope;
use crate::support::{Folder, IDLE, Launch};
use crate::table::{Case, rows};

rows! {
    finding_the_outer_master: "a master that is a worker says to the one above that it is up",
        ["socket::may_pass"], "connect", [EAGAIN] => "it tries again, for ten seconds";
    lacking_a_socket: "the same", ["socket::connect_unix"], "socket",
        [EMFILE, ENFILE, ENOMEM, ENOBUFS] => "the same";
    telling_the_outer_master: "the same", ["socket::send_without_waiting"], "send",
        [EAGAIN, ENOBUFS, EINTR] => "the same";
    waiting_for_a_reply: "einhornsh waits for a reply", ["interrupt::wait"], "poll", [EINTR]
        => "it waits on";
    reading_a_terminal: "einhornsh reads from a terminal", [], "read", [EINTR]
        => "it reads again; what is typed is not lost";
}

/// The master above is this process.
fn is_told(case: &Case, first: usize) {
    let folder = Folder::new();
    let outer = UnixListener::bind(folder.join("outer.sock")).unwrap();
    let (own, above) = (folder.word("einhorn.sock"), folder.join("outer.sock"));
    // A nested master has other default files.
    let launch = Launch::within(folder, &["-m", "0", "-d", &own], &IDLE)
        .env("EINHORN_MASTER_PID", std::process::id().to_string())
        .env("EINHORN_SOCK_PATH", above);
    let bench = case.launch(launch, vec![case.fault().after(first).times(2)]);
    let mut said = String::new();
    // A try that came to nothing has said nothing.
    while said.is_empty() {
        BufReader::new(outer.accept().unwrap().0).read_line(&mut said).unwrap();
    }
    assert!(said.contains("worker:ack") && said.contains(&bench.master.pid().to_string()));
    bench.lift();
    bench.master.wait_for_line("acknowledged to the outer master");
}

fn finding_the_outer_master(case: &Case) {
    is_told(case, 0);
}

fn lacking_a_socket(case: &Case) {
    // The first one is its own command socket.
    is_told(case, 1);
}

fn telling_the_outer_master(case: &Case) {
    is_told(case, 0);
}

/// What einhornsh says, with its status.
fn shell(case: &Case, words: &[&str], typed: &str) -> (Option<i32>, String, usize) {
    let bench = case.start(&["-m", "0"], &IDLE);
    bench.master.wait_for_up(1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_einhornsh"));
    let input = bench.master.folder.write("typed", typed);
    command.arg("-d").arg(&bench.master.socket).args(words);
    command.stdin(std::fs::File::open(input).unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let kernel = Kernel::over(&mut command, &Scope::These(crate::calls::numbers(case.call)));
    kernel.fail(case.fault().times(3));
    let output = crate::support::process::start(&mut command).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said + &String::from_utf8_lossy(&output.stderr), kernel.lift())
}

fn waiting_for_a_reply(case: &Case) {
    let (status, said, met) = shell(case, &["-e", "ehlo"], "");
    assert!(status == Some(0) && said.contains("einhorn") && met > 0, "{status:?} {met} {said}");
}

fn reading_a_terminal(case: &Case) {
    let bench = case.start(&["-m", "0"], &IDLE);
    bench.master.wait_for_up(1);
    let (program, socket) =
        (Path::new(env!("CARGO_BIN_EXE_einhornsh")), bench.master.socket.as_path());
    let mut kernel = None;
    let arguments = ["-d", socket.to_str().unwrap()];
    let mut terminal = Terminal::start_prepared(program, &arguments, &[], |command| {
        let scope = Scope::These(crate::calls::numbers(case.call));
        kernel = Some(Kernel::over(command, &scope));
    });
    let kernel = kernel.unwrap();
    for fault in [case.fault(), case.fault().of_children()] {
        kernel.fail(fault.descriptor(0, "/dev/").times(3));
    }
    terminal.wait_for_prompt();
    terminal.press("status\r");
    terminal.stdout.wait_for("1 of 1 up");
    assert_eq!(kernel.lift(), 3, "nothing has failed");
    terminal.wait_for_prompt();
    terminal.press("quit\r");
    let (status, screen, _) = terminal.finish();
    assert_eq!(status, Some(0), "{screen}");
}
