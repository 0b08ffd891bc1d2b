//! The command line and the state as one: options written out win, the state comes next, and
//! what neither says is the default.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use super::workers::rules_of;
use crate::options::{FdBase, Launch, Nice, OptionName};
use crate::settings::{self, AckMode, Amount, Settings};
use crate::state::{self, Bytes, Snapshot};

/// `typed` with everything from `snapshot` that was not written out.
pub(super) fn merge(typed: Launch, snapshot: &Snapshot) -> Launch {
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
    ]
    .map(|option| !written(option));
    let [name, as_fd, kill, preloads, gc, drops, reexec, nice, base] = takes;
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
    if !snapshot.orig_cmd.is_empty() {
        launch.orig_cmd = words(&snapshot.orig_cmd);
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
        (OptionName::Number, "number", config.number.map(whole)),
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
    ];
    for (option, key, amount) in rows {
        let Some(amount) = amount.filter(|_| !launch.explicit.contains(&option)) else { continue };
        let Some(row) = settings::TABLE.iter().find(|row| row.key == key) else { continue };
        if row.set(&mut settings, amount).is_none() {
            ::log::warn!("state: {key} is {amount:?}, but must be {}; ignored", row.allowed);
        }
    }
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
        settings.ack_mode = match snapshot.ack_mode {
            state::AckMode::Manual => AckMode::Manual,
            state::AckMode::Timer(seconds) => {
                Duration::try_from_secs_f64(seconds).map_or(settings.ack_mode, AckMode::Timer)
            }
        };
    }
    settings
}
