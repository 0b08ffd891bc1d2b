//! From typed words to a [`Launch`]: values are read, ranges and contradictions checked.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use einhorn_protocol::default;
use einhorn_protocol::limit::UNIX_PATH_BYTES_MAX;

use super::bind::{self, Bind};
use super::definition::{DEFINITIONS, OptionName};
use super::error::OptionError;
use super::typed::Typed;
use crate::settings::{self, AckMode, Amount, Settings};

/// Longest `--command-name`; the names of the default files stay within a folder's limit.
const COMMAND_NAME_BYTES_MAX: usize = 200;
/// Levels that setpriority(2) knows.
const NICE: std::ops::RangeInclusive<i64> = -20..=19;

/// Everything that a master's command line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// What the policy goes by, `--ack-timeout` and `--backlog` included.
    pub settings: Settings,
    /// `-b`, in order.
    pub binds: Vec<Bind>,
    /// `-c`: no `/`, no control characters, not empty.
    pub command_name: Option<OsString>,
    /// `-d`: a file, or a folder to put `einhorn.sock` in.
    pub socket_path: Option<PathBuf>,
    /// `-e`.
    pub pidfile: Option<PathBuf>,
    /// `-f`.
    pub lockfile: Option<PathBuf>,
    /// `--allow-uid`: names and numbers.
    pub allow_uids: Vec<OsString>,
    /// `--allow-gid`: names and numbers.
    pub allow_gids: Vec<OsString>,
    /// `-g`.
    pub command_socket_as_fd: bool,
    /// `-k`.
    pub kill_children_on_exit: bool,
    /// `-p`.
    pub preload: Option<PathBuf>,
    /// `--chdir`, as typed.
    pub chdir: Option<PathBuf>,
    /// `--gc-before-fork`; without a preloader it has nothing to act on.
    pub gc_before_fork: bool,
    /// 0 debug, 1 info, 2 errors only. `-q` and `-v` are counted against each other.
    pub verbosity: u8,
    /// `--drop-env-var`, in order.
    pub drop_env_vars: Vec<OsString>,
    /// `--reexec-as`, split; at least one word.
    pub reexec_as: Option<Vec<OsString>>,
    /// `--nice`.
    pub nice: Nice,
    /// `--fd-base`.
    pub fd_base: Option<FdBase>,
    /// `--with-state-fd`.
    pub with_state_fd: Option<RawFd>,
    /// The program and its arguments, as typed. Empty only if [`Self::with_state_fd`] is there.
    pub orig_cmd: Vec<OsString>,
    /// The options that were written out; at a reload they win over the state.
    pub explicit: BTreeSet<OptionName>,
}

/// `--nice MASTER[:WORKER[:RENICE_CMD]]`. Levels are absolute, -20 to 19.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nice {
    /// The master's level.
    pub master: Option<i32>,
    /// The workers' level; without it they have the master's.
    pub worker: Option<i32>,
    /// Kept as data for a Ruby master that takes over; ours calls setpriority(2).
    pub renice_command: Option<OsString>,
}

/// The number of the first `EINHORN_FD_` variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FdBase {
    /// As every released master and worker library has it.
    Zero,
    /// As the protocol's first edition had it.
    One,
}

impl FdBase {
    /// 0 or 1.
    pub fn number(self) -> usize {
        match self {
            Self::Zero => 0,
            Self::One => 1,
        }
    }
}

impl Launch {
    /// Whether it is to serve sockets that whoever started it has opened.
    pub fn inherits(&self) -> bool {
        self.binds.iter().any(|bind| matches!(bind, Bind::Inherit { .. }))
    }

    /// Puts the number of processors where it is the default.
    pub fn count_processors(&mut self, count: impl FnOnce() -> NonZeroU32) {
        if !self.explicit.contains(&OptionName::MaxUnacked) {
            self.settings.max_unacked = count();
        }
    }

