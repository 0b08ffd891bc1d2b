//! Whatever bytes come in: what is read, refused and written again, checked for any input.
//!
//! A [`Target`] is one reader of the master with all that must hold of it, whatever it is given.
//! Two run the same targets: libFuzzer, from the crate `fuzz/` (`make fuzz`), and the unit tests,
//! with the seeds, the corpus and the inputs that once broke something. None of it is part of a
//! built program.
//!
//! To add a target: a file with a `run` and `seeds`, a row in [`TARGETS`], a file in
//! `fuzz/fuzz_targets` and its row in `fuzz/Cargo.toml`.

mod address;
mod json;
mod message;
mod options;
mod psych;
#[cfg(test)]
mod replay;
mod request;
mod state;

use std::collections::BTreeSet;

/// One reader, and what must hold of it.
pub struct Target {
    /// Its name: that of its file, its folder in `fuzz/corpus`, and its program.
    pub name: &'static str,
    /// Gives it an input; panics if anything does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every reader of bytes that the master has not written itself.
pub static TARGETS: [Target; 6] = [
    Target { name: "psych", run: psych::run, seeds: psych::seeds },
    Target { name: "request", run: request::run, seeds: request::seeds },
    Target { name: "state", run: state::run, seeds: state::seeds },
    Target { name: "address", run: address::run, seeds: address::seeds },
    Target { name: "options", run: options::run, seeds: options::seeds },
    Target { name: "json", run: json::run, seeds: json::seeds },
];

impl Target {
    /// The words of its seeds, one a line as libFuzzer reads a dictionary: whatever is compared
    /// with a name is not found by chance.
    pub fn dictionary(&self) -> String {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let mut words = BTreeSet::new();
        for seed in (self.seeds)() {
            for word in seed.split(|byte| !is_word(*byte)).filter(|word| word.len() > 1) {
                words.insert(String::from_utf8_lossy(word).into_owned());
            }
        }
        let mut dictionary = String::new();
        for word in words {
            dictionary.push('"');
            dictionary.push_str(&word);
            dictionary.push_str("\"\n");
        }
        dictionary
    }
}

/// The inputs of a file of `fuzz/corpus`: one a line, in hexadecimal.
///
/// # Panics
/// On anything else.
pub fn corpus(text: &str) -> Vec<Vec<u8>> {
    let byte = |line: &str, at: usize| {
        let digits = line.get(at..at + 2).expect("two digits a byte");
        u8::from_str_radix(digits, 16).expect("hexadecimal digits")
    };
    text.lines().map(|line| (0..line.len()).step_by(2).map(|at| byte(line, at)).collect()).collect()
}

/// The target `name`.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The states of Ruby masters that were recorded (`tests/vectors`).
const RECORDED_STATES: [&str; 3] = [
    include_str!("../../tests/vectors/state-manual.yaml"),
    include_str!("../../tests/vectors/state-timer.yaml"),
    include_str!("../../tests/vectors/state-mid-upgrade.yaml"),
];

/// The lines of Ruby clients that were recorded.
fn recorded_lines() -> Vec<Vec<u8>> {
    let records = include_str!("../../tests/vectors/ruby-client-requests.jsonl").lines();
    records
        .filter_map(|record| serde_json::from_str::<serde_json::Value>(record).ok())
        .filter_map(|record| Some(record.get("line")?.as_str()?.as_bytes().to_vec()))
        .collect()
}

fn owned(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
