//! Everything that is kept, through the targets: the seeds, the corpus that fuzzing has found,
//! and the inputs that once broke something.

use std::fs;
use std::path::{Path, PathBuf};

use super::{TARGETS, corpus};

/// Most bytes of a target's corpus: what covers most in few bytes, not all that was ever found.
const CORPUS_BYTES_MAX: usize = 80 << 10;
/// Most bytes of one input that broke something, made as small as it goes.
const FINDING_BYTES_MAX: usize = 4 << 10;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
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

#[test]
fn the_corpus_holds() {
    for target in &TARGETS {
        let file = folder().join("corpus").join(target.name);
        let inputs = corpus(&fs::read_to_string(&file).expect(target.name));
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        let bytes: usize = inputs.iter().map(Vec::len).sum();
        assert!(bytes <= CORPUS_BYTES_MAX, "{} has {bytes} bytes", target.name);
        for input in inputs {
            (target.run)(&input);
        }
    }
}

/// A failure names the file.
#[test]
fn what_was_found_stays_mended() {
    for target in &TARGETS {
        let Ok(files) = fs::read_dir(folder().join("findings").join(target.name)) else { continue };
        for file in files {
            let file = file.expect("readable").path();
            let input = fs::read(&file).expect("readable");
            assert!(input.len() <= FINDING_BYTES_MAX, "{} is large", file.display());
            eprintln!("{}", file.display());
            (target.run)(&input);
        }
    }
}
