//! Replacing workers: an upgrade of the whole fleet and one by one, against starting the new
//! ones and signalling the old ones in a bare loop; and the replacement of a killed worker.
//! An upgrade includes the reload of the master, which the floor has no counterpart for.
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;
use einhorn_bench::{process, wait};
use einhorn_protocol::command;
use rustix::process::Signal;

use crate::bare::Fleet;
use crate::row::{Row, Wanted};
use crate::setup::Setup;
use crate::start::LIMIT;

const FLEET: usize = 100;
const FLEET_ROUNDS: usize = 15;
const FLEET_RATIO: f64 = 1.3;
const SMOOTH: usize = 10;
const SMOOTH_ROUNDS: usize = 21;
/// Newcomers under way at once in a smooth upgrade, in both.
const WINDOW: usize = 2;
const KILLS: usize = 51;
/// A killed worker is replaced at once if the last start is longer ago than this.
const INTERVAL: Duration = Duration::from_millis(1);

pub(crate) fn upgrades(setup: &Setup) -> Result<Vec<Row>> {
    let fleet = |setup: &Setup, old: &mut Fleet| {
        old.spawn(setup, FLEET)?;
        setup.done.wait_for(FLEET, LIMIT)?;
        Ok(vec![old.retire(FLEET)])
    };
    let (bare, einhorn) = compare(setup, FLEET, FLEET_ROUNDS, command::UPGRADE_FLEET, fleet)?;
    let what = format!("fleet upgrade with reload, N = {FLEET}");
    let fleet = Row::beside(what, "ms", bare, einhorn).wanted(Wanted::Ratio(FLEET_RATIO));
    let fleet = fleet.headline();

    let (bare, einhorn) = compare(setup, SMOOTH, SMOOTH_ROUNDS, command::UPGRADE, one_by_one)?;
    let what = format!("smooth upgrade with reload, N = {SMOOTH}");
    Ok(vec![fleet, Row::beside(what, "ms", bare, einhorn)])
}

/// A canary, then always [`WINDOW`] newcomers under way; each one that is up retires an old one.
fn one_by_one(setup: &Setup, fleet: &mut Fleet) -> Result<Vec<Fleet>> {
    let mut retired = Vec::new();
    let mut started = 0;
    for up in 0..SMOOTH {
        let wanted = if up == 0 { 1 } else { (up + WINDOW).min(SMOOTH) };
        fleet.spawn(setup, wanted.saturating_sub(started))?;
        started = started.max(wanted);
        setup.done.wait_for(1, LIMIT)?;
        retired.push(fleet.retire(1));
    }
    Ok(retired)
}

/// Upgrades of `count` workers and the bare counterpart, in turns: both until the last newcomer
/// is up and the last old worker is asked to stop.
fn compare(
    setup: &Setup,
    count: usize,
    rounds: usize,
    upgrade: &str,
    bare: impl Fn(&Setup, &mut Fleet) -> Result<Vec<Fleet>>,
) -> Result<(Sample, Sample)> {
    let mut fleet = Fleet::default();
    fleet.spawn(setup, count)?;
    setup.done.wait_for(count, LIMIT)?;
    let mut master = master(setup, count)?;
    let mut times = (Vec::new(), Vec::new());
    for round in 0..=setup.rounds(rounds) {
        let begun = Instant::now();
        let retired = bare(setup, &mut fleet)?;
        let bare = begun.elapsed();
        drop(retired);

        let old = process::children(master.pid());
        let mut client = master.connect()?;
        let begun = Instant::now();
        client.follow(upgrade, &[], LIMIT, |_| ())?;
        let einhorn = begun.elapsed();
        setup.done.wait_for(count, LIMIT)?;
        wait::until("end of the old workers", LIMIT, || {
            Ok((!old.iter().any(|&pid| process::exists(pid))).then_some(()))
        })?;
        if round > 0 {
            times.0.push(bare);
            times.1.push(einhorn);
        }
    }
    master.stop()?;
    Ok((Sample::milliseconds(&times.0), Sample::milliseconds(&times.1)))
}

pub(crate) fn recovery(setup: &Setup) -> Result<Vec<Row>> {
    const WORKERS: usize = 4;
    let mut fleet = Fleet::default();
    fleet.spawn(setup, WORKERS)?;
    setup.done.wait_for(WORKERS, LIMIT)?;
    let master = master(setup, WORKERS)?;
    let mut times = (Vec::new(), Vec::new());
    for round in 0..=setup.rounds(KILLS) {
        let begun = Instant::now();
        fleet.kill_one()?;
        fleet.spawn(setup, 1)?;
        setup.done.wait_for(1, LIMIT)?;
        let bare = begun.elapsed();

        wait::pass(INTERVAL * 20)?;
        let worker = process::children(master.pid()).into_iter().next();
        let worker = worker.context("the master has no worker to kill")?;
        let begun = Instant::now();
        process::signal(worker, Signal::KILL)?;
        setup.done.wait_for(1, LIMIT)?;
        if round > 0 {
            times.0.push(bare);
            times.1.push(begun.elapsed());
        }
    }
    master.stop()?;
    let (bare, einhorn) = (Sample::milliseconds(&times.0), Sample::milliseconds(&times.1));
    Ok(vec![Row::beside("a killed worker is replaced and up", "ms", bare, einhorn).headline()])
}

fn master(setup: &Setup, count: usize) -> Result<Master> {
    let (number, seconds) = (count.to_string(), INTERVAL.as_secs_f64().to_string());
    let window = WINDOW.to_string();
    let options = ["-q", "-m", "manual", "-n", &number, "-s", &seconds, "--max-unacked", &window];
    let program = [setup.worker.as_os_str()];
    let mut master = Master::spawn(&setup.einhorn, &options, &program, &[setup.report_to()])?;
    setup.done.wait_for(count, LIMIT)?;
    master.wait_until_up(count)?;
    Ok(master)
}