    pub(super) fn from_typed(typed: &Typed, processors: NonZeroU32) -> Result<Self, OptionError> {
        Ok(Self {
            settings: typed.settings(processors)?,
            binds: typed.binds()?,
            command_name: typed.checked("command-name", COMMAND_NAME_ALLOWED, command_name)?,
            socket_path: typed.checked("socket-path", SOCKET_PATH_ALLOWED, socket_path)?,
            pidfile: typed.checked("pidfile", PATH_ALLOWED, path)?,
            lockfile: typed.checked("lockfile", PATH_ALLOWED, path)?,
            allow_uids: typed.names("allow-uid")?,
            allow_gids: typed.names("allow-gid")?,
            command_socket_as_fd: typed.has("command-socket-as-fd"),
            kill_children_on_exit: typed.has("kill-children-on-exit"),
            preload: typed.checked("preload", PATH_ALLOWED, path)?,
            chdir: typed.checked("chdir", FOLDER_ALLOWED, path)?,
            gc_before_fork: typed.has("gc-before-fork"),
            verbosity: verbosity(typed.count("quiet"), typed.count("verbose")),
            drop_env_vars: typed.variables("drop-env-var")?,
            reexec_as: typed.checked("reexec-as", WORDS_ALLOWED, words)?,
            nice: typed.checked("nice", NICE_ALLOWED, nice)?.unwrap_or_default(),
            fd_base: typed.checked("fd-base", "0 or 1", fd_base)?,
            with_state_fd: typed.checked("with-state-fd", FD_ALLOWED, descriptor)?,
            orig_cmd: typed.program()?,
            explicit: typed.explicit(),
        })
    }
}

const PATH_ALLOWED: &str = "the path of a file";
const FOLDER_ALLOWED: &str = "the path of a folder";
const SOCKET_PATH_ALLOWED: &str = "a path of 1 to 107 bytes, as a unix socket's";
const COMMAND_NAME_ALLOWED: &str = "1 to 200 bytes without / and control characters";
const VARIABLE_ALLOWED: &str = "a variable's name, without =";
const NAME_ALLOWED: &str = "a name or a number";
const WORDS_ALLOWED: &str = "one word or more, with quotes closed";
const NICE_ALLOWED: &str =
    "MASTER[:WORKER[:RENICE_CMD]], with whole numbers from -20 to 19 for MASTER and WORKER";
const FD_ALLOWED: &str = "the number of a descriptor, 0 or more";

impl Typed {
    fn checked<T>(
        &self,
        option: &'static str,
        allowed: &'static str,
        read: impl Fn(&OsStr) -> Option<T>,
    ) -> Result<Option<T>, OptionError> {
        let Some(value) = self.value(option) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| OptionError::value(option, value, allowed))
    }

    fn settings(&self, processors: NonZeroU32) -> Result<Settings, OptionError> {
        let mut settings = Settings::default_for(processors);
        settings.listen_fds = self.has("listen-fds");
        if let Some(mode) =
            self.checked("ack-mode", AckMode::ALLOWED, |value| AckMode::parse(value.to_str()?))?
        {
            settings.ack_mode = mode;
        }
        for row in &settings::TABLE {
            let amount = |value: &OsStr| Amount::from_text(value.to_str()?);
            let Some(amount) = self.checked(row.option, row.allowed, amount)? else { continue };
            if row.set(&mut settings, amount).is_none() {
                let value = self.value(row.option).cloned().unwrap_or_default();
                return Err(OptionError::value(row.option, &value, row.allowed));
            }
        }
        Ok(settings)
    }

    fn binds(&self) -> Result<Vec<Bind>, OptionError> {
        let binds = self
            .all("bind")
            .map(|typed| Bind::parse(typed).map_err(|reason| OptionError::bind(typed, reason)))
            .collect::<Result<Vec<_>, _>>()?;
        match bind::check_together(&binds) {
            Ok(()) => Ok(binds),
            Err((index, reason)) => {
                let typed = binds.get(index).map(Bind::typed).unwrap_or_default();
                Err(OptionError::bind(&typed, reason))
            }
        }
    }

    fn variables(&self, option: &'static str) -> Result<Vec<OsString>, OptionError> {
        self.all(option)
            .map(|name| {
                let bytes = name.as_bytes();
                if bytes.is_empty() || bytes.contains(&b'=') || bytes.contains(&0) {
                    return Err(OptionError::value(option, name, VARIABLE_ALLOWED));
                }
                Ok(name.clone())
            })
            .collect()
    }

    fn names(&self, option: &'static str) -> Result<Vec<OsString>, OptionError> {
        let is_good = |name: &OsString| {
            let bytes = name.as_bytes();
            !bytes.is_empty() && !bytes.iter().any(u8::is_ascii_control)
        };
        match self.all(option).find(|name| !is_good(name)) {
            Some(bad) => Err(OptionError::value(option, bad, NAME_ALLOWED)),
            None => Ok(self.all(option).cloned().collect()),
        }
    }

    fn program(&self) -> Result<Vec<OsString>, OptionError> {
        match self.program.first() {
            Some(program) if program.is_empty() => Err(OptionError::EmptyProgram),
            _ => Ok(self.program.clone()),
        }
    }

    fn explicit(&self) -> BTreeSet<OptionName> {
        DEFINITIONS.iter().filter(|row| self.has(row.long)).map(|row| row.name).collect()
    }
}

