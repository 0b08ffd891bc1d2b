//! The files of a master: where they are, whose they are, and what is left at the end.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use rustix::process::Signal;

use crate::support::{Folder, IDLE, Launch, Master, NONE};

fn stop(master: &mut Master) {
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}

#[test]
fn at_the_end_the_pid_file_and_the_socket_are_gone_and_the_lock_file_stays() {
    let mut master = Master::start(&NONE, &IDLE);
    stop(&mut master);
    assert_eq!(master.folder.names(), ["einhorn.lock", "stdout"]);
}

#[test]
fn every_file_can_be_elsewhere() {
    let folder = Folder::new();
    let (socket, pid, lock) = (folder.word("a"), folder.word("b"), folder.word("c"));
    let options = ["-d", &socket, "-e", &pid, "-f", &lock];
    let mut master = Launch::within(folder, &options, &IDLE).socket("a").start();
    assert_eq!(master.folder.names(), ["a", "b", "c", "stdout"]);
    assert_eq!(master.folder.read("b").trim(), master.pid().to_string());
    stop(&mut master);
    assert_eq!(master.folder.names(), ["c", "stdout"]);
}

#[test]
fn a_folder_for_the_socket_gets_one_of_the_usual_name() {
    let folder = Folder::new();
    fs::create_dir(folder.join("run")).unwrap();
    let run = folder.word("run");
    let master = Launch::within(folder, &["-d", &run], &IDLE).socket("run/einhorn.sock").start();
    assert_eq!(master.status()["pid"], master.pid());
}

#[test]
fn the_first_usable_folder_is_taken() {
    let folder = Folder::new();
    fs::create_dir(folder.join("third")).unwrap();
    let file = folder.write("file", "").into_os_string();
    let third = folder.join("third").into_os_string();
    // The mark by which the test finds its processes is TMPDIR, so this one has another.
    let mark = folder.path().to_owned();
    let wrapper = ["sh", "-c", "T=$TMPDIR; exec env TMPDIR=$T/none \"$@\"", "sh"];
    let mut master = Launch::within(folder, &NONE, &["sh", "-c", "exec sleep 1000000"])
        .under(&wrapper)
        .env("TMP", file)
        .env("TEMP", third)
        .socket("third/einhorn.sock")
        .start();
    assert!(mark.join("third/einhorn.pid").is_file());
    stop(&mut master);
    assert!(!mark.join("third/einhorn.pid").exists());
}

#[test]
fn a_planted_symlink_is_never_followed() {
    let folder = Folder::new();
    let precious = folder.write("precious", "precious");
    symlink(&precious, folder.join("einhorn.pid")).unwrap();
    let mut master = Launch::within(folder, &NONE, &IDLE).start();
    assert_eq!(master.folder.read("precious"), "precious");
    let pidfile = master.folder.join("einhorn.pid");
    assert!(!fs::symlink_metadata(&pidfile).unwrap().is_symlink());
    assert_eq!(master.folder.read("einhorn.pid").trim(), master.pid().to_string());
    stop(&mut master);

    for (name, option) in [("einhorn.sock", "-d"), ("einhorn.lock", "-f")] {
        let folder = Folder::new();
        let precious = folder.write("precious", "precious");
        symlink(&precious, folder.join(name)).unwrap();
        let finished = Launch::within(folder, &NONE, &IDLE).run();
        let line = finished.refused(&[name, "precious"]);
        assert!(line.contains(name) && line.contains(option), "{line}");
        assert!(fs::symlink_metadata(finished.folder.join(name)).unwrap().is_symlink());
        assert_eq!(finished.folder.read("precious"), "precious");
    }
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = Folder::new();
    folder.write("einhorn.sock", "precious");
    let finished = Launch::within(folder, &NONE, &IDLE).run();
    let line = finished.refused(&["einhorn.sock"]);
    assert!(line.contains("einhorn.sock") && line.contains("left alone"), "{line}");
    assert_eq!(finished.folder.read("einhorn.sock"), "precious");
}

#[test]
fn a_device_for_a_pid_file_is_refused_and_stays() {
    let line = Launch::new(&["-e", "/dev/null"], &IDLE).run().refused(&[]);
    assert!(line.contains("/dev/null"), "{line}");
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_pid_file_that_names_another_stays() {
    let mut master = Master::start(&NONE, &IDLE);
    master.folder.write("einhorn.pid", "1\n");
    stop(&mut master);
    assert_eq!(master.folder.read("einhorn.pid"), "1\n");
}

#[test]
fn a_command_socket_that_is_no_longer_ours_stays() {
    let mut master = Master::start(&NONE, &IDLE);
    fs::remove_file(&master.socket).unwrap();
    let other = UnixListener::bind(&master.socket).unwrap();
    let inode = fs::metadata(&master.socket).unwrap().ino();
    stop(&mut master);
    assert_eq!(fs::metadata(&master.socket).unwrap().ino(), inode);
    drop(other);
}

#[test]
fn nobody_else_may_use_the_command_socket_whatever_the_umask() {
    let open = ["sh", "-c", "umask 0; exec \"$@\"", "sh"];
    let master = Launch::new(&NONE, &IDLE).under(&open).start();
    let mode = fs::metadata(&master.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let line = Launch::new(&["-d", "/proc/einhorn.sock"], &IDLE).run().refused(&[]);
    assert!(line.contains("/proc/einhorn.sock") && line.contains("-d"), "{line}");
    let line = Launch::new(&["-e", "/no/such/folder/pid"], &IDLE).run().refused(&[]);
    assert!(line.contains("/no/such/folder/pid") && line.contains("-e"), "{line}");
}

#[test]
fn pid_file_and_unix_sockets_follow_the_umask() {
    for (umask, pidfile, socket) in [("022", 0o644, 0o755), ("077", 0o600, 0o700)] {
        let folder = Folder::new();
        let unix = format!("unix:{}", folder.word("web"));
        let under = format!("umask {umask}; exec \"$@\"");
        let launch = Launch::within(folder, &["-b", &unix], &IDLE);
        let master = launch.under(&["sh", "-c", &under, "sh"]).start();
        let mode = |name: &str| {
            fs::metadata(master.folder.join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode("einhorn.pid"), mode("web")), (pidfile, socket), "{umask}");
        master.stop();
    }
}
