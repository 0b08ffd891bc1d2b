//! Release folders, in-place deploys, and what the old version keeps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::support::process::{descriptors, environment, send};
use crate::support::site::{Site, TARGET, point, release};
use crate::support::{EINHORN, Folder, IDLE, Launch, Master, pids, workers};
use crate::worker::{told, told_in_shell};

fn good(version: &str) -> String {
    told_in_shell(&[&format!("version={version}"), "ack", "serve"])
}

fn folder_of(pid: i32) -> std::path::PathBuf {
    fs::read_link(format!("/proc/{pid}/cwd")).unwrap()
}

#[test]
fn workers_run_in_the_folder_that_the_link_led_to_when_the_upgrade_began() {
    let site = Site::start(&[], &good("1"));
    let real = site.master.folder.path().canonicalize().unwrap();
    let old = site.master.running();
    assert!(old.iter().all(|pid| folder_of(*pid) == real.join("1")));
    // A moved link alone changes nothing, not even for a worker that is started anew.
    site.deploy("2", &good("2"));
    send(old[0], Signal::KILL);
    site.master.wait_for("its like", |status| {
        pids(status).len() == TARGET && !pids(status).contains(&old[0])
    });
    site.master.wait_for_up(TARGET);
    site.answers("1");
    // Nor does a reload.
    assert_eq!(site.shell("reload").status, 0);
    let second = site.master.pids()[0];
    send(second, Signal::KILL);
    site.master.wait_for("its like", |status| {
        pids(status).len() == TARGET && !pids(status).contains(&second)
    });
    site.master.wait_for_up(TARGET);
    site.answers("1");
    assert_eq!(site.shell("upgrade").status, 0);
    site.master.wait_for_up(TARGET);
    site.answers("2");
    assert!(site.master.running().iter().all(|pid| folder_of(*pid) == real.join("2")));
    // The folder is held open by the master, and by it alone, once.
    let held = |pid| descriptors(pid).values().filter(|what| what.ends_with("/2")).count();
    assert_eq!(held(site.master.pid()), 1);
    assert!(site.master.running().iter().all(|pid| held(*pid) == 0));
}

#[test]
fn what_cannot_be_run_is_found_out_before_anything_is_touched() {
    let site = Site::start(&[], &good("1"));
    let before = site.master.pids();
    let folder = &site.master.folder;
    let program = || folder.join("2/run");
    let fails = |cause: &str| {
        let told = site.shell("upgrade");
        assert_eq!(told.status, 2, "{}", told.all);
        assert!(told.last.contains("upgrade failed") && told.last.contains(cause), "{}", told.last);
        assert_eq!(site.master.wait_for_up(TARGET)["version"], 0);
        assert_eq!(site.master.pids(), before);
        site.answers("1");
    };
    release(folder, "2", &good("2"));
    point(folder, "2");
    fs::set_permissions(program(), fs::Permissions::from_mode(0o644)).unwrap();
    fails("cannot run ./run: not executable");
    fs::remove_file(program()).unwrap();
    fails("cannot run ./run: no such file");
    fs::create_dir(program()).unwrap();
    fails("cannot run ./run: it is a folder");
    fs::remove_dir(program()).unwrap();
    fs::write(program(), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(program(), fs::Permissions::from_mode(0o755)).unwrap();
    fails("its interpreter /no/such/interpreter is missing");
    point(folder, "nowhere");
    fails("(--chdir): no such file or directory");
    assert_eq!(site.master.status()["generation"], 0);
}

#[test]
fn a_folder_that_is_missing_at_the_start_refuses_it() {
    let folder = Folder::new();
    let missing = folder.word("none");
    let finished = Launch::within(folder, &["--chdir", &missing], &IDLE).run();
    let line = finished.refused(&[]);
    assert!(line.contains("cannot run workers in ") && line.contains("/none (--chdir)"), "{line}");
    let folder = Folder::new();
    let here = folder.word("");
    let finished = Launch::within(folder, &["--chdir", &here], &["./none"]).run();
    assert!(finished.refused(&[]).contains("cannot run ./none: no such file"));
}

#[test]
fn the_old_version_keeps_its_environment_which_is_shown_to_nobody() {
    let folder = Folder::new();
    release(&folder, "1", &told_in_shell(&["ack", "hang"]));
    point(&folder, "1");
    folder.write("secret", "second-secret");
    let script = format!("DEPLOY=$(cat {}) exec {EINHORN} \"$@\"", folder.word("secret"));
    let next = folder.script("next", &script);
    let current = folder.word("current");
    let options = ["-m", "manual", "-s", "0.01", "--chdir", &current, "--reexec-as", &next, "-v"];
    let master = Launch::within(folder, &options, &["./run"]).env("DEPLOY", "first-secret").start();
    let deployed = |pid| environment(pid)["DEPLOY"].clone();
    let only = |version: u64, not: i32| {
        let found = master.wait_for("one worker", |status| {
            workers(status).len() == 1
                && workers(status)[0]["stage"] == "up"
                && workers(status)[0]["version"] == version
                && pids(status)[0] != not
        });
        master.running();
        pids(&found)[0]
    };
    let first = only(0, 0);
    assert_eq!(deployed(first), "first-secret");
    release(&master.folder, "2", "exit 3");
    point(&master.folder, "2");
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], "rolled_back", "{last}");
    for text in [master.state(), master.log.text(), master.status().to_string()] {
        assert!(!text.contains("first-secret") && !text.contains("second-secret"), "{text}");
    }
    send(first, Signal::KILL);
    let second = only(0, first);
    assert_eq!(deployed(second), "first-secret");
    // A reload does not change what the upgrade could not.
    master.command("reload", &[]);
    send(second, Signal::KILL);
    let third = only(0, second);
    assert_eq!(deployed(third), "first-secret");
    release(&master.folder, "3", &told_in_shell(&["ack", "hang"]));
    point(&master.folder, "3");
    let last = master.upgrade("upgrade").pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    let to = last["result"]["to_version"].as_u64().unwrap();
    assert_eq!(deployed(only(to, third)), "second-secret");
}

