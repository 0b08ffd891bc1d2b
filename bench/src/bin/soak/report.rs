//! The table at the end, and the verdict.

use anyhow::{Result, ensure};
use einhorn_bench::http::Loss;
use einhorn_bench::table::Table;

use crate::shared::{Shared, read};
use crate::traffic::{Tallies, Tally};
use crate::vitals::Course;

const KINDS: [Loss; 6] =
    [Loss::Refused, Loss::Reset, Loss::Short, Loss::Wrong, Loss::TimedOut, Loss::Other];

/// What the run has shown.
pub(crate) fn show(shared: &Shared, tallies: &Tallies, course: &Course) {
    let mut table = Table::new([
        "transport",
        "sent",
        "answered",
        "by workers",
        "killed -9",
        "refused",
        "reset",
        "short",
        "wrong",
        "timed out",
        "other",
    ]);
    let total = total(tallies);
    let rows = tallies.iter().map(|(name, tally)| (name.as_str(), tally));
    for (name, tally) in rows.chain([("all", &total)]) {
        let lost = KINDS.map(|kind| tally.lost.get(&kind).copied().unwrap_or(0).to_string());
        let [refused, reset, short, wrong, timed_out, other] = lost;
        table.row(&[
            name.to_owned(),
            tally.sent().to_string(),
            tally.answered.to_string(),
            tally.served.len().to_string(),
            tally.killed.to_string(),
            refused,
            reset,
            short,
            wrong,
            timed_out,
            other,
        ]);
    }
    println!("\n{}", table.render());
    let (committed, rolled_back) = (read(&shared.committed), read(&shared.rolled_back));
    println!(
        "  {} upgrades: {committed} committed, {rolled_back} rolled back, as expected; {} reloads",
        committed + rolled_back,
        read(&shared.reloads)
    );
    println!(
        "  {} workers killed with -9, {} connections in their hands; {} told to leave by TERM",
        read(&shared.kills),
        read(&shared.in_their_hands),
        read(&shared.terms)
    );
    println!(
        "  {} target changes, {} signals, {} hostile clients",
        read(&shared.targets),
        read(&shared.signals),
        read(&shared.attacks)
    );
    println!(
        "  master at rest before: {}; at most while warming up: {}; at rest after: {}",
        course.begin, course.warm, course.end
    );
}

/// # Errors
/// Says what is not as promised.
pub(crate) fn check(tallies: &Tallies, course: &Course) -> Result<()> {
    let total = total(tallies);
    ensure!(total.failed() == 0, "{} requests were lost", total.failed());
    ensure!(tallies.values().all(|tally| tally.answered > 0), "a transport had no answer");
    course.check()
}

/// All transports in one.
pub(crate) fn total(tallies: &Tallies) -> Tally {
    let mut total = Tally::default();
    tallies.values().cloned().for_each(|tally| total.add(tally));
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::Vitals;

    #[test]
    fn one_lost_request_is_one_too_many() {
        let vitals = Vitals { resident_kib: 1, descriptors: 1 };
        let course = Course { begin: vitals, warm: vitals, end: vitals };
        let good = Tally { answered: 9, killed: 3, ..Tally::default() };
        check(&Tallies::from([("TCP".to_owned(), good.clone())]), &course).unwrap();
        for kind in KINDS {
            let bad = Tally { lost: [(kind, 1)].into(), ..good.clone() };
            check(&Tallies::from([("TCP".to_owned(), bad)]), &course).unwrap_err();
        }
    }
}
