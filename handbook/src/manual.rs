//! The man pages: texts of `handbook/pages`, in which a directive stands for what is told
//! elsewhere already.
//!
//! `<!-- options: einhorn -->` is a table of options, `<!-- section: docs/x.md#heading -->`
//! what stands below that heading, `<!-- c: functions -->` a part of the C header.

use std::fmt::Write;
use std::io;

use clap::Command;
use einhorn_master::{options, shell};

use crate::c_header::{Declared, declared};
use crate::markdown::{escape, literal, to_roff};
use crate::{Made, anchor, fault, read, tables};

const PAGES: [(&str, &str, &str); 4] = [
    ("einhorn", "1", "User Commands"),
    ("einhornsh", "1", "User Commands"),
    ("einhorn", "7", "Miscellaneous"),
    ("libeinhorn", "3", "Library Functions"),
];

/// Every page; a section of a file that is made itself is taken from `made`.
pub(crate) fn all(made: &[Made]) -> io::Result<Vec<Made>> {
    PAGES
        .iter()
        .map(|(name, section, volume)| {
            let source = format!("handbook/pages/{name}.{section}.md");
            let body =
                page(&read(&source)?, made).map_err(|error| fault(format!("{source}: {error}")))?;
            let title = name.to_uppercase();
            let version = env!("CARGO_PKG_VERSION");
            let text = format!(
                ".\\\" Made from {source}; do not edit.\n\
                 .TH {title} {section} \"\" \"einhorn {version}\" \"{volume}\"\n\
                 .\\\" Half a name cannot be copied.\n.nh\n.ad l\n{body}"
            );
            Ok(Made { path: format!("docs/man/{name}.{section}").into(), text })
        })
        .collect()
}

fn page(source: &str, made: &[Made]) -> io::Result<String> {
    let mut text = String::new();
    let mut prose = String::new();
    for line in source.lines() {
        let directive = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        let Some((kind, value)) = directive.and_then(|words| words.split_once(": ")) else {
            prose += line;
            prose.push('\n');
            continue;
        };
        text += &to_roff(&std::mem::take(&mut prose));
        text += &match (kind, value) {
            ("options", "einhorn") => options_list(&options::command()),
            ("options", "einhornsh") => options_list(&shell::command()),
            ("section", place) => to_roff(&section(place, made)?),
            ("c", part) => c_part(part)?,
            ("block", place) => to_roff(&block(place)?),
            _ => return Err(fault(format!("unknown directive {line}"))),
        };
    }
    text += &to_roff(&prose);
    // A section begins with a paragraph of its own.
    let mut last = "";
    let mut page = String::new();
    for line in text.lines() {
        if line != ".PP" || !(last.starts_with(".SH") || last.starts_with(".SS")) {
            page += line;
            page.push('\n');
        }
        last = line;
    }
    Ok(page)
}

/// Options by heading, each with its meaning.
fn options_list(command: &Command) -> String {
    let mut text = String::new();
    let mut heading = None;
    for option in tables::listed(command) {
        if option.get_help_heading() != heading {
            heading = option.get_help_heading();
            if let Some(heading) = heading {
                let _ = writeln!(text, ".SS \"{heading}\"");
            }
        }
        let (names, value) = tables::spellings(option);
        let names: Vec<String> =
            names.iter().map(|name| format!("\\fB{}\\fR", literal(name))).collect();
        let value = value.map(|value| format!(" \\fI{}\\fR", escape(&value))).unwrap_or_default();
        let (meaning, default) = tables::meaning(option);
        let _ = write!(text, ".TP\n{}{value}\n{}", names.join(", "), to_roff_line(&meaning));
        if let Some(default) = default {
            let _ = writeln!(text, "[default: {}]", escape(&default));
        }
    }
    text
}

/// A line that may hold code, without the paragraph around it.
fn to_roff_line(markdown: &str) -> String {
    let roff = to_roff(&markdown.replace('<', "&lt;"));
    roff.strip_prefix(".PP\n").unwrap_or(&roff).to_owned()
}

/// What stands in `FILE#HEADING` below that heading.
fn section(place: &str, made: &[Made]) -> io::Result<String> {
    let (path, wanted) =
        place.split_once('#').ok_or_else(|| fault(format!("{place:?} names no heading")))?;
    let text = match made.iter().find(|file| file.path.to_str() == Some(path)) {
        Some(file) => file.text.clone(),
        None => read(path)?,
    };
    let mut lines = text.lines().skip_while(|line| heading_anchor(line).as_deref() != Some(wanted));
    let heading = lines.next().ok_or_else(|| fault(format!("{path} has no heading #{wanted}")))?;
    let level = heading.bytes().take_while(|&byte| byte == b'#').count();
    let mut in_code = false;
    let body = lines.take_while(|line| {
        in_code ^= line.starts_with("```");
        let own_level = line.bytes().take_while(|&byte| byte == b'#').count();
        in_code || own_level == 0 || own_level > level
    });
    // Headings within it are sections of a section.
    let lines: Vec<String> = body
        .map(|line| if line.starts_with("##") { format!("###{line}") } else { line.to_owned() })
        .collect();
    Ok(lines.join("\n"))
}

/// The first block of code in `FILE#LANGUAGE` that is in that language.
fn block(place: &str) -> io::Result<String> {
    let (path, language) = place.split_once('#').unwrap_or((place, ""));
    let text = read(path)?;
    let begin = format!("```{language}\n");
    let code = text.split_once(&begin).and_then(|(_, rest)| rest.split_once("```\n"));
    let (code, _) = code.ok_or_else(|| fault(format!("{path} has no block of {language:?}")))?;
    Ok(format!("{begin}{code}```\n"))
}

fn heading_anchor(line: &str) -> Option<String> {
    line.strip_prefix('#').map(|name| anchor(name.trim_start_matches('#')))
}

fn c_part(part: &str) -> io::Result<String> {
    let header = read("sdk-c/include/einhorn.h")?;
    let all = declared(&header);
    let functions = all.iter().filter(|row| row.number().is_none());
    let numbers = all.iter().filter_map(Declared::number);
    let mut text = String::new();
    match part {
        "synopsis" => {
            text += ".nf\n\\fB#include <einhorn.h>\\fR\n.PP\n";
            for row in functions {
                let _ = writeln!(text, "\\fB{};\\fR", literal(&row.declaration));
            }
            text += ".fi\n";
        }
        "functions" => {
            for row in functions {
                let _ = writeln!(text, ".SS \"{};\"", literal(&row.declaration));
                text += &to_roff(&row.says);
            }
        }
        "errors" => {
            for (row, (name, number)) in
                all.iter().filter(|row| row.number().is_some()).zip(numbers)
            {
                let says = to_roff_line(&row.says);
                let _ = write!(text, ".TP\n\\fB{name}\\fR ({})\n{says}", literal(number));
            }
        }
        _ => return Err(fault(format!("the header has no part {part:?}"))),
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_the_next_heading_of_its_level() {
        let file = Made {
            path: "docs/x.md".into(),
            text: "## One\na\n### In\nb\n```sh\n# c\n```\n## Two\nd\n".into(),
        };
        let text = section("docs/x.md#one", &[file]).unwrap();
        assert_eq!(text, "a\n###### In\nb\n```sh\n# c\n```");
        assert!(section("README.md#no-such-heading", &[]).is_err());
    }
}
