//! Every option, command, variable, error code, exit status and signal of the code is told, and
//! none is told that is not there.

use std::collections::BTreeSet;
use std::process::Command;

use einhorn_handbook::read;

use crate::support::{blocks, handbook, pages, programs, run};

/// The values of the public string constants in a file of `einhorn-protocol`.
fn constants(file: &str) -> Vec<String> {
    let values: Vec<String> = read(format!("protocol/src/{file}"))
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("pub const") && line.contains(": &str = "))
        .filter_map(|line| line.split('"').nth(1).map(str::to_owned))
        .collect();
    assert!(values.len() > 5, "{file}: {values:?}");
    values
}

/// Long options, with their dashes, as a program's own help has them.
fn options(program: &str) -> BTreeSet<String> {
    let help = run(Command::new(programs().join(program)).arg("--help"));
    let options: BTreeSet<String> =
        words(&help, "--").into_iter().filter(|word| word != "--its-own-options").collect();
    assert!(options.len() > 4, "{options:?}");
    options
}

/// Every word of `text` that begins with `prefix`, as far as it is a name.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let starts = text.match_indices(prefix).map(|(at, _)| at);
    let alone = |at: &usize| !text[..*at].ends_with(|c: char| is_name(&c));
    let names = starts.filter(alone).map(|at| text[at..].chars().take_while(is_name).collect());
    names.filter(|name: &String| name.len() > prefix.len()).collect()
}

#[track_caller]
fn told(what: &str, names: impl IntoIterator<Item = String>, place: &str) {
    let handbook = handbook();
    let missing: Vec<String> = names.into_iter().filter(|name| !handbook.contains(name)).collect();
    assert!(missing.is_empty(), "README.md and docs/ lack {what} {missing:?} (add to {place})");
}

#[test]
fn every_option_is_told() {
    let options = options("einhorn").into_iter().chain(options("einhornsh"));
    told("options", options, "docs/options.md, by `make generate`");
}

/// Pages that tell of no other program's options.
const OF_OURS_ALONE: [&str; 7] = [
    "docs/options.md",
    "docs/commands.md",
    "docs/signals.md",
    "docs/protocol.md",
    "docs/upgrades.md",
    "docs/recycling.md",
    "docs/lexicon.md",
];

#[test]
fn every_option_that_is_told_is_there() {
    let mut known = options("einhorn");
    known.extend(options("einhornsh"));
    for row in &einhorn_master::commands::TABLE {
        known.extend(words(row.arguments, "--"));
    }
    for page in OF_OURS_ALONE {
        let mut told = words(&read(page).unwrap(), "--");
        // A rule of a table is no option, and a program's own options are its own.
        told.retain(|word| word.contains(char::is_alphanumeric) && word != "--its-own-options");
        let unknown: Vec<&String> = told.difference(&known).collect();
        assert!(unknown.is_empty(), "{page} tells of {unknown:?}, which nothing has");
    }
}

