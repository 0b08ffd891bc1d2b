//! Every option, once: a row each. Parsing, help, man page and completions are made from
//! these rows.

use clap::builder::OsStringValueParser;
use clap::{Arg, ArgAction, Command};

/// The options by name. [`super::Launch::explicit`] holds those that were written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is described by its row of the table")]
pub enum OptionName {
    Bind,
    Number,
    AckMode,
    AckTimeout,
    Chdir,
    Seconds,
    MaxUnacked,
    MaxUpgradeAdditional,
    Canary,
    Soak,
    UpgradeAttempts,
    UpgradeTimeout,
    SignalTimeout,
    StopSignal,
    MaxAge,
    MaxRss,
    PingTimeout,
    PingSignal,
    Backlog,
    FdBase,
    ListenFds,
    CommandSocketAsFd,
    KillChildrenOnExit,
    Preload,
    PreloadTimeout,
    GcBeforeFork,
    Nice,
    CommandName,
    SocketPath,
    Pidfile,
    Lockfile,
    AllowUid,
    AllowGid,
    DropEnvVar,
    ReexecAs,
    Quiet,
    Verbose,
    Help,
    Version,
    WithStateFd,
    UpgradeCheck,
}

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// Nothing, and each time counts.
    Steps,
    /// A value; the last one counts.
    Value(&'static str),
    /// A value; each one counts.
    Values(&'static str),
}

/// A row.
pub(super) struct Definition {
    pub(super) name: OptionName,
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) takes: Takes,
    heading: &'static str,
    help: &'static str,
}

const SOCKETS: &str = "Listening sockets";
const WORKERS: &str = "Workers";
const UPGRADES: &str = "Upgrades and restarts";
const FILES: &str = "Names and files";
const OTHER: &str = "Log and information";
const INTERNAL: &str = "Between two masters (internal)";

use OptionName as Name;
use Takes::{Nothing, Steps, Value, Values};

