//! What is written in several languages says the same in all of them.

use einhorn_conformance::columns::project;
use std::{collections::BTreeMap, fs};

fn read(path: &str) -> String {
    let path = project().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between `before` and `after`, wherever they do.
fn all_between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let pieces = text.split(before).skip(1);
    pieces.filter_map(|piece| piece.split_once(after)).map(|(found, _)| found).collect()
}

#[test]
fn every_manifest_has_the_same_version() {
    let workspace = read("Cargo.toml");
    let version = all_between(&workspace, "\nversion = \"", "\"")[0];
    for (path, before, after) in [
        ("Cargo.toml", "einhorn-protocol = { path = \"protocol\", version = \"", "\""),
        ("Cargo.toml", "einhorn-worker = { path = \"sdk-rust\", version = \"", "\""),
        ("sdk-node/package.json", "\"version\": \"", "\""),
        ("sdk-ruby/lib/einhorn/worker.rb", "VERSION = '", "'"),
    ] {
        let text = read(path);
        assert_eq!(all_between(&text, before, after), [version], "{path}");
    }
    for path in [
        "protocol/Cargo.toml",
        "master/Cargo.toml",
        "sdk-rust/Cargo.toml",
        "sdk-c/Cargo.toml",
        "sdk-python/Cargo.toml",
        "sdk-node/Cargo.toml",
    ] {
        assert!(read(path).contains("\nversion.workspace = true\n"), "{path}");
    }
    assert!(read("sdk-python/pyproject.toml").contains("\ndynamic = [\"version\"]\n"));
}

#[test]
fn every_language_knows_the_same_errors() {
    let header = read("sdk-c/include/einhorn.h");
    let mut numbers: BTreeMap<&str, i32> = all_between(&header, "#define EINHORN_E_", ")")
        .into_iter()
        .filter_map(|entry| entry.split_once(" (-"))
        .map(|(name, number)| (name, number.parse().unwrap()))
        .collect();
    // These two are C's own: other languages have exceptions for them.
    assert_eq!(numbers.remove("INVALID_ARGUMENT"), Some(100));
    assert_eq!(numbers.remove("INTERNAL"), Some(101));

    let python = read("sdk-python/python/einhorn_worker/_errors.py");
    let python: BTreeMap<_, _> = all_between(&python, "code, kind = ", "\"\n")
        .into_iter()
        .filter_map(|entry| entry.split_once(", \""))
        .map(|(number, name)| (name, number.parse().unwrap()))
        .collect();
    assert_eq!(python, numbers);

    let node = read("sdk-node/index.d.ts");
    let mut node = all_between(&node, "| 'EINHORN_", "'");
    node.sort_unstable();
    assert_eq!(node, numbers.keys().copied().collect::<Vec<_>>());
}

#[test]
fn every_language_takes_the_names_of_the_protocol() {
    let protocol = read("protocol/src/environment.rs");
    let ruby = read("sdk-ruby/lib/einhorn/worker.rb");
    for name in all_between(&ruby, "'EINHORN_", "'") {
        assert!(protocol.contains(&format!("\"EINHORN_{name}\"")), "EINHORN_{name}");
    }
    // The others ask the Rust library; a name in their code would be a second source.
    for path in
        ["sdk-c/src/lib.rs", "sdk-c/src/border.rs", "sdk-python/src/lib.rs", "sdk-node/src/lib.rs"]
    {
        let text = read(path);
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let names = ["EINHORN_MASTER", "EINHORN_SOCK", "EINHORN_FD", "EINHORN_CHILD"];
        for line in code {
            assert!(!names.iter().any(|name| line.contains(name)), "{path}: {line}");
        }
    }
}

#[test]
fn every_readme_is_of_a_page() {
    for language in ["rust", "c", "python", "node", "ruby"] {
        let lines = read(&format!("sdk-{language}/README.md")).lines().count();
        assert!((40..=110).contains(&lines), "sdk-{language}/README.md has {lines} lines");
    }
}
