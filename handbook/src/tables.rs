//! The tables of `docs/` that the program has itself, as Markdown.

use std::fmt::Write;
use std::io;

use clap::{Arg, Command};
use einhorn_master::commands;
use einhorn_protocol::limit;

use crate::{fault, read};

/// The limits that error codes are about.
const LIMITS: [(&str, usize); 3] = [
    ("LINE_BYTES_MAX", limit::LINE_BYTES_MAX),
    ("NESTING_MAX", limit::NESTING_MAX),
    ("REQUEST_VALUES_MAX", limit::REQUEST_VALUES_MAX),
];

/// The table of that name.
pub(crate) fn named(name: &str) -> io::Result<String> {
    match name {
        "options of einhorn" => Ok(options(&einhorn_master::options::command())),
        "options of einhornsh" => Ok(options(&einhorn_master::shell::command())),
        "commands" => Ok(command_table()),
        "error codes" => error_codes(),
        "figures" => figures(),
        _ => Err(fault(format!(
            "nothing is made for {name:?} (there are: options of einhorn, options of einhornsh, \
             commands, error codes, figures)"
        ))),
    }
}

/// What `make bench` has written last; nothing where it never has.
fn figures() -> io::Result<String> {
    match read("docs/benchmarks/figures.md") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// The options that are listed for people, in the order of the help, under their headings.
pub(crate) fn listed(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|option| option.get_long().is_some())
}

/// `-b, --bind ADDR`: each way to write an option.
pub(crate) fn spellings(option: &Arg) -> (Vec<String>, Option<String>) {
    let short = option.get_short().map(|short| format!("-{short}"));
    let long = option.get_long().map(|long| format!("--{long}"));
    let takes = option.get_action().takes_values();
    let value = option.get_value_names().filter(|_| takes).and_then(|names| names.first());
    (short.into_iter().chain(long).collect(), value.map(ToString::to_string))
}

/// What an option does, and its default where there is one.
pub(crate) fn meaning(option: &Arg) -> (String, Option<String>) {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    match help.split_once(" [default: ") {
        Some((text, default)) => (text.to_owned(), Some(default.trim_end_matches(']').to_owned())),
        None => (help, None),
    }
}

fn options(command: &Command) -> String {
    let mut text = String::new();
    let mut heading = None;
    for option in listed(command) {
        let first = text.is_empty();
        if first || option.get_help_heading() != heading {
            heading = option.get_help_heading();
            if let Some(heading) = heading {
                let _ = writeln!(text, "{}### {heading}\n", if first { "" } else { "\n" });
            }
            text += "| option | meaning | default |\n| --- | --- | --- |\n";
        }
        let (mut names, value) = spellings(option);
        if let (Some(value), Some(last)) = (value, names.last_mut()) {
            let _ = write!(last, " {value}");
        }
        let names: Vec<String> = names.iter().map(|name| format!("`{}`", cell(name))).collect();
        let (meaning, default) = meaning(option);
        let default = default.map(|default| cell(&default)).unwrap_or_default();
        let meaning = cell(&meaning).replace('<', "&lt;");
        let _ = writeln!(text, "| {} | {meaning} | {default} |", names.join(", "));
    }
    text
}

fn command_table() -> String {
    let mut text = String::from("| command | what it does |\n| --- | --- |\n");
    for row in &commands::TABLE {
        let words = format!("{} {}", row.name, row.arguments);
        let _ = writeln!(text, "| `{}` | {} |", cell(words.trim_end()), cell(row.summary));
    }
    text
}

/// The codes and what the protocol's crate says about each.
fn error_codes() -> io::Result<String> {
    let source = read("protocol/src/error_code.rs")?;
    let mut text = String::from("| `error` | meaning |\n| --- | --- |\n");
    let mut says = String::new();
    for line in source.lines() {
        if let Some(more) = line.strip_prefix("/// ") {
            says += if says.is_empty() { "" } else { " " };
            says += more;
        } else if line.starts_with("pub const") {
            let code = line.split('"').nth(1).unwrap_or_default();
            let says = LIMITS.iter().fold(says.clone(), |says, (name, value)| {
                says.replace(&format!("[`crate::limit::{name}`]"), &value.to_string())
            });
            let _ = writeln!(text, "| `{code}` | {} |", cell(says.trim_end_matches('.')));
        }
        if !line.starts_with("///") {
            says.clear();
        }
    }
    Ok(text)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
