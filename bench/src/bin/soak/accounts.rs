//! Which connections were in the hands of a worker killed with -9: the only ones that may be
//! lost.
//!
//! Invariant: a connection is entered before its worker is killed, and excuses one lost request,
//! which must have begun before that and ended after it.

use std::collections::HashMap;
use std::fs;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use einhorn_bench::{process, wait};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal,
};

/// Longest wait for a process to stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How a client's end of a connection is known to both sides.
pub(crate) type Label = String;

#[derive(Debug)]
struct Entry {
    killed: Instant,
    /// A label may come again: a port is used anew.
    is_excused: bool,
}

/// Connections of killed workers.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<HashMap<Label, Vec<Entry>>>);

impl Accounts {
    /// Kills a worker of `master` with -9 and enters what it had accepted; how many that was, or
    /// `None` if it has gone already.
    pub(crate) fn kill(&self, master: u32, worker: u32) -> Result<Option<usize>> {
        let Some(descriptor) = child(master, worker) else { return Ok(None) };
        if pidfd_send_signal(&descriptor, Signal::STOP).is_err() {
            return Ok(None);
        }
        wait::until("a worker to stop", STOP_LIMIT, || Ok(has_stopped(worker).then_some(())))?;
        // They stay open until it is dead, so that this end closes them no sooner.
        let accepted = accepted(&descriptor, worker);
        let killed = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (label, _) in &accepted {
            let entry = Entry { killed, is_excused: false };
            entries.entry(label.clone()).or_default().push(entry);
        }
        drop(entries);
        let count = accepted.len();
        let sent = pidfd_send_signal(&descriptor, Signal::KILL);
        sent.ok().map_or(Ok(None), |()| Ok(Some(count)))
    }

    /// Whether a lost request was in the hands of a killed worker.
    pub(crate) fn excuses(&self, label: &str, begun: Instant, ended: Instant) -> bool {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_label) = entries.get_mut(label) else { return false };
        let mut fits = of_label
            .iter_mut()
            .filter(|entry| !entry.is_excused && begun <= entry.killed && entry.killed <= ended);
        fits.next().map(|entry| entry.is_excused = true).is_some()
    }
}

/// A descriptor of a process that is a child of `master` for sure.
pub(crate) fn child(master: u32, pid: u32) -> Option<OwnedFd> {
    let raw = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let descriptor = pidfd_open(raw, PidfdFlags::empty()).ok()?;
    process::children(master).contains(&pid).then_some(descriptor)
}

/// Sends a signal to a worker of `master`; whether it was still there.
pub(crate) fn signal(master: u32, worker: u32, signal: Signal) -> bool {
    child(master, worker).is_some_and(|child| pidfd_send_signal(child, signal).is_ok())
}

fn has_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    let state = |stat: String| stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    stat.ok().and_then(state).is_none_or(|state| matches!(state, 'T' | 't' | 'Z' | 'X'))
}

fn accepted(process: &OwnedFd, pid: u32) -> Vec<(Label, OwnedFd)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        let is_socket = target.to_string_lossy().starts_with("socket:");
        entry.file_name().to_str().filter(|_| is_socket)?.parse().ok()
    });
    let copy = |number| {
        let own = pidfd_getfd(process, number, PidfdGetfdFlags::empty()).ok()?;
        let label = remote(own.try_clone().ok()?)?;
        Some((label, own))
    };
    numbers.filter_map(copy).collect()
}

/// Who is at the other end; `None` for a listener.
fn remote(socket: OwnedFd) -> Option<Label> {
    let stream = UnixStream::from(socket);
    match stream.peer_addr() {
        Ok(address) => label_of_unix(&address).ok(),
        Err(_) => TcpStream::from(OwnedFd::from(stream)).peer_addr().ok().map(|it| it.to_string()),
    }
}

/// The abstract name that a client gave to its end.
fn label_of_unix(address: &std::os::unix::net::SocketAddr) -> Result<Label> {
    let name = address.as_abstract_name().context("a connection without a name")?;
    Ok(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_under_way_at_the_kill_is_excused_and_once() {
        let accounts = Accounts::default();
        let before = Instant::now();
        let killed = before + Duration::from_secs(1);
        let after = before + Duration::from_secs(2);
        let entry = Entry { killed, is_excused: false };
        accounts.0.lock().unwrap().insert("127.0.0.1:1".to_owned(), vec![entry]);
        assert!(!accounts.excuses("127.0.0.1:2", before, after), "another connection");
        assert!(!accounts.excuses("127.0.0.1:1", after, after), "begun after the kill");
        assert!(!accounts.excuses("127.0.0.1:1", before, before), "ended before the kill");
        assert!(accounts.excuses("127.0.0.1:1", before, after));
        assert!(!accounts.excuses("127.0.0.1:1", before, after), "a second one");
    }
}
