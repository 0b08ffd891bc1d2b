//! `inc`, `dec`, `set_workers`: how many workers there are to be.

use einhorn_protocol::limit::WORKERS_MAX;

use super::{Context, Effect, Outcome};
use crate::control::Request;
use crate::pool::Event;
use crate::settings::Settings;

pub(super) fn inc(context: &Context<'_>, _: &Request) -> Outcome {
    set(context, context.pool.settings().number.saturating_add(1))
}

pub(super) fn dec(context: &Context<'_>, _: &Request) -> Outcome {
    set(context, context.pool.settings().number.saturating_sub(1))
}

pub(super) fn set_workers(context: &Context<'_>, request: &Request) -> Outcome {
    let Some(typed) = request.args.first() else {
        return Outcome::bad_arguments("set_workers needs the number of workers");
    };
    match typed.parse() {
        Ok(number) => set(context, number),
        Err(_) => Outcome::bad_arguments(format!(
            "{typed:?} is no number of workers; it must be a whole number from 1 to {WORKERS_MAX}"
        )),
    }
}

fn set(context: &Context<'_>, number: u32) -> Outcome {
    if !(1..=WORKERS_MAX).contains(&number) {
        return Outcome::bad_arguments(format!(
            "cannot have {number} workers; the number must be from 1 to {WORKERS_MAX}"
        ));
    }
    let before = context.pool.settings().number;
    let settings = Settings { number, ..context.pool.settings().clone() };
    Outcome::done(format!("Number of workers: {before} -> {number}"))
        .with(Effect::Pool(Event::SettingsChanged(settings)))
}
