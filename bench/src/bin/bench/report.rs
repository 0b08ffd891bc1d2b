//! The table of all figures, for a terminal, as Markdown, and as a picture.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use einhorn_bench::bars::{self, Bar, Group};
use einhorn_bench::statistics::Sample;
use einhorn_bench::table::Table;

use crate::row::{Row, Wanted, number};

/// All that a run has shown.
pub(crate) struct Report {
    /// Where and with what.
    pub(crate) facts: Vec<String>,
    pub(crate) is_quick: bool,
    pub(crate) rows: Vec<Row>,
}

const HEADER: [&str; 10] =
    ["what", "unit", "floor", "einhorn", "min", "spread", "ratio", "ratio of mins", "wanted", ""];

const LEGEND: &str = "\
The columns floor and einhorn are medians, measured in turns in one run. The spread is the \
middle half of einhorn's values, in parts of the median. The ratio is einhorn over floor, of the \
medians and of the least values; `at best` means that only the least values reach what is wanted.";

const TEXT_FILE: &str = "README.md";
const PICTURE_FILE: &str = "ratios.svg";

impl Report {
    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        format!("\n  {}\n\n{}\n{LEGEND}\n", self.facts.join("\n  "), self.table().render())
    }

    /// Writes the table and the picture into `folder`.
    pub(crate) fn write_to(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        for (name, content) in [(TEXT_FILE, self.markdown()), (PICTURE_FILE, self.picture())] {
            let path = folder.join(name);
            fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn markdown(&self) -> String {
        let quick = if self.is_quick { "\nFew rounds only (`QUICK=1`).\n" } else { "" };
        format!(
            "# Benchmarks\n\nWritten by `make bench`, in one run on one machine.\n{quick}\n- {}\n\n\
             ![Ratios to the floor]({PICTURE_FILE})\n\n{}\n{LEGEND}\n",
            self.facts.join("\n- "),
            self.table().markdown()
        )
    }

    fn table(&self) -> Table {
        let mut table = Table::new(HEADER);
        for row in &self.rows {
            table.row(&cells(row));
        }
        table
    }

    fn picture(&self) -> String {
        let bars = self.rows.iter().filter_map(|row| {
            let ratio = row.ratio(Sample::median)?;
            Some(Bar {
                label: row.what.clone(),
                value: ratio,
                text: format!("{ratio:.2} ×"),
                mark: match row.wanted {
                    Some(Wanted::Ratio(wanted)) => Some(wanted),
                    _ => None,
                },
                is_ours: true,
            })
        });
        let floor = Bar {
            label: "floor".to_owned(),
            value: 1.0,
            text: "1.00 ×".to_owned(),
            mark: None,
            is_ours: false,
        };
        let bars = std::iter::once(floor).chain(bars).collect();
        let title = "time over floor, of the medians (red: what is wanted)".to_owned();
        bars::svg("einhorn beside the floor", &[Group { title, bars }])
    }
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

fn percent(part: f64) -> String {
    if part.is_finite() { format!("{:.0} %", part * 100.0) } else { String::new() }
}

fn wanted(wanted: Wanted) -> String {
    match wanted {
        Wanted::Ratio(ratio) => format!("≤ {ratio:.2} ×"),
        Wanted::Value(value) => format!("≤ {}", number(value)),
        Wanted::WithinFloor => "≤ the floor's max".to_owned(),
    }
}
