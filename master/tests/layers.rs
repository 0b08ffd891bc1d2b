//! The modules stand in layers: one imports only from its own group or those above it in
//! `lib.rs`. An arrow that points the other way is named here.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

/// The group of each module: groups are separated by blank lines in `lib.rs`.
fn layers(lib: &str) -> HashMap<String, usize> {
    let mut layers = HashMap::new();
    for (group, paragraph) in lib.split("\n\n").enumerate() {
        for line in paragraph.lines() {
            if let Some(module) = line.strip_prefix("pub mod ") {
                layers.insert(module.trim_end_matches(';').to_string(), group);
            }
        }
    }
    layers
}

#[test]
fn no_module_imports_from_a_higher_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let layers = layers(&fs::read_to_string(root.join("lib.rs")).unwrap());
    assert!(layers.len() > 10, "lib.rs lists the modules");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let Some(own) = layers.get(first.trim_end_matches(".rs")) else { continue };
        let text = fs::read_to_string(&file).unwrap();
        for part in text.split("crate::").skip(1) {
            let module: String =
                part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if layers.get(&module).is_some_and(|layer| layer > own) {
                wrong.push(format!("{} imports {module}", inside.display()));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "arrows that point upwards:\n{}", wrong.join("\n"));
}