#[test]
fn files_overwritten_in_place_are_told_of() {
    let folder = Folder::new();
    let program = folder.script("run", &told_in_shell(&["ack", "hang"]));
    let options = ["-m", "manual", "-s", "0.01", "--upgrade-attempts", "1"];
    let master = Launch::within(folder, &options, &[&program]).start();
    let before = pids(&master.wait_for_up(1));
    master.folder.script("run", "exit 3");
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], "rolled_back", "{last}");
    let words = "the old version's files were overwritten in place, so ";
    let message = last["message"].as_str().unwrap();
    assert!(message.contains(words) && message.contains("/run"), "{message}");
    assert!(last["result"]["warning"].as_str().unwrap().starts_with(words), "{last}");
    assert_eq!(pids(&master.wait_for_up(1)), before);
    master.wait_for_line("version 0: its files were overwritten in place, so ");
}

#[test]
fn a_program_behind_a_moved_link_needs_no_chdir() {
    let folder = Folder::new();
    for name in ["1", "2"] {
        release(&folder, name, &told_in_shell(&["ack", &format!("say={name}"), "hang"]));
    }
    point(&folder, "1");
    let program = folder.word("current/run");
    let master = Launch::within(folder, &["-m", "manual", "-s", "0.01"], &[&program]).start();
    let first = pids(&master.wait_for_up(1))[0];
    point(&master.folder, "2");
    let mark = master.log.lines().len();
    send(first, Signal::KILL);
    master.wait_for("its like", |status| pids(status).len() == 1 && pids(status)[0] != first);
    master.wait_for_up(1);
    master.wait_until("a word of the first release", || {
        let lines = master.log.lines();
        lines[mark..].iter().any(|line| line.ends_with("says 1")).then_some(())
    });
    assert!(master.upgrade("upgrade").pop().unwrap()["error"].is_null());
    master.wait_for_line("says 2");
}

#[test]
fn without_chdir_workers_run_where_the_master_does() {
    let folder = Folder::new();
    let here = folder.path().canonicalize().unwrap();
    let launch = Launch::within(folder, &["-m", "0"], &told(&["hang"]));
    let master: Master = launch.working_directory(here.clone()).start();
    master.wait_for_up(1);
    assert_eq!(folder_of(master.running()[0]), here);
}
