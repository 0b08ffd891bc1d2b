//! Markdown as the language of man pages.
//!
//! Takes what `docs/` uses: headings, paragraphs, lists, tables, code, emphasis, links. A
//! table becomes a list whose tags are its first column.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::fmt::Write as _;

/// `text` as man(7) macros.
pub(crate) fn to_roff(text: &str) -> String {
    let mut page = Page::default();
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        page.take(event);
    }
    page.text
}

/// Text that means nothing to roff.
pub(crate) fn escape(text: &str) -> String {
    text.replace('\\', "\\e")
}

/// Text as it is typed, where a hyphen is a minus.
pub(crate) fn literal(text: &str) -> String {
    escape(text).replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga")
}

#[derive(Default)]
struct Page {
    text: String,
    /// Collects the cell, heading or paragraph that is being read.
    line: String,
    /// The next number of each list that is open, or none for bullets.
    lists: Vec<Option<u64>>,
    /// The names of the columns, and the cells of the row that is being read.
    columns: Vec<String>,
    cells: Vec<String>,
    heading: bool,
    in_code: bool,
    /// A man page has a diagram's words only where they are drawn with characters.
    in_diagram: bool,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(_) if self.in_diagram => {}
            Event::Text(text) if self.in_code => self.line += &literal(&text),
            Event::Text(text) => self.line += &escape(&text),
            Event::Code(text) => _ = write!(self.line, "\\fB{}\\fR", literal(&text)),
            Event::SoftBreak | Event::HardBreak => self.line.push('\n'),
            _ => {}
        }
    }

    fn begin(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Strong => self.line += "\\fB",
            Tag::Emphasis => self.line += "\\fI",
            Tag::List(first) => {
                self.flush_item();
                if !self.lists.is_empty() {
                    self.text += ".RS 4\n";
                }
                self.lists.push(*first);
            }
            Tag::Item => {
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. 4", *number - 1)
                    }
                    _ => "\\(bu 2".to_owned(),
                };
                let _ = writeln!(self.text, ".IP {mark}");
            }
            Tag::Paragraph if self.lists.is_empty() => self.text += ".PP\n",
            Tag::CodeBlock(kind) => {
                self.flush_item();
                self.in_diagram =
                    matches!(kind, CodeBlockKind::Fenced(word) if &**word == "mermaid");
                self.in_code = true;
            }
            Tag::Table(_) => self.columns.clear(),
            Tag::TableHead => self.heading = true,
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong | TagEnd::Emphasis => self.line += "\\fR",
            TagEnd::Heading(level) => {
                let name = std::mem::take(&mut self.line);
                match level {
                    HeadingLevel::H1 => {}
                    HeadingLevel::H2 => _ = writeln!(self.text, ".SH \"{}\"", name.to_uppercase()),
                    _ => _ = writeln!(self.text, ".SS \"{name}\""),
                }
            }
            TagEnd::Paragraph | TagEnd::Item => self.flush_item(),
            TagEnd::List(_) => {
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.text += ".RE\n";
                }
            }
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::TableHead => self.end_head(),
            TagEnd::TableCell => self.cells.push(std::mem::take(&mut self.line)),
            TagEnd::TableRow => self.end_row(),
            _ => {}
        }
    }

    fn flush_item(&mut self) {
        for line in std::mem::take(&mut self.line).lines() {
            self.push_line(line);
        }
    }

    fn push_line(&mut self, line: &str) {
        if line.starts_with(['.', '\'']) {
            self.text += "\\&";
        }
        self.text += line;
        self.text.push('\n');
    }

    fn end_code(&mut self) {
        self.in_code = false;
        if std::mem::take(&mut self.in_diagram) {
            return;
        }
        self.text += ".PP\n.RS 4\n.nf\n";
        self.flush_item();
        self.text += ".fi\n.RE\n";
    }

    fn end_head(&mut self) {
        self.heading = false;
        self.columns = std::mem::take(&mut self.cells);
    }

    /// The first cell is the tag; whatever is behind the second one is named by its column.
    fn end_row(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        let mut cells = cells.iter().zip(&self.columns);
        let Some((tag, _)) = cells.next() else { return };
        let mut lines = vec![tag.replace('\n', " ")];
        for (position, (cell, column)) in cells.filter(|(cell, _)| !cell.is_empty()).enumerate() {
            lines.push(match position {
                0 => cell.clone(),
                _ => format!("[{column}: {cell}]"),
            });
        }
        if lines.len() == 1 {
            lines.push("\\&".to_owned());
        }
        self.text += ".TP\n";
        for line in lines {
            self.push_line(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(markdown: &str, roff: &str) {
        assert_eq!(to_roff(markdown), roff);
    }

    #[test]
    fn sections_and_paragraphs() {
        check(
            "# title\n\n## one two\n\nText `-b`\nand *more*.",
            ".SH \"ONE TWO\"\n.PP\nText \\fB\\-b\\fR\nand \\fImore\\fR.\n",
        );
        check("### sub\n\n[link](there.md)", ".SS \"sub\"\n.PP\nlink\n");
    }

    #[test]
    fn what_roff_would_take_for_a_macro_is_text() {
        check(".SH no\n'no", ".PP\n\\&.SH no\n\\&'no\n");
        check("a \\\\ b", ".PP\na \\e b\n");
    }

    #[test]
    fn a_table_is_a_list_of_tags() {
        check(
            "| option | meaning | default |\n| --- | --- | --- |\n| `-n` | workers | 1 |\n\
             | `-k` | kill | |\n",
            ".TP\n\\fB\\-n\\fR\nworkers\n[default: 1]\n.TP\n\\fB\\-k\\fR\nkill\n",
        );
    }

    #[test]
    fn code_keeps_its_lines_and_a_diagram_is_left_out() {
        check("```sh\na -b\n.c\n```", ".PP\n.RS 4\n.nf\na \\-b\n\\&.c\n.fi\n.RE\n");
        check("```mermaid\ngraph\n```", "");
    }

    #[test]
    fn lists() {
        check("- one\n- two", ".IP \\(bu 2\none\n.IP \\(bu 2\ntwo\n");
        check("1. one\n2. two", ".IP 1. 4\none\n.IP 2. 4\ntwo\n");
    }
}