/// `-q` and `-v` are steps away from the default, in either order.
fn verbosity(quiet: u8, verbose: u8) -> u8 {
    let steps = i16::from(default::VERBOSITY) + i16::from(quiet) - i16::from(verbose);
    u8::try_from(steps.clamp(0, 2)).unwrap_or(default::VERBOSITY)
}

fn path(value: &OsStr) -> Option<PathBuf> {
    (!value.is_empty()).then(|| value.into())
}

fn socket_path(value: &OsStr) -> Option<PathBuf> {
    path(value).filter(|path| path.as_os_str().len() <= UNIX_PATH_BYTES_MAX)
}

fn command_name(value: &OsStr) -> Option<OsString> {
    let bytes = value.as_bytes();
    let is_good = |byte: &u8| *byte != b'/' && !byte.is_ascii_control();
    let is_name = (1..=COMMAND_NAME_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(is_good);
    is_name.then(|| value.to_owned())
}

/// Splits as a shell does. Bytes that are no text pass: each byte is taken for the character
/// of its number, and the shell's own characters are all below 128.
fn words(value: &OsStr) -> Option<Vec<OsString>> {
    let characters: String = value.as_bytes().iter().copied().map(char::from).collect();
    let words = shell_words::split(&characters).ok()?;
    let to_bytes = |word: &String| {
        word.chars().map(|character| u8::try_from(character).ok()).collect::<Option<Vec<u8>>>()
    };
    let words: Vec<OsString> =
        words.iter().map(|word| to_bytes(word).map(OsString::from_vec)).collect::<Option<_>>()?;
    words.first().is_some_and(|program| !program.is_empty()).then_some(words)
}

fn nice(value: &OsStr) -> Option<Nice> {
    let level = |bytes: &[u8]| {
        let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
        NICE.contains(&number).then(|| i32::try_from(number).ok()).flatten()
    };
    let mut parts = value.as_bytes().splitn(3, |byte| *byte == b':');
    let mut nice = Nice { master: Some(level(parts.next()?)?), ..Nice::default() };
    if let Some(worker) = parts.next() {
        nice.worker = Some(level(worker)?);
    }
    nice.renice_command = parts.next().map(|command| OsStr::from_bytes(command).to_owned());
    Some(nice)
}

fn fd_base(value: &OsStr) -> Option<FdBase> {
    match value.as_bytes() {
        b"0" => Some(FdBase::Zero),
        b"1" => Some(FdBase::One),
        _ => None,
    }
}

fn descriptor(value: &OsStr) -> Option<RawFd> {
    Amount::from_text(value.to_str()?)?.whole(0, i32::MAX.into())
}
