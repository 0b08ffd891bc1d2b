//! A queue for each slot, and workers that are forked from loaded code: whoever takes over a slot
//! has its queue.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::language::{Language, in_each_language, preloader_of, report_of};
use crate::load::Load;
use crate::support::process::{descriptors, send};
use crate::support::{Master, workers};

in_each_language! {
    each_slot_keeps_its_queue_and_nothing_is_lost,
}

/// The worker of each slot, once each below the target has one that is up.
fn slots(master: &Master, target: u64) -> BTreeMap<u64, i32> {
    let of = |worker: &Json| {
        let pid = worker["pid"].as_i64()?.try_into().ok()?;
        (worker["stage"] == "up").then_some((worker["slot"].as_u64()?, pid))
    };
    master.wait_until("a worker in each slot", || {
        let status = master.status();
        let all = workers(&status);
        let found: BTreeMap<u64, i32> = all.iter().filter_map(|worker| of(worker)).collect();
        (all.len() == found.len() && found.keys().copied().eq(0..target)).then_some(found)
    })
}

/// The socket on which that worker serves, as the kernel calls it.
fn queue(master: &Master, pid: i32) -> String {
    let number = report_of(master, pid)["environment"]["EINHORN_FD_0"].as_str().unwrap().parse();
    descriptors(pid).remove(&number.unwrap()).unwrap()
}

fn each_slot_keeps_its_queue_and_nothing_is_lost(language: Language) {
    let options = ["-n", "3", "-m", "manual", "-s", "0.01", "-b", "127.0.0.1:0,balance"];
    let master = language.start(&language.server("1", ""), &options);
    let first = slots(&master, 3);
    let preloader = preloader_of(&master);
    let queues = |found: &BTreeMap<u64, i32>| -> BTreeMap<u64, String> {
        found.iter().map(|(&slot, &pid)| (slot, queue(&master, pid))).collect()
    };
    let before = queues(&first);
    assert!(before[&0] != before[&1] && before[&1] != before[&2] && before[&2] != before[&0]);

    let load = Load::start(&master, 4);
    master.command("set_workers", &["1"]);
    slots(&master, 1);
    master.command("set_workers", &["3"]);
    let grown = slots(&master, 3);
    let after = queues(&grown);
    assert!(after[&0] == before[&0] && after[&1] != after[&2], "{before:?} {after:?}");
    assert_eq!(preloader_of(&master), preloader);
    master.folder.write(language.file(), &language.server("2", ""));
    for command in ["upgrade", "upgrade_fleet"] {
        let last = master.upgrade(command).pop().unwrap();
        assert_eq!(last["error"], Json::Null, "{last}");
        assert_eq!(queues(&slots(&master, 3)), after, "{command}");
        load.wait_for(&master, 50);
    }
    let tally = load.stop();
    assert_eq!(tally.lost, [""; 0]);
    assert_eq!(tally.served.keys().collect::<Vec<_>>(), ["1", "2"]);

    let dies = slots(&master, 3)[&1];
    send(dies, Signal::KILL);
    master.wait_until("the next one in its slot", || {
        let now = slots(&master, 3);
        (now[&1] != dies).then_some(())
    });
    assert_eq!(queues(&slots(&master, 3)), after);
    assert_eq!(report_of(&master, slots(&master, 3)[&1])["version"], json!("2"));
    master.stop();
}
