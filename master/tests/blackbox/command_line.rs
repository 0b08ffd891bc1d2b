//! The command line as it is typed: where options stop, how they are abbreviated, what help
//! and version say.

use crate::support::{IDLE, Launch, Master, NONE};
use crate::worker::told;

#[test]
fn help_and_version_go_to_standard_output_and_succeed() {
    for option in ["-h", "--help"] {
        let finished = Launch::new(&[option], &NONE).run();
        assert_eq!(finished.status.code(), Some(0));
        assert!(finished.stdout.starts_with("## Usage"), "{}", finished.stdout);
        for word in ["--bind", "--ack-mode", "--reexec-as", "--max-upgrade-additional"] {
            assert!(finished.stdout.contains(word), "{word}");
        }
        assert_eq!(finished.stderr, "");
    }
    let finished = Launch::new(&["--version"], &NONE).run();
    assert_eq!(finished.status.code(), Some(0));
    assert_eq!(finished.stdout.trim(), concat!("einhorn ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn options_stop_at_the_first_word_that_is_none() {
    let program = told(&["say=-n", "say=--help", "hang"]);
    for options in
        [&["-n", "2"][..], &["-n", "2", "--"], &["-n2"], &["--number=2"], &["--num", "2"]]
    {
        let master = Master::start(options, &program);
        master.wait_for_line("says -n");
        master.wait_for_line("says --help");
        assert_eq!(master.status()["target"], 2, "{options:?}");
    }
    let master =
        Master::start(&NONE, &["sh", "-c", "echo argument $0 $1 >&2; sleep 1000000", "-n", "-v"]);
    master.wait_for_line("argument -n -v");
    assert_eq!(master.status()["target"], 1);
}

#[test]
fn verbosity_is_counted() {
    for (options, level) in
        [(&["-v"][..], 0), (&["-vv"], 0), (&["-q"], 2), (&["-qq"], 2), (&["-q", "-v"], 1), (&[], 1)]
    {
        let master = Master::start(options, &IDLE);
        assert_eq!(master.status()["verbosity"], level, "{options:?}");
    }
}

#[test]
fn the_last_of_an_option_counts() {
    let master = Master::start(&["-n", "3", "-n", "2"], &IDLE);
    assert_eq!(master.status()["target"], 2);
}

#[test]
fn a_word_that_could_be_two_options_is_refused_with_both() {
    let line = Launch::new(&["--max-u", "2"], &IDLE).run().refused(&[]);
    assert!(line.contains("--max-unacked") && line.contains("--max-upgrade-additional"), "{line}");
    let line = Launch::new(&["-n"], &NONE).run().refused(&[]);
    assert!(line.contains("--number"), "{line}");
}
