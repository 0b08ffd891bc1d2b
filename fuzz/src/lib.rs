//! Hands libFuzzer's inputs to a target of `einhorn_master::fuzzing`.

use std::path::Path;
use std::{env, fs, process};

pub use einhorn_master::fuzzing::{Target, target};
pub use libfuzzer_sys::fuzz_target;

/// A folder: instead of fuzzing, the target's seeds are written to `seeds` in it, its words to
/// `words`.
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
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(seeds.join(format!("{number:02}")), seed)?;
    }
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
