//! What the program is made of besides its own code: how much, under which licences, from where.
//! Asked of cargo without a network, as far as everything is there already.
#![expect(clippy::disallowed_methods, reason = "a test asks cargo")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;

/// What anybody may do everything with that this project's own licence allows.
const FREE: [&str; 2] = ["MIT", "Apache-2.0"];
/// Packages that offer neither by itself: only tools that build or test, and tables of characters.
const OTHERS: [(&str, &str); 4] = [
    ("cbindgen", "MPL-2.0"),
    ("libloading", "ISC"),
    ("target-lexicon", "Apache-2.0 WITH LLVM-exception"),
    ("unicode-ident", "(MIT OR Apache-2.0) AND Unicode-3.0"),
];
/// Packages of which the workspace has two versions; the program itself has none.
const TWICE: [&str; 3] = ["syn", "toml_datetime", "winnow"];

fn cargo(words: &[&str]) -> Output {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--format-version", "1"]);
    // The same answer on every machine.
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    command.arg("--manifest-path").arg(manifest).args(words).output().unwrap()
}

struct Packages {
    by_id: BTreeMap<String, Json>,
    /// By id, what each needs to be built or to run.
    needs: BTreeMap<String, Vec<String>>,
}

impl Packages {
    fn of_the_workspace() -> Self {
        let mut output = cargo(&["--offline"]);
        if !output.status.success() {
            // A part of the workspace has never been built here.
            output = cargo(&[]);
        }
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
        let list = |of: &Json| of.as_array().unwrap().clone();
        let id = |of: &Json| of["id"].as_str().unwrap().to_owned();
        let is_needed = |need: &Json| list(&need["dep_kinds"]).iter().any(|k| k["kind"] != "dev");
        let needs = |node: &Json| -> Vec<String> {
            let needed = list(&node["deps"]).into_iter().filter(is_needed);
            needed.map(|need| need["pkg"].as_str().unwrap().to_owned()).collect()
        };
        Self {
            needs: list(&answer["resolve"]["nodes"]).iter().map(|n| (id(n), needs(n))).collect(),
            by_id: list(&answer["packages"]).into_iter().map(|p| (id(&p), p)).collect(),
        }
    }

    /// Those that are not this project's own.
    fn foreign<'a>(&'a self, ids: impl IntoIterator<Item = &'a String>) -> Vec<&'a Json> {
        let packages = ids.into_iter().map(|id| &self.by_id[id]);
        packages.filter(|package| !package["source"].is_null()).collect()
    }

    fn all(&self) -> Vec<&Json> {
        self.foreign(self.by_id.keys())
    }

    fn program(&self) -> &String {
        self.by_id.iter().find(|(_, package)| package["name"] == "einhorn").unwrap().0
    }

    fn direct(&self) -> Vec<&Json> {
        self.foreign(&self.needs[self.program()])
    }

    /// Everything that the program needs, and what that needs.
    fn of_the_program(&self) -> Vec<&Json> {
        let mut found = BTreeSet::new();
        let mut next = vec![self.program()];
        while let Some(id) = next.pop() {
            if found.insert(id) {
                next.extend(&self.needs[id]);
            }
        }
        self.foreign(found)
    }
}

fn name(package: &Json) -> &str {
    package["name"].as_str().unwrap()
}

fn licence(package: &Json) -> &str {
    package["license"].as_str().unwrap_or("none")
}

/// Whether one of the free licences may be chosen.
fn is_free(licence: &str) -> bool {
    let choices = licence.split(" OR ").flat_map(|choice| choice.split('/'));
    !licence.contains("AND") && choices.into_iter().any(|choice| FREE.contains(&choice.trim()))
}

/// Names that are there more than once.
fn twice<'a>(packages: &[&'a Json]) -> Vec<&'a str> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for package in packages {
        *count.entry(name(package)).or_default() += 1;
    }
    count.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name).collect()
}

#[test]
fn licences_are_free_and_exceptions_are_known() {
    let packages = Packages::of_the_workspace();
    let mut others: Vec<(&str, &str)> = packages
        .all()
        .into_iter()
        .filter(|package| !is_free(licence(package)))
        .map(|package| (name(package), licence(package)))
        .collect();
    others.sort_unstable();
    assert_eq!(others, OTHERS);
}

#[test]
fn a_licence_is_judged_by_what_may_be_chosen() {
    for good in
        ["MIT", "MIT OR Apache-2.0", "Apache-2.0 / MIT", "MIT/Apache-2.0", "Unlicense OR MIT"]
    {
        assert!(is_free(good), "{good}");
    }
    for bad in ["GPL-3.0", "none", "MIT AND GPL-3.0", "MPL-2.0", "Apache-2.0 WITH LLVM-exception"] {
        assert!(!is_free(bad), "{bad}");
    }
}

#[test]
fn nothing_is_there_twice_but_what_is_known() {
    let packages = Packages::of_the_workspace();
    assert_eq!(twice(&packages.of_the_program()), [""; 0]);
    assert_eq!(twice(&packages.all()), TWICE);
}

#[test]
fn everything_comes_from_a_registry_with_its_checksum() {
    let packages = Packages::of_the_workspace();
    for package in packages.all() {
        assert!(package["source"].as_str().unwrap().starts_with("registry+"), "{package}");
    }
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let count = |words: &str| lock.lines().filter(|line| line.starts_with(words)).count();
    assert_eq!(count("source = "), count("checksum = "));
}

#[test]
fn architecture_says_how_many_there_are() {
    let packages = Packages::of_the_workspace();
    let (direct, all) = (packages.direct().len(), packages.of_the_program().len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let line = format!("{direct} direct dependencies of the program, {all} with theirs");
    assert!(text.contains(&line), "ARCHITECTURE.md does not say: {line}");
    // Each of the direct ones has a reason.
    for package in packages.direct() {
        let table = text.split("## Dependencies").nth(1).unwrap();
        assert!(
            table.contains(name(package)),
            "ARCHITECTURE.md gives no reason for {}",
            name(package)
        );
    }
}
