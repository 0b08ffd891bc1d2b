//! The commands of the command socket (`protocol.md §4`): a table with a row for each.
//!
//! A command looks at the [`Context`] and says in its [`Outcome`] what is answered and what
//! is to be done. It does nothing itself: the event loop sends the reply first and then
//! carries the effects out.

mod config;
mod greeting;
mod recycle;
mod signal;
mod state;
mod status;
mod target;
#[cfg(test)]
mod tests;
mod upgrade;
mod verbosity;
mod worker;

use std::time::Duration;

use einhorn_protocol::{command, error_code};
use log::Level;

pub use self::greeting::introduction;
use crate::control::{Reply, Request};
use crate::moment::Moment;
use crate::pool::{Event, Pid, Pool};
use crate::state::Snapshot;

/// What a listener is called and where it is, for `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerFacts {
    /// Its name from `-b NAME=…`.
    pub name: Option<String>,
    /// Where it listens, the real port included.
    pub address: String,
    /// The real port; none for a unix socket.
    pub port: Option<u16>,
    /// The descriptor's number, the same in the master and in its workers.
    pub descriptor: i32,
    /// Each slot has a socket of its own.
    pub balanced: bool,
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Anything: it is the master's own user, root, or was named.
    All,
    /// To say that a worker is up and alive: it came to that worker by `-g`.
    OfAGivenConnection,
    /// The same for the worker that it is, or is a helper of; its user may do no more.
    OfAWorker,
}

/// What commands may look at.
pub struct Context<'a> {
    /// The workers and everything that decides about them.
    pub pool: &'a Pool,
    /// The present.
    pub now: Moment,
    /// The master's pid.
    pub pid: i32,
    /// `-c`, or the program and its arguments.
    pub title: &'a str,
    /// What it says of itself to whoever greets it, made once.
    pub introduction: &'a str,
    /// How often the master has re-executed itself.
    pub generation: u64,
    /// 0 debug, 1 info, 2 errors only.
    pub verbosity: u8,
    /// When the check of the next image is given up, by the monotonic clock.
    pub check_until: Option<Duration>,
    /// The bound sockets.
    pub listeners: &'a [ListenerFacts],
    /// What whoever asks may ask for.
    pub rights: Rights,
    /// Its pid.
    pub caller: Pid,
    /// The process group of whoever asks, if that process is still there.
    pub caller_group: &'a dyn Fn() -> Option<Pid>,
    /// What would cross a reload now.
    pub snapshot: &'a dyn Fn() -> Snapshot,
}

/// What a command does beside answering.
#[expect(clippy::large_enum_variant, reason = "a few at a time, none of them kept")]
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Something happened to the pool.
    Pool(Event),
    /// The log's verbosity is another.
    Verbosity(u8),
    /// The bound sockets have another backlog.
    Backlog(i32),
    /// A line in the log.
    Log(Level, String),
}

/// Whom a request's further replies go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// There are none.
    #[default]
    Nothing,
    /// The caller follows the upgrade that this request begins.
    Upgrade,
    /// The caller is answered when it is known whether the master can re-execute itself.
    Reload,
}

/// What comes of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The answer; absent where the protocol has none, or a later one.
    pub reply: Option<Reply>,
    /// Whether more answers follow.
    pub follow: Follow,
    /// Whether the connection is closed, unless it is one that `-g` gave.
    pub close: bool,
    /// What is done, in this order, after the answer.
    pub effects: Vec<Effect>,
}

impl Outcome {
    fn reply(reply: Reply) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }

    fn done(message: impl Into<String>) -> Self {
        Self::reply(Reply::done(message))
    }

    fn bad_arguments(message: impl Into<String>) -> Self {
        Self::reply(Reply::failed(error_code::BAD_ARGUMENTS, message))
    }

    fn with(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// A row of the table.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, for people.
    pub arguments: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// The most arguments that it takes.
    pub arguments_max: usize,
    run: fn(&Context<'_>, &Request) -> Outcome,
}

/// Every command, in the order of `help`.
pub static TABLE: [Command; 19] = [
    row(
        command::STATUS,
        "[json]",
        "workers, listeners and the upgrade in progress",
        1,
        status::status,
    ),
    row(
        command::UPGRADE,
        "[--canary N] [--soak S] [--attempts N] [--timeout S]",
        "reload, then replace the workers one after the other",
        8,
        upgrade::smooth,
    ),
    row(
        command::UPGRADE_FLEET,
        "[the same]",
        "reload, start a whole new set of workers, retire the old set",
        8,
        upgrade::fleet,
    ),
    row(
        command::ABORT,
        "",
        "give the upgrade in progress up and keep the old version",
        0,
        upgrade::abort,
    ),
    row(
        command::RELOAD,
        "",
        "re-execute the master and leave the workers alone",
        0,
        upgrade::reload,
    ),
    row(
        command::RECYCLE,
        "PID|INDEX|all",
        "replace workers: each is asked to stop once a replacement is up",
        1,
        recycle::recycle,
    ),
    row(command::INC, "", "one worker more", 0, target::inc),
    row(command::DEC, "", "one worker less", 0, target::dec),
    row(command::SET_WORKERS, "N", "set the number of workers", 1, target::set_workers),
    row(command::SIGNAL, "SIGNAL…", "send signals to all workers", usize::MAX, signal::signal),
    row(
        command::DIE,
        "[SIGNAL]",
        "stop all workers (by the stop signal unless said otherwise), then the master",
        1,
        signal::die,
    ),
    row(
        command::CONFIG,
        "MAPPING",
        "change settings: {seconds: 0.5, signal_timeout: 30}",
        usize::MAX,
        config::config,
    ),
    row(command::QUIETER, "", "log less", 0, verbosity::quieter),
    row(command::LOUDER, "", "log more", 0, verbosity::louder),
    row(command::STATE, "", "the whole state as YAML", 0, state::state),
    row(command::HELP, "", "this list", 0, greeting::help),
    row(command::EHLO, "", "a greeting, and what this master can do", 0, greeting::ehlo),
    row(command::WORKER_ACK, "", "from a worker: it is up", 0, worker::ack),
    row(command::WORKER_PING, "", "from a worker: it is alive", 0, worker::ping),
];

const fn row(
    name: &'static str,
    arguments: &'static str,
    summary: &'static str,
    arguments_max: usize,
    run: fn(&Context<'_>, &Request) -> Outcome,
) -> Command {
    Command { name, arguments, summary, arguments_max, run }
}

/// Carries `request` out as far as that can be done without doing anything.
pub fn run(context: &Context<'_>, request: &Request) -> Outcome {
    let Some(command) = TABLE.iter().find(|row| row.name == request.command) else {
        let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
        let message = format!("no command {:?}; there are: {}", request.command, names.join(", "));
        return Outcome::reply(Reply::failed(error_code::UNKNOWN_COMMAND, message));
    };
    let is_of_workers = [command::WORKER_ACK, command::WORKER_PING].contains(&command.name);
    if context.rights != Rights::All && !is_of_workers {
        let message = format!(
            "{} is not for a worker's connection, which may only send {} and {}",
            command.name,
            command::WORKER_ACK,
            command::WORKER_PING
        );
        return Outcome::reply(Reply::failed(error_code::NOT_PERMITTED, message));
    }
    if request.args.len() > command.arguments_max {
        let usage = match command.arguments {
            "" => "takes no arguments".to_string(),
            arguments => format!("takes {arguments}"),
        };
        let message = format!("{} {usage}, not {:?}", command.name, request.args.join(" "));
        return Outcome::bad_arguments(message);
    }
    (command.run)(context, request)
}
