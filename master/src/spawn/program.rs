//! Finding the program that workers run, and saying beforehand why it could not be run.
//!
//! Nothing is executed here. What is found can change before it is; then the worker's own
//! exit tells.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::folder::{self, WorkingFolder};
use crate::log::shown;
use crate::sys::{files, reason};

/// Where to look without a `PATH`, as the C library does.
const PATH_DEFAULT: &str = "/bin:/usr/bin";
/// As much of a file as the kernel reads for the name of its interpreter.
const FIRST_LINE_BYTES_MAX: u64 = 256;

/// Why a program cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A name without a slash that no folder of `PATH` has.
    #[error("cannot run {program}: no folder in PATH has it{}", here_hint(program, *here))]
    NotInPath {
        /// As it was typed.
        program: String,
        /// Whether the working directory has it.
        here: bool,
    },
    /// Nothing there.
    #[error("cannot run {program}: no such file")]
    Missing {
        /// Its path.
        program: String,
    },
    /// A symlink that leads nowhere.
    #[error("cannot run {program}: it is a symlink to {target}, which is missing")]
    DanglingSymlink {
        /// Its path.
        program: String,
        /// What it says.
        target: String,
    },
    /// A folder.
    #[error("cannot run {program}: it is a folder")]
    Folder {
        /// Its path.
        program: String,
    },
    /// A device, a pipe or a socket.
    #[error("cannot run {program}: it is not a regular file")]
    NotRegular {
        /// Its path.
        program: String,
    },
    /// Nobody may execute it.
    #[error(
        "cannot run {program}: not executable (chmod +x it, or run it through its interpreter)"
    )]
    NotExecutable {
        /// Its path.
        program: String,
    },
    /// Others may execute it, or the file system is mounted so that nobody can.
    #[error(
        "cannot run {program}: permission denied (it is executable, but not for this user, or \
         its file system is mounted noexec)"
    )]
    NotPermitted {
        /// Its path.
        program: String,
    },
    /// Its first line names an interpreter that cannot be run.
    #[error(
        "cannot run {program}: its interpreter {interpreter} {fault} (see the first line of the \
         file){}",
        line_end_hint(interpreter)
    )]
    Interpreter {
        /// Its path.
        program: String,
        /// The interpreter as it is written there.
        interpreter: String,
        /// What is wrong with that.
        fault: &'static str,
    },
    /// It could not be looked at.
    #[error("cannot run {program}: {}", reason(source))]
    Unreadable {
        /// Its path.
        program: String,
        /// Why.
        source: io::Error,
    },
}

fn here_hint(program: &str, here: bool) -> String {
    if here { format!(" (for the one in this folder write ./{program})") } else { String::new() }
}

fn line_end_hint(interpreter: &str) -> &'static str {
    if interpreter.ends_with("\\r") { "; its lines end in carriage returns" } else { "" }
}

/// The program as it is to be executed (`cmd[0]`): looked up in `path`, the value of `PATH`,
/// if what was typed has no slash in it; otherwise as typed. It can be run as far as that can
/// be told without running it.
///
/// # Errors
/// What is wrong with it.
pub fn resolve(typed: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, ProgramError> {
    resolve_in(None, typed, path)
}

/// As [`resolve`], for a program that will run in `folder`; a relative path is relative to it.
///
/// # Errors
/// What is wrong with it.
pub fn resolve_in(
    folder: Option<&WorkingFolder>,
    typed: &OsStr,
    path: Option<&OsStr>,
) -> Result<PathBuf, ProgramError> {
    let place = Place { folder, path };
    let program = if typed.as_bytes().contains(&b'/') {
        PathBuf::from(typed)
    } else {
        look_up(typed, place)?
    };
    check(&program, place)?;
    Ok(program)
}

/// Where a program runs, and where it is looked up.
#[derive(Clone, Copy)]
struct Place<'a> {
    folder: Option<&'a WorkingFolder>,
    path: Option<&'a OsStr>,
}

impl Place<'_> {
    /// `path` as this process reaches it.
    fn locate(self, path: &Path) -> PathBuf {
        folder::locate(self.folder, path)
    }
}

/// Whether a program, given with a slash, can be run as far as that can be told.
fn check(named: &Path, place: Place<'_>) -> Result<(), ProgramError> {
    let name = || name_of(named.as_os_str());
    let unreadable = |source| ProgramError::Unreadable { program: name(), source };
    let program = &place.locate(named);
    let metadata = match program.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(missing(named, program));
        }
        Err(error) => return Err(unreadable(error)),
    };
    if metadata.is_dir() {
        return Err(ProgramError::Folder { program: name() });
    }
    if !metadata.is_file() {
        return Err(ProgramError::NotRegular { program: name() });
    }
    if !files::may_execute(program).map_err(unreadable)? {
        return Err(if metadata.permissions().mode() & 0o111 == 0 {
            ProgramError::NotExecutable { program: name() }
        } else {
            ProgramError::NotPermitted { program: name() }
        });
    }
    // A program may be executable and not readable; then there is no first line to look at.
    let Ok(first) = first_bytes(program) else { return Ok(()) };
    let Some((interpreter, argument)) = interpreter(&first) else { return Ok(()) };
    match interpreter_fault(interpreter, argument, place) {
        None => Ok(()),
        Some((interpreter, fault)) => {
            let interpreter = name_of(interpreter);
            Err(ProgramError::Interpreter { program: name(), interpreter, fault })
        }
    }
}

