//! States that are none: a new master refuses them with a reason, and leaves nothing behind.

use std::fmt::Write as _;
use std::fs::File;

use crate::stand_in::MANUAL;
use crate::support::{Folder, IDLE, Launch};

/// `$TMPDIR/state` becomes descriptor 3, and memory is limited to 2 GiB.
const STATE_ON_3: [&str; 4] =
    ["sh", "-c", "ulimit -v 2097152; exec 3< $TMPDIR/state; exec \"$@\"", "sh"];

/// Takes over from what is in `folder`, and returns why it did not.
#[track_caller]
fn refusal(folder: Folder, number: &str, under: &[&str]) -> String {
    let launch = Launch::within(folder, &["--with-state-fd", number, "--"], &IDLE);
    let finished = launch.under(under).run();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let mut names = finished.folder.names();
    names.retain(|name| name != "state");
    assert_eq!(names, ["stdout"], "{}", finished.stderr);
    let last = finished.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("einhorn: ") && last.contains("descriptor"), "{last}");
    last.to_owned()
}

#[track_caller]
fn check(content: impl AsRef<[u8]>, reason: &str) {
    let folder = Folder::new();
    std::fs::write(folder.join("state"), content).unwrap();
    let said = refusal(folder, "3", &STATE_ON_3);
    assert!(said.contains(reason), "{said:?} does not say {reason:?}");
    assert!(said.len() < 1000, "{said}");
}

#[test]
fn nothing_and_something_else() {
    check("", "no state");
    check("\n", "no state");
    check("--- [1, 2]\n", "no state");
    check("{\"state\": 5}\n", "no state");
    check("<?xml version='1.0'?>\n<state/>\n", "no state");
    check(b"\x7fELF\x02\x01\x01\0\0\0", "cannot be read");
    check([0xff, 0xfe, b'a', 0], "cannot be read");
}

#[test]
fn the_first_half() {
    let of = |part: usize| MANUAL.len() * part / 10;
    for part in 1..9 {
        check(&MANUAL[..of(part)], "descriptor 3");
    }
    check(&MANUAL[..MANUAL.find(":persistent").unwrap()], "ends early");
}

#[test]
fn objects_bombs_and_depths() {
    check(MANUAL.replace("!ruby/object:Set", "!ruby/object:Gem::Installer"), "Gem::Installer");
    check(MANUAL.replace(":config:", ":config: !ruby/hash:ActiveSupport"), "ActiveSupport");
    check(format!(":state: {}{}\n", "[".repeat(100_000), "]".repeat(100_000)), "nest");
    check(format!(":state:\n{}\n", deep(5000)), "nest");
    check(bomb(""), "values");
    let text = "x".repeat(1 << 20);
    check(format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 1000].join(", ")), "bytes");
}

/// Aliases of aliases, indented by `by`.
pub(crate) fn bomb(by: &str) -> String {
    let mut bomb = format!("{by}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "{by}a{level}: &a{level} [{below}]");
    }
    bomb
}

/// Mappings in mappings, a line each.
pub(crate) fn deep(levels: usize) -> String {
    (1..levels).fold(String::new(), |text, level| text + &" ".repeat(level) + ":a:\n")
}

#[test]
fn parts_without_which_there_is_no_going_on() {
    let edit = |from: &str, to: &str| MANUAL.replace(from, to);
    check(edit("  :cmd:\n", "  :no_cmd:\n"), "names no program");
    check(edit("  - \"/usr/bin/ruby\"\n", "  - \"/usr/bin/\\0\"\n"), "NUL");
    check(edit("  :bind_fds:\n  - 7\n", "  :bind_fds:\n  - seven\n"), "bind_fds");
    check(edit("  :children:\n", "  :children: none\n  :others:\n"), "children");
}

#[test]
fn more_than_any_state() {
    let folder = Folder::new();
    File::create(folder.join("state")).unwrap().set_len(1 << 40).unwrap();
    let said = refusal(folder, "3", &STATE_ON_3);
    assert!(said.contains("too large") || said.contains("too big"), "{said}");
    let zeros = ["sh", "-c", "ulimit -v 2097152; exec 3< /dev/zero; exec \"$@\"", "sh"];
    refusal(Folder::new(), "3", &zeros);
}

#[test]
fn descriptors_that_hold_no_text() {
    for (number, redirection, reason) in [
        ("3", "3< /tmp", "directory"),
        ("3", "3<&-", "not handed over"),
        ("1", "3< /dev/null", "standard streams"),
        ("0", "3< /dev/null", "standard streams"),
        ("3", "3> /dev/null", "descriptor 3"),
        ("3", "3< /dev/null", "no state"),
        ("99999", "3< /dev/null", "not handed over"),
    ] {
        let script = format!("exec {redirection}; exec \"$@\"");
        let said = refusal(Folder::new(), number, &["sh", "-c", &script, "sh"]);
        assert!(said.contains(reason), "{redirection}: {said}");
    }
}
