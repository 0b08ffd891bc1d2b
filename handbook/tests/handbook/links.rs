//! Links lead somewhere: to a file, and to a heading in it.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use einhorn_handbook::{anchor, project, read};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::support::pages;

/// Where a page's links lead, and the anchors of its headings.
fn links_and_anchors(text: &str) -> (Vec<String>, BTreeSet<String>) {
    let mut links = Vec::new();
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.to_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                anchors.insert(anchor(&heading.take().unwrap_or_default()));
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    *heading += &text;
                }
            }
            _ => {}
        }
    }
    (links, anchors)
}

/// `docs/../README.md` is `README.md`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_relative_link_resolves() {
    let mut seen = 0;
    for page in pages() {
        let (links, own) = links_and_anchors(&read(&page).unwrap());
        for link in links.iter().filter(|link| !link.contains("://")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = plain(&Path::new(&page).parent().unwrap().join(path));
            let file = project().join(&target);
            assert!(path.is_empty() || file.exists(), "{page}: {link} leads to no file");
            if fragment.is_empty() {
                continue;
            }
            let anchors = if path.is_empty() {
                own.clone()
            } else {
                links_and_anchors(&read(&target).unwrap()).1
            };
            assert!(anchors.contains(fragment), "{page}: {link} leads to none of {anchors:?}");
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn the_index_leads_to_every_page() {
    let index = read("docs/README.md").unwrap();
    for page in pages() {
        // A folder has an index of its own.
        let page = page.strip_prefix("docs/").filter(|page| !page.contains('/'));
        let Some(page) = page.filter(|page| *page != "README.md") else { continue };
        assert!(index.contains(&format!("]({page})")), "docs/README.md has no link to {page}");
    }
}

/// Pages that are named in code and comments, too.
#[test]
fn every_page_that_is_named_is_there() {
    let listed = std::process::Command::new("git")
        .current_dir(project())
        .args(["grep", "-hoE", r"docs/[a-z/-]+\.md", "--", ":!docs/benchmarks", ":!handbook"])
        .output()
        .unwrap();
    let named: BTreeSet<String> =
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(named.len() > 3, "{named:?}");
    for page in named {
        assert!(project().join(&page).exists(), "{page} is named, but there is no such page");
    }
}

#[test]
fn every_section_of_the_protocol_that_code_refers_to_is_there() {
    let page = read("docs/protocol.md").unwrap();
    let listed = std::process::Command::new("git")
        .current_dir(project())
        .args(["grep", "-hoE", "protocol.md §[0-9.]*[0-9]"])
        .output()
        .unwrap();
    let named: BTreeSet<String> =
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(named.len() > 5, "{named:?}");
    for reference in named {
        let number = reference.split('§').nth(1).unwrap();
        let is_there = page
            .lines()
            .any(|line| line.trim_start_matches('#').starts_with(&format!(" {number}. ")));
        assert!(is_there, "{reference}: docs/protocol.md has no such section");
    }
}

#[test]
fn anchors() {
    assert_eq!(anchor("3. What a worker's `x` has"), "3-what-a-workers-x-has");
}
