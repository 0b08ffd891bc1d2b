//! An app whose loading takes a second of a processor and 100 MB, `heavy` in four languages:
//! how long until 8 workers of it are acknowledged, and what memory they take, preloaded (`-p`)
//! against started by exec, which is the floor here.
//!
//! An app loads until it is that much larger and has used that much time, acknowledges, and
//! connects to the done socket. On USR1 it looks at every record that it has loaded, collects
//! all garbage where its language has such a thing, and connects again: the most that workers
//! can lose of what they share without changing it. On USR2 it ends.
#![expect(clippy::disallowed_methods, reason = "it starts a compiler and measures time")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use einhorn_bench::master::Master;
use einhorn_bench::statistics::Sample;
use einhorn_bench::{process, programs};
use einhorn_protocol::command;

use crate::row::Row;
use crate::setup::Setup;

const WORKERS: usize = 8;
const ROUNDS: usize = 5;
const LOAD_BYTES: &str = "100000000";
const LOAD_SECONDS: &str = "1";
const LIMIT: Duration = Duration::from_secs(120);
const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// An app in one language.
struct App {
    language: &'static str,
    program: Vec<PathBuf>,
    collects_garbage: bool,
}

/// How workers are started.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Exec,
    Preloaded,
    /// With `--gc-before-fork`.
    Collected,
}

/// What one way has cost in one round.
struct Cost {
    took: Duration,
    /// Proportional memory of the workers, in megabytes.
    acknowledged: f64,
    /// The same after use, and with the process that has the code loaded.
    used: f64,
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for app in apps(setup)? {
        rows.extend(measured(setup, &app)?);
    }
    Ok(rows)
}

fn measured(setup: &Setup, app: &App) -> Result<Vec<Row>> {
    let (mut exec, mut preloaded, mut collected) = (Vec::new(), Vec::new(), Vec::new());
    // The ways take turns.
    for _ in 0..setup.long_rounds(ROUNDS) {
        exec.push(start(setup, app, Way::Exec)?);
        preloaded.push(start(setup, app, Way::Preloaded)?);
        if app.collects_garbage {
            collected.push(start(setup, app, Way::Collected)?);
        }
    }
    let seconds = |costs: &[Cost]| Sample::new(costs.iter().map(|cost| cost.took.as_secs_f64()));
    let memory = |costs: &[Cost]| Sample::new(costs.iter().map(|cost| cost.acknowledged));
    let used = |costs: &[Cost]| Sample::new(costs.iter().map(|cost| cost.used));
    let fleet = format!("{WORKERS} {} workers", app.language);
    let mut rows = vec![
        Row::beside(format!("{fleet} up, -p over exec"), "s", seconds(&exec), seconds(&preloaded)),
        Row::beside(format!("{fleet}, PSS"), "MB", memory(&exec), memory(&preloaded)),
        Row::beside(
            format!("{fleet} after use and preloader, PSS"),
            "MB",
            used(&exec),
            used(&preloaded),
        ),
    ];
    if app.collects_garbage {
        let what = "the same with --gc-before-fork";
        rows.push(Row::beside(what, "MB", used(&exec), used(&collected)));
    }
    Ok(rows)
}

fn apps(setup: &Setup) -> Result<Vec<App>> {
    let source = |name: &str| Path::new(PROJECT).join("bench/heavy").join(name);
    let script = |interpreter: &str, name: &str| vec![PathBuf::from(interpreter), source(name)];
    let app = |language, program, collects_garbage| App { language, program, collects_garbage };
    let python = app("Python", script("python3", "heavy.py"), true);
    // Each takes seconds: a quick look does with the one whose interpreter is everywhere.
    if setup.is_quick {
        return Ok(vec![python]);
    }
    let rust = programs::find("heavy", "HEAVY")?;
    let c = compiled(&source("heavy.c"), &setup.path("heavy"))?;
    Ok(vec![
        app("Ruby", script("ruby", "heavy.rb"), true),
        python,
        app("Rust", vec![rust], false),
        app("C", vec![c], false),
    ])
}

/// The C app, with the C library in it, which stands beside the other built programs.
fn compiled(source: &Path, program: &Path) -> Result<PathBuf> {
    let library = programs::find("libeinhorn.a", "LIBEINHORN")?;
    let status = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(program)
        .arg(source)
        .arg(format!("-I{PROJECT}/sdk-c/include"))
        .arg(library)
        .args(["-lgcc_eh", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"])
        .status()
        .context("cannot run cc")?;
    ensure!(status.success(), "cc: {status}");
    Ok(program.to_owned())
}

fn start(setup: &Setup, app: &App, way: Way) -> Result<Cost> {
    let number = WORKERS.to_string();
    let code = app.program.last().and_then(|path| path.to_str()).context("the path is no text")?;
    let mut options = vec!["-q", "-m", "manual", "-n", &number];
    if way != Way::Exec {
        options.extend(["-p", code]);
    }
    if way == Way::Collected {
        options.push("--gc-before-fork");
    }
    let variables = [
        setup.report_to(),
        ("BENCH_LOAD_BYTES", LOAD_BYTES.into()),
        ("BENCH_LOAD_SECONDS", LOAD_SECONDS.into()),
    ];
    let program: Vec<&OsStr> = app.program.iter().map(|word| word.as_os_str()).collect();
    let mut master = Master::spawn(&setup.einhorn, &options, &program, &variables)?;
    setup.done.wait_for(WORKERS, LIMIT)?;
    let took = master.begun().elapsed();

    let status = master.wait_until_up(WORKERS)?;
    let workers: Vec<u32> = status.workers.iter().map(|worker| worker.pid).collect();
    let everyone = process::children(master.pid());
    let preloaders = everyone.len() - workers.len();
    ensure!(preloaders == usize::from(way != Way::Exec), "not started as it should be");
    let acknowledged = proportional(&workers)?;
    master.connect()?.call(command::SIGNAL, &["USR1"])?;
    setup.done.wait_for(WORKERS, LIMIT)?;
    let used = proportional(&everyone)?;
    master.stop()?;
    Ok(Cost { took, acknowledged, used })
}

/// The memory of these processes, in megabytes: what several share is divided among them.
fn proportional(pids: &[u32]) -> Result<f64> {
    let kib: Vec<u64> =
        pids.iter().map(|&pid| process::proportional_kib(pid)).collect::<Result<_>>()?;
    #[expect(clippy::cast_precision_loss, reason = "no machine has so much memory")]
    Ok(kib.iter().sum::<u64>() as f64 * 1024.0 / 1e6)
}