/// All options, in the order of the help.
#[rustfmt::skip]
pub(super) static DEFINITIONS: [Definition; 41] = [
    row(Name::Bind, "bind", Some('b'), Values("ADDR"), SOCKETS,
        "Open a listening socket for the workers: [NAME=]HOST:PORT, [IPv6]:PORT or unix:PATH, \
         then `,r` to reuse the address (SO_REUSEADDR), `,n` not to block (O_NONBLOCK), \
         `,balance` to give each worker a queue of its own (SO_REUSEPORT). Port 0 takes a free \
         port. `inherit` takes the sockets that the master was started with (LISTEN_FDS), \
         `inherit:NAME` those of one name. Repeatable; the order is kept"),
    row(Name::Backlog, "backlog", Some('l'), Value("N"), SOCKETS,
        "Connections that may wait on each socket, 1 or more [default: 100]"),
    row(Name::FdBase, "fd-base", None, Value("0|1"), SOCKETS,
        "Number of the first EINHORN_FD_ variable; 1 serves workers written to the first \
         edition of the protocol [default: 0]"),
    row(Name::ListenFds, "listen-fds", None, Nothing, SOCKETS,
        "Workers also find the sockets by systemd's convention: from descriptor 3 on, with \
         LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES"),

    row(Name::Number, "number", Some('n'), Value("N"), WORKERS,
        "Workers to keep alive, 1 to 10000 [default: 1]"),
    row(Name::AckMode, "ack-mode", Some('m'), Value("MODE"), WORKERS,
        "When a worker counts as up: `manual`, once it says so on the command socket; \
         `notify`, once it says READY=1 to the socket in NOTIFY_SOCKET; `fd`, once it writes a \
         newline to the descriptor EINHORN_READY_FD; `exec:CMD`, once the command CMD ends with \
         status 0; or a number, once it has lived \
         that many seconds [default: 1]"),
    row(Name::AckTimeout, "ack-timeout", None, Value("SECONDS"), WORKERS,
        "A worker that is not up after SECONDS has failed and is stopped; 0 for never [default: \
         300 in an upgrade and in recycling, else never]"),
    row(Name::SignalTimeout, "signal-timeout", Some('t'), Value("SECONDS"), WORKERS,
        "Kill a worker that still lives SECONDS after it was asked to stop; 0 at once [default: \
         never]"),
    row(Name::StopSignal, "stop-signal", None, Value("SIGNAL"), WORKERS,
        "What asks a worker to stop, everywhere: in upgrades, when there are too many, when the \
         master gets INT or USR2, by `die`, and with -k [default: USR2, but TERM with \
         --listen-fds, -m notify, fd or exec]"),
    row(Name::MaxAge, "max-age", None, Value("SECONDS"), WORKERS,
        "Replace a worker, as an upgrade does, when it is SECONDS old or up to a tenth less; 0 \
         for never [default: never]"),
    row(Name::MaxRss, "max-rss", None, Value("SIZE"), WORKERS,
        "Replace a worker that has more memory than SIZE resident, such as 512M or 2G; 0 for \
         never [default: never]"),
    row(Name::PingTimeout, "ping-timeout", None, Value("SECONDS"), WORKERS,
        "Replace a worker that has pinged and then not for SECONDS; 0 for never [default: \
         never]"),
    row(Name::PingSignal, "ping-signal", None, Value("SIGNAL"), WORKERS,
        "With --ping-timeout: send SIGNAL to the silent worker first, so that it can say where \
         it hangs [default: none]"),
    row(Name::KillChildrenOnExit, "kill-children-on-exit", Some('k'), Nothing, WORKERS,
        "Workers get the stop signal when the master ends, however it ends"),
    row(Name::CommandSocketAsFd, "command-socket-as-fd", Some('g'), Nothing, WORKERS,
        "Give each worker an open connection to the command socket, its number in \
         EINHORN_SOCK_FD"),
    row(Name::Chdir, "chdir", None, Value("PATH"), WORKERS,
        "Run workers in the folder PATH, followed afresh, symlinks and all, at each upgrade; \
         a relative program is relative to it [default: the master's]"),
    row(Name::Nice, "nice", None, Value("MASTER[:WORKER[:RENICE_CMD]]"), WORKERS,
        "Nice levels, -20 to 19; without WORKER the workers have the master's"),
    row(Name::Preload, "preload", Some('p'), Value("PATH"), WORKERS,
        "Load the Ruby or Python code at PATH once, and fork workers from it that call its \
         einhorn_main; PATH may also be a program that loads itself"),
    row(Name::PreloadTimeout, "preload-timeout", None, Value("SECONDS"), WORKERS,
        "With --preload: how long the code may take to load; in an upgrade that takes longer \
         the old code serves on [default: 300]"),
    row(Name::GcBeforeFork, "gc-before-fork", None, Nothing, WORKERS,
        "With --preload: collect garbage when the code is loaded, before workers are forked"),

    row(Name::Seconds, "seconds", Some('s'), Value("SECONDS"), UPGRADES,
        "Least time between two gradual starts, above 0; above 30 acts as 30 [default: 1]"),
    row(Name::MaxUnacked, "max-unacked", None, Value("N"), UPGRADES,
        "Gradual starts go on while fewer than N newcomers are not up yet, 1 or more [default: \
         number of processors]"),
    row(Name::MaxUpgradeAdditional, "max-upgrade-additional", None, Value("N"), UPGRADES,
        "Gradual starts never make more than --number + N workers, 1 or more [default: no \
         limit]"),
    row(Name::Canary, "canary", None, Value("N"), UPGRADES,
        "Newcomers of an upgrade that must be up before more are started [default: 1, but 0 in \
         a fleet upgrade]"),
    row(Name::Soak, "soak", None, Value("SECONDS"), UPGRADES,
        "A newcomer counts when it has lived SECONDS after it was up [default: 0]"),
    row(Name::UpgradeAttempts, "upgrade-attempts", None, Value("N"), UPGRADES,
        "Give an upgrade up, and go back to the old version, when N newcomers have failed; 0 \
         for never [default: 5]"),
    row(Name::UpgradeTimeout, "upgrade-timeout", None, Value("SECONDS"), UPGRADES,
        "Give an upgrade up when it takes longer than SECONDS; 0 for never [default: never]"),
    row(Name::DropEnvVar, "drop-env-var", None, Values("NAME"), UPGRADES,
        "Leave the variable NAME out of the environment of a reloaded master. Repeatable"),
    row(Name::ReexecAs, "reexec-as", None, Value("CMDLINE"), UPGRADES,
        "Words (split as by a shell) that start the master at a reload, in place of the command \
         that started this one"),

    row(Name::CommandName, "command-name", Some('c'), Value("NAME"), FILES,
        "Name in the process list; the default files become einhorn-NAME.sock and so on"),
    row(Name::SocketPath, "socket-path", Some('d'), Value("PATH"), FILES,
        "Command socket; in a folder, einhorn.sock [default: $TMPDIR/einhorn.sock]"),
    row(Name::Pidfile, "pidfile", Some('e'), Value("PATH"), FILES,
        "File for the master's pid [default: $TMPDIR/einhorn.pid]"),
    row(Name::Lockfile, "lockfile", Some('f'), Value("PATH"), FILES,
        "Lock held while the command socket is replaced [default: $TMPDIR/einhorn.lock]"),
    row(Name::AllowUid, "allow-uid", None, Values("USER"), FILES,
        "Let the user USER, a name or a number, give commands too, beside the master's own user \
         and root. Repeatable"),
    row(Name::AllowGid, "allow-gid", None, Values("GROUP"), FILES,
        "The same for everybody in the group GROUP. Repeatable"),

    row(Name::Quiet, "quiet", Some('q'), Steps, OTHER,
        "One step less of logging: errors only. -q and -v cancel each other"),
    row(Name::Verbose, "verbose", Some('v'), Steps, OTHER,
        "One step more of logging: debugging too"),
    row(Name::Help, "help", Some('h'), Nothing, OTHER,
        "Print this text"),
    row(Name::Version, "version", None, Nothing, OTHER,
        "Print the version"),

    row(Name::WithStateFd, "with-state-fd", None, Value("FD"), INTERNAL,
        "Take over from the master whose state is readable on FD"),
    row(Name::UpgradeCheck, "upgrade-check", None, Nothing, INTERNAL,
        "Exit 0 if this program can start at all; touches nothing"),
];

