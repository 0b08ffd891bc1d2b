//! The command line: words, ended by a NUL each. Whatever is refused is named; whatever is taken
//! is within its ranges, and its settings survive a reload.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStringExt;
use std::sync::LazyLock;

use einhorn_protocol::limit::{UNIX_PATH_BYTES_MAX, WORKERS_MAX};

use super::message;
use crate::handover::{capture_pool, merge};
use crate::options::{self, Bind, Invocation, Launch, OptionError};
use crate::pool::Pool;
use crate::state::Snapshot;

pub(super) fn run(data: &[u8]) {
    let mut words: Vec<OsString> =
        data.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    if words.last().is_some_and(|word| word.is_empty()) {
        words.pop();
    }
    match options::parse(words.clone(), processors()) {
        Err(error) => check_error(&error, &words),
        Ok(Invocation::Run(launch)) => check(&launch),
        Ok(Invocation::UpgradeCheck { program }) => assert!(words.ends_with(&program)),
        Ok(Invocation::Help(text) | Invocation::Usage(text)) => {
            assert!(text.starts_with("## Usage"));
        }
        Ok(Invocation::Version(line)) => assert!(line.starts_with("einhorn ")),
    }
}

fn processors() -> NonZeroU32 {
    NonZeroU32::new(2).expect("not 0")
}

fn check_error(error: &OptionError, words: &[OsString]) {
    let text = error.to_string();
    message::check(&text);
    match error {
        OptionError::Unknown { typed: name } => assert!(!name.is_empty(), "{words:?}"),
        OptionError::Ambiguous { candidates, .. } => assert!(candidates.len() > 1, "{text}"),
        OptionError::MissingValue { option } | OptionError::UnexpectedValue { option, .. } => {
            let long = option.trim_start_matches('-');
            assert!(is_named(long, words), "{text}: {words:?}");
        }
        OptionError::Value { option, allowed, .. } => {
            assert!(is_named(option, words) && !allowed.is_empty(), "{text}: {words:?}");
        }
        OptionError::Bind { .. } => assert!(is_named("bind", words), "{text}: {words:?}"),
        OptionError::Contradiction(_) => {
            assert!(is_named("ack-timeout", words) || is_named("ack-mode", words), "{words:?}");
        }
        OptionError::ListenFdsAndPreload => assert!(is_named("listen-fds", words), "{words:?}"),
        OptionError::EmptyProgram => assert!(words.iter().any(|word| word.is_empty())),
        OptionError::Syntax(_) => panic!("an error that names no option: {text}: {words:?}"),
    }
}

/// Whether an option is among the words: abbreviated, or by its letter among others.
fn is_named(long: &str, words: &[OsString]) -> bool {
    static SHORTS: LazyLock<BTreeMap<String, Option<char>>> = LazyLock::new(|| {
        let command = options::command();
        let arguments = command.get_arguments();
        arguments.filter_map(|one| Some((one.get_long()?.to_owned(), one.get_short()))).collect()
    });
    let Some(short) = SHORTS.get(long) else { return false };
    words.iter().any(|word| {
        let word = word.to_string_lossy();
        let begun = word.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or(rest));
        begun.is_some_and(|begun| long.starts_with(begun))
            || short.is_some_and(|short| word.starts_with('-') && word.contains(short))
    })
}

fn check(launch: &Launch) {
    assert!((1..=WORKERS_MAX).contains(&launch.settings.number));
    assert!(launch.settings.seconds > 0.0);
    assert!(launch.verbosity <= 2);
    assert!(!launch.orig_cmd.is_empty() || launch.with_state_fd.is_some());
    assert!(launch.reexec_as.as_ref().is_none_or(|words| !words.is_empty()));
    assert!(
        launch
            .socket_path
            .as_ref()
            .is_none_or(|path| path.as_os_str().len() <= UNIX_PATH_BYTES_MAX)
    );
    for bind in &launch.binds {
        assert_eq!(Bind::parse(&bind.typed()).as_ref(), Ok(bind));
    }
    if launch.with_state_fd.is_some() {
        return;
    }
    assert_eq!(launch.settings.check_together(), Ok(()));
    check_reload(launch);
}

/// The next image, which is given no options, has the same settings from the state.
fn check_reload(launch: &Launch) {
    let bare = options::parse(vec!["program".into()], processors());
    let Ok(Invocation::Run(bare)) = bare else { panic!("{bare:?}") };
    let preloads = launch.preload.is_some();
    let pool = Pool::new(launch.settings.clone());
    let text = capture_pool(&pool.to_restored()).to_yaml();
    let (snapshot, notes) = Snapshot::from_yaml(text.as_bytes()).expect(&text);
    assert_eq!(notes, [], "{text}");
    let merged = merge(*bare, &snapshot);
    assert!(!(preloads && launch.settings.listen_fds));
    assert_eq!(merged.settings, launch.settings, "{text}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let lines = [
        "-b 127.0.0.1:8080,r -b [::1]:0 -n 4 -m manual -t 30 ./server --its-own",
        "-c shop -d /run/shop.sock -e /run/shop.pid -f /run/shop.lock -g -k -l 1024 prog",
        "-p app.rb --gc-before-fork --preload-timeout 5 -qq -vv ruby app.rb",
        "--seconds=0.25 --max-unacked 3 --max-upgrade-additional 2 -- prog -n 3",
        "--nice 5:10:renice --drop-env-var A --drop-env-var B --reexec-as einhorn prog",
        "--ack-timeout 20 -m 1.5 --canary 2 --soak 3 --upgrade-attempts 0 --upgrade-timeout 9 x",
        "--max-age 3600 --max-rss 256M --ping-timeout 60 --ping-signal QUIT --stop-signal TERM x",
        "-m notify --listen-fds --chdir /srv --fd-base 1 --allow-uid www --allow-gid 50 x",
        "-m exec:/bin/check -b web=unix:/run/web.sock -b inherit:api x",
        "--with-state-fd 7 -- prog",
        "--upgrade-check -- prog",
        "--help",
        "--version",
        "--sec 1 x",
        "--quiet=3 x",
        "-n",
    ];
    lines.iter().map(|line| line.replace(' ', "\0").into_bytes()).collect()
}
