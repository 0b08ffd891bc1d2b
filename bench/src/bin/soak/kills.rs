//! Workers that are killed, asked to leave, and signalled, whatever else goes on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use einhorn_bench::master::Status;
use rustix::process::Signal;

use crate::accounts;
use crate::random::Random;
use crate::shared::{Shared, count};

/// Until the run is over.
pub(crate) fn run(shared: &Shared) -> Result<()> {
    let mut random = Random::new(shared.seed, 2);
    while !shared.is_ending() {
        shared.pause(Duration::from_millis(random.between(200, 1800)));
        let workers = Status::ask(&shared.socket)?.workers;
        if workers.is_empty() {
            continue;
        }
        let victim = random.one_of(&workers).pid;
        match random.between(0, 4) {
            0..=2 => {
                if let Some(accepted) = shared.accounts.kill(shared.master, victim)? {
                    count(&shared.kills);
                    shared.in_their_hands.fetch_add(accepted as u64, Ordering::Relaxed);
                }
            }
            3 => {
                if accounts::signal(shared.master, victim, Signal::TERM) {
                    count(&shared.terms);
                }
            }
            _ => {
                let signal = random.one_of(&[Signal::CONT, Signal::WINCH, Signal::URG]);
                if accounts::signal(shared.master, victim, signal) {
                    count(&shared.signals);
                }
            }
        }
    }
    Ok(())
}
