//! Command lines as they are typed, what they mean, and how bad ones are refused.

use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::settings::{AckMode, AckTimeout, Settings};

fn processors() -> NonZeroU32 {
    NonZeroU32::new(3).unwrap()
}

fn parse_words(words: &[&str]) -> Result<Invocation, OptionError> {
    parse(words.iter().map(OsString::from), processors())
}

#[track_caller]
fn launch(words: &[&str]) -> Launch {
    match parse_words(words) {
        Ok(Invocation::Run(launch)) => *launch,
        other => panic!("{words:?} gave {other:?}"),
    }
}

/// What differs from a bare `einhorn prog`, one `name=value` after the other; or the error.
fn describe(words: &[&str]) -> String {
    let launch = match parse_words(words) {
        Ok(Invocation::Run(launch)) => *launch,
        Ok(Invocation::UpgradeCheck { program }) => return format!("check {program:?}"),
        Ok(Invocation::Help(_)) => return "help".into(),
        Ok(Invocation::Usage(_)) => return "usage".into(),
        Ok(Invocation::Version(line)) => return line,
        Err(error) => return format!("error: {error}"),
    };
    let mut said = String::new();
    let plain = bare();
    let fields: [(&str, String, String); 18] = [
        ("settings", settings_words(&launch.settings), settings_words(&plain.settings)),
        ("binds", format!("{:?}", launch.binds.len()), "0".into()),
        ("name", format!("{:?}", launch.command_name), "None".into()),
        ("socket", format!("{:?}", launch.socket_path), "None".into()),
        ("pidfile", format!("{:?}", launch.pidfile), "None".into()),
        ("lockfile", format!("{:?}", launch.lockfile), "None".into()),
        ("as_fd", launch.command_socket_as_fd.to_string(), "false".into()),
        ("kill", launch.kill_children_on_exit.to_string(), "false".into()),
        ("preload", format!("{:?}", launch.preload), "None".into()),
        ("gc", launch.gc_before_fork.to_string(), "false".into()),
        ("verbosity", launch.verbosity.to_string(), "1".into()),
        ("drop", format!("{:?}", launch.drop_env_vars), "[]".into()),
        ("reexec", format!("{:?}", launch.reexec_as), "None".into()),
        ("nice", format!("{:?}", launch.nice), format!("{:?}", plain.nice)),
        ("fd_base", format!("{:?}", launch.fd_base), "None".into()),
        ("listen_fds", launch.settings.listen_fds.to_string(), "false".into()),
        ("state", format!("{:?}", launch.with_state_fd), "None".into()),
        ("cmd", format!("{:?}", launch.orig_cmd), "[\"prog\"]".into()),
    ];
    for (name, value, default) in fields {
        if value != default {
            write!(said, " {name}={value}").unwrap();
        }
    }
    said.trim_start().to_owned()
}

fn bare() -> Launch {
    launch(&["prog"])
}

fn settings_words(settings: &Settings) -> String {
    let plain = Settings::default_for(processors());
    let mut said = String::new();
    for row in &crate::settings::TABLE {
        if row.show(settings) != row.show(&plain) {
            write!(said, "{} {} ", row.key, row.show(settings)).unwrap();
        }
    }
    if settings.ack_mode != plain.ack_mode {
        write!(said, "{:?}", settings.ack_mode).unwrap();
    }
    said.trim_end().to_owned()
}

#[track_caller]
fn check(line: &str, expected: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(describe(&words), expected, "{line}");
}

#[test]
fn nothing_said_means_the_defaults() {
    let bare = bare();
    assert_eq!(bare.settings, Settings::default_for(processors()));
    assert_eq!(bare.settings.number, 1);
    assert_eq!(bare.settings.backlog, 100);
    assert!((bare.settings.seconds - 1.0).abs() < f64::EPSILON);
    assert_eq!(bare.settings.max_unacked.get(), 3);
    assert_eq!(bare.settings.ack_mode, AckMode::Timer(Duration::from_secs(1)));
    assert_eq!(bare.settings.ack_timeout, AckTimeout::Default);
    assert_eq!((bare.verbosity, bare.explicit.len()), (1, 0));
    check("prog", "");
}

