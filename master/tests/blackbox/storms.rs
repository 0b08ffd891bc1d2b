//! Everything at once: whatever is asked in whatever order, everybody gets a last reply, and in
//! the end a whole fleet of one version serves.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::{Client, Folder, Launch, Master, Process, pids, workers};
use crate::worker::{told, told_in_shell};

/// Requests, and the last reply to each.
struct Caller {
    client: Client,
    /// The commands, by their ids.
    asked: Vec<String>,
}

impl Caller {
    fn to(master: &Master) -> Self {
        Self { client: master.client(), asked: Vec::new() }
    }

    fn ask(&mut self, command: &str, args: &[&str]) {
        let request = json!({"command": command, "args": args, "id": self.asked.len()});
        self.client.send_json(&request);
        self.asked.push(command.to_owned());
    }

    /// Exactly one last reply under each id, and nothing after it.
    #[track_caller]
    fn last_replies(mut self) -> Vec<Json> {
        let mut last = BTreeMap::new();
        while last.len() < self.asked.len() {
            let Some(line) = self.client.line_if_any() else {
                let numbered = self.asked.iter().enumerate();
                let open: Vec<_> = numbered.filter(|(id, _)| !last.contains_key(id)).collect();
                panic!("no last reply to {open:?}");
            };
            let reply: Json = serde_json::from_str(&line).unwrap();
            let id = reply["request_id"].as_u64().unwrap_or_else(|| panic!("{reply}"));
            let id = usize::try_from(id).unwrap();
            assert!(!last.contains_key(&id), "after the last reply: {reply}");
            if reply["wait"] != true {
                last.insert(id, reply);
            }
        }
        let after = self.client.ask(&json!({"command": "ehlo", "id": "after"}));
        assert_eq!(after["request_id"], "after", "{after}");
        last.into_values().collect()
    }
}

#[test]
fn a_hundred_upgrades_at_once_have_a_hundred_ends() {
    let options = ["-n", "2", "-m", "manual", "-s", "0.001"];
    let master = Master::start(&options, &told(&["ack", "hang"]));
    master.wait_for_up(2);
    let mut callers: Vec<Caller> = (0..5).map(|_| Caller::to(&master)).collect();
    for round in 0..20 {
        for (number, caller) in callers.iter_mut().enumerate() {
            let fleet = (round + number) % 3 == 0;
            caller.ask(if fleet { "upgrade_fleet" } else { "upgrade" }, &[]);
        }
    }
    let ends: Vec<Json> = callers.into_iter().flat_map(Caller::last_replies).collect();
    assert_eq!(ends.len(), 100);
    let done = ends.iter().filter(|reply| reply["error"].is_null()).count();
    let superseded = ends.iter().filter(|reply| reply["error"] == "superseded").count();
    assert!(
        done >= 1 && done + superseded == 100,
        "{done} done, {superseded} superseded: {ends:?}"
    );
    let status = master.wait_for_up(2);
    assert!(workers(&status).iter().all(|worker| worker["version"] == status["version"]));
    master.stop();
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        let Self(state) = self;
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(*state >> 33).unwrap() % sides
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }
}

/// What a deploy may bring.
const DEPLOYS: [&str; 4] = ["", "exit 3", "exec sleep 1000000", "sleep 0.01; exit 4"];

fn deploy(folder: &Folder, body: &str) {
    let good = told_in_shell(&["ack", "hang"]);
    folder.script("worker", if body.is_empty() { &good } else { body });
}

/// One of the things that can happen; those with an answer are asked by `caller`.
fn happen(master: &Master, caller: &mut Caller, dice: &mut Dice) {
    match dice.roll(14) {
        0 | 1 => caller.ask("upgrade", &[]),
        2 => caller.ask("upgrade_fleet", &[]),
        3 => caller.ask("reload", &[]),
        4 => caller.ask("abort", &[]),
        5 => caller.ask("set_workers", &[dice.one_of(&["1", "2", "3", "4"])]),
        6 => master.signal(dice.one_of(&[Signal::HUP, Signal::TTIN, Signal::TTOU])),
        7 => drop(master.client()),
        8 => caller.ask("status", &["json"]),
        9 => caller.ask("upgrade", &["--attempts", "1", "--soak", "0.02", "--canary", "2"]),
        10 => caller.ask("upgrade_fleet", &["--timeout", "0.05"]),
        11 => deploy(&master.folder, dice.one_of(&DEPLOYS)),
        12 => drop(fs::remove_file(master.folder.join("worker"))),
        _ => {
            let living = pids(&master.status());
            if !living.is_empty() {
                Process::of(dice.one_of(&living)).signal(Signal::KILL);
            }
        }
    }
}

#[track_caller]
fn storm(seed: u64) {
    eprintln!("seed {seed}");
    let folder = Folder::new();
    deploy(&folder, "");
    let program = folder.word("worker");
    let waits = ["-s", "0.001", "-t", "0.5", "--ack-timeout", "0.2", "--upgrade-attempts", "2"];
    let options: Vec<&str> = ["-n", "2", "-m", "manual", "-g"].into_iter().chain(waits).collect();
    let mut master = Launch::within(folder, &options, &[program]).start();
    master.wait_for_up(2);
    let mut dice = Dice(seed);
    let mut callers: Vec<Caller> = (0..3).map(|_| Caller::to(&master)).collect();
    for _ in 0..60 {
        let index = dice.roll(callers.len());
        happen(&master, &mut callers[index], &mut dice);
    }
    deploy(&master.folder, "");
    let ends: Vec<Json> = callers.into_iter().flat_map(Caller::last_replies).collect();
    let known = ["superseded", "aborted", "no_upgrade", "rolled_back", "reload_failed"];
    for end in &ends {
        let error = end["error"].as_str();
        assert!(error.is_none_or(|code| known.contains(&code)), "{end}");
    }
    master.command("set_workers", &["3"]);
    // One that a signal asked for may be under way; this one comes after it.
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], Json::Null, "{last}");
    let status = master.wait_for("a whole fleet of one version", |status| {
        workers(status).len() == 3
            && workers(status)
                .iter()
                .all(|worker| worker["stage"] == "up" && worker["version"] == status["version"])
    });
    assert_eq!((&status["pid"], &status["upgrade"]), (&json!(master.pid()), &Json::Null));
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
    master.check_nobody_is_left();
}

#[test]
fn whatever_is_asked_in_whatever_order_has_an_end() {
    for seed in 1..=12 {
        storm(seed);
    }
}
