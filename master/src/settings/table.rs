//! The table of settings: a row for each that is a number or a signal, with its range. Command line,
//! `config` and a restored state read the same rows.

use std::num::NonZeroU32;
use std::time::Duration;

use einhorn_protocol::limit;

use super::{AckTimeout, Settings, Size, can_ask_to_stop};
use crate::log::shown;
use crate::psych::Value;
use crate::signal::Signal;

/// A value on its way into a setting, or the word for none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// `null`: where a setting can be absent.
    Absent,
    /// A whole number.
    Whole(i64),
    /// Anything else that is a number.
    Real(f64),
    /// A size with its unit.
    Size(Size),
    /// The name of a signal.
    Signal(Signal),
}

/// A row of the table.
#[derive(Debug)]
pub struct Setting {
    /// Its key in `config` and in the state.
    pub key: &'static str,
    /// Its long option, without dashes.
    pub option: &'static str,
    /// The values that it takes, to complete "it must be …".
    pub allowed: &'static str,
    set: fn(&mut Settings, Amount) -> Option<()>,
    show: fn(&Settings) -> String,
}

/// Every setting that is a number or a signal.
pub static TABLE: [Setting; 17] = [
    Setting {
        key: "number",
        option: "number",
        allowed: "a whole number from 1 to 10000",
        set: |settings, amount| {
            settings.number = amount.whole(1, limit::WORKERS_MAX.into())?;
            Some(())
        },
        show: |settings| settings.number.to_string(),
    },
    Setting {
        key: "backlog",
        option: "backlog",
        allowed: "a whole number from 1 to 2147483647",
        set: |settings, amount| {
            settings.backlog = amount.whole(1, i32::MAX.into())?;
            Some(())
        },
        show: |settings| settings.backlog.to_string(),
    },
    Setting {
        key: "seconds",
        option: "seconds",
        allowed: "a number of seconds above 0 (above 30 acts as 30)",
        set: |settings, amount| {
            settings.seconds = amount.real().filter(|seconds| *seconds > 0.0)?;
            Some(())
        },
        show: |settings| settings.seconds.to_string(),
    },
    Setting {
        key: "max_unacked",
        option: "max-unacked",
        allowed: "a whole number from 1 to 4294967295",
        set: |settings, amount| {
            settings.max_unacked = amount.at_least_one()?;
            Some(())
        },
        show: |settings| settings.max_unacked.to_string(),
    },
    Setting {
        key: "max_upgrade_additional",
        option: "max-upgrade-additional",
        allowed: "a whole number from 1 to 4294967295",
        set: |settings, amount| {
            settings.max_upgrade_additional = match amount {
                Amount::Absent => None,
                number => Some(number.at_least_one()?),
            };
            Some(())
        },
        show: |settings| shown_or_none(settings.max_upgrade_additional),
    },
    Setting {
        key: "signal_timeout",
        option: "signal-timeout",
        allowed: "a number of seconds from 0 to 1000000000",
        set: |settings, amount| {
            settings.signal_timeout = match amount {
                Amount::Absent => None,
                number => Some(number.seconds()?),
            };
            Some(())
        },
        show: |settings| shown_or_none(settings.signal_timeout.map(|wait| wait.as_secs_f64())),
    },
    Setting {
        key: "stop_signal",
        option: "stop-signal",
        allowed: "the name of a signal that a program can catch, such as USR2, TERM or QUIT",
        set: |settings, amount| {
            settings.stop_signal = match amount {
                Amount::Absent => None,
                Amount::Signal(signal) if can_ask_to_stop(signal) => Some(signal),
                _ => return None,
            };
            Some(())
        },
        show: |settings| settings.stop_signal().name().to_owned(),
    },
    Setting {
        key: "ack_timeout",
        option: "ack-timeout",
        allowed: "a number of seconds from 0 (none) to 1000000000",
        set: |settings, amount| {
            settings.ack_timeout = match amount {
                Amount::Absent => AckTimeout::Default,
                number => match number.seconds()? {
                    Duration::ZERO => AckTimeout::Never,
                    span => AckTimeout::After(span),
                },
            };
            Some(())
        },
        show: |settings| match settings.ack_timeout {
            AckTimeout::Default => "default".to_owned(),
            AckTimeout::Never => "none".to_owned(),
            AckTimeout::After(span) => span.as_secs_f64().to_string(),
        },
    },
    Setting {
        key: "preload_timeout",
        option: "preload-timeout",
        allowed: "a number of seconds above 0 to 1000000000",
        set: |settings, amount| {
            settings.preload_timeout = amount.seconds().filter(|span| !span.is_zero())?;
            Some(())
        },
        show: |settings| settings.preload_timeout.as_secs_f64().to_string(),
    },
    Setting {
        key: "canary",
        option: "canary",
        allowed: "a whole number from 0 to 10000",
        set: |settings, amount| {
            settings.upgrade.canary = match amount {
                Amount::Absent => None,
                number => Some(number.whole(0, limit::WORKERS_MAX.into())?),
            };
            Some(())
        },
        show: |settings| shown_or_none(settings.upgrade.canary),
    },
    Setting {
        key: "soak",
        option: "soak",
        allowed: "a number of seconds from 0 to 1000000000",
        set: |settings, amount| {
            settings.upgrade.soak = amount.seconds()?;
            Some(())
        },
        show: |settings| settings.upgrade.soak.as_secs_f64().to_string(),
    },
    Setting {
        key: "upgrade_attempts",
        option: "upgrade-attempts",
        allowed: "a whole number from 0 (any number) to 4294967295",
        set: |settings, amount| {
            settings.upgrade.attempts = amount.whole(0, u32::MAX.into())?;
            Some(())
        },
        show: |settings| settings.upgrade.attempts.to_string(),
    },
    Setting {
        key: "upgrade_timeout",
        option: "upgrade-timeout",
        allowed: "a number of seconds from 0 (none) to 1000000000",
        set: |settings, amount| {
            settings.upgrade.timeout = match amount {
                Amount::Absent => None,
                number => Some(number.seconds()?).filter(|span| !span.is_zero()),
            };
            Some(())
        },
        show: |settings| shown_or_none(settings.upgrade.timeout.map(|span| span.as_secs_f64())),
    },
    Setting {
        key: "max_age",
        option: "max-age",
        allowed: "0 (none), or a number of seconds from 1 to 1000000000",
        set: |settings, amount| {
            settings.recycle.max_age = amount.seconds_or_none()?;
            Some(())
        },
        show: |settings| shown_or_none(settings.recycle.max_age.map(|span| span.as_secs_f64())),
    },
    Setting {
        key: "max_rss",
        option: "max-rss",
        allowed: "0 (none), or a size from 1M to 1024T, such as 512M or 2G",
        set: |settings, amount| {
            settings.recycle.max_rss = match amount {
                Amount::Absent => None,
                Amount::Size(Size(bytes)) if is_max_rss(bytes) => Some(bytes),
                number => match number.whole(0, i64::MAX)? {
                    0 => None,
                    bytes if is_max_rss(bytes) => Some(bytes),
                    _ => return None,
                },
            };
            Some(())
        },
        show: |settings| shown_or_none(settings.recycle.max_rss.map(Size)),
    },
    Setting {
        key: "ping_timeout",
        option: "ping-timeout",
        allowed: "0 (none), or a number of seconds from 1 to 1000000000",
        set: |settings, amount| {
            settings.recycle.ping_timeout = amount.seconds_or_none()?;
            Some(())
        },
        show: |settings| {
            shown_or_none(settings.recycle.ping_timeout.map(|span| span.as_secs_f64()))
        },
    },
    Setting {
        key: "ping_signal",
        option: "ping-signal",
        allowed: "the name of a signal that a program can catch, such as QUIT, ABRT or USR1",
        set: |settings, amount| {
            settings.recycle.ping_signal = match amount {
                Amount::Absent => None,
                Amount::Signal(signal) if can_ask_to_stop(signal) => Some(signal),
                _ => return None,
            };
            Some(())
        },
        show: |settings| shown_or_none(settings.recycle.ping_signal.map(Signal::name)),
    },
];

