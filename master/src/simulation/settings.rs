//! Random settings within their ranges.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;

use crate::settings::{AckMode, AckTimeout, RecycleRules, Settings, UpgradeRules};
use crate::signal::Signal;

pub(super) fn rules() -> impl Strategy<Value = UpgradeRules> {
    let soak = prop_oneof![Just(0), 0..5000_u64];
    (option::of(0..4_u32), soak, 0..4_u32, option::of(1..60_u64)).prop_map(
        |(canary, soak, attempts, timeout)| UpgradeRules {
            canary,
            soak: Duration::from_millis(soak),
            attempts,
            timeout: timeout.map(Duration::from_secs),
        },
    )
}

fn ack_mode() -> impl Strategy<Value = AckMode> {
    prop_oneof![
        2 => Just(AckMode::Manual),
        1 => Just(AckMode::Descriptor),
        2 => (0..3000_u64).prop_map(|ms| AckMode::Timer(Duration::from_millis(ms))),
    ]
}

fn ack_timeout() -> impl Strategy<Value = AckTimeout> {
    prop_oneof![
        Just(AckTimeout::Default),
        Just(AckTimeout::Never),
        (4..20_u64).prop_map(|s| AckTimeout::After(Duration::from_secs(s))),
    ]
}

/// Short ages and little memory, so that something comes of them within a history.
fn recycle() -> impl Strategy<Value = RecycleRules> {
    let span = || option::of((1..30_u64).prop_map(Duration::from_secs));
    let signal = option::of(proptest::sample::select(&[Signal::QUIT, Signal::HUP]));
    (span(), option::of(1..256_u64), span(), signal).prop_map(
        |(max_age, megabytes, ping_timeout, ping_signal)| RecycleRules {
            max_age,
            max_rss: megabytes.map(|number| number << 20),
            ping_timeout,
            ping_signal,
        },
    )
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let signal_timeout = option::of((0..20_u64).prop_map(Duration::from_secs));
    let timeouts = (ack_timeout(), signal_timeout);
    let counts = (1..8_u32, 1..5_u32, option::of(1..4_u32));
    let rules = (rules(), recycle());
    (counts, ack_mode(), timeouts, rules, 1..200_u32).prop_map(
        |((number, unacked, additional), ack_mode, timeouts, rules, tenths)| Settings {
            number,
            max_unacked: NonZeroU32::new(unacked).unwrap(),
            max_upgrade_additional: additional.and_then(NonZeroU32::new),
            ack_mode,
            ack_timeout: timeouts.0,
            signal_timeout: timeouts.1,
            upgrade: rules.0,
            recycle: rules.1,
            seconds: f64::from(tenths) / 10.0,
            ..Settings::default_for(NonZeroU32::MIN)
        },
    )
}
