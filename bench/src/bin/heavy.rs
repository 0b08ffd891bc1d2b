//! What `bench preloaded` starts: see `bench/src/bin/bench/preloaded.rs`.
#![allow(missing_docs, reason = "a program without an interface")]

use std::env;
use std::os::unix::net::UnixStream;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use einhorn_bench::acknowledgements::DONE_VARIABLE;
use nix::sys::signal::{SigSet, Signal};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<()> {
    let records = load()?;
    einhorn_worker::become_worker()?;
    let signals = SigSet::from_iter([Signal::SIGUSR1, Signal::SIGUSR2]);
    signals.thread_block()?;
    einhorn_worker::ack()?;
    done()?;
    while signals.wait()? == Signal::SIGUSR1 {
        // Every record is looked at.
        std::hint::black_box(records.iter().fold(0_u64, |sum, record| sum.wrapping_add(*record)));
        done()?;
    }
    Ok(())
}

fn load() -> Result<Vec<u64>> {
    let seconds: f64 = variable("BENCH_LOAD_SECONDS")?;
    let bytes: usize = variable("BENCH_LOAD_BYTES")?;
    let mut records = vec![0; bytes / size_of::<u64>()];
    let mut state = 1_u64;
    loop {
        for record in &mut records {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *record = state;
        }
        let used = clock_gettime(ClockId::ProcessCPUTime);
        if std::time::Duration::try_from(used)?.as_secs_f64() >= seconds {
            return Ok(records);
        }
    }
}

fn variable<T>(name: &str) -> Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let value = env::var(name).with_context(|| name.to_owned())?;
    value.parse().with_context(|| format!("{name}={value}"))
}

fn done() -> Result<()> {
    // The connection itself is the message.
    UnixStream::connect(env::var_os(DONE_VARIABLE).context("nobody wants to know")?)?;
    Ok(())
}
