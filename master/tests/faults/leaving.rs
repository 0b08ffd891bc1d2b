//! The end: what cannot be removed, and who cannot be asked to stop.

use rustix::process::Signal;

use crate::support::{Folder, IDLE, Launch};
use crate::table::{Case, rows};

rows! {
    removing_files: "the master removes its files", ["files::unlink_if_same"], "unlink",
        [EACCES, EBUSY, EROFS]
        => "it says which one stays, and leaves with the status that it would have had";
    looking_at_files: "the same", ["files::look"], "stat", [EACCES, EIO]
        => "what cannot be looked at may be another's, and stays; it says so";
    removing_a_folder: "the folder for `-m notify` is removed", [], "rmdir", [EACCES, EBUSY]
        => "it stays, without a word; the next master there takes it over";
    asking_to_stop: "workers are asked to stop with the master", ["signals::send"], "kill", [EPERM]
        => "it says so, and waits; another signal asks again";
}

fn removing_files(case: &Case) {
    let folder = Folder::new();
    let path = format!("unix:{}", folder.word("workers.sock"));
    let options = ["-m", "0", "-b", &path];
    let mut bench = case.launch(Launch::within(folder, &options, &IDLE), Vec::new());
    bench.master.wait_for_up(1);
    bench.kernel.fail(case.fault());
    bench.master.signal(Signal::TERM);
    assert_eq!(bench.master.wait(), 0);
    for name in ["einhorn.pid", "einhorn.sock", "workers.sock"] {
        let path = bench.master.folder.word(name);
        let line = bench.master.wait_for_line(&format!("cannot remove {path}"));
        assert!(line.contains(&case.reason()), "{line}");
    }
    bench.lift();
}

fn looking_at_files(case: &Case) {
    let mut bench = case.start(&["-m", "0"], &IDLE);
    bench.master.wait_for_up(1);
    bench.kernel.fail(case.fault().path(1, "/einhorn.sock"));
    bench.master.signal(Signal::TERM);
    assert_eq!(bench.master.wait(), 0);
    let line = bench.master.wait_for_line("cannot remove /");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
}

fn asking_to_stop(case: &Case) {
    let mut bench = case.start(&["-m", "0", "-n", "2"], &IDLE);
    bench.master.wait_for_up(2);
    bench.kernel.fail(case.fault().times(1));
    bench.master.signal(Signal::TERM);
    let line = bench.master.wait_for_line("cannot send SIGTERM");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
    bench.master.signal(Signal::TERM);
    assert_eq!(bench.master.wait(), 0);
}

fn removing_a_folder(case: &Case) {
    let mut bench = case.start(&["-m", "notify"], &IDLE);
    bench.kernel.fail(case.fault().path(REMOVED, ".notify").only_if(|asked| {
        asked.number != libc::SYS_unlinkat
            || asked.arguments[2] == u64::try_from(libc::AT_REMOVEDIR).unwrap()
    }));
    bench.master.signal(Signal::TERM);
    assert_eq!(bench.master.wait(), 0);
    bench.lift();
    assert!(bench.master.folder.join("einhorn.sock.notify").exists());
}

/// Which argument of rmdir(2) is the path.
const REMOVED: usize = if cfg!(target_arch = "x86_64") { 0 } else { 1 };
