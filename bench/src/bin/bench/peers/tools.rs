//! The tools, a row each: how each is started and upgraded, by its own documentation.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use einhorn_bench::programs;
use rustix::process::Signal;

use super::OURS;
use super::running::Place;
use crate::setup::Setup;

/// How an upgrade is asked for.
#[derive(Clone, Copy)]
pub(super) enum Upgrade {
    /// A signal to the process that was started.
    Signal(Signal),
    /// A command that ends when it was understood.
    Command(fn(&Place) -> Vec<OsString>),
    /// A file that is touched.
    Touch(&'static str),
    /// A signal that makes it start its successor, which writes its pid to the file, and one
    /// that ends it when the successor's workers are up.
    Successor { start: Signal, end: Signal, pidfile: &'static str },
    /// A signal that makes it start its successor, and end once that one is up.
    Itself(Signal),
}

/// A row.
pub(super) struct Tool {
    /// What programs it runs.
    pub(super) family: &'static str,
    pub(super) name: &'static str,
    /// The worker, in a few words.
    pub(super) worker: &'static str,
    /// What its documentation calls the upgrade.
    pub(super) procedure: &'static str,
    /// The program that tells its version.
    program: fn(&Place) -> PathBuf,
    version: &'static [&'static str],
    /// What starts it.
    pub(super) command: fn(&Place) -> Vec<OsString>,
    pub(super) upgrade: Upgrade,
}

const NATIVE: &str = "the same event loop in Rust";
const FOUR: &str = "four bench_worker serve behind a shell script, since it starts one process";
const TOKIO: &str = "tokio, Rust";
const PYTHON: &str = "Python";
const NODE: &str = "Node";
const RUBY: &str = "Ruby";

/// In the order of the table.
pub(super) static TOOLS: [Tool; 15] = [
    Tool {
        family: NATIVE,
        name: OURS,
        worker: "bench_worker serve",
        procedure: "upgrade",
        program: |place| place.einhorn.clone(),
        version: &["--version"],
        command: |place| einhorn(place, &[], &[place.worker.as_os_str().into(), "serve".into()]),
        upgrade: Upgrade::Command(einhorn_upgrade),
    },
    Tool {
        family: NATIVE,
        name: "circus",
        worker: "bench_worker serve",
        procedure: "circusctl reload",
        program: |place| place.python("circusd"),
        version: &["--version"],
        command: |place| words(&place.python("circusd"), &[&place.file("circus.ini")]),
        upgrade: Upgrade::Command(|place| {
            let endpoint = format!("ipc://{}", place.own("circus").display());
            let options = ["--endpoint", endpoint.as_str(), "reload", "web"];
            words(&place.python("circusctl"), &options.map(Path::new))
        }),
    },
    Tool {
        family: NATIVE,
        name: "Server::Starter",
        worker: FOUR,
        procedure: "SIGHUP",
        program: |_| "start_server".into(),
        version: &["--version"],
        command: |place| {
            let port = format!("127.0.0.1:{}", place.port);
            let four = place.file("four");
            words(
                Path::new("start_server"),
                &[Path::new("--port"), Path::new(&port), Path::new("--"), &four],
            )
        },
        upgrade: Upgrade::Signal(Signal::HUP),
    },
    Tool {
        family: NATIVE,
        name: "small launcher, Python",
        worker: FOUR,
        procedure: "socket activation: stop, then start, as a service with a socket unit",
        program: |_| "python3".into(),
        version: &["--version"],
        command: |place| {
            let port = place.port.to_string();
            words(&place.file("activate.py"), &[Path::new(&port), &place.file("four")])
        },
        upgrade: Upgrade::Signal(Signal::HUP),
    },
    Tool {
        family: TOKIO,
        name: "ecdysis",
        worker: "one process, four threads, which replaces itself",
        procedure: "SIGHUP",
        program: Place::ecdysis,
        version: &["--version"],
        command: |place| words(&place.ecdysis(), &[]),
        upgrade: Upgrade::Itself(Signal::HUP),
    },
    Tool {
        family: PYTHON,
        name: OURS,
        worker: "uvicorn, one process each",
        procedure: "upgrade",
        program: |place| place.einhorn.clone(),
        version: &["--version"],
        command: |place| {
            let script = format!(
                "exec {} --fd $EINHORN_FD_0 --log-level error --no-access-log app:asgi",
                place.python("uvicorn").display()
            );
            einhorn(place, &["--stop-signal", "TERM"], &["/bin/sh", "-c", &script].map(Into::into))
        },
        upgrade: Upgrade::Command(einhorn_upgrade),
    },
    Tool {
        family: PYTHON,
        name: "gunicorn",
        worker: "gthread, 8 threads",
        procedure: "SIGHUP",
        program: |place| place.python("gunicorn"),
        version: &["--version"],
        command: |place| {
            let bind = format!("127.0.0.1:{}", place.port);
            let options = [
                "-w",
                "4",
                "-k",
                "gthread",
                "--threads",
                "8",
                "--log-level",
                "error",
                "-b",
                &bind,
                "app:wsgi",
            ];
            words(&place.python("gunicorn"), &options.map(Path::new))
        },
        upgrade: Upgrade::Signal(Signal::HUP),
    },
    Tool {
        family: PYTHON,
        name: "uvicorn",
        worker: "its own workers",
        procedure: "SIGHUP",
        program: |place| place.python("uvicorn"),
        version: &["--version"],
        command: |place| {
            let port = place.port.to_string();
            let options = [
                "--workers",
                "4",
                "--port",
                &port,
                "--log-level",
                "error",
                "--no-access-log",
                "app:asgi",
            ];
            words(&place.python("uvicorn"), &options.map(Path::new))
        },
        upgrade: Upgrade::Signal(Signal::HUP),
    },
    Tool {
        family: PYTHON,
        name: "uWSGI",
        worker: "4 processes, 8 threads",
        procedure: "chain reload",
        program: |place| place.python("uwsgi"),
        version: &["--version"],
        command: |place| {
            let socket = format!("127.0.0.1:{}", place.port);
            let touch = place.own(TOUCHED).display().to_string();
            let options = [
                "--http-socket",
                &socket,
                "--master",
                "--processes",
                "4",
                "--threads",
                "8",
                "--lazy-apps",
                "--die-on-term",
                "--disable-logging",
                "--touch-chain-reload",
                &touch,
                "--wsgi-file",
                "app.py",
                "--callable",
                "wsgi",
            ];
            words(&place.python("uwsgi"), &options.map(Path::new))
        },
        upgrade: Upgrade::Touch(TOUCHED),
    },
    Tool {
        family: NODE,
        name: OURS,
        worker: "node app.js",
        procedure: "upgrade",
        program: |place| place.einhorn.clone(),
        version: &["--version"],
        command: |place| einhorn(place, &[], &["node".into(), place.file("app.js").into()]),
        upgrade: Upgrade::Command(einhorn_upgrade),
    },
    Tool {
        family: NODE,
        name: "cluster",
        worker: "node app.js",
        procedure: "fork a new one, then close an old one",
        program: |_| "node".into(),
        version: &["--version"],
        command: |place| words(Path::new("node"), &[&place.file("app.js"), Path::new("cluster")]),
        upgrade: Upgrade::Signal(Signal::USR2),
    },
    Tool {
        family: NODE,
        name: "pm2",
        worker: "node app.js, cluster mode",
        procedure: "pm2 reload",
        // Asked itself, it would leave a daemon behind.
        program: |_| "node".into(),
        version: &[
            "-p",
            "require('./target/bench/peers/node/node_modules/pm2/package.json').version",
        ],
        command: |place| {
            let app = place.file("app.js");
            words(
                &place.node("pm2-runtime"),
                &[Path::new("start"), &app, Path::new("-i"), Path::new("4")],
            )
        },
        upgrade: Upgrade::Command(|place| {
            words(&place.node("pm2"), &["reload", "app"].map(Path::new))
        }),
    },
    Tool {
        family: RUBY,
        name: OURS,
        worker: "puma, one process each, 8 threads",
        procedure: "upgrade",
        program: |place| place.einhorn.clone(),
        version: &["--version"],
        command: |place| {
            let bind = format!("tcp://127.0.0.1:{}", place.port);
            let app = place.file("config.ru").display().to_string();
            let program = ["puma", "--quiet", "-t", "8:8", "-b", &bind, &app];
            einhorn_timed(place, &["--stop-signal", "TERM", "--listen-fds"], &program)
        },
        upgrade: Upgrade::Command(einhorn_upgrade),
    },
    Tool {
        family: RUBY,
        name: "puma",
        worker: "its own workers, 8 threads",
        procedure: "phased restart (SIGUSR1)",
        program: |_| "puma".into(),
        version: &["--version"],
        command: |place| {
            let bind = format!("tcp://127.0.0.1:{}", place.port);
            let (config, app) = (place.file("puma.rb"), place.file("config.ru"));
            words(
                Path::new("puma"),
                &[
                    Path::new("--quiet"),
                    Path::new("-C"),
                    &config,
                    Path::new("-b"),
                    Path::new(&bind),
                    &app,
                ],
            )
        },
        upgrade: Upgrade::Signal(Signal::USR1),
    },
    Tool {
        family: RUBY,
        name: "unicorn",
        worker: "its own workers, one request at a time each",
        procedure: "SIGUSR2 to the old master, SIGQUIT once the new one's workers are up",
        program: |_| "unicorn".into(),
        version: &["--version"],
        command: |place| {
            let listen = format!("127.0.0.1:{}", place.port);
            let (config, app) = (place.file("unicorn.rb"), place.file("config.ru"));
            words(
                Path::new("unicorn"),
                &[Path::new("-c"), &config, Path::new("-l"), Path::new(&listen), &app],
            )
        },
        upgrade: Upgrade::Successor {
            start: Signal::USR2,
            end: Signal::QUIT,
            pidfile: "unicorn.pid",
        },
    },
];

const NOT_INSTALLED: &str = "not installed (bench/peers/setup installs it)";
/// What one might look for in the table, with the reason why it is not there.
pub(super) const NOT_COMPARED: [&str; 5] = [
    "hypercorn, granian (Python): their documentation has no procedure for an upgrade",
    "waitress (Python): it has one process, and no supervisor",
    "pitchfork (Ruby): Debian does not have it",
    "tableflip (Go): ecdysis is made after it, in Rust",
    "systemd-socket-activate: it is made for tests, and does nothing to what it has started",
];

const TOUCHED: &str = "reload";

impl Tool {
    pub(super) fn short_family(&self) -> &'static str {
        if self.family == NATIVE { "Rust" } else { self.family }
    }

