//! Man pages, completions and tables.

use std::fs;

use einhorn_handbook::{made, project};

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
