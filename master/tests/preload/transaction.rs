//! An upgrade of preloaded code is a transaction too: under load, looked at every 10 ms.

use crate::language::{Language, in_each_language, report_of};
use crate::support::load::{Bounds, Load, Watch};
use crate::support::site::shell;
use crate::support::{Master, Process, pids, workers};

in_each_language! {
    deploys_that_fail_go_back_and_a_good_one_is_committed,
}

const TARGET: usize = 4;
const OPTIONS: [&str; 14] = [
    "-b",
    "127.0.0.1:0",
    "-n",
    "4",
    "-m",
    "manual",
    "-s",
    "0.01",
    "--max-upgrade-additional",
    "1",
    "--ack-timeout",
    "4",
    "-t",
    "2",
];

/// What `einhorn_main` does, how it is tried, the exit status, and what is said in the end.
fn deploys(language: Language) -> [(&'static str, &'static str, i32, &'static str); 4] {
    let crash = language.choose("exit! 3", "os._exit(3)");
    let silent = language.choose("sleep", "import time; time.sleep(1000000)");
    let short =
        language.choose("ack; sleep 2; exit! 7", "import time; ack(); time.sleep(2); os._exit(7)");
    [
        (crash, "upgrade --attempts 2", 3, "status 3"),
        (silent, "upgrade --attempts 1", 3, "no acknowledgement within 4 s"),
        (short, "upgrade --soak 5 --attempts 1", 3, "status 7"),
        (crash, "upgrade_fleet --attempts 1", 3, "status 3"),
    ]
}

fn watch(master: &Master) -> Watch {
    // Loaded code: of the old version, of the new one, and what ends or begins.
    let bounds = Bounds { target: TARGET, most: TARGET + 1, others: 3 };
    Watch::within(master.socket.clone(), master.pid(), bounds)
}

/// One that is killed comes back as the old version. Returns whom it had accepted.
#[track_caller]
fn comes_back(master: &Master, watch: &Watch) -> Vec<u16> {
    let before = pids(&master.wait_for_up(TARGET));
    let lost = watch.kill(&Process::of(before[0]));
    let status = master.wait_for("another worker of the old version", |status| {
        pids(status).len() == TARGET
            && !pids(status).contains(&before[0])
            && workers(status).iter().all(|worker| worker["stage"] == "up")
    });
    for pid in pids(&status) {
        assert_eq!(report_of(master, pid)["version"], "1");
    }
    assert_eq!(status["version"], 0);
    lost
}

fn deploys_that_fail_go_back_and_a_good_one_is_committed(language: Language) {
    let master = language.start(&language.server("1", ""), &OPTIONS);
    let port = master.wait_for_up(TARGET)["listeners"][0]["port"].as_u64().unwrap();
    let port = u16::try_from(port).unwrap();
    for (main, command, status, cause) in deploys(language) {
        let load = Load::start(port);
        // A fleet is a whole set more.
        let watched = (!command.contains("fleet")).then(|| watch(&master));
        master.folder.write(language.file(), &language.code("2", "", main));
        let told = shell(&master, command);
        assert_eq!(told.status, status, "{}", told.all);
        assert!(told.last.contains("rolled back") && told.last.contains(cause), "{}", told.last);
        let watched = watched.unwrap_or_else(|| watch(&master));
        let lost = comes_back(&master, &watched);
        watched.finish();
        load.finish_but(&["1"], lost);
    }
    let (load, watched) = (Load::start(port), watch(&master));
    master.folder.write(language.file(), &language.server("3", ""));
    let told = shell(&master, "upgrade --soak 0.2");
    assert_eq!(told.status, 0, "{}", told.all);
    assert!(told.last.contains("committed"), "{}", told.last);
    watched.finish();
    load.finish(&["1", "3"]);
    for pid in pids(&master.wait_for_up(TARGET)) {
        assert_eq!(report_of(&master, pid)["version"], "3");
    }
    master.stop();
}