#[test]
fn every_spelling_of_a_value() {
    for line in ["-n 2", "-n2", "-n=2", "--number 2", "--number=2", "--num 2", "--n=2 --number 2"] {
        let expected = if line.starts_with("--n=") { AMBIGUOUS_N } else { "settings=number 2" };
        check(&format!("{line} prog"), expected);
    }
    check("-kgn2 prog", "settings=number 2 as_fd=true kill=true");
    check("-n 2 -n 3 prog", "settings=number 3");
}

const AMBIGUOUS_N: &str = "error: --n could be --number or --nice: write more of it";

#[test]
fn every_option() {
    check("-b 127.0.0.1:0,r -b [::1]:0 --bind unix:/x prog", "binds=3");
    check("-c web prog", "name=Some(\"web\")");
    check("-d /run/x prog", "socket=Some(\"/run/x\")");
    check("-e /run/p -f /run/l prog", "pidfile=Some(\"/run/p\") lockfile=Some(\"/run/l\")");
    check("--command-socket-as-fd prog", "as_fd=true");
    check("--kill-children-on-exit prog", "kill=true");
    check("-l 5 prog", "settings=backlog 5");
    check("-m manual prog", "settings=Manual");
    check("-m notify prog", "settings=stop_signal TERM Notify");
    check("-m fd prog", "settings=stop_signal TERM Descriptor");
    check("-m 0 prog", "settings=Timer(0ns)");
    check("-m 2.5 prog", "settings=Timer(2.5s)");
    check("-p app.rb --gc-before-fork prog", "preload=Some(\"app.rb\") gc=true");
    check("-s 0.25 prog", "settings=seconds 0.25");
    check("-s 3600 prog", "settings=seconds 3600");
    check("-t 0 prog", "settings=signal_timeout 0");
    check("-t 1.5 prog", "settings=signal_timeout 1.5");
    check("--preload-timeout 2.5 prog", "settings=preload_timeout 2.5");
    check("--ack-timeout 0 prog", "settings=ack_timeout none");
    check("--ack-timeout 60 prog", "settings=ack_timeout 60");
    check("--max-unacked 1 prog", "settings=max_unacked 1");
    check("--max-upgrade-additional 1 prog", "settings=max_upgrade_additional 1");
    check("--drop-env-var A --drop-env-var B prog", "drop=[\"A\", \"B\"]");
    check("--fd-base 1 prog", "fd_base=Some(One)");
    check("--listen-fds prog", "settings=stop_signal TERM listen_fds=true");
    check("--listen-fds --stop-signal USR2 prog", "listen_fds=true");
    check("--with-state-fd 7 -- prog", "state=Some(7)");
}

#[test]
fn nice_levels() {
    let rows = [
        ("5", Some((Some(5), None, None))),
        ("-5:3", Some((Some(-5), Some(3), None))),
        ("-20:19:renice -n", Some((Some(-20), Some(19), Some("renice -n")))),
        ("0:0:", Some((Some(0), Some(0), Some("")))),
        ("0:0:a:b", Some((Some(0), Some(0), Some("a:b")))),
        ("", None),
        (":5", None),
        ("5:", None),
        ("-21", None),
        ("20", None),
        ("0:20", None),
        ("1.5", None),
        ("x", None),
    ];
    for (value, expected) in rows {
        for words in [vec!["--nice", value, "prog"], vec![&*format!("--nice={value}"), "prog"]] {
            let found = parse_words(&words).ok().map(|invocation| match invocation {
                Invocation::Run(launch) => launch.nice,
                other => panic!("{other:?}"),
            });
            let expected = expected.map(|(master, worker, command)| Nice {
                master,
                worker,
                renice_command: command.map(OsString::from),
            });
            assert_eq!(found, expected, "{words:?}");
        }
    }
}

#[test]
fn options_end_at_the_program() {
    check("prog -n 0 --bogus -- -v", "cmd=[\"prog\", \"-n\", \"0\", \"--bogus\", \"--\", \"-v\"]");
    check("-k -- prog --help", "kill=true cmd=[\"prog\", \"--help\"]");
    check("-- -prog", "cmd=[\"-prog\"]");
    check("-- -- -k", "cmd=[\"--\", \"-k\"]");
    check("- -k", "cmd=[\"-\", \"-k\"]");
    check("-k prog -g", "kill=true cmd=[\"prog\", \"-g\"]");
}

