//! `worker:ack` and `worker:ping`, which workers send and nobody answers.

use log::Level;

use super::{Context, Effect, Outcome, Rights};
use crate::control::Request;
use crate::pool::{Event, Worker};
use crate::settings::AckMode;

pub(super) fn ack(context: &Context<'_>, request: &Request) -> Outcome {
    let heard = sender(context, request).and_then(|worker| speaks_for(context, worker));
    match heard.and_then(|worker| may_say_so(context, worker)) {
        Ok(worker) => silence(Effect::Pool(Event::Acknowledged { id: worker.id })),
        Err(reason) => ignored("acknowledgement", &reason),
    }
}

pub(super) fn ping(context: &Context<'_>, request: &Request) -> Outcome {
    match sender(context, request).and_then(|worker| may_ping_for(context, worker)) {
        Ok(worker) => {
            let request_id = request.request_id.clone();
            silence(Effect::Pool(Event::Pinged { id: worker.id, request_id }))
        }
        Err(reason) => ignored("ping", &reason),
    }
}

/// Where a check says it, nobody else does.
fn may_say_so<'a>(context: &Context<'_>, worker: &'a Worker) -> Result<&'a Worker, String> {
    match context.pool.settings().ack_mode {
        AckMode::Exec(_) => Err(format!("worker {worker} is up when its check says so")),
        _ => Ok(worker),
    }
}

fn sender<'a>(context: &Context<'a>, request: &Request) -> Result<&'a Worker, String> {
    let pid = request.worker_pid()?;
    context.pool.find(pid).ok_or_else(|| format!("{pid} is no worker of this master"))
}

/// A worker's helper, such as a shell's `nc`, may say for it that it is up, and may be gone by
/// now. Whoever is in another worker's process group may not.
fn speaks_for<'a>(context: &Context<'_>, worker: &'a Worker) -> Result<&'a Worker, String> {
    if context.rights == Rights::OfAWorker {
        return for_itself(context, worker);
    }
    let group = (context.caller_group)().filter(|&group| worker.pid != Some(group));
    match group.and_then(|group| context.pool.find(group)) {
        Some(other) => Err(format!("worker {other} cannot speak for worker {worker}")),
        None => Ok(worker),
    }
}

/// Programs of the protocol ping for each other; those of another user may not.
fn may_ping_for<'a>(context: &Context<'_>, worker: &'a Worker) -> Result<&'a Worker, String> {
    match context.rights {
        Rights::OfAWorker => for_itself(context, worker),
        Rights::All | Rights::OfAGivenConnection => Ok(worker),
    }
}

/// Whoever has another user's rights only speaks for the worker that it is or helps.
fn for_itself<'a>(context: &Context<'_>, worker: &'a Worker) -> Result<&'a Worker, String> {
    let is_own = worker.pid == Some(context.caller)
        || (worker.pid.is_some() && worker.pid == (context.caller_group)());
    if is_own { Ok(worker) } else { Err(format!("pid {} is not worker {worker}", context.caller)) }
}

fn silence(effect: Effect) -> Outcome {
    Outcome { close: true, effects: vec![effect], ..Outcome::default() }
}

fn ignored(what: &str, reason: &str) -> Outcome {
    silence(Effect::Log(Level::Warn, format!("{what} ignored: {reason}")))
}
