//! Interpreters and their command lines: which language a program's first word is, where its
//! options end, and which of the words are the program's own arguments. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// A language that code is preloaded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Names that end in `.rb`.
    Ruby,
    /// Names that end in `.py`.
    Python,
}

/// How an interpreter's command line is read: a row each.
struct Row {
    language: Language,
    /// What it runs as a preloader.
    script: &'static str,
    /// Names of the interpreter, to which a version may be added.
    names: &'static [&'static str],
    /// The ending of its files.
    ending: &'static str,
    /// What it is called in `PATH`, the best first.
    commands: &'static [&'static str],
    /// Short options whose value is the rest of the word or the next one.
    with_value: &'static [u8],
    /// Short options whose value can only be the rest of the word.
    with_rest: &'static [u8],
    /// Short options whose value is code or a module's name, in place of a file.
    in_place_of_file: &'static [u8],
    /// Whether arguments follow such an option at once.
    ends_options: bool,
    /// Long options whose value may be the next word.
    long_with_value: &'static [&'static str],
}

static TABLE: [Row; 2] = [
    Row {
        language: Language::Ruby,
        script: include_str!("../../../preloaders/einhorn_preload.rb"),
        names: &["ruby", "truffleruby"],
        ending: "rb",
        commands: &["ruby"],
        with_value: b"CEIXr",
        with_rest: b"0FKTWix",
        in_place_of_file: b"e",
        ends_options: false,
        long_with_value: &[
            "--backtrace-limit",
            "--disable",
            "--enable",
            "--encoding",
            "--external-encoding",
            "--internal-encoding",
            "--parser",
        ],
    },
    Row {
        language: Language::Python,
        script: include_str!("../../../preloaders/einhorn_preload.py"),
        names: &["python", "pypy"],
        ending: "py",
        commands: &["python3", "python"],
        with_value: b"WX",
        with_rest: b"",
        in_place_of_file: b"cm",
        ends_options: true,
        long_with_value: &["--check-hash-based-pycs"],
    },
];

/// A command line taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The interpreter's own options.
    pub options: Vec<OsString>,
    /// What the program finds as its arguments.
    pub arguments: Vec<OsString>,
}

impl Language {
    fn row(self) -> &'static Row {
        match self {
            Self::Ruby => &TABLE[0],
            Self::Python => &TABLE[1],
        }
    }

    /// By the ending of a file's name.
    pub fn of_file(path: &Path) -> Option<Self> {
        let ending = path.extension()?;
        TABLE.iter().find(|row| ending == row.ending).map(|row| row.language)
    }

    /// By the name of an interpreter: `ruby`, `/opt/venv/bin/python`, `python3.11`.
    pub fn of_interpreter(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?.as_bytes();
        let is_named = |stem: &&str| {
            name.strip_prefix(stem.as_bytes()).is_some_and(|version| {
                version.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b't'))
            })
        };
        TABLE.iter().find(|row| row.names.iter().any(is_named)).map(|row| row.language)
    }

    /// The names of its interpreter in `PATH`, the best first.
    pub fn commands(self) -> &'static [&'static str] {
        self.row().commands
    }

    /// What its interpreter runs as a preloader.
    pub fn script(self) -> &'static str {
        self.row().script
    }

    /// Takes the words after the interpreter apart. The file that it would run, or the code or
    /// the module in its place, is in neither part.
    pub fn take_apart(self, words: &[OsString]) -> CommandLine {
        let row = self.row();
        let mut line = CommandLine::default();
        let mut needs_file = true;
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match row.read(word.as_bytes()) {
                Word::End => break,
                Word::File => {
                    let word = (!needs_file).then_some(word);
                    line.arguments.extend(word.into_iter().chain(rest).cloned());
                    return line;
                }
                Word::Option { takes_next } => {
                    line.options.push(word.clone());
                    line.options.extend(rest.by_ref().take(usize::from(takes_next)).cloned());
                }
                Word::InPlaceOfFile { before, takes_next } => {
                    needs_file = false;
                    if before.len() > 1 {
                        line.options.push(OsString::from_vec(before));
                    }
                    rest.by_ref().take(usize::from(takes_next)).for_each(drop);
                    if row.ends_options {
                        break;
                    }
                }
            }
        }
        line.arguments.extend(rest.skip(usize::from(needs_file)).cloned());
        line
    }
}

