//! The command line and the state as one: options written out win, the state comes next, and
//! what neither says is the default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use einhorn_protocol::limit;

use super::workers::rules_of;
use crate::options::{FdBase, Launch, Nice, OptionError, OptionName};
use crate::settings::{self, AckMode, AckTimeout, Amount, Settings};
use crate::state::{self, Bytes, Child, Snapshot};

/// `typed` with everything from `snapshot` that was not written out.
pub(crate) fn merge(typed: Launch, snapshot: &Snapshot) -> Launch {
    let mut launch = typed;
    let written = |option: OptionName| launch.explicit.contains(&option);
    let settings = settings(&launch, snapshot);
    let command_name = snapshot.cmd_name.clone().map(word);
    let preload = snapshot.path.clone().map(|path| word(path).into());
    let ours = snapshot.ours.clone().unwrap_or_default();
    let fd_base = match ours.fd_base {
        Some(0) => Some(FdBase::Zero),
        Some(1) => Some(FdBase::One),
        _ => None,
    };
    let takes = [
        OptionName::CommandName,
        OptionName::CommandSocketAsFd,
        OptionName::KillChildrenOnExit,
        OptionName::Preload,
        OptionName::GcBeforeFork,
        OptionName::DropEnvVar,
        OptionName::ReexecAs,
        OptionName::Nice,
        OptionName::FdBase,
        OptionName::Chdir,
        OptionName::AllowUid,
        OptionName::AllowGid,
    ]
    .map(|option| !written(option));
    let [name, as_fd, kill, preloads, gc, drops, reexec, nice, base, chdir, uids, gids] = takes;
    launch.settings = settings;
    replace(&mut launch.command_name, name, command_name);
    replace(&mut launch.command_socket_as_fd, as_fd, snapshot.command_socket_as_fd);
    replace(&mut launch.kill_children_on_exit, kill, snapshot.kill_children_on_exit);
    replace(&mut launch.preload, preloads, preload);
    replace(&mut launch.gc_before_fork, gc, ours.gc_before_fork);
    let dropped = words(&snapshot.drop_environment_variables);
    replace(&mut launch.drop_env_vars, drops, dropped);
    replace(&mut launch.reexec_as, reexec, snapshot.reexec_commandline.as_deref().map(words));
    replace(&mut launch.nice, nice, from_state(&snapshot.nice));
    replace(&mut launch.fd_base, base, fd_base);
    replace(&mut launch.allow_uids, uids, words(&ours.allow_uids));
    replace(&mut launch.allow_gids, gids, words(&ours.allow_gids));
    replace(&mut launch.chdir, chdir, ours.chdir.map(|path| word(path).into()));
    if !snapshot.orig_cmd.is_empty() {
        launch.orig_cmd = words(&snapshot.orig_cmd);
    }
    if launch.settings.listen_fds && launch.preload.is_some() {
        ::log::warn!("{}; --listen-fds is ignored", OptionError::ListenFdsAndPreload);
        launch.settings.listen_fds = false;
    }
    launch
}

fn replace<T>(field: &mut T, takes: bool, value: T) {
    if takes {
        *field = value;
    }
}

fn word(bytes: Bytes) -> OsString {
    OsString::from_vec(bytes)
}

fn words(words: &[Bytes]) -> Vec<OsString> {
    words.iter().cloned().map(word).collect()
}

fn from_state(nice: &state::Nice) -> Nice {
    Nice {
        master: nice.master,
        worker: nice.worker,
        renice_command: nice.renice_cmd.clone().map(word),
    }
}

