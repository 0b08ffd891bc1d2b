//! Tables for a terminal.

/// Rows of cells under a header, columns as wide as their widest cell. Cells that are numbers
/// stand to the right.
#[derive(Clone, Debug)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// A table that begins with its header.
    pub fn new<const N: usize>(header: [&str; N]) -> Self {
        Self(vec![header.map(str::to_owned).to_vec()])
    }

    /// One row more.
    pub fn row<const N: usize>(&mut self, cells: &[String; N]) {
        self.0.push(cells.to_vec());
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = String::new();
        for (index, row) in self.0.iter().enumerate() {
            text.push_str(&line(row));
            if index == 0 {
                text.push_str(&line(&vec!["---".to_owned(); row.len()]));
            }
        }
        text
    }

    /// The table, each line indented and ended.
    pub fn render(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.0.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let is_number = |cell: &str| cell.bytes().all(|byte| b"0123456789. %".contains(&byte));
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| {
                if is_number(cell) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let line = format!("  {}", cells.collect::<Vec<_>>().join("  "));
            format!("{}\n", line.trim_end())
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["what", "n", ""]);
        table.row(&["a".into(), "100".into(), "x".into()]);
        table.row(&["10 bcd".into(), "1 %".into(), String::new()]);
        assert_eq!(table.render(), "  what    n\n  a       100  x\n  10 bcd  1 %\n");
        let markdown =
            "| what | n |  |\n| --- | --- | --- |\n| a | 100 | x |\n| 10 bcd | 1 % |  |\n";
        assert_eq!(table.markdown(), markdown);
    }
}