#[test]
fn no_program_is_a_question_for_the_usage() {
    check("", "usage");
    check("-n 4", "usage");
    check("--", "usage");
    check("-n 0", "error: --number cannot be \"0\": it must be a whole number from 1 to 10000");
    check("--with-state-fd 3", "state=Some(3) cmd=[]");
    for words in [&[][..], &["-h"]] {
        let Ok(Invocation::Usage(text) | Invocation::Help(text)) = parse_words(words) else {
            panic!("no text for {words:?}")
        };
        assert!(text.starts_with("## Usage\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for row in &definition::DEFINITIONS {
            assert!(text.contains(&format!("--{}", row.long)), "no {} in {text}", row.long);
        }
    }
}

#[test]
fn what_needs_no_program() {
    check("-h", "help");
    check("--help prog", "help");
    check("-n 0 -h", "help");
    check("--version", concat!("einhorn ", env!("CARGO_PKG_VERSION"), "\n"));
    check("--upgrade-check", "check []");
    check("--upgrade-check -- prog -x", "check [\"prog\", \"-x\"]");
    check("-n 2 --upgrade-check -- prog", "check [\"prog\"]");
    check("prog --version", "cmd=[\"prog\", \"--version\"]");
}

#[test]
fn verbosity_is_counted_both_ways() {
    for (line, expected) in [
        ("-v", "0"),
        ("-vv", "0"),
        ("-vvvvvv", "0"),
        ("-q", "2"),
        ("-qq", "2"),
        ("-vvq", "0"),
        ("--quiet -v --verbose", "0"),
    ] {
        check(&format!("{line} prog"), &format!("verbosity={expected}"));
    }
    check("-q -v prog", "");
    let mut many = vec!["-q"; 1000];
    many.push("prog");
    assert_eq!(launch(&many).verbosity, 2);
}

#[test]
fn the_syntax_is_refused_by_name() {
    check("--bogus prog", "error: unknown option --bogus (einhorn --help lists the options)");
    check("-x prog", "error: unknown option -x (einhorn --help lists the options)");
    check("-kx prog", "error: unknown option -x (einhorn --help lists the options)");
    check("--ack 3 prog", "error: --ack could be --ack-mode or --ack-timeout: write more of it");
    check("--ver prog", "error: --ver could be --verbose or --version: write more of it");
    check("-k --number", "error: --number needs a value");
    check("-n", "error: --number needs a value");
    check("--quiet=3 prog", "error: --quiet takes no value, but was given \"3\"");
}

#[test]
fn values_are_refused_by_name_value_and_range() {
    let rows = [
        ("-n 0", "--number cannot be \"0\": it must be a whole number from 1 to 10000"),
        ("-n 10001", "--number cannot be \"10001\": it must be a whole number from 1 to 10000"),
        ("-n 2.0", "--number cannot be \"2.0\": it must be a whole number from 1 to 10000"),
        ("-n -1", "--number cannot be \"-1\": it must be a whole number from 1 to 10000"),
        ("-n two", "--number cannot be \"two\": it must be a whole number from 1 to 10000"),
        (
            "-s 0",
            "--seconds cannot be \"0\": it must be a number of seconds above 0 (above 30 acts as 30)",
        ),
        (
            "-s nan",
            "--seconds cannot be \"nan\": it must be a number of seconds above 0 (above 30 acts as 30)",
        ),
        ("-l 0", "--backlog cannot be \"0\": it must be a whole number from 1 to 2147483647"),
        (
            "-l 2147483648",
            "--backlog cannot be \"2147483648\": it must be a whole number from 1 to 2147483647",
        ),
        (
            "-t -1",
            "--signal-timeout cannot be \"-1\": it must be a number of seconds from 0 to 1000000000",
        ),
        (
            "-m auto",
            "--ack-mode cannot be \"auto\": it must be `manual`, `notify`, `fd`, `exec:` and a command, or a number of seconds from 0 to 1000000000",
        ),
        (
            "--ack-timeout -1",
            "--ack-timeout cannot be \"-1\": it must be a number of seconds from 0 (none) to 1000000000",
        ),
        (
            "--max-unacked 0",
            "--max-unacked cannot be \"0\": it must be a whole number from 1 to 4294967295",
        ),
        (
            "--max-upgrade-additional 0",
            "--max-upgrade-additional cannot be \"0\": it must be a whole number from 1 to 4294967295",
        ),
        ("--fd-base 2", "--fd-base cannot be \"2\": it must be 0 or 1"),
        (
            "--with-state-fd -1",
            "--with-state-fd cannot be \"-1\": it must be the number of a descriptor, 0 or more",
        ),
        (
            "-c a/b",
            "--command-name cannot be \"a/b\": it must be 1 to 200 bytes without / and control characters",
        ),
        (
            "--drop-env-var A=B",
            "--drop-env-var cannot be \"A=B\": it must be a variable's name, without =",
        ),
        ("--pidfile=", "--pidfile cannot be \"\": it must be the path of a file"),
        (
            "-b 127.0.0.1:80,x",
            "--bind 127.0.0.1:80,x: unknown socket option \"x\" (the options are r or so_reuseaddr, n or o_nonblock, balance)",
        ),
        ("-b 127.0.0.1:80 -b 127.0.0.1:80", "--bind 127.0.0.1:80: this address is given twice"),
        ("-b a=h:0 -b a=g:0", "--bind a=g:0: the name \"a\" is given to two addresses"),
        (
            "-m 10 --ack-timeout 10",
            "an ack timeout of 10 s gives every worker up before the 10 s that it must live to count as up: make it longer, or 0 for none",
        ),
    ];
    for (line, expected) in rows {
        check(&format!("{line} prog"), &format!("error: {expected}"));
    }
    assert_eq!(describe(&["-k", ""]), "error: the program to run has an empty name");
    let long = format!("-d/{}", "x".repeat(107));
    assert!(parse_words(&[&long, "prog"]).is_err());
    assert!(parse_words(&[&long[..long.len() - 1], "prog"]).is_ok());
    check("-m manual --ack-timeout 0.5 prog", "settings=ack_timeout 0.5 Manual");
    // The mode may be in the state.
    check("--ack-timeout 0.5 --with-state-fd 3 -- prog", "settings=ack_timeout 0.5 state=Some(3)");
}

#[test]
fn reexec_words_are_split_as_by_a_shell() {
    let rows: [(&str, Option<&[&str]>); 6] = [
        ("einhorn -n 5", Some(&["einhorn", "-n", "5"])),
        (
            " bundle exec 'my einhorn' \"a\\\"b\" c\\ d",
            Some(&["bundle", "exec", "my einhorn", "a\"b", "c d"]),
        ),
        ("caf\u{e9} \u{1f984}", Some(&["caf\u{e9}", "\u{1f984}"])),
        ("", None),
        ("'open", None),
        ("'' x", None),
    ];
    for (line, expected) in rows {
        let found =
            parse_words(&["--reexec-as", line, "prog"]).ok().map(|invocation| match invocation {
                Invocation::Run(launch) => launch.reexec_as.unwrap(),
                other => panic!("{other:?}"),
            });
        let expected = expected.map(|words| words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn bytes_that_are_no_text_survive() {
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let words = [
        bytes(b"-d/run/\xff"),
        bytes(b"--pidfile=/\xfe"),
        bytes(b"--reexec-as=a\xff 'b \xfe'"),
        bytes(b"pro\xffg"),
        bytes(b"-\xff"),
    ];
    let Ok(Invocation::Run(launch)) = parse(words, processors()) else { panic!() };
    assert_eq!(launch.socket_path.unwrap().as_os_str().as_bytes(), b"/run/\xff");
    assert_eq!(launch.pidfile.unwrap().as_os_str().as_bytes(), b"/\xfe");
    assert_eq!(launch.reexec_as.unwrap(), [bytes(b"a\xff"), bytes(b"b \xfe")]);
    assert_eq!(launch.orig_cmd, [bytes(b"pro\xffg"), bytes(b"-\xff")]);
    for word in [&b"-\xff"[..], b"--\xff", b"--n\xff=3", b"-n\xff", b"--number=\xff"] {
        let error = parse([bytes(word), bytes(b"prog")], processors()).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn errors_stay_on_one_line() {
    for words in [["-n", "1\n2"], ["--a\nb", "x"], ["-b", "h\n:1"], ["-c", "\u{1b}[2J"]] {
        let error = parse_words(&[words[0], words[1], "prog"]).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn what_was_written_out_is_known() {
    let explicit = |words: &[&str]| launch(words).explicit.into_iter().collect::<Vec<_>>();
    assert_eq!(
        explicit(&["-n", "1", "-q", "--with-state-fd", "3", "--", "prog"]),
        [OptionName::Number, OptionName::Quiet, OptionName::WithStateFd]
    );
    assert_eq!(explicit(&["prog", "-n", "3"]), []);
}

#[test]
fn the_definition_holds_together() {
    command().debug_assert();
    let longs: Vec<_> = definition::DEFINITIONS.iter().map(|row| row.long).collect();
    for row in &crate::settings::TABLE {
        assert!(longs.contains(&row.option), "{}", row.option);
    }
    let names: std::collections::BTreeSet<_> =
        definition::DEFINITIONS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), longs.len());
}

/// Both readers' view of a line: what each makes of it.
fn check_plain(words: &[OsString]) -> bool {
    let Some(plain) = Typed::read_plain(words) else { return false };
    let any = Typed::read_any(words.to_vec());
    let made = |typed: &Typed| (typed.program.clone(), Launch::from_typed(typed, processors()));
    let any = any.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert_eq!(made(&plain), made(&any), "{words:?}");
    for row in &definition::DEFINITIONS {
        assert_eq!(plain.has(row.long), any.has(row.long), "{words:?}: {}", row.long);
    }
    true
}

#[test]
fn a_line_with_every_option_spelt_out_is_read_without_clap() {
    let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
    for line in [
        "prog",
        "-- prog",
        "-- -- prog",
        "--",
        "-b 127.0.0.1:0 -n 4 -m manual -t 30 prog --its-own -- -n 3",
        "-q -v -q --quiet -n 1 --number 2 -b :1 --bind :2 -k -k -- -prog",
        "--help -n 3",
    ] {
        assert!(check_plain(&words(line)), "{line}");
    }
    for line in ["-qq prog", "-n4 prog", "-n -1 prog", "--num 3 prog", "--number=3 x", "-n", "- x"]
    {
        assert!(!check_plain(&words(line)), "{line}");
    }
}

/// Words that are nearly options, so that random lines get past the first word.
fn word() -> impl Strategy<Value = OsString> {
    let dashed = prop::sample::select(
        definition::DEFINITIONS.iter().map(|row| row.long).collect::<Vec<_>>(),
    );
    prop_oneof![
        dashed.prop_map(|long| format!("--{long}").into()),
        "-[a-z]{1,3}=?[0-9-]{0,2}".prop_map(OsString::from),
        "[0-9:.,=-]{0,6}".prop_map(OsString::from),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(OsString::from_vec),
    ]
}

/// Options as they are mostly typed, with the like of their values.
fn line_word() -> impl Strategy<Value = OsString> {
    let spelt = definition::DEFINITIONS.iter().flat_map(|row| {
        let short = row.short.map(|short| format!("-{short}"));
        [Some(format!("--{}", row.long)), short].into_iter().flatten()
    });
    let spelt = prop::sample::select(spelt.collect::<Vec<_>>());
    let value = prop::sample::select(vec!["1", "-1", "", "--", "-", "prog", "0", "manual", "a=b"]);
    prop_oneof![
        4 => spelt.prop_map(OsString::from),
        4 => value.prop_map(OsString::from),
        1 => word(),
    ]
}

proptest! {
    #[test]
    fn parsing_never_panics(words in prop::collection::vec(word(), 0..8)) {
        if let Err(error) = parse(words, processors()) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn both_readers_agree(words in prop::collection::vec(line_word(), 0..8)) {
        check_plain(&words);
    }
}