fn settings(launch: &Launch, snapshot: &Snapshot) -> Settings {
    let mut settings = launch.settings.clone();
    let config = &snapshot.config;
    let ours = snapshot.ours.clone().unwrap_or_default();
    let whole = |number: u32| Amount::Whole(number.into());
    let rows = [
        (OptionName::Number, "number", Some(whole(number_of(snapshot, settings.number)))),
        (OptionName::Backlog, "backlog", config.backlog.map(|n| Amount::Whole(n.into()))),
        (OptionName::Seconds, "seconds", config.seconds.map(Amount::Real)),
        (OptionName::MaxUnacked, "max_unacked", config.max_unacked.map(whole)),
        (
            OptionName::MaxUpgradeAdditional,
            "max_upgrade_additional",
            config.max_upgrade_additional.map(whole),
        ),
        (
            OptionName::SignalTimeout,
            "signal_timeout",
            Some(snapshot.signal_timeout.map_or(Amount::Absent, Amount::Real)),
        ),
        (
            OptionName::AckTimeout,
            "ack_timeout",
            Some(ours.ack_timeout.map_or(Amount::Absent, Amount::Real)),
        ),
        (
            OptionName::StopSignal,
            "stop_signal",
            ours.stop_signal.as_deref().and_then(Amount::from_text),
        ),
        (OptionName::PreloadTimeout, "preload_timeout", ours.preload_timeout.map(Amount::Real)),
    ];
    for (option, key, amount) in rows.into_iter().chain(recycle_rules(&ours)) {
        let Some(amount) = amount.filter(|_| !launch.explicit.contains(&option)) else { continue };
        let Some(row) = settings::TABLE.iter().find(|row| row.key == key) else { continue };
        if row.set(&mut settings, amount).is_none() {
            ::log::warn!("state: {key} is {amount:?}, but must be {}; ignored", row.allowed);
        }
    }
    let takes = !launch.explicit.contains(&OptionName::ListenFds);
    replace(&mut settings.listen_fds, takes, ours.listen_fds);
    if snapshot.ours.is_some() {
        let stored = rules_of(ours.rules);
        let rules = &mut settings.upgrade;
        let takes = |option: OptionName| !launch.explicit.contains(&option);
        replace(&mut rules.canary, takes(OptionName::Canary), stored.canary);
        replace(&mut rules.soak, takes(OptionName::Soak), stored.soak);
        replace(&mut rules.attempts, takes(OptionName::UpgradeAttempts), stored.attempts);
        replace(&mut rules.timeout, takes(OptionName::UpgradeTimeout), stored.timeout);
    }
    if !launch.explicit.contains(&OptionName::AckMode) {
        settings.ack_mode = ack_mode(snapshot, settings.ack_mode);
    }
    if let Err(contradiction) = settings.check_together() {
        ::log::warn!("{contradiction}; the ack timeout is ignored");
        settings.ack_timeout = AckTimeout::Default;
    }
    settings
}

fn ack_mode(snapshot: &Snapshot, typed: AckMode) -> AckMode {
    if let Some(text) = snapshot.ours.as_ref().and_then(|ours| ours.ack_mode.as_deref()) {
        match AckMode::parse(text) {
            Some(mode) => return mode,
            None => ::log::warn!("state: no ack mode is called {text:?}; ignored"),
        }
    }
    match snapshot.ack_mode {
        state::AckMode::Manual => AckMode::Manual,
        state::AckMode::Timer(seconds) => Amount::Real(seconds)
            .seconds()
            .map_or_else(|| refused_timer(seconds, typed), AckMode::Timer),
    }
}

