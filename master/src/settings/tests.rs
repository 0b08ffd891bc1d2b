//! What `config` takes, what it refuses, and that it is all or nothing.

use super::*;

fn settings() -> Settings {
    Settings::default_for(NonZeroU32::new(2).unwrap())
}

fn mapping(entries: &[(&str, Value)]) -> Value {
    Value::Mapping(
        entries.iter().map(|(key, value)| (Value::String((*key).into()), value.clone())).collect(),
    )
}

/// What merging into the defaults says: the changes, or the error.
#[track_caller]
fn check(changes: &Value, expected: &str) -> Settings {
    let before = settings();
    let (after, said) = match before.merge(changes) {
        Ok((after, lines)) => (after, lines.join("; ")),
        Err(error) => (before.clone(), format!("error: {error}")),
    };
    assert_eq!(said, expected);
    assert_eq!(before, settings());
    after
}

#[test]
fn known_keys_are_merged_and_told() {
    let after = check(
        &mapping(&[
            ("number", Value::Integer(5)),
            ("seconds", Value::Float(0.5)),
            ("backlog", Value::Integer(100)),
            ("max_upgrade_additional", Value::Integer(3)),
            ("signal_timeout", Value::Integer(0)),
            ("ack_timeout", Value::Integer(0)),
        ]),
        "number: 1 -> 5; seconds: 1 -> 0.5; max_upgrade_additional: none -> 3; \
         signal_timeout: none -> 0; ack_timeout: default -> none",
    );
    assert_eq!(after.number, 5);
    assert_eq!(after.max_upgrade_additional, NonZeroU32::new(3));
    assert_eq!(after.signal_timeout, Some(Duration::ZERO));
    assert_eq!(after.ack_timeout, AckTimeout::Never);
}

#[test]
fn a_symbol_names_a_setting_too() {
    let after =
        check(&Value::Mapping(vec![(Value::Symbol("max_unacked".into()), Value::Integer(7))]), {
            "max_unacked: 2 -> 7"
        });
    assert_eq!(after.max_unacked.get(), 7);
}

#[test]
fn null_takes_an_optional_setting_back() {
    let mut set = settings();
    set.signal_timeout = Some(Duration::from_secs(3));
    let (after, changed) = set.merge(&mapping(&[("signal_timeout", Value::Null)])).unwrap();
    assert_eq!(after.signal_timeout, None);
    assert_eq!(changed, ["signal_timeout: 3 -> none"]);
    check(
        &mapping(&[("number", Value::Null)]),
        "error: number cannot be null: it must be a whole number from 1 to 10000",
    );
}

#[test]
fn the_stop_signal_has_a_name() {
    let named = |name: &str| mapping(&[("stop_signal", Value::String(name.into()))]);
    for name in ["TERM", "SIGTERM", "sigTerm", "term"] {
        let after = check(&named(name), "stop_signal: USR2 -> TERM");
        assert_eq!(after.stop_signal(), Signal::TERM);
        let (back, said) = after.merge(&mapping(&[("stop_signal", Value::Null)])).unwrap();
        assert_eq!((back, said.join("; ").as_str()), (settings(), "stop_signal: TERM -> USR2"));
    }
    for name in ["KILL", "SIGSTOP", "USR3", "15", ""] {
        check(
            &named(name),
            &format!(
                "error: stop_signal cannot be \"{name}\": it must be the name of a signal that a \
                 program can catch, such as USR2, TERM or QUIT"
            ),
        );
    }
    check(
        &mapping(&[("number", Value::String("TERM".into()))]),
        "error: number cannot be \"TERM\": it must be a whole number from 1 to 10000",
    );
}

#[test]
fn one_bad_value_changes_nothing() {
    check(
        &mapping(&[("number", Value::Integer(5)), ("backlog", Value::Integer(0))]),
        "error: backlog cannot be 0: it must be a whole number from 1 to 2147483647",
    );
}

#[test]
fn keys_are_checked() {
    check(
        &mapping(&[("nunber", Value::Integer(5))]),
        "error: unknown setting \"nunber\" (the settings are number, backlog, seconds, \
         max_unacked, max_upgrade_additional, signal_timeout, stop_signal, ack_timeout, \
         preload_timeout, canary, soak, upgrade_attempts, upgrade_timeout, max_age, max_rss, \
         ping_timeout, ping_signal)",
    );
    check(
        &Value::Mapping(vec![
            (Value::String("number".into()), Value::Integer(2)),
            (Value::Symbol("number".into()), Value::Integer(3)),
        ]),
        "error: setting number is given twice",
    );
    check(
        &Value::Sequence(vec![]),
        "error: settings must be a mapping such as `number: 4`, not a list",
    );
    check(&mapping(&[]), "");
}

