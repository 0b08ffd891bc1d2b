//! The languages that code is preloaded in, and the code.

use std::path::PathBuf;

use crate::support::{Folder, Launch, Master};

/// A language, by what its programs begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Ruby,
    Python,
}

/// Makes a test of a function for each language.
macro_rules! in_each_language {
    ($($name:ident,)*) => {
        mod ruby {
            $(#[test] fn $name() { super::$name($crate::language::Language::Ruby) })*
        }
        mod python {
            $(#[test] fn $name() { super::$name($crate::language::Language::Python) })*
        }
    };
}
pub(crate) use in_each_language;

/// What stands before all code.
const RUBY: &str = include_str!("code/prelude.rb");

const PYTHON: &str = include_str!("code/prelude.py");

impl Language {
    /// What stands before the name of a program on its command line.
    pub(crate) fn interpreter(self) -> &'static str {
        match self {
            Self::Ruby => "ruby",
            Self::Python => "python3",
        }
    }

    /// `ruby` or `python`.
    pub(crate) fn choose<T>(self, ruby: T, python: T) -> T {
        match self {
            Self::Ruby => ruby,
            Self::Python => python,
        }
    }

    pub(crate) fn file(self) -> &'static str {
        self.choose("app.rb", "app.py")
    }

    /// Code of that version: `top` is run when it is loaded, `main` is what `einhorn_main`
    /// does.
    pub(crate) fn code(self, version: &str, top: &str, main: &str) -> String {
        let indented = |text: &str, by: &str| -> String {
            text.lines().flat_map(|line| [by, line, "\n"]).collect()
        };
        match self {
            Self::Ruby => format!(
                "VERSION = {version:?}\n{RUBY}\n{top}\ndef einhorn_main\n{}end\n",
                indented(main, "  ")
            ),
            Self::Python => format!(
                "VERSION = {version:?}\n{PYTHON}\n{top}\ndef einhorn_main():\n{}",
                indented(main, "    ")
            ),
        }
    }

    /// Serves, and acknowledges when it is ready to.
    pub(crate) fn server(self, version: &str, top: &str) -> String {
        let main = self.choose("serve { report; ack }", "return serve(lambda: (report(), ack()))");
        self.code(version, top, main)
    }

    /// The options that preload `app` in `folder`, and those given.
    pub(crate) fn launch(self, folder: Folder, options: &[&str], arguments: &[&str]) -> Launch {
        let path = folder.word(self.file());
        let options: Vec<&str> = ["-p", &path].into_iter().chain(options.iter().copied()).collect();
        let program: Vec<&str> =
            [self.interpreter(), &path].into_iter().chain(arguments.iter().copied()).collect();
        Launch::within(folder, &options, &program)
    }

    /// A master that preloads `code`.
    #[track_caller]
    pub(crate) fn start(self, code: &str, options: &[&str]) -> Master {
        let folder = Folder::new();
        folder.write(self.file(), code);
        self.launch(folder, options, &[]).start()
    }
}

/// What a worker has reported, once it has.
#[track_caller]
pub(crate) fn report_of(master: &Master, pid: i32) -> serde_json::Value {
    let path: PathBuf = master.folder.join(&format!("report.{pid}"));
    let text = master.wait_until("a report", || std::fs::read_to_string(&path).ok());
    serde_json::from_str(&text).unwrap()
}

/// The process that has the code loaded: the master's only child that is no worker.
#[track_caller]
pub(crate) fn preloader_of(master: &Master) -> i32 {
    master.wait_until("one preloader", || {
        let workers = master.pids();
        let mut others = children_of(master.pid());
        others.retain(|pid| !workers.contains(pid));
        match others[..] {
            [pid] => Some(pid),
            _ => None,
        }
    })
}

pub(crate) fn children_of(pid: i32) -> Vec<i32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
