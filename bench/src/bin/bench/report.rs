//! The table of all figures, for a terminal, as Markdown, and as a picture.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use einhorn_bench::bars::{self, Bar, Group};
use einhorn_bench::statistics::Sample;
use einhorn_bench::table::Table;

use crate::figures;
use crate::peers::{Peer, Peers};
use crate::row::{Row, Wanted, number};

/// All that a run has shown.
pub(crate) struct Report {
    /// Where and with what.
    pub(crate) facts: Vec<String>,
    pub(crate) is_quick: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) peers: Peers,
    /// Parts that failed, with the reason.
    pub(crate) failed: Vec<String>,
}

const HEADER: [&str; 10] =
    ["what", "unit", "floor", "einhorn", "min", "spread", "ratio", "ratio of mins", "wanted", ""];

const LEGEND: &str = "\
The columns floor and einhorn are medians, measured in turns in one run. The spread is the \
middle half of einhorn's values, in parts of the median. The ratio is einhorn over floor, of the \
medians and of the least values; `at best` means that only the least values reach what is wanted, \
`too few rounds` that chance may have kept the median from it. \
In round trips client and server share a processor, unless the row says otherwise.";

const PEERS_HEADER: [&str; 10] = [
    "worker program",
    "who",
    "worker",
    "to 4 ready, ms",
    "upgrade",
    "lost",
    "took, s",
    "p50, ms",
    "p99, ms",
    "supervisor, KiB",
];

const PEERS_LEGEND: &str = "\
Four workers and sixteen clients, a new connection for each request, which takes 10 ms. Lost are \
requests without a whole answer, of all runs, around one upgrade each by the procedure that the \
tool's documentation gives; it took until the last old worker was gone. The supervisor is all \
of the tool's processes that are no workers. Other figures are medians. einhorn's upgrade of \
workers that acknowledge includes its reload; Ruby workers count as up after a second. uvicorn \
closes connections that it has only just accepted when it is asked to stop, whoever asks: what it \
loses so, and what helps, is in any-program.md.";

const TEXT_FILE: &str = "README.md";
const PICTURE_FILE: &str = "ratios.svg";
/// What `make generate` puts into the project's own page.
const FIGURES_FILE: &str = "figures.md";

