//! Asks Ruby's own YAML library.

use std::borrow::Cow;
use std::io::Write as _;
use std::process::{Command, Stdio};

use einhorn_master::psych::{Limits, Value, read};

pub(crate) mod random;

const SCRIPT: &str = include_str!("describe.rb");

/// Line breaks to YAML 1.1 but not to 1.2. We escape them; Ruby writes some as they are, and
/// then only a reader of YAML 1.1 gets back what was meant.
const OLD_BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// An installed Ruby.
pub(crate) struct Ruby {
    program: &'static str,
}

/// What Ruby read, in words, and how it writes that. An error has only words.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) description: String,
    pub(crate) yaml: Vec<u8>,
}

/// `None` where no Ruby is installed.
///
/// # Panics
/// Where there must be one: under continuous integration.
pub(crate) fn installed() -> Option<Ruby> {
    let ruby = Ruby { program: "ruby" };
    let found =
        ruby.command().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(ruby);
    }
    let demanded = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!demanded, "no ruby is installed, but CI=true demands these tests");
    eprintln!("no ruby is installed: skipped");
    None
}

impl Ruby {
    #[expect(clippy::disallowed_methods, reason = "a test runs Ruby itself, not as a worker")]
    fn command(&self) -> Command {
        Command::new(self.program)
    }

    /// Ruby reads each document as the value beside it, and writes that so that we read the same.
    pub(crate) fn check(&self, meant: &[(Value, String)]) -> Vec<Answer> {
        let documents: Vec<&str> = meant.iter().map(|(_, document)| document.as_str()).collect();
        let answers = self.describe(&documents);
        for ((value, document), answer) in meant.iter().zip(&answers) {
            assert_eq!(answer.description, describe(value), "Ruby read\n{document}");
            if let Some(text) = answer.readable() {
                let again = read(text.as_bytes(), &Limits::state());
                assert_eq!(again.as_ref(), Ok(value), "Ruby read\n{document}\nand wrote\n{text}");
            }
        }
        answers
    }

    /// What Ruby makes of each of `documents`.
    pub(crate) fn describe(&self, documents: &[impl AsRef<str>]) -> Vec<Answer> {
        let mut child = self
            .command()
            .args(["-W0", "-e", SCRIPT])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ruby starts");
        let mut input = child.stdin.take().expect("a pipe");
        let lines: String =
            documents.iter().map(|text| hex(text.as_ref().as_bytes()) + "\n").collect();
        let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
        let output = child.wait_with_output().expect("ruby ends");
        writer.join().expect("the writer ends").expect("ruby reads everything");
        assert!(output.status.success(), "{}", output.status);
        let answers: Vec<Answer> =
            String::from_utf8(output.stdout).expect("text").lines().map(Answer::parse).collect();
        assert_eq!(answers.len(), documents.len(), "an answer for each document");
        answers
    }
}

impl Answer {
    /// The YAML, unless only a reader of YAML 1.1 gets back what was meant.
    pub(crate) fn readable(&self) -> Option<Cow<'_, str>> {
        let text = String::from_utf8_lossy(&self.yaml);
        (!text.contains(OLD_BREAKS)).then_some(text)
    }

    fn parse(line: &str) -> Self {
        let (description, yaml) = line.split_once('\t').expect("two fields");
        Self { description: description.to_owned(), yaml: from_hex(yaml) }
    }
}

/// What a value is, in the words of `describe.rb`.
pub(crate) fn describe(value: &Value) -> String {
    let list = |items: &[Value]| items.iter().map(describe).collect::<Vec<_>>().join(", ");
    match value {
        Value::Null => "nil".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Integer(number) => format!("int {number}"),
        Value::BigInteger(digits) => format!("int {digits}"),
        Value::Float(number) if number.is_nan() => "float nan".to_owned(),
        Value::Float(number) => format!("float {}", hex(&number.to_be_bytes())),
        Value::String(text) => format!("string {}", hex(text.as_bytes())),
        Value::Bytes(bytes) => format!("string {}", hex(bytes)),
        Value::Symbol(name) => format!("symbol {}", hex(name.as_bytes())),
        Value::Time(time) => format!("time {}", time.nanoseconds),
        Value::Sequence(items) => format!("[{}]", list(items)),
        Value::Mapping(entries) => {
            let pair = |(key, value)| format!("{} => {}", describe(key), describe(value));
            let pairs: Vec<_> = entries.iter().map(|(key, value)| pair((key, value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Set(members) => format!("set {{{}}}", list(members)),
    }
}

/// `bytes` in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("two digits");
    (0..text.len()).step_by(2).map(byte).collect()
}