#[test]
fn values_at_the_limit_and_one_past_it() {
    let rows: [(&str, Value, bool); 28] = [
        ("number", Value::Integer(1), true),
        ("number", Value::Integer(0), false),
        ("number", Value::Integer(10_000), true),
        ("number", Value::Integer(10_001), false),
        ("number", Value::Float(2.0), false),
        ("number", Value::String("2".into()), false),
        ("number", Value::Bool(true), false),
        ("number", Value::BigInteger("99999999999999999999".into()), false),
        ("backlog", Value::Integer(1), true),
        ("backlog", Value::Integer(2_147_483_647), true),
        ("backlog", Value::Integer(2_147_483_648), false),
        ("backlog", Value::Integer(-1), false),
        ("seconds", Value::Integer(0), false),
        ("seconds", Value::Float(f64::MIN_POSITIVE), true),
        ("seconds", Value::Float(f64::NAN), false),
        ("seconds", Value::Float(f64::INFINITY), false),
        ("seconds", Value::Float(1e300), true),
        ("max_unacked", Value::Integer(0), false),
        ("max_upgrade_additional", Value::Integer(0), false),
        ("max_upgrade_additional", Value::Integer(4_294_967_296), false),
        ("signal_timeout", Value::Float(-0.1), false),
        ("signal_timeout", Value::Float(1e9), true),
        ("signal_timeout", Value::Float(1.000_000_001e9), false),
        ("ack_timeout", Value::Float(1.5), true),
        ("preload_timeout", Value::Float(1.5), true),
        ("preload_timeout", Value::Integer(0), false),
        ("preload_timeout", Value::Null, false),
        ("ack_timeout", Value::BigInteger("99999999999999999999".into()), false),
    ];
    for (key, value, taken) in rows {
        let merged = settings().merge(&mapping(&[(key, value.clone())]));
        assert_eq!(merged.is_ok(), taken, "{key}: {value:?} gave {merged:?}");
    }
}

#[test]
fn a_timeout_before_the_timer_is_a_contradiction() {
    check(
        &mapping(&[("ack_timeout", Value::Integer(1))]),
        "error: an ack timeout of 1 s gives every worker up before the 1 s that it must live to \
         count as up: make it longer, or 0 for none",
    );
    check(&mapping(&[("ack_timeout", Value::Float(1.5))]), "ack_timeout: default -> 1.5");
}

#[test]
fn a_long_or_many_lined_value_stays_one_short_line() {
    let error = settings()
        .merge(&mapping(&[("number", Value::String(format!("a\n{}", "x".repeat(100_000))))]))
        .unwrap_err()
        .to_string();
    assert!(error.len() < 300 && !error.contains('\n'), "{error}");
}

#[test]
fn ack_modes() {
    let rows = [
        ("manual", Some(AckMode::Manual)),
        ("0", Some(AckMode::Timer(Duration::ZERO))),
        ("0.25", Some(AckMode::Timer(Duration::from_millis(250)))),
        ("Manual", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e10", None),
        ("", None),
    ];
    for (text, expected) in rows {
        assert_eq!(AckMode::parse(text), expected, "{text}");
    }
}

#[test]
fn rules_of_recycling_at_the_limit_and_one_past_it() {
    let text = |text: &str| Value::String(text.into());
    let rows: [(&str, Value, bool); 24] = [
        ("max_age", Value::Integer(0), true),
        ("max_age", Value::Integer(1), true),
        ("max_age", Value::Float(0.9), false),
        ("max_age", Value::Float(1e9), true),
        ("max_age", Value::Float(1.1e9), false),
        ("max_age", Value::Null, true),
        ("max_age", text("1M"), false),
        ("max_rss", Value::Integer(0), true),
        ("max_rss", Value::Integer(512), false),
        ("max_rss", Value::Integer(1 << 20), true),
        ("max_rss", Value::Integer((1 << 20) - 1), false),
        ("max_rss", Value::Integer(1 << 50), true),
        ("max_rss", Value::Integer((1 << 50) + 1), false),
        ("max_rss", text("512M"), true),
        ("max_rss", text("1023K"), false),
        ("max_rss", text("2000T"), false),
        ("max_rss", text("QUIT"), false),
        ("ping_timeout", Value::Integer(1), true),
        ("ping_timeout", Value::Integer(-1), false),
        ("ping_signal", text("SIGQUIT"), true),
        ("ping_signal", text("KILL"), false),
        ("ping_signal", text("2G"), false),
        ("ping_signal", Value::Integer(3), false),
        ("number", text("1K"), false),
    ];
    for (key, value, taken) in rows {
        let merged = settings().merge(&mapping(&[(key, value.clone())]));
        assert_eq!(merged.is_ok(), taken, "{key}: {value:?} gave {merged:?}");
    }
    let size = mapping(&[("max_rss", text("2048M"))]);
    let after = check(&size, "max_rss: none -> 2G");
    assert_eq!(after.recycle.max_rss, Some(2 << 30));
    check(
        &mapping(&[("max_rss", Value::Integer(500))]),
        "error: max_rss cannot be 500: it must be 0 (none), or a size from 1M to 1024T, such as \
         512M or 2G",
    );
}
