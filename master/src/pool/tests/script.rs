//! `check(settings, script)`: a script holds events with their time in seconds, and below
//! each, indented, the actions that it leads to. Workers are `w0`, `w1`… in the order of
//! starting; a start succeeds at once unless the script said `fork fails`, or `fork waits` and
//! later `forked w0` or `not forked w0`.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::moment::{Moment, WallTime};
use crate::pool::{
    Action, Callers, Event, Exit, Pool, Reload, Report, SpawnId, UpgradeEnd, UpgradeMode,
};
use crate::settings::{AckMode, RecycleRules, Settings, UpgradeRules};
use crate::signal::Signal;

/// Four workers, manual acknowledgement, plenty of room for newcomers; upgrades by the rules of
/// `protocol.md §7` alone.
pub(super) fn four() -> Settings {
    Settings {
        number: 4,
        max_unacked: NonZeroU32::new(100).unwrap(),
        ack_mode: AckMode::Manual,
        upgrade: UpgradeRules { canary: Some(0), attempts: 0, ..UpgradeRules::default() },
        ..Settings::default_for(NonZeroU32::MIN)
    }
}

pub(super) fn moment(seconds: f64) -> Moment {
    let start = Moment {
        monotonic: Duration::from_secs(1000),
        wall: WallTime { nanoseconds: 1_700_000_000_000_000_000 },
    };
    start.after(Duration::from_secs_f64(seconds))
}

/// What comes of a start.
enum Fork {
    Works,
    Fails,
    Waits,
}

struct Player {
    pool: Pool,
    fork: Fork,
}

#[track_caller]
pub(super) fn check(settings: Settings, script: &str) {
    check_pool(Pool::new(settings), script);
}

/// The same for a pool in which workers have slots.
#[track_caller]
pub(super) fn check_balanced(settings: Settings, script: &str) {
    check_pool(Pool::new(settings).balanced(true), script);
}

#[track_caller]
fn check_pool(pool: Pool, script: &str) {
    let mut player = Player { pool, fork: Fork::Works };
    let mut transcript = String::new();
    let mut wanted = String::new();
    for line in script.lines().filter(|line| !line.trim().is_empty()) {
        let is_event = line.trim_start().starts_with(|c: char| c.is_ascii_digit());
        if is_event {
            let line = line.trim();
            let _ = writeln!(wanted, "{line}");
            let _ = writeln!(transcript, "{line}");
            player.play(line, &mut transcript);
        } else {
            let _ = writeln!(wanted, "    {}", line.trim());
        }
    }
    assert!(transcript == wanted, "wanted:\n{wanted}\nplayed:\n{transcript}");
}

impl Player {
    fn play(&mut self, line: &str, transcript: &mut String) {
        let (time, rest) = line.split_once(' ').expect("time and event");
        let now = moment(time.parse().expect("a time in seconds"));
        let words: Vec<&str> = rest.split(' ').collect();
        match words[..] {
            ["next"] => {
                let next =
                    self.pool.next_deadline().map(|at| at.saturating_sub(moment(0.0).monotonic));
                let _ = match next {
                    Some(at) => writeln!(transcript, "    at {}", at.as_secs_f64()),
                    None => writeln!(transcript, "    never"),
                };
            }
            ["fork", "fails"] => self.fork = Fork::Fails,
            ["fork", "works"] => self.fork = Fork::Works,
            ["fork", "waits"] => self.fork = Fork::Waits,
            ["reloaded"] => {
                self.pool = Pool::restore(self.pool.to_restored());
                self.handle(now, Event::Adopted, transcript);
            }
            _ => {
                let event = self.event(&words);
                self.handle(now, event, transcript);
            }
        }
    }

    fn event(&self, words: &[&str]) -> Event {
        let id = |name: &str| SpawnId(name[1..].parse().expect("a worker"));
        let (request, rules) = (self.pool.next_request(), self.pool.settings().upgrade);
        match *words {
            ["start"] => Event::Start,
            ["tick"] => Event::DeadlineReached,
            ["forked", worker] => Event::Spawned { id: id(worker), pid: pid_of(id(worker)) },
            ["not", "forked", worker] => {
                Event::SpawnFailed { id: id(worker), reason: "out of processes".to_string() }
            }
            ["ack", worker] => Event::Acknowledged { id: id(worker) },
            ["exit", worker] => Event::Exited { id: id(worker), exit: Exit::Status(1) },
            ["target", number] => Event::SettingsChanged(Settings {
                number: number.parse().expect("a number"),
                ..self.pool.settings().clone()
            }),
            ["timeout", seconds] => Event::SettingsChanged(Settings {
                signal_timeout: Some(Duration::from_secs(seconds.parse().expect("seconds"))),
                ..self.pool.settings().clone()
            }),
            ["drained", slot] => Event::Drained { slot: slot.parse().expect("a slot") },
            ["signal", name] => Event::SignalRequested(signal(name)),
            ["stop", name] => Event::StopRequested(signal(name)),
            ["quit"] => Event::QuitRequested(Signal::QUIT),
            ["reload"] => Event::ReloadRequested,
            ["smooth"] => Event::UpgradeRequested { mode: UpgradeMode::Smooth, rules, request },
            ["fleet"] => Event::UpgradeRequested { mode: UpgradeMode::Fleet, rules, request },
            ["reload", "failed"] => Event::ReloadFailed { reason: "no such file".into() },
            ["abort"] => Event::AbortRequested,
            ["ping", worker] => Event::Pinged { id: id(worker), request_id: None },
            ["has", worker, megabytes] => Event::Measured {
                id: id(worker),
                resident: megabytes.parse::<u64>().expect("megabytes") << 20,
            },
            ["rules", ref rules @ ..] => Event::SettingsChanged(Settings {
                recycle: recycle_rules(rules),
                ..self.pool.settings().clone()
            }),
            ["recycle", "all"] => {
                Event::RecycleRequested(self.pool.workers().map(|worker| worker.id).collect())
            }
            ["recycle", worker] => Event::RecycleRequested(vec![id(worker)]),
            ["unacked", number] => Event::SettingsChanged(Settings {
                max_unacked: number.parse().expect("a number above 0"),
                ..self.pool.settings().clone()
            }),
            ["additional", number] => Event::SettingsChanged(Settings {
                max_upgrade_additional: Some(number.parse().expect("a number above 0")),
                ..self.pool.settings().clone()
            }),
            _ => panic!("no such event: {words:?}"),
        }
    }