impl Report {
    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let (facts, table) = (self.facts.join("\n  "), self.table().render());
        let peers = self.peers_text(Table::render);
        format!("\n  {facts}\n\n{table}\n{LEGEND}\n{}{peers}", self.failed_text())
    }

    /// Writes the table and the picture into `folder`.
    pub(crate) fn write_to(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let figures = figures::markdown(&self.facts, &self.rows, &self.peers);
        let files =
            [(TEXT_FILE, self.markdown()), (PICTURE_FILE, self.picture()), (FIGURES_FILE, figures)];
        for (name, content) in files {
            let path = folder.join(name);
            fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn markdown(&self) -> String {
        let quick = if self.is_quick {
            "\nFew rounds, nothing preloaded, nothing beside it (`QUICK=1`).\n"
        } else {
            ""
        };
        format!(
            "# Benchmarks\n\nWritten by `make bench`, in one run on one machine.\n{quick}\n- {}\n\n\
             ![Ratios to the floor]({PICTURE_FILE})\n\n{}\n{LEGEND}\n{}{}",
            self.facts.join("\n- "),
            self.table().markdown(),
            self.failed_text(),
            self.peers_text(Table::markdown)
        )
    }

    fn failed_text(&self) -> String {
        match &self.failed[..] {
            [] => String::new(),
            failed => format!("\nNot measured: {}.\n", public(&failed.join("; "))),
        }
    }

    fn peers_text(&self, render: impl Fn(&Table) -> String) -> String {
        let Peers { measured, left_out } = &self.peers;
        if measured.is_empty() && left_out.is_empty() {
            return String::new();
        }
        let mut table = Table::new(PEERS_HEADER);
        for peer in measured {
            table.row(&peer_cells(peer));
        }
        let left_out = match &left_out[..] {
            [] => String::new(),
            names => format!("\nLeft out: {}.\n", public(&names.join("; "))),
        };
        format!("\n## Beside others\n\n{}\n{PEERS_LEGEND}\n{left_out}", render(&table))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(HEADER);
        for row in &self.rows {
            table.row(&cells(row));
        }
        table
    }

    fn picture(&self) -> String {
        let is_memory = |row: &&Row| row.unit == "MB";
        let times = self.rows.iter().filter(|row| !is_memory(row));
        let mut groups: Vec<Group> = [
            ratios("time over floor, of the medians (red: what is wanted)", times),
            ratios("memory of preloaded workers over exec", self.rows.iter().filter(is_memory)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !self.peers.measured.is_empty() {
            groups.extend([
                self.peer_group("from the start to 4 workers ready, ms", |peer| {
                    peer.start.median()
                }),
                self.peer_group("p99 latency around an upgrade, ms", |peer| peer.p99.median()),
                self.peer_group("memory of the supervisor, MiB", |peer| {
                    peer.supervisor.median() / 1024.0
                }),
                self.peer_group("requests lost in upgrades", |peer| {
                    f64::from(u32::try_from(peer.lost).unwrap_or(u32::MAX))
                }),
            ]);
        }
        bars::svg("einhorn beside the floor, and beside others", &groups)
    }

    fn peer_group(&self, title: &str, of: impl Fn(&Peer) -> f64) -> Group {
        let bar = |peer: &Peer| Bar {
            label: format!("{} ({})", peer.name, peer.short_family),
            value: of(peer),
            text: number(of(peer)),
            mark: None,
            is_ours: peer.name.starts_with("einhorn"),
        };
        Group { title: title.to_owned(), bars: self.peers.measured.iter().map(bar).collect() }
    }
}

/// The rows that have a floor, below it; none if there are none.
fn ratios<'a>(title: &str, rows: impl Iterator<Item = &'a Row>) -> Option<Group> {
    let floor = Bar {
        label: "floor".to_owned(),
        value: 1.0,
        text: "1.00 ×".to_owned(),
        mark: None,
        is_ours: false,
    };
    let bar = |row: &Row| {
        let ratio = row.ratio(Sample::median)?;
        let mark = match row.wanted {
            Some(Wanted::Ratio(wanted)) => Some(wanted),
            _ => None,
        };
        let text = format!("{ratio:.2} ×");
        Some(Bar { label: row.what.clone(), value: ratio, text, mark, is_ours: true })
    };
    let bars: Vec<Bar> = std::iter::once(floor).chain(rows.filter_map(bar)).collect();
    (bars.len() > 1).then(|| Group { title: title.to_owned(), bars })
}

fn cells(row: &Row) -> [String; HEADER.len()] {
    let of_ratio = |of| row.ratio(of).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    let has_spread = row.value.count() > 1;
    let if_repeated = |text: String| if has_spread { text } else { String::new() };
    [
        row.what.clone(),
        row.unit.to_owned(),
        row.floor.as_ref().map(|floor| number(floor.median())).unwrap_or_default(),
        number(row.value.median()),
        if_repeated(number(row.value.min())),
        if_repeated(percent(row.value.spread())),
        of_ratio(Sample::median),
        if_repeated(of_ratio(Sample::min)),
        row.wanted.map(wanted).unwrap_or_default(),
        row.verdict().map(|verdict| verdict.name().to_owned()).unwrap_or_default(),
    ]
}

fn peer_cells(peer: &Peer) -> [String; PEERS_HEADER.len()] {
    [
        peer.family.to_owned(),
        peer.name.clone(),
        peer.worker.to_owned(),
        number(peer.start.median()),
        peer.procedure.to_owned(),
        if peer.lost == 0 { "0".to_owned() } else { format!("{} ({})", peer.lost, peer.losses) },
        number(peer.upgrade.median()),
        number(peer.p50.median()),
        number(peer.p99.median()),
        number(peer.supervisor.median()),
    ]
}

fn percent(part: f64) -> String {
    if part.is_finite() { format!("{:.0} %", part * 100.0) } else { String::new() }
}

/// A reason without the folders of this machine, on one line of a table or a list.
fn public(text: &str) -> String {
    let project = std::env::current_dir().unwrap_or_default().display().to_string();
    let text = text.replace(&format!("{project}/"), "").replace(['\n', '|'], " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) fn wanted(wanted: Wanted) -> String {
    match wanted {
        Wanted::Ratio(ratio) => format!("≤ {ratio:.2} ×"),
        Wanted::Value(value) => format!("≤ {}", number(value)),
        Wanted::WithinFloor => "≤ the floor's max".to_owned(),
    }
}
