//! The few figures that the project's own page shows, made into it by `make generate`.

use einhorn_bench::statistics::Sample;
use einhorn_bench::table::Table;

use crate::peers::Peers;
use crate::report::wanted;
use crate::row::{Row, number};

const NO_PEERS: &str = "Nothing else was measured.\n";

/// Two short tables, as Markdown.
pub(crate) fn markdown(facts: &[String], rows: &[Row], peers: &Peers) -> String {
    let mut own = Table::new(["einhorn", "figure", "over the floor", "wanted"]);
    for row in rows.iter().filter(|row| row.is_headline) {
        let over = |ratio: f64| format!("{ratio:.2} ×");
        own.row(&[
            row.what.clone(),
            format!("{} {}", number(row.value.median()), row.unit).trim_end().to_owned(),
            row.ratio(Sample::median).map(over).unwrap_or_default(),
            row.wanted.map(wanted).unwrap_or_default(),
        ]);
    }
    let mut others =
        Table::new(["workers", "who", "to 4 ready", "upgrade, lost", "p99", "supervisor"]);
    for peer in &peers.measured {
        others.row(&[
            peer.family.to_owned(),
            peer.name.clone(),
            format!("{} ms", number(peer.start.median())),
            peer.lost.to_string(),
            format!("{} ms", number(peer.p99.median())),
            format!("{:.1} MiB", peer.supervisor.median() / 1024.0),
        ]);
    }
    let others = match peers.measured[..] {
        [] => NO_PEERS.to_owned(),
        _ => others.markdown(),
    };
    format!("Medians of one run; {}.\n\n{}\n{others}", facts.join("; "), own.markdown())
}