/// The first file of that name in `path` that can be executed. If there is only one that
/// cannot, that one, so that the check says why.
fn look_up(name: &OsStr, place: Place<'_>) -> Result<PathBuf, ProgramError> {
    let path = place.path.unwrap_or(OsStr::new(PATH_DEFAULT));
    let folders = path.as_bytes().split(|byte| *byte == b':');
    let mut blocked = None;
    for folder in folders {
        let folder = if folder.is_empty() { b"." } else { folder };
        let candidate = Path::new(OsStr::from_bytes(folder)).join(name);
        let located = place.locate(&candidate);
        if files::is_executable(&located) {
            return Ok(candidate);
        }
        if located.is_file() {
            blocked.get_or_insert(candidate);
        }
    }
    blocked.ok_or_else(|| ProgramError::NotInPath {
        program: name_of(name),
        here: place.locate(Path::new(name)).is_file(),
    })
}

fn missing(named: &Path, program: &Path) -> ProgramError {
    let name = name_of(named.as_os_str());
    match program.read_link() {
        Ok(target) => {
            ProgramError::DanglingSymlink { program: name, target: name_of(target.as_os_str()) }
        }
        Err(_) => ProgramError::Missing { program: name },
    }
}

fn first_bytes(program: &Path) -> io::Result<Vec<u8>> {
    let mut first = Vec::new();
    File::open(program)?.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut first)?;
    Ok(first)
}

/// The interpreter that a first line `#!INTERPRETER ARGUMENT` names, as execve(2) reads it.
fn interpreter(first: &[u8]) -> Option<(&OsStr, &OsStr)> {
    let line = first.strip_prefix(b"#!")?.split(|byte| matches!(byte, b'\n' | 0)).next()?;
    let line = trim(line);
    let end = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at_checked(end)?;
    let found = (OsStr::from_bytes(interpreter), OsStr::from_bytes(trim(argument)));
    (!interpreter.is_empty()).then_some(found)
}

/// The interpreter that the first line of the file `program` names: a path, or the name that
/// `env` would look up. None if there is no such line.
pub(super) fn interpreter_of(program: &Path) -> Option<OsString> {
    if !program.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let first = first_bytes(program).ok()?;
    let (interpreter, argument) = interpreter(&first)?;
    if Path::new(interpreter).file_name() != Some(OsStr::new("env")) {
        return Some(interpreter.to_owned());
    }
    let is_name =
        |word: &&[u8]| !word.is_empty() && !word.starts_with(b"-") && !word.contains(&b'=');
    let name = argument.as_bytes().split(|byte| is_blank(*byte)).find(is_name)?;
    Some(OsStr::from_bytes(name).to_owned())
}

/// What keeps an interpreter from being run, and which: `env` stands for the program that it
/// looks up.
fn interpreter_fault<'a>(
    interpreter: &'a OsStr,
    argument: &'a OsStr,
    place: Place<'_>,
) -> Option<(&'a OsStr, &'static str)> {
    let file = &place.locate(Path::new(interpreter));
    if !file.exists() {
        return Some((interpreter, "is missing"));
    }
    if !files::is_executable(file) {
        return Some((interpreter, "is not executable"));
    }
    let looked_up = argument.as_bytes();
    let is_plain_name = !looked_up.is_empty()
        && !looked_up.starts_with(b"-")
        && !looked_up.iter().any(|byte| is_blank(*byte) || matches!(byte, b'=' | b'/'));
    if file.file_name() == Some(OsStr::new("env"))
        && is_plain_name
        && look_up(argument, place).is_err()
    {
        return Some((argument, "is in no folder of PATH"));
    }
    None
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn name_of(name: &OsStr) -> String {
    shown(&name.to_string_lossy())
}

/// What was typed, with the program in the form in which it is executed in `folder`.
///
/// # Errors
/// Those of [`resolve_in`]; nothing typed counts as an empty name.
pub fn resolve_command(
    folder: Option<&WorkingFolder>,
    typed: &[OsString],
    path: Option<&OsStr>,
) -> Result<Vec<OsString>, ProgramError> {
    let (program, arguments) = match typed {
        [program, arguments @ ..] => (program.as_os_str(), arguments),
        [] => (OsStr::new(""), typed),
    };
    let program = resolve_in(folder, program, path)?;
    Ok([program.into_os_string()].into_iter().chain(arguments.iter().cloned()).collect())
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
