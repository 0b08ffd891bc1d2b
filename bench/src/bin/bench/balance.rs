//! What is lost where each worker has a queue of its own, while the code is replaced again and
//! again and the number of workers, and of queues, changes.

use anyhow::{Result, ensure};
use einhorn_bench::load::Load;
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;
use einhorn_protocol::command;

use crate::row::{Row, Wanted};
use crate::setup::Setup;
use crate::start::LIMIT;

const WORKERS: usize = 8;
const CLIENTS: usize = 16;
const TARGET: &str = "/?block_ms=1";
/// Every other one of the whole fleet.
const UPGRADES: usize = 100;
/// Between them.
const CHANGES: usize = 20;
/// How many workers there are to be, in turns.
const TARGETS: [usize; 4] = [5, 8, 3, 8];

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let number = WORKERS.to_string();
    let bind = "127.0.0.1:0,balance";
    let options = ["-q", "-b", bind, "-n", &number, "-m", "manual", "-s", "0.05"];
    let program = [setup.worker.as_os_str(), "serve".as_ref()];
    let mut master = Master::spawn(&setup.einhorn, &options, &program, &[setup.report_to()])?;
    setup.done.wait_for(WORKERS, LIMIT)?;
    let address = master.address()?;
    let (upgrades, changes) = (setup.rounds(UPGRADES), setup.rounds(CHANGES));
    let between = (upgrades / changes).max(1);
    let load = Load::start(address, TARGET, CLIENTS)?;
    let mut targets = TARGETS.into_iter().cycle();
    for number in 0..upgrades {
        let is_fleet = number % 2 == 0;
        master.upgrade(if is_fleet { command::UPGRADE_FLEET } else { command::UPGRADE }, |_| ())?;
        if number % between == 0
            && let Some(target) = targets.next()
        {
            master.connect()?.call(command::SET_WORKERS, &[&target.to_string()])?;
            master.wait_until_up(target)?;
        }
    }
    let tally = load.stop()?;
    let status = master.status()?;
    ensure!(status.generation >= upgrades as u64, "the master was not reloaded: {status:?}");
    master.stop()?;
    if tally.failed() > 0 {
        eprintln!("lost: {} beside {} answers", tally.losses(), tally.answered());
    }
    let what = format!("requests lost with balance, {upgrades} upgrades, {changes} other targets");
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let lost = Sample::new([tally.failed() as f64]);
    Ok(vec![Row::alone(what, "", lost).wanted(Wanted::Value(0.0)).headline()])
}
