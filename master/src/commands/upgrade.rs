//! `upgrade`, `upgrade_fleet`, `abort`, `reload`.

use einhorn_protocol::error_code;

use super::{Context, Effect, Follow, Outcome};
use crate::control::{Reply, Request};
use crate::pool::{Event, PendingReload, UpgradeMode};
use crate::settings::{self, Amount, Settings, UpgradeRules};

/// What one upgrade can have for itself, and the setting that it stands in for.
const OPTIONS: [(&str, &str); 4] = [
    ("--canary", "canary"),
    ("--soak", "soak"),
    ("--attempts", "upgrade_attempts"),
    ("--timeout", "upgrade_timeout"),
];

pub(super) fn smooth(context: &Context<'_>, request: &Request) -> Outcome {
    begin(context, request, UpgradeMode::Smooth)
}

pub(super) fn fleet(context: &Context<'_>, request: &Request) -> Outcome {
    begin(context, request, UpgradeMode::Fleet)
}

/// The settings' rules with those in `args` in their place.
fn rules(settings: &Settings, args: &[String]) -> Result<UpgradeRules, String> {
    let mut settings = settings.clone();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), words.next().map(String::as_str)),
        };
        let row = OPTIONS
            .iter()
            .find(|(option, _)| *option == name)
            .and_then(|(_, key)| settings::TABLE.iter().find(|row| row.key == *key));
        let Some(row) = row else {
            let names: Vec<&str> = OPTIONS.iter().map(|(option, _)| *option).collect();
            return Err(format!("unknown option {name:?}; there are: {}", names.join(", ")));
        };
        let amount = value.and_then(Amount::from_text);
        if amount.and_then(|amount| row.set(&mut settings, amount)).is_none() {
            let value = value.unwrap_or_default();
            return Err(format!("{name} cannot be {value:?}: it must be {}", row.allowed));
        }
    }
    Ok(settings.upgrade)
}

fn begin(context: &Context<'_>, request: &Request, mode: UpgradeMode) -> Outcome {
    if context.pool.is_stopping() {
        return shutting_down();
    }
    let rules = match rules(context.pool.settings(), &request.args) {
        Ok(rules) => rules,
        Err(reason) => return Outcome::bad_arguments(reason),
    };
    let how = match mode {
        UpgradeMode::Smooth => "Upgrading smoothly",
        UpgradeMode::Fleet => "Upgrading the fleet",
    };
    let message = format!("{how}: checking that the new code can start");
    let request = context.pool.next_request();
    Outcome {
        reply: Some(Reply::progress(message)),
        follow: Follow::Upgrade,
        effects: vec![Effect::Pool(Event::UpgradeRequested { mode, rules, request })],
        ..Outcome::default()
    }
}

pub(super) fn reload(context: &Context<'_>, _: &Request) -> Outcome {
    if context.pool.is_stopping() {
        return shutting_down();
    }
    let effects = vec![Effect::Pool(Event::ReloadRequested)];
    Outcome { follow: Follow::Reload, effects, ..Outcome::default() }
}

pub(super) fn abort(context: &Context<'_>, _: &Request) -> Outcome {
    if context.pool.is_stopping() {
        return shutting_down();
    }
    let preparing = context.pool.pending_reload().is_some_and(PendingReload::is_for_upgrade);
    if !preparing && context.pool.upgrade().is_none() {
        let message = "there is no upgrade in progress, so nothing to abort";
        return Outcome::reply(Reply::failed(error_code::NO_UPGRADE, message));
    }
    Outcome::done("Giving the upgrade up").with(Effect::Pool(Event::AbortRequested))
}

fn shutting_down() -> Outcome {
    let message = "the master is shutting down; it starts nothing any more";
    Outcome::reply(Reply::failed(error_code::SHUTTING_DOWN, message))
}