/// Id of the words after the options.
pub(super) const PROGRAM: &str = "program";

/// Columns of the help: the same text on every terminal and in every pipe.
const HELP_COLUMNS: usize = 90;

const ABOUT: &str = "Opens listening sockets, runs N copies of a program that inherit them, \
    keeps the copies alive and replaces their code without losing a connection. Options stop \
    at the first word that is not one; long options may be abbreviated.";

const EXAMPLE: &str = "\
Example:
  einhorn -b 127.0.0.1:8080 -n 4 -m manual ./server --its-own-options
  einhornsh -e upgrade";

const fn row(
    name: OptionName,
    long: &'static str,
    short: Option<char>,
    takes: Takes,
    heading: &'static str,
    help: &'static str,
) -> Definition {
    Definition { name, long, short, takes, heading, help }
}

/// The command line of `einhorn`, for whatever describes it.
pub fn command() -> Command {
    with(Definition::described)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(EXAMPLE)
        .override_usage("einhorn [options] [--] program [args...]")
        .help_template("## Usage\n\n{usage}\n\n{about}\n\n{all-args}\n\n{after-help}")
        .term_width(HELP_COLUMNS)
}

/// The same for parsing, without the texts: every start of a master waits for it.
pub(super) fn syntax() -> Command {
    with(Definition::arg)
}

fn with(arg: fn(&Definition) -> Arg) -> Command {
    Command::new("einhorn")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .infer_long_args(true)
        .args_override_self(true)
        .args(DEFINITIONS.iter().map(arg))
        .arg(
            Arg::new(PROGRAM)
                .num_args(0..)
                .trailing_var_arg(true)
                .hide(true)
                .value_parser(OsStringValueParser::new()),
        )
}

/// The text of `--help`, with its last newline.
pub(super) fn help() -> String {
    let mut text = command().render_help().to_string();
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

impl Definition {
    fn described(&self) -> Arg {
        self.arg().help_heading(self.heading).help(self.help)
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.long).long(self.long);
        let arg = match self.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        let valued = |arg: Arg, action, value_name| {
            arg.action(action)
                .value_name(value_name)
                .allow_hyphen_values(true)
                .value_parser(OsStringValueParser::new())
        };
        match self.takes {
            Nothing => arg.action(ArgAction::SetTrue),
            Steps => arg.action(ArgAction::Count),
            Value(name) => valued(arg, ArgAction::Set, name),
            Values(name) => valued(arg, ArgAction::Append, name),
        }
    }
}
