//! What is to be preloaded, and by which command.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::interpreter::{CommandLine, Language};
use crate::log::shown;
use crate::spawn::folder::{WorkingFolder, locate};
use crate::spawn::program::{self, ProgramError};

/// Why no command is known that would load the code.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// Nothing says which language it is.
    #[error(
        "cannot tell what loads {}: its name ends in neither .rb nor .py, the program is no ruby \
         or python, and {error}", shown(&path.to_string_lossy())
    )]
    Unknown {
        /// `-p`.
        path: PathBuf,
        /// Why it is no program itself.
        error: ProgramError,
    },
    /// Its interpreter cannot be run.
    #[error(transparent)]
    Interpreter(#[from] ProgramError),
}

/// Code, and the command that loads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What runs: an interpreter, or the code itself if it is a program.
    pub program: PathBuf,
    /// The interpreter's own options.
    pub options: Vec<OsString>,
    /// What the interpreter reads first.
    pub script: Option<&'static str>,
    /// The code, `-p`.
    pub path: PathBuf,
    /// What workers find as their arguments.
    pub arguments: Vec<OsString>,
    /// `--gc-before-fork`.
    pub collects_garbage: bool,
    /// The folder that it runs in, by device and inode, with `--chdir`.
    pub folder: Option<(u64, u64)>,
}

impl Code {
    /// The code at `path` for workers that run `command` in `folder`: the program in the form
    /// in which it is executed, and its arguments. `search` is the value of `PATH`.
    ///
    /// The interpreter is the program's own first word where that is one for this code, so that
    /// versions and virtual environments hold; else the one that the program's first line
    /// names; else the one of `search`.
    ///
    /// # Errors
    /// There is none, or it cannot be run.
    pub fn find(
        path: &Path,
        collects_garbage: bool,
        command: &[OsString],
        folder: Option<&WorkingFolder>,
        search: Option<&OsStr>,
    ) -> Result<Self, CodeError> {
        let (first, rest) = match command {
            [first, rest @ ..] => (first.as_os_str(), rest),
            [] => (OsStr::new(""), command),
        };
        let of_program = Language::of_interpreter(first);
        let CommandLine { options, arguments } = match of_program {
            Some(language) => language.take_apart(rest),
            None => CommandLine { options: Vec::new(), arguments: rest.to_vec() },
        };
        let code = |program, options, script| Self {
            program,
            options,
            script,
            path: path.to_owned(),
            arguments: arguments.clone(),
            collects_garbage,
            folder: folder.and_then(identity),
        };
        let Some(language) = Language::of_file(path).or(of_program) else {
            let slashed = Path::new(".").join(path);
            return match program::resolve_in(folder, slashed.as_os_str(), search) {
                Ok(program) => Ok(code(program, Vec::new(), None)),
                Err(error) => Err(CodeError::Unknown { path: path.to_owned(), error }),
            };
        };
        let script = Some(language.script());
        if of_program == Some(language) {
            return Ok(code(first.into(), options, script));
        }
        let named = program::interpreter_of(&locate(folder, Path::new(first)));
        let interpreter = match named {
            Some(named) if Language::of_interpreter(&named) == Some(language) => {
                program::resolve_in(folder, &named, search)?
            }
            _ => in_search_path(language, folder, search)?,
        };
        Ok(code(interpreter, Vec::new(), script))
    }

    /// Everything by which it differs from other code, as words.
    pub fn words(&self) -> Vec<OsString> {
        let collects = if self.collects_garbage { "collects" } else { "" };
        let folder = self.folder.map(|(device, inode)| format!("{device}:{inode}"));
        let program = self.program.clone().into_os_string();
        [program, collects.into(), folder.unwrap_or_default().into()]
            .into_iter()
            .chain(self.options.iter().cloned())
            .chain([OsString::from("--"), self.path.clone().into_os_string()])
            .chain(self.arguments.iter().cloned())
            .collect()
    }
}