type Row = (OptionName, &'static str, Option<Amount>);

fn recycle_rules(ours: &state::Ours) -> [Row; 4] {
    let bytes = |bytes: u64| Amount::Whole(i64::try_from(bytes).unwrap_or(i64::MAX));
    let signal = ours.ping_signal.as_deref().and_then(Amount::from_text);
    [
        (OptionName::MaxAge, "max_age", ours.max_age.map(Amount::Real)),
        (OptionName::MaxRss, "max_rss", ours.max_rss.map(bytes)),
        (OptionName::PingTimeout, "ping_timeout", ours.ping_timeout.map(Amount::Real)),
        (OptionName::PingSignal, "ping_signal", signal),
    ]
}

fn refused_timer(seconds: f64, instead: AckMode) -> AckMode {
    ::log::warn!("state: workers cannot count as up after {seconds} s; ignored");
    instead
}

/// The target. Where the state has none that makes sense, it is as many workers as one version
/// has: to retire workers that serve would be the worst guess.
fn number_of(snapshot: &Snapshot, default: u32) -> u32 {
    let stored = snapshot.config.number;
    if let Some(number) = stored.filter(|number| (1..=limit::WORKERS_MAX).contains(number)) {
        return number;
    }
    let mut of_version: BTreeMap<u64, u32> = BTreeMap::new();
    for child in snapshot.children.values() {
        if let Child::Worker(worker) = child
            && worker.signaled.is_empty()
        {
            *of_version.entry(worker.version).or_default() += 1;
        }
    }
    let most = of_version.into_values().max().unwrap_or(default).min(limit::WORKERS_MAX);
    let found = stored.map_or("missing".to_string(), |number| number.to_string());
    ::log::warn!(
        "state: number is {found}, but must be 1 to {}; {most} is taken",
        limit::WORKERS_MAX
    );
    most
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::options::{self, Invocation};
    use crate::state::WorkerChild;

    #[track_caller]
    fn check(typed: &[&str], snapshot: &Snapshot, expect: impl Fn(&Settings)) {
        let words: Vec<OsString> = typed.iter().map(OsString::from).collect();
        match options::parse(words, NonZeroU32::MIN).unwrap() {
            Invocation::Run(launch) => expect(&merge(*launch, snapshot).settings),
            other => panic!("{other:?}"),
        }
    }

    fn timer(seconds: f64) -> Snapshot {
        Snapshot { ack_mode: state::AckMode::Timer(seconds), ..Snapshot::default() }
    }

    #[test]
    fn what_is_written_out_wins_over_the_state() {
        let up_after = |seconds| AckMode::Timer(Duration::from_secs(seconds));
        check(&["x"], &timer(7.0), |merged| assert_eq!(merged.ack_mode, up_after(7)));
        check(&["-m", "3", "x"], &timer(7.0), |merged| assert_eq!(merged.ack_mode, up_after(3)));
    }

    #[test]
    fn an_ack_timeout_that_leaves_nobody_up_is_dropped() {
        let typed = ["--ack-timeout", "5", "x"];
        check(&typed, &timer(30.0), |merged| assert_eq!(merged.ack_timeout, AckTimeout::Default));
        let kept = AckTimeout::After(Duration::from_secs(5));
        check(&typed, &timer(3.0), |merged| assert_eq!(merged.ack_timeout, kept));
    }

    #[test]
    fn a_state_without_a_usable_number_retires_nobody() {
        let worker = |version, signaled: &[&str]| {
            let signaled = signaled.iter().map(ToString::to_string).collect();
            Child::Worker(WorkerChild { version, signaled, ..WorkerChild::default() })
        };
        let mut snapshot = Snapshot { version: 2, ..Snapshot::default() };
        snapshot.children = [
            (11, worker(1, &[])),
            (12, worker(1, &[])),
            (13, worker(1, &["USR2"])),
            (14, worker(2, &[])),
            (15, Child::StatePasser),
        ]
        .into();
        for number in [None, Some(0), Some(limit::WORKERS_MAX + 1)] {
            snapshot.config.number = number;
            check(&["x"], &snapshot, |merged| assert_eq!(merged.number, 2));
            check(&["-n", "5", "x"], &snapshot, |merged| assert_eq!(merged.number, 5));
        }
        check(&["x"], &Snapshot::default(), |merged| assert_eq!(merged.number, 1));
        snapshot.config.number = Some(9);
        check(&["x"], &snapshot, |merged| assert_eq!(merged.number, 9));
    }
}
