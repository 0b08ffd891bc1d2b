//! `status`: the workers as a table for people, or as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Context, ListenerFacts, Outcome};
use crate::control::Request;
use crate::log::shown;
use crate::pool::{Phase, Stale, Upgrade, UpgradeMode, Worker};

pub(super) fn status(context: &Context<'_>, request: &Request) -> Outcome {
    match request.args.first().map(String::as_str) {
        None => Outcome::done(table(context)),
        Some("json") => Outcome::done(as_json(context).to_string()),
        Some(other) => {
            Outcome::bad_arguments(format!("status takes json or nothing, not {other:?}"))
        }
    }
}

/// Where a worker is in its life, in a word.
fn stage(context: &Context<'_>, worker: &Worker) -> &'static str {
    match (worker.is_stopping(), worker.acked, worker.version == context.pool.version()) {
        (true, _, _) if worker.failed => "failed",
        (true, _, _) if worker.signaled.is_empty() => "retiring",
        (true, _, _) => "stopping",
        (false, _, _) if worker.draining.is_some() => "draining",
        (false, true, true) if !worker.counts => "soaking",
        (false, true, true) if worker.recycling => "recycling",
        (false, true, true) if worker.stale.is_some() => "up, stale",
        (false, true, true) => "up",
        (false, true, false) => "up, old",
        (false, false, _) => "starting",
    }
}

fn as_json(context: &Context<'_>) -> Json {
    let pool = context.pool;
    let workers: Vec<Json> = pool.workers().map(|worker| worker_as_json(context, worker)).collect();
    let upgrade = pool.upgrade().map(|upgrade| {
        json!({
            "mode": mode(upgrade.mode),
            "phase": pool.phase().map(Phase::name),
            "to_version": upgrade.to,
            "failures": upgrade.failures,
            "attempts": upgrade.rules.attempts,
            "soak_seconds": upgrade.rules.soak.as_secs_f64(),
            "timeout_seconds": upgrade.rules.timeout.map(|span| span.as_secs_f64()),
            "seconds": context.now.since(upgrade.begun).as_secs_f64(),
            "seconds_left": upgrade.ends_by().map(|at| left(context, at).as_secs_f64()),
            "acked": pool.census().acked(),
            "soaking": pool.census().soaking(),
            "old": pool.census().old(),
        })
    });
    let listeners: Vec<Json> = context
        .listeners
        .iter()
        .map(|listener| {
            json!({
                "name": listener.name,
                "address": listener.address,
                "port": listener.port,
                "fd": listener.descriptor,
                "balanced": listener.balanced,
            })
        })
        .collect();
    json!({
        "pid": context.pid,
        "program": context.title,
        "einhorn": env!("CARGO_PKG_VERSION"),
        "target": pool.settings().number,
        "version": pool.version(),
        "generation": context.generation,
        "verbosity": context.verbosity,
        "ack_mode": pool.settings().ack_mode.to_string(),
        "stop_signal": pool.settings().stop_signal().name(),
        "stopping": pool.is_stopping(),
        "checking": pool.pending_reload().is_some(),
        "check_seconds_left": context.check_until.map(|at| left(context, at).as_secs_f64()),
        "upgrade": upgrade,
        "listeners": listeners,
        "workers": workers,
    })
}

fn worker_as_json(context: &Context<'_>, worker: &Worker) -> Json {
    let signals: Vec<&str> = worker.signaled.iter().map(|signal| signal.name()).collect();
    json!({
        "pid": worker.pid,
        "index": worker.index,
        "slot": worker.slot,
        "version": worker.version,
        "stage": stage(context, worker),
        "acked": worker.acked,
        "stale": worker.stale.map(Stale::name),
        "recycling": worker.recycling,
        "uptime_seconds": context.now.since(worker.spinup_time).as_secs_f64(),
        "signaled": signals,
        "stopping_seconds": stopping_for(context, worker).map(|time| time.as_secs_f64()),
        "due": context.pool.due(worker).map(|(what, at)| {
            json!({"what": what.name(), "seconds": left(context, at).as_secs_f64()})
        }),
        "status": worker.status,
        "rss_bytes": worker.resident,
        "last_ping_seconds": worker.pinged_at.map(|at| context.now.since(at).as_secs_f64()),
        "ping_request_id": worker.request_shown(),
    })
}

fn mode(mode: UpgradeMode) -> &'static str {
    match mode {
        UpgradeMode::Smooth => "smooth",
        UpgradeMode::Fleet => "fleet",
    }
}

fn table(context: &Context<'_>) -> String {
    let pool = context.pool;
    let census = pool.census();
    let mut lines = vec![
        format!("einhorn {}, pid {}: {}", env!("CARGO_PKG_VERSION"), context.pid, context.title),
        format!(
            "{} of {} up, {} starting, {} stopping; version {}",
            census.acked() + census.recycling(),
            pool.settings().number,
            census.unacked(),
            census.stopping(),
            pool.version()
        ),
    ];
    lines.push(format!(
        "acknowledgement: {}; stop signal: {}",
        shown(&pool.settings().ack_mode.to_string()),
        pool.settings().stop_signal().name()
    ));
    lines.extend(progress(context));
    lines.extend(context.listeners.iter().enumerate().map(listener_line));
    lines.push(String::new());
    let mut rows = vec![HEADER.map(String::from).to_vec()];
    rows.extend(pool.workers().map(|worker| cells(context, worker)));
    if pool.settings().recycle.max_rss.is_some() {
        add_memory(&mut rows, pool.workers());
    }
    if pool.is_balanced() {
        add_slots(&mut rows, pool.workers());
    }
    if pool.workers().any(|worker| worker.status.is_some()) {
        let said = pool.workers().map(|worker| worker.status.clone().unwrap_or_default());
        let said = ["STATUS".to_owned()].into_iter().chain(said);
        rows.iter_mut().zip(said).for_each(|(row, said)| row.push(said));
    }
    lines.extend(aligned(&rows));
    lines.join("\n")
}

