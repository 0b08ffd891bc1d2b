//! Whoever looks for something finds it: the code map and the list of examples leave nothing out.

use std::collections::BTreeSet;
use std::process::Command;

use einhorn_handbook::{project, read};

use crate::support::run;

/// What the project has right below a folder, without hidden files.
fn below(folder: &str) -> BTreeSet<String> {
    let mut git = Command::new("git");
    git.current_dir(project()).args(["ls-tree", "--name-only", "HEAD"]);
    if !folder.is_empty() {
        git.arg(folder);
    }
    let listed = run(&mut git);
    let names = listed.lines().filter_map(|path| path.strip_prefix(folder));
    names.filter(|name| !name.starts_with('.')).map(str::to_owned).collect()
}

/// What a page names as code, without the slash of a folder.
fn named(page: &str) -> BTreeSet<String> {
    let text = read(page).unwrap();
    let code = text.split('`').skip(1).step_by(2);
    code.map(|code| code.trim_end_matches('/').to_owned()).collect()
}

#[test]
fn the_code_map_leads_to_every_module_of_the_master_and_every_folder() {
    let named = named("ARCHITECTURE.md");
    let is_named = |folder: &str, name: &str| {
        named.contains(name) || named.contains(&format!("{folder}{name}"))
    };
    let mut seen = 0;
    for folder in ["", "master/", "master/src/"] {
        for name in below(folder) {
            // Files at the top have their places by custom; a crate is its `src`.
            if (folder != "master/src/" && name.contains('.')) || is_file_by_custom(&name) {
                continue;
            }
            assert!(is_named(folder, &name), "ARCHITECTURE.md: no row for {folder}{name}");
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen}");
}

fn is_file_by_custom(name: &str) -> bool {
    ["LICENSE", "Makefile", "src", "master"].contains(&name)
}

#[test]
fn every_module_says_what_it_answers_for() {
    let mut git = Command::new("git");
    let listed = run(git.current_dir(project()).args(["ls-files", "*/src/*.rs"]));
    let modules = listed.lines().filter(|path| !path.ends_with("tests.rs"));
    let without: Vec<&str> =
        modules.filter(|path| !read(path).unwrap().starts_with("//! ")).collect();
    assert!(listed.lines().count() > 100 && without.is_empty(), "{without:?}");
}

#[test]
fn every_example_is_listed() {
    let page = read("examples/README.md").unwrap();
    for entry in below("examples/") {
        for name in below(&format!("examples/{entry}/")) {
            let is_whole = page.contains(&format!("`{entry}/`"));
            assert!(
                is_whole || page.contains(&format!("{entry}/{name}`")),
                "examples/README.md: {entry}/{name} is not in it"
            );
        }
        assert!(entry == "README.md" || page.contains(&format!("{entry}/")), "{entry}");
    }
}
