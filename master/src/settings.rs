//! What options and the `config` command can change.
//!
//! Answers for the values, their ranges, and the one table ([`TABLE`]) that the command line,
//! the `config` command and a restored state share. Does not decide what a change sets off.
//! Invariant: a `Settings` that came through the checked ways is within its ranges.

mod ack_mode;
mod size;
mod table;

use std::num::NonZeroU32;
use std::time::Duration;

use einhorn_protocol::default;

use crate::psych::Value;
use crate::signal::Signal;

pub use ack_mode::{AckMode, AckTimeout, CheckCommand};
pub use size::Size;
pub use table::{Amount, Setting, TABLE};

/// What the policy goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Target number of workers, 1 to 10,000.
    pub number: u32,
    /// Listen backlog of the bound sockets.
    pub backlog: i32,
    /// Least interval between two gradual spawns, in seconds; more than 0, above 30 acts as 30.
    pub seconds: f64,
    /// Gradual spawning keeps at most this many unacknowledged newcomers.
    pub max_unacked: NonZeroU32,
    /// Gradual spawning keeps at most target + this many workers alive; no limit if absent.
    pub max_upgrade_additional: Option<NonZeroU32>,
    /// A worker that was asked to stop and lives this much longer is killed.
    pub signal_timeout: Option<Duration>,
    /// What asks a worker to stop, where it was chosen; see [`Self::stop_signal`].
    pub stop_signal: Option<Signal>,
    /// Workers find their sockets by the convention of socket activation too.
    pub listen_fds: bool,
    /// When a worker counts as up.
    pub ack_mode: AckMode,
    /// When a worker that is not up has failed.
    pub ack_timeout: AckTimeout,
    /// How long preloaded code may take to load; more than 0.
    pub preload_timeout: Duration,
    /// What an upgrade must prove, and when it is given up.
    pub upgrade: UpgradeRules,
    /// What makes a worker stale.
    pub recycle: RecycleRules,
}

/// What makes a worker stale, so that another one takes its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecycleRules {
    /// It is this old, or up to a tenth less.
    pub max_age: Option<Duration>,
    /// It has more bytes of memory resident.
    pub max_rss: Option<u64>,
    /// It has pinged, and then not for this long.
    pub ping_timeout: Option<Duration>,
    /// What such a silent worker gets first, to say where it hangs.
    pub ping_signal: Option<Signal>,
}

/// What an upgrade must prove, and when it is given up. One upgrade may have its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpgradeRules {
    /// Newcomers that must count before more are started; none given: 1 in a smooth upgrade,
    /// 0 in a fleet upgrade.
    pub canary: Option<u32>,
    /// How long a newcomer must live after its acknowledgement before it counts.
    pub soak: Duration,
    /// Newcomers that may fail before the upgrade is given up; 0: any number.
    pub attempts: u32,
    /// How long the whole may take.
    pub timeout: Option<Duration>,
}

impl Default for UpgradeRules {
    fn default() -> Self {
        Self {
            canary: None,
            soak: Duration::ZERO,
            attempts: default::UPGRADE_ATTEMPTS,
            timeout: None,
        }
    }
}

/// Why a setting was refused. One line, without a final stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// `config` was given something that has no keys.
    #[error("settings must be a mapping such as `number: 4`, not {found}")]
    NotAMapping {
        /// What it was given.
        found: String,
    },
    /// No such setting.
    #[error("unknown setting {key} (the settings are {})", table::names())]
    Unknown {
        /// The key as it was given.
        key: String,
    },
    /// The same setting twice, perhaps once as a string and once as a symbol.
    #[error("setting {key} is given twice")]
    Duplicate {
        /// The key.
        key: &'static str,
    },
    /// A value out of range or of the wrong type.
    #[error("{key} cannot be {value}: it must be {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value as it was given.
        value: String,
        /// The values that the setting takes.
        allowed: &'static str,
    },
    /// Two settings that cannot both hold.
    #[error(transparent)]
    Together(#[from] Contradiction),
}

/// Two settings that cannot both hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// A worker would be given up before it can count as up.
    #[error(
        "an ack timeout of {} s gives every worker up before the {} s that it must live to count \
         as up: make it longer, or 0 for none",
        timeout.as_secs_f64(), lives.as_secs_f64()
    )]
    AckTimeoutTooShort {
        /// `--ack-timeout`.
        timeout: Duration,
        /// `--ack-mode`.
        lives: Duration,
    },
}