const HEADER: [&str; 8] =
    ["PID", "INDEX", "VERSION", "STAGE", "UPTIME", "DUE", "SIGNALS", "LAST PING"];

/// Only where a rule asks for it is it known.
fn add_memory<'a>(rows: &mut [Vec<String>], workers: impl Iterator<Item = &'a Worker>) {
    let shown = |worker: &Worker| worker.resident.map(|bytes| format!("{}M", bytes >> 20));
    let cells = workers.map(|worker| shown(worker).unwrap_or_else(|| "-".to_string()));
    let column = std::iter::once("MEMORY".to_string()).chain(cells);
    for (row, cell) in rows.iter_mut().zip(column) {
        row.insert(MEMORY_COLUMN, cell);
    }
}

/// After the uptime.
const MEMORY_COLUMN: usize = 5;

/// Only a balanced pool has any.
fn add_slots<'a>(rows: &mut [Vec<String>], workers: impl Iterator<Item = &'a Worker>) {
    let cell = |worker: &Worker| worker.slot.map_or_else(|| "-".to_string(), |s| s.to_string());
    let column = std::iter::once("SLOT".to_string()).chain(workers.map(cell));
    for (row, cell) in rows.iter_mut().zip(column) {
        row.insert(SLOT_COLUMN, cell);
    }
}

/// After the index.
const SLOT_COLUMN: usize = 2;

fn progress(context: &Context<'_>) -> Option<String> {
    let pool = context.pool;
    if pool.is_stopping() {
        return Some("shutting down".to_string());
    }
    if let Some(upgrade) = pool.upgrade() {
        return Some(upgrade_line(context, upgrade));
    }
    pool.pending_reload()?;
    let mut line = "checking that the new code can start".to_string();
    if let Some(at) = context.check_until {
        let _ = write!(line, ", given up in {}", span_left(context, at));
    }
    Some(line)
}

fn upgrade_line(context: &Context<'_>, upgrade: &Upgrade) -> String {
    let (pool, census) = (context.pool, context.pool.census());
    let mut line = format!(
        "{} upgrade to version {}, {} since {}: {}/{} acknowledged, {} soaking, {} old serving",
        mode(upgrade.mode),
        upgrade.to,
        pool.phase().map_or("", Phase::name),
        span(context.now.since(upgrade.begun)),
        census.acked(),
        pool.settings().number,
        census.soaking(),
        census.old()
    );
    if upgrade.failures > 0 {
        let _ = write!(line, ", {} failed", upgrade.failures);
        if upgrade.rules.attempts > 0 {
            let _ = write!(line, " of {} allowed", upgrade.rules.attempts);
        }
    }
    if let Some(at) = upgrade.ends_by() {
        let what = if upgrade.rollback.is_some() { "over" } else { "given up" };
        let _ = write!(line, ", {what} in {}", span_left(context, at));
    }
    line
}

fn listener_line((index, listener): (usize, &ListenerFacts)) -> String {
    let name = listener.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let balanced = if listener.balanced { ", balanced" } else { "" };
    let (address, descriptor) = (&listener.address, listener.descriptor);
    format!("socket {index}{name}: {address}, descriptor {descriptor}{balanced}")
}

fn cells(context: &Context<'_>, worker: &Worker) -> Vec<String> {
    let signals: Vec<&str> = worker.signaled.iter().map(|signal| signal.name()).collect();
    let signals = if signals.is_empty() { "-".to_string() } else { signals.join(" ") };
    let since = stopping_for(context, worker).map(|time| format!(" {} ago", span(time)));
    let ping = worker.pinged_at.map(|at| {
        let id = worker.request_shown().map(|id| format!(" ({id})"));
        format!("{} ago{}", span(context.now.since(at)), id.unwrap_or_default())
    });
    let due = context.pool.due(worker);
    let due = due.map(|(what, at)| format!("{} in {}", what.name(), span_left(context, at)));
    vec![
        worker.pid.map_or_else(|| "-".to_string(), |pid| pid.to_string()),
        worker.index.to_string(),
        worker.version.to_string(),
        stage(context, worker).to_string(),
        span(context.now.since(worker.spinup_time)),
        due.unwrap_or_else(|| "-".to_string()),
        format!("{signals}{}", since.unwrap_or_default()),
        ping.unwrap_or_else(|| "-".to_string()),
    ]
}

/// How long ago a worker that stops was asked to, or has said so.
fn stopping_for(context: &Context<'_>, worker: &Worker) -> Option<Duration> {
    let since = worker.last_signaled_at.filter(|_| worker.is_stopping())?;
    Some(context.now.since(since))
}

/// The time left until `at`, by the monotonic clock.
fn left(context: &Context<'_>, at: Duration) -> Duration {
    at.saturating_sub(context.now.monotonic)
}

/// The same for people: what is nearly over is not over yet.
fn span_left(context: &Context<'_>, at: Duration) -> String {
    span(Duration::from_secs_f64(left(context, at).as_secs_f64().ceil()))
}

/// Columns as wide as their widest cell.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            cells.join("  ").trim_end().to_string()
        })
        .collect()
}

/// `3s`, `4m05s`, `2h03m`, `5d02h`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{:02}m", minutes % 60),
        (days, hours, _) => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, expect) in
            [(0, "0s"), (59, "59s"), (65, "1m05s"), (7380, "2h03m"), (439_200, "5d02h")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), expect);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["PID".into(), "X".into()], vec!["1".into(), "yes".into()]];
        assert_eq!(aligned(&rows), ["PID  X", "1    yes"]);
    }
}