/// What a word among an interpreter's options is.
enum Word {
    Option { takes_next: bool },
    InPlaceOfFile { before: Vec<u8>, takes_next: bool },
    File,
    End,
}

impl Row {
    fn read(&self, word: &[u8]) -> Word {
        match word {
            b"--" => Word::End,
            b"-" => Word::File,
            [b'-', b'-', ..] => {
                let takes_next = self.long_with_value.iter().any(|long| long.as_bytes() == word);
                Word::Option { takes_next }
            }
            [b'-', letters @ ..] => self.read_letters(letters),
            _ => Word::File,
        }
    }

    /// Several short options may share a word.
    fn read_letters(&self, letters: &[u8]) -> Word {
        for (place, letter) in letters.iter().enumerate() {
            let is_last = place + 1 == letters.len();
            if self.in_place_of_file.contains(letter) {
                let before = letters.get(..place).unwrap_or_default();
                let before = [b"-", before].concat();
                return Word::InPlaceOfFile { before, takes_next: is_last };
            }
            if self.with_value.contains(letter) {
                return Word::Option { takes_next: is_last };
            }
            if self.with_rest.contains(letter) {
                break;
            }
        }
        Word::Option { takes_next: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_row() {
        for language in [Language::Ruby, Language::Python] {
            assert_eq!(language.row().language, language);
        }
    }

    #[test]
    fn interpreters_by_name() {
        let of = |name: &str| Language::of_interpreter(OsStr::new(name));
        for name in ["ruby", "/usr/bin/ruby3.1", "ruby33", "truffleruby"] {
            assert_eq!(of(name), Some(Language::Ruby), "{name}");
        }
        for name in ["python", "/srv/venv/bin/python", "python3.11", "python3.13t", "pypy3"] {
            assert_eq!(of(name), Some(Language::Python), "{name}");
        }
        for name in ["", "/", "rubygems", "pythonic", "python3-config", "irb", "./app.py", "perl"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn files_by_ending() {
        let of = |name: &str| Language::of_file(Path::new(name));
        assert_eq!(of("/a/b.rb"), Some(Language::Ruby));
        assert_eq!(of("b.py"), Some(Language::Python));
        for name in ["rb", ".py", "a.pyc", "a", "a.rb/"] {
            assert_ne!(of(name), Some(Language::Python), "{name}");
        }
    }

    #[track_caller]
    fn check(language: Language, line: &str, options: &str, arguments: &str) {
        let words =
            |text: &str| -> Vec<OsString> { text.split_whitespace().map(OsString::from).collect() };
        let expect = CommandLine { options: words(options), arguments: words(arguments) };
        assert_eq!(language.take_apart(&words(line)), expect, "{line}");
    }

    #[test]
    fn ruby_command_lines() {
        let check = |line, options, arguments| check(Language::Ruby, line, options, arguments);
        check("", "", "");
        check("app.rb", "", "");
        check("app.rb a -b", "", "a -b");
        check("-w -Ilib -rset app.rb a", "-w -Ilib -rset", "a");
        check("-I lib -r set app.rb a", "-I lib -r set", "a");
        check("-wI lib app.rb", "-wI lib", "");
        check("-W0 -Ku app.rb x", "-W0 -Ku", "x");
        check("--yjit --enable=gems app.rb x", "--yjit --enable=gems", "x");
        check(
            "--enable gems --disable did_you_mean app.rb x",
            "--enable gems --disable did_you_mean",
            "x",
        );
        check("-- app.rb -- x", "", "-- x");
        check("-w -- app.rb x", "-w", "x");
        check("- x", "", "x");
        check("-e code x y", "", "x y");
        check("-we code -e more -w x y", "-w -w", "x y");
        check("-ecode -- x", "", "x");
        check("-I", "-I", "");
    }

    #[test]
    fn python_command_lines() {
        let check = |line, options, arguments| check(Language::Python, line, options, arguments);
        check("app.py a b", "", "a b");
        check("-u -X dev -W ignore app.py --x", "-u -X dev -W ignore", "--x");
        check("-uW ignore -Xdev app.py", "-uW ignore -Xdev", "");
        check("-m app a -u", "", "a -u");
        check("-um app a", "-u", "a");
        check("-mapp a", "", "a");
        check("-c code a -- b", "", "a -- b");
        check("-Ic code a", "-I", "a");
        check("--check-hash-based-pycs never app.py a", "--check-hash-based-pycs never", "a");
        check("-- app.py a", "", "a");
        check("-E -", "-E", "");
    }
}
