//! Hands libFuzzer's inputs to a target of `einhorn_master::fuzzing`.

use std::path::Path;
use std::{env, fs, process};

use einhorn_master::fuzzing::corpus;
pub use einhorn_master::fuzzing::{Target, target};
pub use libfuzzer_sys::fuzz_target;

/// A folder: instead of fuzzing, the target's seeds and corpus are written to `seeds` in it, its
/// words to `words`.
const PREPARE: &str = "EINHORN_FUZZ_PREPARE";

/// Before the first input.
pub fn prepare(target: &Target) {
    let Some(folder) = env::var_os(PREPARE) else { return };
    let folder = Path::new(&folder);
    if let Err(error) = write(target, folder) {
        eprintln!("{}: {error}", folder.display());
        process::exit(1);
    }
    process::exit(0);
}

fn write(target: &Target, folder: &Path) -> std::io::Result<()> {
    let seeds = folder.join("seeds");
    fs::create_dir_all(&seeds)?;
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let corpus = corpus(&fs::read_to_string(known).unwrap_or_default());
    let write = |begin: char, inputs: &[Vec<u8>]| {
        let name = |number: usize| format!("{begin}{number:03}");
        (0..).zip(inputs).try_for_each(|(number, input)| fs::write(seeds.join(name(number)), input))
    };
    write('s', &(target.seeds)())?;
    write('c', &corpus)?;
    fs::write(folder.join("words"), target.dictionary())
}

/// The program that fuzzes the target of that name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::fuzz_target!(
            init: $crate::prepare($crate::target($name).expect("a target")),
            |data: &[u8]| ($crate::target($name).expect("a target").run)(data)
        );
    };
}