/// In blocks of code: what stands between `einhorn` and its program, as the program itself reads it.
#[test]
fn every_command_line_that_is_shown_can_be_read() {
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&read(&page).unwrap()) {
            let text = block.text.replace("\\\n", " ");
            for line in text.lines() {
                let Some(arguments) = command_line(line) else { continue };
                let processors = std::num::NonZeroU32::MIN;
                let read = einhorn_master::options::parse(arguments, processors);
                assert!(read.is_ok(), "{page}: {line}: {}", read.unwrap_err());
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

/// The words behind `einhorn` on a line that runs it, in a container's or a unit's way too.
fn command_line(line: &str) -> Option<Vec<std::ffi::OsString>> {
    if let Some(options) = line.strip_prefix("EINHORN_OPTIONS=") {
        return command_line(&format!("einhorn {options} program"));
    }
    if let Some(list) = line.strip_prefix("CMD [").and_then(|rest| rest.strip_suffix(']')) {
        return command_line(&list.replace("\", \"", " ").replace('"', ""));
    }
    let line = line.trim_start_matches("$ ");
    let line = line.split(['&', '|', '#', '>']).next()?;
    let mut words = line.split_whitespace();
    let program = words.next()?;
    // A synopsis has brackets and dots.
    if program.rsplit('/').next() != Some("einhorn")
        || line.contains(['[', '…'])
        || line.contains("...")
    {
        return None;
    }
    let words: Vec<_> = words.map(|word| word.trim_matches(['\'', '"']).into()).collect();
    (!words.is_empty()).then_some(words)
}

#[test]
fn every_command_is_told() {
    let table = &einhorn_master::commands::TABLE;
    told("commands", table.iter().map(|row| format!("`{}", row.name)), "docs/commands.md");
}

/// What `einhornsh … -e '…'` is given in blocks of code.
#[test]
fn every_command_that_is_told_is_there() {
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&read(&page).unwrap()) {
            for line in block.text.lines().filter(|line| line.contains("einhornsh")) {
                let Some((_, given)) = line.split_once(" -e ") else { continue };
                let given = match given.strip_prefix(['\'', '"']) {
                    Some(quoted) => quoted.split(['\'', '"']).next().unwrap_or_default(),
                    None => given.split([' ', ';', '|', ')', '&']).next().unwrap_or_default(),
                };
                for command in given.split(';') {
                    let name = command.split_whitespace().next().unwrap_or_default();
                    let is_there =
                        einhorn_master::commands::TABLE.iter().any(|row| row.name == name);
                    assert!(
                        is_there || name.starts_with('$'),
                        "{page}: no command {name:?}: {line}"
                    );
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_variable_is_told() {
    told("variables", constants("environment.rs"), "docs/protocol.md, section 2");
}

#[test]
fn every_variable_that_is_told_is_there() {
    let known = constants("environment.rs");
    // What the unit's configuration sets.
    let of_the_unit = words(&read("packaging/systemd/einhorn@.service.in").unwrap(), "EINHORN_");
    let of_libraries = ["EINHORN_E_", "EINHORN_ABI_VERSION", "EINHORN_H"];
    // What builds and tests of the project read.
    let of_the_project =
        ["EINHORN_BIN", "EINHORN_KIT", "EINHORN_TEST", "EINHORN_BENCH", "EINHORN_SEED"];
    // Errors of the Node library.
    let errors: BTreeSet<String> = words(&read("sdk-node/index.d.ts").unwrap(), "EINHORN_");
    for page in pages() {
        for name in words(&read(&page).unwrap(), "EINHORN_") {
            let is_there = known.iter().any(|known| {
                // Some are prefixes: a number follows.
                name == *known || (known.ends_with('_') && name.starts_with(known.as_str()))
            });
            let elsewhere =
                of_libraries.iter().chain(&of_the_project).any(|known| name.starts_with(known));
            assert!(
                is_there || elsewhere || errors.contains(&name) || of_the_unit.contains(&name),
                "{page} tells of {name}, which is in neither protocol/src/environment.rs nor a \
                 library"
            );
        }
    }
}

#[test]
fn every_error_code_is_told() {
    let codes = constants("error_code.rs").into_iter().map(|code| format!("`{code}`"));
    told("error codes", codes, "docs/commands.md, by `make generate`");
}

/// Pages say `error` and a code, in JSON, in YAML, or in the column of that name.
#[test]
fn every_error_code_that_is_told_is_there() {
    let known = constants("error_code.rs");
    let mut seen = 0;
    for page in pages() {
        let text = read(&page).unwrap();
        let json = text.split("\"error\":\"").skip(1);
        let yaml = text.split("error: ").skip(1).filter(|_| page == "docs/protocol.md");
        let mut columns = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let Some(column) = line.split('|').position(|cell| cell.contains("`error`")) else {
                continue;
            };
            let rows = text.lines().skip(at + 2).take_while(|row| row.starts_with('|'));
            columns.extend(rows.filter_map(|row| row.split('|').nth(column)?.split('`').nth(1)));
        }
        if page == "docs/protocol.md" {
            columns.clear(); // Its tables are of keys.
        }
        for told in json.chain(yaml).chain(columns) {
            let code: String =
                told.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            // An outcome of an upgrade that is no error stands in the same column.
            let is_there = known.contains(&code) || code == "committed";
            assert!(is_there, "{page} tells of the error {code:?}: {told:.40}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

/// The first column of the table below a heading.
fn column(page: &str, heading: &str) -> Vec<String> {
    let text = read(page).unwrap();
    let (_, below) = text.split_once(&format!("## {heading}\n")).expect(heading);
    let rows = below.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').nth(1).unwrap().trim().to_owned())
        .collect()
}

#[test]
fn the_exit_statuses_are_those_of_the_help() {
    let help = run(Command::new(programs().join("einhornsh")).arg("--help"));
    let (_, statuses) = help.split_once("exit status").unwrap();
    let statuses: Vec<&str> = statuses
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once("  "))
        .map(|(status, _)| status)
        .filter(|status| status.parse::<u8>().is_ok())
        .collect();
    assert_eq!(column("docs/commands.md", "Exit status of `einhornsh`"), statuses);
    let ours = column("docs/options.md", "Exit status of `einhorn`");
    assert_eq!(ours, ["0", "1"]);
}

/// The signals that the master catches, as its table has them.
#[test]
fn every_signal_to_the_master_is_told_and_there() {
    let source = read("master/src/event_loop/signals.rs").unwrap();
    let caught: BTreeSet<String> = source
        .lines()
        .filter_map(|line| line.strip_prefix("    (Signal::")?.split_once(','))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name != "CHLD")
        .collect();
    assert!(caught.len() > 8, "{caught:?}");
    let rows = column("docs/signals.md", "To the master");
    let rows = rows.iter().flat_map(|names| names.split(", ")).map(str::to_owned);
    assert_eq!(rows.collect::<BTreeSet<_>>(), caught, "docs/signals.md");
}
