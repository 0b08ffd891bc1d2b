//! The command line of `einhornsh`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PathBufValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use thiserror::Error;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// To talk to a master.
    Run(Arguments),
    /// `--help`: this text on stdout, exit 0.
    Help(String),
    /// `--version`: this line on stdout, exit 0.
    Version(String),
}

/// To which master, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `-c NAME`, or else NAME: the master's command name.
    pub command_name: Option<OsString>,
    /// `-d PATH`: the socket, or the folder that it is in.
    pub socket_path: Option<PathBuf>,
    /// Each `-e`; without any, commands are read from stdin.
    pub execute: Option<Vec<String>>,
}

/// The command line makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason} (einhornsh --help lists the options)")]
pub struct ArgumentError {
    reason: String,
}

const ABOUT: &str = "Talks to a running einhorn: sends commands over its command socket and \
    prints the replies. Reads commands from the terminal, from a pipe, or from -e.";

const AFTER: &str = "\
`help` lists the commands. Words are quoted as in a shell, `;` separates commands.

With -e or a pipe the exit status is that of the last reply:
  0  done; an upgrade is committed
  1  any other error; there is no master; the connection is lost
  2  the upgrade has not begun: the new master or the program cannot be started
  3  the upgrade was rolled back
  4  the upgrade was aborted
  5  the upgrade was superseded by a newer one

Examples:
  einhornsh
  einhornsh -c web -e 'set_workers 8; upgrade'
  einhornsh -e state > state.yaml";

/// Columns of the help: the same text on every terminal and in every pipe.
const HELP_COLUMNS: usize = 92;

/// The command line, for parsing and for whatever describes it.
pub fn command() -> Command {
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("einhornsh")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .override_usage("einhornsh [options] [NAME]")
        .term_width(HELP_COLUMNS)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .infer_long_args(true)
        .args_override_self(true)
        .arg(
            valued("command-name", 'c', "NAME")
                .value_parser(OsStringValueParser::new())
                .help("Talk to the master that was started with --command-name NAME"),
        )
        .arg(valued("socket-path", 'd', "PATH").value_parser(PathBufValueParser::new()).help(
            "Command socket; in a folder, einhorn.sock. Goes before any name [default: \
             $TMPDIR/einhorn.sock or einhorn-NAME.sock]",
        ))
        .arg(
            valued("execute", 'e', "COMMANDS")
                .action(ArgAction::Append)
                .help("Send these commands, wait for each to finish, and leave. Repeatable"),
        )
        .arg(flag("help", "Print this text").short('h'))
        .arg(flag("version", "Print the version"))
        .arg(
            Arg::new("NAME")
                .value_parser(OsStringValueParser::new())
                .help("The same as --command-name NAME, which goes before it"),
        )
}

fn valued(name: &'static str, short: char, value: &'static str) -> Arg {
    Arg::new(name).long(name).short(short).value_name(value).allow_hyphen_values(true)
}

/// Reads a command line, given without the name of the program itself.
///
/// # Errors
/// Names the word that makes no sense. The caller exits 1.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, ArgumentError> {
    let typed = command()
        .no_binary_name(true)
        .try_get_matches_from(words)
        .map_err(|error| ArgumentError { reason: first_line(&error) })?;
    if typed.get_flag("help") {
        return Ok(Invocation::Help(format!("{}\n", command().render_help())));
    }
    if typed.get_flag("version") {
        return Ok(Invocation::Version(format!("einhornsh {}\n", env!("CARGO_PKG_VERSION"))));
    }
    Ok(Invocation::Run(Arguments::from_matches(&typed)))
}

impl Arguments {
    fn from_matches(typed: &ArgMatches) -> Self {
        let name = |argument| typed.get_one::<OsString>(argument).cloned();
        Self {
            command_name: name("command-name").or_else(|| name("NAME")),
            socket_path: typed.get_one("socket-path").cloned(),
            execute: typed
                .get_many("execute")
                .map(|commands| commands.into_iter().cloned().collect()),
        }
    }
}

/// What is wrong, without the usage that follows it.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> Arguments {
        match parse(words.iter().map(OsString::from)) {
            Ok(Invocation::Run(arguments)) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_needed() {
        assert_eq!(run(&[]), Arguments::default());
    }

    #[test]
    fn an_option_goes_before_a_bare_name() {
        assert_eq!(run(&["web"]).command_name, Some("web".into()));
        assert_eq!(run(&["-c", "api"]).command_name, Some("api".into()));
        assert_eq!(run(&["web", "-c", "api"]).command_name, Some("api".into()));
        let both = run(&["--command-name=api", "web", "-d", "/x"]);
        assert_eq!(both.command_name, Some("api".into()));
        assert_eq!(both.socket_path, Some("/x".into()));
    }

    #[test]
    fn commands_add_up() {
        assert_eq!(run(&["-e", "inc; dec"]).execute, Some(vec!["inc; dec".into()]));
        assert_eq!(run(&["-e", "inc", "-e", "-x"]).execute, Some(vec!["inc".into(), "-x".into()]));
        assert_eq!(run(&["-e", ""]).execute, Some(vec![String::new()]));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (words, hint) in [
            (&["--frob"][..], "--frob"),
            (&["a", "b"], "'b'"),
            (&["-e"], "--execute"),
            (&["-x"], "-x"),
        ] {
            let error = parse(words.iter().map(OsString::from)).unwrap_err().to_string();
            assert!(error.contains(hint) && error.contains("--help"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn help_and_version() {
        let Ok(Invocation::Help(help)) = parse(["-h".into()]) else { panic!() };
        for word in ["--command-name", "--socket-path", "--execute", "--version", "NAME"] {
            assert!(help.contains(word), "{help}");
        }
        let Ok(Invocation::Version(version)) = parse(["--version".into()]) else { panic!() };
        assert!(version.starts_with("einhornsh ") && version.ends_with('\n'));
    }
}