impl Setting {
    /// Sets it if `amount` is in range; otherwise `None`, and nothing is changed.
    pub fn set(&self, settings: &mut Settings, amount: Amount) -> Option<()> {
        (self.set)(settings, amount)
    }

    /// Its value in `settings`, for people.
    pub fn show(&self, settings: &Settings) -> String {
        (self.show)(settings)
    }
}

impl Amount {
    /// The number that `text` is, in decimal, the size, or the signal that it names.
    pub fn from_text(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse() {
            return Some(Self::Whole(whole));
        }
        let real = text.parse().ok().map(Self::Real);
        real.or_else(|| Self::from_word(text))
    }

    fn from_word(word: &str) -> Option<Self> {
        let size = Size::parse(word).map(Self::Size);
        size.or_else(|| Signal::from_name(word).map(Self::Signal))
    }

    /// The number that `value` is, or the size or signal that it names; a string is no number,
    /// whatever it spells.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Absent),
            Value::Integer(whole) => Some(Self::Whole(*whole)),
            Value::BigInteger(digits) => digits.parse().ok().map(Self::Real),
            Value::Float(real) => Some(Self::Real(*real)),
            Value::String(name) | Value::Symbol(name) => Self::from_word(name),
            _ => None,
        }
    }

    /// A whole number from `least` to `most`.
    pub fn whole<T: TryFrom<i64>>(self, least: i64, most: i64) -> Option<T> {
        match self {
            Self::Whole(number) if (least..=most).contains(&number) => T::try_from(number).ok(),
            _ => None,
        }
    }

    /// A span of at most [`limit::SETTING_SECONDS_MAX`].
    pub fn seconds(self) -> Option<Duration> {
        let seconds = self.real().filter(|seconds| *seconds <= limit::SETTING_SECONDS_MAX)?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// A span of at least a second, or none for 0.
    #[expect(clippy::option_option, reason = "out of range, none, and a span")]
    fn seconds_or_none(self) -> Option<Option<Duration>> {
        match self {
            Self::Absent => Some(None),
            number => match number.seconds()? {
                Duration::ZERO => Some(None),
                span => (span >= Duration::from_secs(1)).then_some(Some(span)),
            },
        }
    }

    fn at_least_one(self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.whole(1, u32::MAX.into())?)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds need no more than 53 bits")]
    fn real(self) -> Option<f64> {
        match self {
            Self::Absent | Self::Size(_) | Self::Signal(_) => None,
            Self::Whole(number) => Some(number as f64),
            Self::Real(number) => Some(number).filter(|number| number.is_finite()),
        }
    }
}

fn is_max_rss(bytes: u64) -> bool {
    (limit::MAX_RSS_BYTES_MIN..=limit::MAX_RSS_BYTES_MAX).contains(&bytes)
}

/// All keys, for messages.
pub(super) fn names() -> String {
    TABLE.iter().map(|setting| setting.key).collect::<Vec<_>>().join(", ")
}

/// `value` on one bounded line.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => shown(&number.to_string()),
        Value::BigInteger(text) | Value::Symbol(text) => shown(text),
        Value::String(text) => format!("\"{}\"", shown(text)),
        Value::Bytes(_) => "binary data".to_owned(),
        Value::Time(_) => "a time".to_owned(),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Set(_) => "a set".to_owned(),
    }
}

fn shown_or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