/// Whether a program can take `signal` for a request. The kernel acts on these itself.
fn can_ask_to_stop(signal: Signal) -> bool {
    signal != Signal::KILL && signal != Signal::STOP
}

impl Settings {
    /// The defaults of the command line on a machine with `processors` CPUs.
    pub fn default_for(processors: NonZeroU32) -> Self {
        Self {
            number: default::WORKERS,
            backlog: default::BACKLOG,
            seconds: default::SPAWN_SECONDS,
            max_unacked: processors,
            max_upgrade_additional: None,
            signal_timeout: None,
            stop_signal: None,
            listen_fds: false,
            ack_mode: AckMode::Timer(Duration::from_secs_f64(default::ACK_SECONDS)),
            ack_timeout: AckTimeout::Default,
            preload_timeout: Duration::from_secs_f64(default::PRELOAD_TIMEOUT_SECONDS),
            upgrade: UpgradeRules::default(),
            recycle: RecycleRules::default(),
        }
    }

    /// What asks a worker to stop, everywhere.
    pub fn stop_signal(&self) -> Signal {
        self.stop_signal.unwrap_or_else(|| self.default_stop_signal())
    }

    /// USR2 for programs that keep to our protocol, TERM for all others.
    fn default_stop_signal(&self) -> Signal {
        let is_any_program = self.listen_fds || self.ack_mode.is_for_any_program();
        if is_any_program { Signal::TERM } else { Signal::USR2 }
    }

    /// These settings with those of `changes` put in, and a line for each that is now another
    /// (`number: 2 -> 5`). All or nothing: `self` stays as it is.
    ///
    /// # Errors
    /// `changes` is no mapping, or a key is unknown or there twice, or a value is out of range,
    /// or the result contradicts itself.
    pub fn merge(&self, changes: &Value) -> Result<(Self, Vec<String>), SettingError> {
        let Value::Mapping(entries) = changes else {
            return Err(SettingError::NotAMapping { found: table::describe(changes) });
        };
        let mut merged = self.clone();
        let mut seen: Vec<&'static str> = Vec::new();
        for (key, value) in entries {
            let setting = Setting::for_key(key)?;
            if seen.contains(&setting.key) {
                return Err(SettingError::Duplicate { key: setting.key });
            }
            seen.push(setting.key);
            setting.set_value(&mut merged, value)?;
        }
        merged.check_together()?;
        let differences = TABLE
            .iter()
            .map(|setting| (setting.key, setting.show(self), setting.show(&merged)))
            .filter(|(_, before, after)| before != after)
            .map(|(key, before, after)| format!("{key}: {before} -> {after}"))
            .collect();
        Ok((merged, differences))
    }

    /// Whether the settings can hold together; each alone is taken to be in its range.
    ///
    /// # Errors
    /// Names the two that cannot.
    pub fn check_together(&self) -> Result<(), Contradiction> {
        match (&self.ack_mode, self.ack_timeout) {
            (&AckMode::Timer(lives), AckTimeout::After(timeout)) if timeout <= lives => {
                Err(Contradiction::AckTimeoutTooShort { timeout, lives })
            }
            _ => Ok(()),
        }
    }
}

impl Setting {
    /// The setting that a key of a mapping, a string or a symbol, names.
    ///
    /// # Errors
    /// No setting has that name.
    pub fn for_key(key: &Value) -> Result<&'static Self, SettingError> {
        let found = match key {
            Value::String(name) | Value::Symbol(name) => {
                TABLE.iter().find(|setting| setting.key == name)
            }
            _ => None,
        };
        found.ok_or_else(|| SettingError::Unknown { key: table::describe(key) })
    }

    /// Sets it to a value of a YAML document.
    ///
    /// # Errors
    /// The value is out of range or of the wrong type; `settings` stays as it is.
    pub fn set_value(&self, settings: &mut Settings, value: &Value) -> Result<(), SettingError> {
        Amount::from_value(value)
            .and_then(|amount| self.set(settings, amount))
            .ok_or_else(|| self.refuse(table::describe(value)))
    }

    fn refuse(&self, value: String) -> SettingError {
        SettingError::Value { key: self.key, value, allowed: self.allowed }
    }
}

#[cfg(test)]
mod tests;
