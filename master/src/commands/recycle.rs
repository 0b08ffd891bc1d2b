//! `recycle`: workers are replaced, and asked to stop once their replacements are up.

use einhorn_protocol::error_code;

use super::{Context, Effect, Outcome};
use crate::control::{Reply, Request};
use crate::pool::{Event, SpawnId, Worker};

const USAGE: &str =
    "recycle takes a worker's pid or index, such as 812, pid=812 or index=2, or all";

pub(super) fn recycle(context: &Context<'_>, request: &Request) -> Outcome {
    if context.pool.is_stopping() {
        let message = "no worker is replaced: the master is shutting down";
        return Outcome::reply(Reply::failed(error_code::SHUTTING_DOWN, message));
    }
    match request.args.first().map(String::as_str) {
        None => Outcome::bad_arguments(USAGE),
        Some("all") => all(context),
        Some(typed) => match find(context, typed) {
            Ok(worker) => one(context, worker),
            Err(refused) => refused,
        },
    }
}

/// The worker that `typed` means. A bare number may be a pid or an index, but not both.
fn find<'a>(context: &Context<'a>, typed: &str) -> Result<&'a Worker, Outcome> {
    let (kind, digits) = match typed.split_once('=') {
        Some((kind @ ("pid" | "index"), digits)) => (Some(kind), digits),
        Some(_) => return Err(Outcome::bad_arguments(format!("{USAGE}, not {typed:?}"))),
        None => (None, typed),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Outcome::bad_arguments(format!("{USAGE}, not {typed:?}")));
    }
    let by_pid = digits.parse().ok().and_then(|pid| context.pool.find(pid));
    let by_index = digits
        .parse()
        .ok()
        .and_then(|index: u32| context.pool.workers().find(|worker| worker.index == index));
    let unknown = |what: &str| {
        let message = format!("no worker has {what} {digits}; status lists them");
        Outcome::reply(Reply::failed(error_code::UNKNOWN_WORKER, message))
    };
    match (kind, by_pid, by_index) {
        (Some("pid"), found, _) => found.ok_or_else(|| unknown("pid")),
        (Some(_), _, found) => found.ok_or_else(|| unknown("index")),
        (None, Some(one), Some(other)) if one.id != other.id => {
            Err(Outcome::bad_arguments(format!(
                "{digits} is the pid of worker {one} and the index of worker {other}; say \
                 pid={digits} or index={digits}"
            )))
        }
        (None, found, other) => found.or(other).ok_or_else(|| unknown("pid or index")),
    }
}

fn one(context: &Context<'_>, worker: &Worker) -> Outcome {
    let will_stop = "it is asked to stop once its replacement is up";
    if worker.is_stopping() {
        return Outcome::done(format!("Worker {worker} has been asked to stop already"));
    }
    if worker.recycling {
        return Outcome::done(format!("Worker {worker} is being replaced already; {will_stop}"));
    }
    if worker.stale.is_some() {
        return Outcome::done(format!("Worker {worker} waits already for its turn to be replaced"));
    }
    let message = if context.pool.upgrade().is_some() {
        if worker.version == context.pool.version() {
            format!("Worker {worker} will be replaced when the upgrade in progress is over")
        } else {
            format!("Worker {worker} is replaced by the upgrade in progress")
        }
    } else if worker.counts {
        format!("Replacing worker {worker}; {will_stop}")
    } else {
        format!("Worker {worker} is not up yet; it will be replaced once it is")
    };
    Outcome::done(message).with(requested(vec![worker.id]))
}

fn all(context: &Context<'_>) -> Outcome {
    let wanted: Vec<SpawnId> = context
        .pool
        .workers()
        .filter(|worker| !worker.is_stopping() && worker.stale.is_none())
        .map(|worker| worker.id)
        .collect();
    let workers = if wanted.len() == 1 { "worker" } else { "workers" };
    let message = match (wanted.len(), context.pool.upgrade()) {
        (0, _) => {
            return Outcome::done("No worker is left to replace: all are being replaced or stop");
        }
        (count, None) => format!(
            "Replacing {count} {workers}; each is asked to stop once a replacement is up, as \
             --max-unacked and --max-upgrade-additional allow"
        ),
        (count, Some(_)) => format!(
            "{count} {workers} will be replaced by the upgrade in progress, or when it is over"
        ),
    };
    Outcome::done(message).with(requested(wanted))
}

fn requested(ids: Vec<SpawnId>) -> Effect {
    Effect::Pool(Event::RecycleRequested(ids))
}