    /// Its version, if it is there.
    pub(super) fn version(&self, setup: &Setup) -> Result<String> {
        let place = Place::new(setup)?;
        let program = (self.program)(&place);
        if program.is_absolute() && !program.exists() {
            bail!(NOT_INSTALLED);
        }
        let line = programs::first_line(&program, self.version).context(NOT_INSTALLED)?;
        let version = line.split_whitespace().find(|word| {
            word.trim_start_matches(['v', '(']).starts_with(|first: char| first.is_ascii_digit())
        });
        Ok(version.context(NOT_INSTALLED)?.trim_matches(['v', '(', ')', ',']).to_owned())
    }
}

fn words(program: &Path, arguments: &[&Path]) -> Vec<OsString> {
    [program].iter().chain(arguments).map(|word| word.as_os_str().to_owned()).collect()
}

fn einhorn(place: &Place, options: &[&str], program: &[OsString]) -> Vec<OsString> {
    with_mode(place, "manual", options, program)
}

/// For a worker that does not acknowledge: it counts as up when it has lived a second.
fn einhorn_timed(place: &Place, options: &[&str], program: &[&str]) -> Vec<OsString> {
    let program: Vec<OsString> = program.iter().map(OsString::from).collect();
    with_mode(place, "1", options, &program)
}

fn with_mode(place: &Place, mode: &str, options: &[&str], program: &[OsString]) -> Vec<OsString> {
    let bind = format!("127.0.0.1:{}", place.port);
    let mut words: Vec<OsString> = vec![place.einhorn.clone().into(), "-q".into(), "-d".into()];
    words.push(place.own("einhorn.sock").into());
    words.extend(["-e".into(), place.own("einhorn.pid").into(), "-f".into()]);
    words.push(place.own("einhorn.lock").into());
    words.extend(["-b", &bind, "-n", "4", "-m", mode].map(OsString::from));
    words.extend(options.iter().map(OsString::from));
    words.push("--".into());
    words.extend(program.iter().cloned());
    words
}

fn einhorn_upgrade(place: &Place) -> Vec<OsString> {
    let socket = place.own("einhorn.sock");
    let shell = place.einhorn.with_file_name("einhornsh");
    words(&shell, &[Path::new("-d"), &socket, Path::new("-e"), Path::new("upgrade")])
}
