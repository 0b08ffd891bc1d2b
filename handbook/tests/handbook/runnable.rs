//! Blocks of code that are marked, run as they stand: those of a page one after the other in one
//! shell, as a reader pastes them.
//!
//! `<!-- run -->` is run; `<!-- run: web -->` too, beside a master of that name which its page takes
//! for granted; `<!-- file: NAME -->` is a file that lies in the folder where the page is run.
//! Only what a test must have of its own is another: the port, and builds without optimisation.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use einhorn_handbook::{project, read};

use crate::support::{blocks, pages, programs, run};

/// The master of `<!-- run: web -->`.
const WEB: &str = "einhorn -k -c web -b 127.0.0.1:8080 -n 4 -m manual -s 0.1 time_server &\n\
    until einhornsh web -e status 2> /dev/null | grep -q '4 of 4 up'; do sleep 0.05; done\n";

/// Whatever goes wrong, no master stays.
const BEGIN: &str = "set -euo pipefail\n\
    trap 'kill -QUIT $(jobs -p) 2> /dev/null || true; wait' EXIT\n";

/// The page's blocks as a script for this machine, and the files that they need beside them.
fn script(page: &str, folder: &Path) -> Option<String> {
    let mut script = String::new();
    for block in blocks(&read(page).unwrap()) {
        match block.mark.split_once(": ").unwrap_or((&block.mark, "")) {
            ("file", name) => fs::write(folder.join(name), block.text).unwrap(),
            ("run", "") => script += &block.text,
            ("run", "web") => {
                if !script.contains(WEB) {
                    script += WEB;
                }
                script += &block.text;
            }
            ("run", other) => panic!("{page}: there is no {other:?} to run beside"),
            _ => {}
        }
    }
    if script.is_empty() {
        return None;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let script = script.replace("127.0.0.1:8080", &free.to_string());
    Some(script.replace("target/release", "target/debug").replace(" --release", ""))
}

fn run_page(page: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let Some(script) = script(page, folder.path()) else { return false };
    let project = project().canonicalize().unwrap();
    let script = script.replace("demo.log", "\"$TMPDIR\"/demo.log");
    // A page that does not answer costs two minutes, not the night.
    let mut command = Command::new("timeout");
    command.args(["120", "bash", "--norc", "-c"]).arg(format!("{BEGIN}{script}"));
    // The handbook is read where einhorn is installed, the others in a copy of the project.
    let is_installed = page.starts_with("docs/");
    command.current_dir(if is_installed { folder.path() } else { &project });
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", programs().display()));
    command.env("TMPDIR", folder.path()).env("RUBYLIB", project.join("target/kit/ruby/lib"));
    assert!(!run(&mut command).is_empty(), "{page} printed nothing");
    true
}

#[test]
fn every_block_that_is_marked_runs() {
    programs();
    run(Command::new(project().join("packaging/kit")).arg("ruby"));
    let pages = pages();
    let have_run: BTreeSet<&str> = thread::scope(|scope| {
        let each = |page| scope.spawn(move || run_page(page).then_some(page));
        let running: Vec<_> = pages.iter().map(|page| each(page.as_str())).collect();
        running.into_iter().filter_map(|page| page.join().unwrap()).collect()
    });
    for page in ["README", "docs/commands", "docs/operating", "docs/upgrades"] {
        assert!(have_run.contains(&*format!("{page}.md")), "{page}.md: nothing is marked in it");
    }
}
