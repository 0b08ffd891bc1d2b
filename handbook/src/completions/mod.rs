//! Completions for shells: options from their definitions, commands from their table, and
//! what is only known when the key is pressed, such as the names of masters that run.
//!
//! Options of `einhorn` stop at the first word that is not one; from there on its program's
//! own completion takes over.

mod bash;
mod fish;
mod zsh;

use clap::{Arg, Command};
use einhorn_protocol::{command, default};

use crate::Made;

/// Signals that a worker is usually sent.
const SIGNALS: &str = "HUP INT QUIT USR1 USR2 TERM KILL";

/// A help that is cut off before says nothing.
const SHORT_HELP_BYTES_MIN: usize = 20;

/// What an option's value may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Nobody knows: a number, an address.
    Any,
    /// One of these words.
    Words(&'static str),
    File,
    Folder,
    Variable,
    /// The name of a master that runs.
    MasterName,
    /// Commands of the command socket, in one word.
    Commands,
}

/// Options whose value is more than a number or a path.
const VALUES: [(&str, Value); 7] = [
    ("ack-mode", Value::Words("manual notify fd")),
    ("stop-signal", Value::Words(SIGNALS)),
    ("fd-base", Value::Words("0 1")),
    ("chdir", Value::Folder),
    ("drop-env-var", Value::Variable),
    ("execute", Value::Commands),
    ("command-name", Value::MasterName),
];

/// The scripts, where each shell looks for them.
pub(crate) fn all() -> Vec<Made> {
    let programs = [einhorn_master::options::command(), einhorn_master::shell::command()];
    let mut made = Vec::new();
    for program in &programs {
        let name = program.get_name();
        let place = |file: String| format!("packaging/completions/{file}").into();
        made.push(Made { path: place(format!("bash/{name}")), text: bash::script(program) });
        made.push(Made { path: place(format!("zsh/_{name}")), text: zsh::script(program) });
        made.push(Made { path: place(format!("fish/{name}.fish")), text: fish::script(program) });
    }
    made
}

/// Without what one master tells the next.
fn offered(program: &Command) -> impl Iterator<Item = &Arg> {
    let internal =
        |option: &&Arg| option.get_help_heading().is_some_and(|text| text.contains("internal"));
    program.get_arguments().filter(|arg| arg.get_long().is_some()).filter(move |arg| !internal(arg))
}

fn value(program: &Command, option: &Arg) -> Option<Value> {
    if !option.get_action().takes_values() {
        return None;
    }
    let long = option.get_long().unwrap_or_default();
    if program.get_name() == "einhorn" && long == "command-name" {
        // The master that is about to be named does not run yet.
        return Some(Value::Any);
    }
    let known = VALUES.iter().find(|(name, _)| *name == long).map(|(_, value)| *value);
    let is_path = option
        .get_value_names()
        .is_some_and(|names| names.iter().any(|name| name.as_str() == "PATH"));
    Some(known.unwrap_or(if is_path { Value::File } else { Value::Any }))
}

/// The first sentence or clause, which fits beside the option's name.
fn short_help(option: &Arg) -> String {
    let (text, _) = crate::tables::meaning(option);
    let text = text.replace('`', "");
    let far_enough = |end: &usize| *end >= SHORT_HELP_BYTES_MIN;
    let stops = [": ", "; ", " (", ". "].iter();
    let end = stops.flat_map(|stop| text.match_indices(stop)).map(|found| found.0);
    let end = end.filter(far_enough).min();
    text[..end.unwrap_or(text.len())].trim_end_matches(['.', ',']).to_owned()
}

/// The folders where default files may be, as words of a shell.
fn folders() -> String {
    let variables: Vec<String> =
        default::FOLDER_VARIABLES.iter().map(|name| format!("\"${name}\"")).collect();
    format!("{} {}", variables.join(" "), default::FOLDER)
}

fn commands() -> Vec<&'static str> {
    command::FOR_PEOPLE.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_options_that_exist() {
        let programs = [einhorn_master::options::command(), einhorn_master::shell::command()];
        for (name, _) in VALUES {
            let mut options = programs.iter().flat_map(Command::get_arguments);
            assert!(options.any(|option| option.get_long() == Some(name)), "{name}");
        }
    }
}
