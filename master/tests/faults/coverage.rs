//! Every effect has a row: every function of `sys` that asks the kernel for something, and every
//! system call that a master makes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::Signal;

use crate::PARTS;
use crate::calls::{numbers, unfailing};
use crate::kernel::Kernel;
use crate::seccomp::Scope;
use crate::support::log::Log;
use crate::support::process::start;
use crate::support::{Folder, Launch, Master};
use crate::table::Row;

/// Functions that have no row, and why.
#[rustfmt::skip]
const WITHOUT: &[(&str, &str)] = &[
    ("clock::now", "cannot fail: the clocks are there, and asked without a system call"),
    ("clock::wait", "an error ends the wait early, which nobody minds"),
    ("credentials::own_uid", "cannot fail"),
    ("credentials::own_gid", "cannot fail"),
    ("process::own_pid", "cannot fail"),
    ("process::parent_pid", "cannot fail"),
    ("limits::open_files", "cannot fail"),
    ("socket::is_about_no_socket", "asks nothing"),
    ("files::FileKind::text", "asks nothing"),
    ("log_sink::LogSink::descriptor", "asks nothing"),
    ("process::Inherit::in_place", "asks nothing"),
    ("process::SpawnPlan::new", "asks nothing"),
    ("reason::reason", "asks nothing"),
    ("reuseport::Choice::of", "asks nothing"),
    ("socket::Family::name", "asks nothing"),
    ("socket::Family::of", "asks nothing"),
    ("socket::LocalAddress::port", "asks nothing"),
    ("title::Title::set", "writes to memory"),
    ("descriptor::is_open", "an error is its answer: no"),
    ("descriptor::is_open_across_exec", "an error is its answer: no"),
    ("files::is_executable", "an error is its answer: no"),
    ("files::is_writable_folder", "an error is its answer: no, and the next folder is taken"),
    ("signals::exists", "an error is its answer: no"),
    ("interrupt::InterruptSource::new", "of einhornsh at a terminal, which ends with the error"),
    ("terminal::columns", "an error is its answer: no terminal"),
    ("descriptor::is_close_on_exec", "fcntl(2) has nothing to lack for it; EBADF is tried with \
        `descriptor::set_close_on_exec`"),
    ("descriptor::is_pipe", "fstat(2) has nothing to lack for an open descriptor"),
    ("files::is_folder", "fstat(2) has nothing to lack for an open descriptor"),
    ("other_pipes::of_process", "of the check under a Ruby launcher: an error is a no"),
    ("other_pipes::OtherPipe::content", "of the check under a Ruby launcher: an error is a no"),
    ("other_pipes::OtherPipe::wait_for_end", "of the check under a Ruby launcher: an error is a no"),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    PARTS.iter().flat_map(|(_, rows)| rows.iter())
}

/// `module::function` and `module::Type::function` of all that `sys` offers.
fn functions() -> BTreeSet<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/sys");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        let mut of = String::new();
        for line in source.lines() {
            if let Some(rest) = line.strip_prefix("impl") {
                let name = rest.split(" for ").last().unwrap();
                let name = name.trim_start_matches(|is: char| !is.is_ascii_uppercase());
                of = name.split(|is: char| !is.is_alphanumeric()).next().unwrap().to_owned() + "::";
            } else if line.starts_with('}') {
                of.clear();
            } else if let Some((indent, rest)) = line.split_once("pub fn ")
                && indent.trim().is_empty()
            {
                let name = rest.split(['(', '<']).next().unwrap();
                found.insert(format!("{module}::{of}{name}"));
            }
        }
    }
    found
}

#[test]
fn every_function_of_sys_has_a_row() {
    let known: BTreeSet<String> = rows()
        .flat_map(|row| row.functions)
        .chain(WITHOUT.iter().map(|(name, _)| name))
        .map(|name| (*name).to_owned())
        .collect();
    let functions = functions();
    let missing: Vec<&String> = functions.difference(&known).collect();
    let gone: Vec<&String> = known.difference(&functions).collect();
    assert!(missing.is_empty() && gone.is_empty(), "missing {missing:#?}, gone {gone:#?}");
}

/// A master that is watched for calls that are in no row.
fn watched(options: &[&str], program: &[&str], folder: Folder) -> (Master, Kernel) {
    let known = rows().flat_map(|row| numbers(row.call)).chain(unfailing());
    let known: BTreeSet<i64> = known.collect();
    let mut launch = Launch::within(folder, options, program);
    let mut command = launch.command();
    let kernel = Kernel::over(&mut command, &Scope::AllBut(known.into_iter().collect()));
    let mut child = start(command.stderr(Stdio::piped()));
    let log = Log::follow(child.stderr.take().unwrap());
    (Master::started(launch.folder, launch.socket, child, log), kernel)
}

#[test]
fn every_call_of_a_master_has_a_row() {
    let folder = Folder::new();
    let path = format!("unix:{}", folder.word("workers.sock"));
    let options = ["-n", "2", "-m", "notify", "-b", &path, "-b", "[::1]:0", "-k", "-g"];
    let program = folder.script(
        "notify",
        "python3 -c 'import os,socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\
         .sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"])'; exec sleep 100000",
    );
    let (mut master, kernel) = watched(&options, &[&program], folder);
    master.wait_for_up(2);
    master.upgrade("upgrade");
    master.state();
    master.signal(Signal::TTIN);
    master.wait_for_up(3);
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    assert_eq!(kernel.seen(), [0_i64; 0]);
}