    fn handle(&mut self, now: Moment, event: Event, transcript: &mut String) {
        self.pool.handle(now, event);
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Spawn { id, index, version } => match self.fork {
                    Fork::Fails => {
                        let _ = writeln!(transcript, "    cannot spawn index {index}");
                        let reason = "out of processes".to_string();
                        self.pool.handle(now, Event::SpawnFailed { id, reason });
                    }
                    Fork::Works | Fork::Waits => {
                        let slot = self.pool.worker(id).and_then(|worker| worker.slot);
                        let slot = slot.map(|slot| format!(" slot {slot}")).unwrap_or_default();
                        let _ = writeln!(
                            transcript,
                            "    spawn w{} index {index} v{version}{slot}",
                            id.0
                        );
                        if matches!(self.fork, Fork::Works) {
                            self.pool.handle(now, Event::Spawned { id, pid: pid_of(id) });
                        }
                    }
                },
                Action::Signal { id, signal, .. } => {
                    let _ = writeln!(transcript, "    {} w{}", signal.name(), id.0);
                }
                Action::Measure { id, .. } => {
                    let _ = writeln!(transcript, "    measure w{}", id.0);
                }
                Action::Inspect { id, .. } => {
                    let _ = writeln!(transcript, "    inspect w{}", id.0);
                }
                Action::Reload(Reload::Begin) => transcript.push_str("    check and re-exec\n"),
                Action::Reload(Reload::Cancel) => transcript.push_str("    cancel the check\n"),
                Action::Finish(status) => {
                    let _ = writeln!(transcript, "    finish {status}");
                }
                Action::Report(report) => tell(&report, transcript),
            }
        }
    }
}

/// Only what callers depend on; the other lines are for people.
fn tell(report: &Report, transcript: &mut String) {
    let _ = match report {
        Report::UpgradeEnded { end, callers, from, to, .. } => {
            let end = match end {
                UpgradeEnd::Committed => "committed",
                UpgradeEnd::RolledBack { .. } => "rolled back",
                UpgradeEnd::ReloadFailed(_) => "reload failed",
                UpgradeEnd::Superseded => "superseded",
                UpgradeEnd::Aborted => "aborted",
                UpgradeEnd::ShuttingDown => "shutting down",
            };
            let callers = match callers {
                Callers::UpTo(request) => format!("up to {request}"),
                Callers::After(request) => format!("after {request}"),
            };
            writeln!(transcript, "    {end} v{from} to v{to}, callers {callers}")
        }
        Report::Draining { worker } => writeln!(transcript, "    drain {}", name(worker)),
        Report::NotDrained { worker } => writeln!(transcript, "    not drained {}", name(worker)),
        Report::Lingering { worker, waited, .. } => {
            writeln!(transcript, "    {} lingers since {} s", name(worker), waited.as_secs())
        }
        Report::Kept { worker } => writeln!(transcript, "    keep {}", name(worker)),
        Report::FleetUp { .. } => writeln!(transcript, "    fleet up"),
        Report::ReplacementFailed { .. } => writeln!(transcript, "    the stale ones stay"),
        _ => Ok(()),
    };
}

/// `w2` for `1002 (index 7)`.
fn name(worker: &str) -> String {
    let pid = worker.split(' ').next().and_then(|pid| pid.parse::<i32>().ok());
    format!("w{}", pid.expect("a worker that runs") - 1000)
}

/// `age 60 rss 500 silence 10 dump QUIT`, any of them.
fn recycle_rules(words: &[&str]) -> RecycleRules {
    let mut rules = RecycleRules::default();
    let seconds = |value: &str| Some(Duration::from_secs(value.parse().expect("seconds")));
    for pair in words.chunks(2) {
        match *pair {
            ["age", value] => rules.max_age = seconds(value),
            ["rss", value] => rules.max_rss = Some(value.parse::<u64>().expect("M") << 20),
            ["silence", value] => rules.ping_timeout = seconds(value),
            ["dump", name] => rules.ping_signal = Some(signal(name)),
            _ => panic!("no such rule: {pair:?}"),
        }
    }
    rules
}

pub(super) fn pid_of(id: SpawnId) -> i32 {
    1000 + i32::try_from(id.0).expect("few workers")
}

fn signal(name: &str) -> Signal {
    Signal::from_name(name).expect("a signal's name")
}
