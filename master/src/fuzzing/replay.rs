//! Everything that is kept, through the targets: the seeds, the corpus that fuzzing has found,
//! and the inputs that once broke something.

use std::fs;
use std::path::{Path, PathBuf};

use super::TARGETS;

/// Most bytes of all that is kept for one target.
const KEPT_BYTES_MAX: usize = 128 << 10;

fn kept(folder: &str, target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let Ok(entries) = fs::read_dir(root.join(folder).join(target)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

#[test]
fn seeds_hold() {
    for target in &TARGETS {
        let seeds = (target.seeds)();
        assert!(seeds.len() >= 5, "{} has {} seeds", target.name, seeds.len());
        for seed in seeds {
            (target.run)(&seed);
        }
    }
}

/// A failure names the file.
#[test]
fn what_is_kept_holds() {
    for target in &TARGETS {
        let mut bytes = 0;
        for file in [kept("corpus", target.name), kept("findings", target.name)].concat() {
            let input = fs::read(&file).expect("readable");
            bytes += input.len();
            eprintln!("{}", file.display());
            (target.run)(&input);
        }
        assert!(bytes <= KEPT_BYTES_MAX, "{}: {bytes} bytes are kept", target.name);
    }
}
