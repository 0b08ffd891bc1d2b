//! `upgrade`, `upgrade_fleet`, `abort`, `reload`.

use einhorn_protocol::error_code;

use super::{Context, Effect, Follow, Outcome};
use crate::control::{Reply, Request};
use crate::pool::{Event, PendingReload, UpgradeMode};

pub(super) fn smooth(context: &Context<'_>, _: &Request) -> Outcome {
    begin(context, UpgradeMode::Smooth)
}

pub(super) fn fleet(context: &Context<'_>, _: &Request) -> Outcome {
    begin(context, UpgradeMode::Fleet)
}

fn begin(context: &Context<'_>, mode: UpgradeMode) -> Outcome {
    if context.pool.is_stopping() {
        return shutting_down();
    }
    let how = match mode {
        UpgradeMode::Smooth => "Upgrading smoothly",
        UpgradeMode::Fleet => "Upgrading the fleet",
    };
    let message = format!("{how}: checking that the new code can start");
    let request = context.pool.next_request();
    Outcome {
        reply: Some(Reply::progress(message)),
        follow: Follow::Upgrade,
        effects: vec![Effect::Pool(Event::UpgradeRequested { mode, request })],
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
