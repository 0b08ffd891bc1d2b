//! Documents, their code, and the built programs.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use einhorn_handbook::{project, read};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The pages that tell users and those who carry on about the project.
pub(crate) fn pages() -> Vec<String> {
    let listed = Command::new("git")
        .current_dir(project())
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"])
        .output()
        .expect("git lists the files of the project");
    let mut pages: Vec<String> =
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    pages.retain(|page| project().join(page).exists());
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// What the README and `docs/` say, all in one.
pub(crate) fn handbook() -> String {
    let pages = pages();
    let pages = pages.iter().filter(|page| *page == "README.md" || page.starts_with("docs/"));
    pages.map(|page| read(page).unwrap()).collect::<Vec<_>>().join("\n")
}

/// A block of code.
pub(crate) struct Block {
    /// The comment right before it, without its brackets.
    pub(crate) mark: String,
    pub(crate) text: String,
}

/// The blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut mark = String::new();
    let mut inside = false;
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        match event {
            Event::Html(text) => {
                mark = text.trim().trim_start_matches("<!--").trim_end_matches("-->").trim().into();
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => {
                inside = true;
                let mark = std::mem::take(&mut mark);
                blocks.push(Block { mark, text: String::new() });
            }
            Event::Text(text) if inside => {
                if let Some(block) = blocks.last_mut() {
                    block.text += &text;
                }
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            _ => mark.clear(),
        }
    }
    blocks
}

/// The folder of the built programs, which are built if they are not.
pub(crate) fn programs() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut build = Command::new(&cargo);
        build.current_dir(project()).args(["build", "--quiet", "--bins"]);
        for package in ["einhorn", "time_server"] {
            build.args(["--package", package]);
        }
        assert!(build.status().unwrap().success());
        let mut library = Command::new(&cargo);
        library.current_dir(project()).args([
            "build",
            "--quiet",
            "--lib",
            "--package",
            "einhorn-c",
        ]);
        assert!(library.status().unwrap().success());
        project().canonicalize().unwrap().join("target/debug")
    })
}

/// Runs a script of that shell and gives what it prints.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| {
        panic!("{program}: {error} (packaging/setup installs what the tests need)")
    });
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {:?}\n{said}\n{complained}", output.status);
    said
}
