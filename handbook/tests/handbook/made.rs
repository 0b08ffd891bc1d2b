//! Man pages, completions and tables.

use std::fs;
use std::process::Command;

use einhorn_handbook::{made, project};

use crate::support::run;

#[test]
fn what_is_made_is_as_it_would_be_made_now() {
    let made = made().unwrap();
    assert!(made.len() >= 12, "{}", made.len());
    let stale: Vec<String> = made
        .iter()
        .filter(|file| {
            fs::read_to_string(project().join(&file.path)).ok().as_ref() != Some(&file.text)
        })
        .map(|file| file.path.display().to_string())
        .collect();
    assert!(stale.is_empty(), "stale: {stale:?} (run `make generate`, and commit what it writes)");
}

#[test]
fn man_pages_are_set_without_a_warning() {
    let pages = ["einhorn.1", "einhornsh.1", "einhorn.7", "libeinhorn.3"];
    for page in pages {
        let page = project().join("docs/man").join(page);
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-k", "-z", "-Tutf8"]).arg(&page);
        let output = groff.output().expect("groff (packaging/setup installs it)");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", page.display());
    }
}

/// Whoever copies a name gets all of it, however narrow the terminal.
#[test]
fn no_name_is_divided_in_a_man_page() {
    for page in ["einhorn.1", "einhornsh.1", "einhorn.7", "libeinhorn.3"] {
        let page = project().join("docs/man").join(page);
        let mut groff = Command::new("groff");
        let set = run(groff.args(["-man", "-k", "-Tutf8", "-rLL=60n"]).arg(&page));
        let divided: Vec<&str> = set.lines().filter(|line| line.ends_with('\u{2010}')).collect();
        assert!(divided.is_empty(), "{}: {divided:?}", page.display());
    }
}