fn identity(folder: &WorkingFolder) -> Option<(u64, u64)> {
    let metadata = locate(Some(folder), Path::new(".")).metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn in_search_path(
    language: Language,
    folder: Option<&WorkingFolder>,
    search: Option<&OsStr>,
) -> Result<PathBuf, ProgramError> {
    let mut first_error = None;
    for name in language.commands() {
        match program::resolve_in(folder, OsStr::new(name), search) {
            Ok(found) => return Ok(found),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(ProgramError::NotInPath { program: String::new(), here: false }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Folder(tempfile::TempDir, Option<WorkingFolder>);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap(), None)
        }

        /// A file that can be executed; `{}` in it is the folder.
        fn file(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.path().join(name);
            let content = content.replace("{}", self.0.path().to_str().unwrap());
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn find(&self, path: &str, command: &[&OsStr]) -> Result<Code, String> {
            let command: Vec<OsString> = command.iter().map(OsString::from).collect();
            let search = Some(self.0.path().as_os_str());
            Code::find(Path::new(path), false, &command, self.1.as_ref(), search)
                .map_err(|error| error.to_string())
        }
    }

    fn words(words: &[OsString]) -> String {
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_programs_own_interpreter_goes_first() {
        let folder = Folder::new();
        folder.file("python3", "");
        let own = folder.file("python3.11", "");
        let command = [own.as_os_str(), OsStr::new("-u"), OsStr::new("x.py"), OsStr::new("a")];
        for path in ["app.py", "app"] {
            let code = folder.find(path, &command).unwrap();
            assert_eq!((code.program.as_path(), code.path.as_path()), (&*own, Path::new(path)));
            assert_eq!(
                (words(&code.options).as_str(), words(&code.arguments).as_str()),
                ("-u", "a")
            );
            assert_eq!(code.script, Some(Language::Python.script()));
        }
    }

    #[test]
    fn else_the_one_that_the_programs_first_line_names() {
        let folder = Folder::new();
        folder.file("python3", "");
        let other = folder.file("python3.9", "");
        for line in
            ["#!{}/python3.9 -u", "#!/usr/bin/env python3.9", "#!/usr/bin/env -S A=1 python3.9 -u"]
        {
            let program = folder.file("server", &format!("{line}\n"));
            let code = folder.find("app.py", &[program.as_os_str(), OsStr::new("-a")]).unwrap();
            assert_eq!(code.program, other, "{line}");
            assert_eq!(
                (words(&code.options).as_str(), words(&code.arguments).as_str()),
                ("", "-a")
            );
        }
    }

    #[test]
    fn else_the_one_in_the_search_path() {
        let folder = Folder::new();
        let python = folder.file("python3", "");
        let ruby = folder.file("ruby", "");
        let program = folder.file("server", "#!/bin/sh\n");
        let find = |path| folder.find(path, &[program.as_os_str(), OsStr::new("a")]).unwrap();
        assert_eq!((find("a.py").program, find("a.rb").program), (python, ruby.clone()));
        // An interpreter of another language still has its own name for its file.
        let code = folder.find("a.py", &[ruby.as_os_str(), OsStr::new("x.rb"), OsStr::new("a")]);
        assert_eq!(words(&code.unwrap().arguments), "a");
    }

    #[test]
    fn a_program_loads_itself() {
        let folder = Folder::new();
        let program = folder.file("server", "\x7fELF");
        let path = program.to_str().unwrap();
        let code = folder.find(path, &[program.as_os_str(), OsStr::new("a")]).unwrap();
        assert_eq!((&code.program, code.script), (&program, None));
        assert_eq!(words(&code.arguments), "a");
    }

    #[test]
    fn what_cannot_be_loaded_says_why() {
        let folder = Folder::new();
        let program = folder.file("server", "\x7fELF");
        let error = folder.find("a.py", &[program.as_os_str()]).unwrap_err();
        assert_eq!(error, "cannot run python3: no folder in PATH has it");
        let error = folder.find("/no/such", &[program.as_os_str()]).unwrap_err();
        assert_eq!(
            error,
            "cannot tell what loads /no/such: its name ends in neither .rb nor .py, the program \
             is no ruby or python, and cannot run /no/such: no such file"
        );
    }

    #[test]
    fn words_tell_codes_apart() {
        let folder = Folder::new();
        folder.file("python3", "");
        let find = |path, argument| folder.find(path, &[OsStr::new("x"), OsStr::new(argument)]);
        let code = find("a.py", "a").unwrap();
        assert_eq!(code.words(), find("a.py", "a").unwrap().words());
        assert_ne!(code.words(), find("a.py", "b").unwrap().words());
        assert_ne!(code.words(), find("b.py", "a").unwrap().words());
        let collecting = Code { collects_garbage: true, ..code.clone() };
        assert_ne!(code.words(), collecting.words());
    }

    #[test]
    fn what_is_relative_is_relative_to_the_folder_of_the_workers() {
        let mut folder = Folder::new();
        folder.file("python3", "");
        folder.file("server", "\x7fELF");
        let place = WorkingFolder::open(folder.0.path()).unwrap();
        let command = [OsStr::new("./server")];
        assert!(folder.find("server", &command).is_err());
        let elsewhere = folder.find("a.py", &command).unwrap().words();
        folder.1 = Some(place);
        assert_eq!(folder.find("server", &command).unwrap().program, Path::new("./server"));
        assert_ne!(folder.find("a.py", &command).unwrap().words(), elsewhere);
    }
}
