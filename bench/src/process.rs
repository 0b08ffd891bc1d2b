//! Processes as the system shows them.

use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// Sends a signal.
///
/// # Errors
/// There is no such process.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not a pid")?;
    kill_process(pid, signal).with_context(|| format!("cannot signal process {pid:?}"))
}

/// Waits for a child's end.
///
/// # Errors
/// It still lives after `limit`.
pub fn wait_for(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let what = format!("end of process {}", child.id());
    wait::until(&what, limit, || Ok(child.try_wait()?))
}

/// The living children of a process. None if it is gone.
pub fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether there is such a process.
pub fn exists(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(false)
}

/// Whether there is such a process that has not ended: one that nobody has reaped has.
pub fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Resident memory in KiB.
///
/// # Errors
/// The process is gone.
pub fn resident_kib(pid: u32) -> Result<u64> {
    field(pid, "status", "VmRSS")
}

/// Proportional memory in KiB: a page that n processes share counts as the nth part of one.
///
/// # Errors
/// The process is gone.
pub fn proportional_kib(pid: u32) -> Result<u64> {
    field(pid, "smaps_rollup", "Pss")
}

/// How often the process was given or lost the processor: each wake-up is one.
///
/// # Errors
/// The process is gone.
pub fn context_switches(pid: u32) -> Result<u64> {
    Ok(field(pid, "status", "voluntary_ctxt_switches")?
        + field(pid, "status", "nonvoluntary_ctxt_switches")?)
}

/// How long the process has had a processor.
///
/// # Errors
/// The process is gone.
pub fn cpu_nanoseconds(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.with_context(|| format!("{path} makes no sense: {text}"))
}

/// A number of one of the files in `/proc/PID`, proc(5).
fn field(pid: u32, file: &str, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/{file}");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| anyhow!("{path} has no {name}"))
}
