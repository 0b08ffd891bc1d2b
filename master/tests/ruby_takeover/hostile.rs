//! Hostile text where a Ruby master's state should be: in the pipe that the check of ours looks
//! into while that master can still go on, and in the pipe that ours takes over from.

use std::fs::write;
use std::process::{Command, Stdio};

use crate::refused::{bomb, deep};
use crate::stand_in::{self, MANUAL, edited, numbers_in, ports_in, visit, without_upgrade};
use crate::support::process::{Process, start};
use crate::support::{EINHORN, Folder};
use crate::worker::told;

/// Begins as a state does; what ours says of it once it has to take it.
fn texts() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let text = |text: String| text.into_bytes();
    let within = |content: &str| format!("---\n:state:\n{content}").into_bytes();
    let middle = MANUAL.find(":persistent").unwrap();
    vec![
        ("cut in the middle", MANUAL.as_bytes()[..middle].to_vec(), "ends early"),
        ("cut in a word", MANUAL.as_bytes()[..middle / 2].to_vec(), "descriptor"),
        (
            "binary",
            [&within("  ")[..], &[0xff, 0, 1, 0x7f, 0xfe].repeat(1000)].concat(),
            "cannot be read",
        ),
        ("no end of a line", within(&format!("  :a: {}", "x".repeat(900_000))), "descriptor"),
        (
            "more than a pipe holds",
            within(&format!("  :a: {}\n", "x".repeat(3 << 20))),
            "descriptor",
        ),
        ("aliases of aliases", within(&bomb("  ")), "values"),
        ("an alias of nothing", within("  :cmd: *nothing\n"), "unknown anchor"),
        (
            "an object",
            text(edited(MANUAL, &[("!ruby/object:Set", "!ruby/object:Gem::Installer")])),
            "Gem::Installer",
        ),
        ("lists in lists", within(&format!("  :a: {}\n", "[".repeat(100_000))), "nest"),
        ("mappings in mappings", within(&deep(3000)), "nest"),
        (
            "children that are none",
            text(edited(MANUAL, &[("  :children:\n", "  :children: none\n  :others:\n")])),
            "children",
        ),
        (
            "a program that is a number",
            text(edited(MANUAL, &[("  :cmd:\n", "  :cmd: 5\n  :others:\n")])),
            "cmd",
        ),
        ("a list", b"---\n:state: [1, 2]\n".to_vec(), "descriptor"),
    ]
}

/// A process of Ruby with that text in a pipe, which has ours checked as a Ruby master does.
const PARENT: &str = "\
content = File.binread(ARGV.shift)
reader, writer = IO.pipe
passer = fork { reader.close; writer.write(content); exit!(0) }
writer.close
passed = system(*ARGV)
reader.binmode
puts \"passed: #{passed}, left: #{reader.read == content}\"
Process.wait(passer)
";

/// What cannot be found out is no reason to refuse, and nothing in it is run or taken out.
#[test]
fn the_check_takes_nothing_from_it_and_nothing_out_of_it() {
    let mut cases = texts();
    let ran = Folder::new();
    // A state that makes sense, and is not this parent's.
    let command = format!("  - sh\n  - -c\n  - touch {}\n", ran.word("ran"));
    let another = edited(MANUAL, &[("  - \"/usr/local/bin/einhorn\"\n", &command)]);
    cases.push(("another's", another.into_bytes(), ""));
    for (name, text, _) in cases {
        let folder = Folder::new();
        write(folder.join("text"), text).unwrap();
        let script = folder.write("parent.rb", PARENT);
        let limits = "ulimit -v 2097152; exec timeout -k 1 60 \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", limits, "sh", "ruby", "--disable=gems"]).arg(script);
        command.arg(folder.join("text")).args([EINHORN, "--upgrade-check", "--", "true"]);
        command.env_remove("EINHORN_UPGRADE_CHECK_FD");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = start(&mut command).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "passed: true, left: true\n", "{name}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        assert!(!ran.join("ran").exists(), "{name}: it was run");
    }
}

/// There is no way back, so ours says what is wrong with it and ends; the workers serve on, and
/// so does everything that they have accepted.
#[test]
fn a_takeover_from_it_is_refused_and_the_workers_serve_on() {
    for (name, text, reason) in texts() {
        let dump = without_upgrade(MANUAL);
        let mut process = stand_in::replaying(&dump, &told(&["serve"]));
        let told = process.told("replays");
        let ports = ports_in(&told);
        for port in &ports {
            visit(*port);
        }
        let workers: Vec<Process> =
            numbers_in(&told["workers"]).into_iter().map(Process::of).collect();
        let (hostile, pipe) =
            (process.master.folder.word("text"), process.master.folder.word("pipe"));
        write(&hostile, text).unwrap();
        process.next_is_script(&format!(
            "case \"$*\" in *--upgrade-check*) exec {EINHORN} \"$@\" ;; esac\n\
             mkfifo {pipe}; cat {hostile} > {pipe} &\n\
             ulimit -v 2097152; exec 9< {pipe}; exec {EINHORN} --with-state-fd 9 -- true"
        ));
        process.master.client().send("{\"command\":\"standin:go\"}\n");
        assert_eq!(process.master.wait(), 1, "{name}");
        let line = process.master.wait_for_line("descriptor 9");
        assert!(line.contains(reason) && line.len() < 1000, "{name}: {line:?}");
        assert!(workers.iter().all(Process::lives), "{name}");
        for port in &ports {
            visit(*port);
        }
    }
}
