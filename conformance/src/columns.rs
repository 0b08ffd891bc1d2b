//! The languages: one row each, how its worker is started.

use crate::output::Failure;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// A language and its worker.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name in the table.
    pub name: &'static str,
    /// The worker's program and first arguments; words follow.
    pub command: Vec<String>,
    /// What it needs in its environment.
    pub environment: Vec<(&'static str, String)>,
}

/// The folder of the whole project.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(1).unwrap_or(Path::new("/")).to_owned()
}

/// The folder with the libraries as their packages lay them out: `EINHORN_KIT`, or
/// `target/kit`.
pub fn kit() -> PathBuf {
    env::var_os("EINHORN_KIT").map_or_else(|| project().join("target/kit"), PathBuf::from)
}

/// The master to run under: `EINHORN_BIN`, or the one that is built here.
pub fn master_program() -> PathBuf {
    env::var_os("EINHORN_BIN").map_or_else(|| project().join("target/debug/einhorn"), PathBuf::from)
}

/// Builds what is needed, as far as it is not given, and gives the columns.
///
/// # Errors
/// When something cannot be built.
pub fn prepare() -> Result<Vec<Column>, Failure> {
    let project = project();
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut packages = vec!["--package", "einhorn-conformance-worker"];
    if env::var_os("EINHORN_BIN").is_none() {
        packages.extend(["--package", "einhorn"]);
    }
    let mut build = Command::new(cargo);
    run(build.current_dir(&project).args(["build", "--quiet", "--bins"]).args(packages))?;
    if env::var_os("EINHORN_KIT").is_none() {
        run(Command::new(project.join("packaging/kit")).args(["c", "python", "node", "ruby"]))?;
    }
    let workers = project.join("conformance/workers");
    let kit = kit();
    let c = project.join("target/conformance-worker-c");
    run(Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
        .arg(&c)
        .arg(workers.join("c/worker.c"))
        .arg(format!("-I{}", kit.join("c/include").display()))
        .arg(format!("-L{}", kit.join("c/lib").display()))
        .arg(format!("-Wl,-rpath,{}", kit.join("c/lib").display()))
        .arg("-leinhorn"))?;
    // A module is looked for beside the program that wants it.
    let node = kit.join("node/worker.js");
    std::fs::copy(workers.join("node/worker.js"), &node).map_err(|error| error.to_string())?;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    Ok(vec![
        column("rust", &[text(project.join("target/debug/conformance-worker"))], &[]),
        column("c", &[text(c)], &[]),
        column(
            "python",
            &["python3".into(), text(workers.join("python/worker.py"))],
            &[("PYTHONPATH", text(kit.join("python")))],
        ),
        column("node", &["node".into(), text(node)], &[]),
        column(
            "ruby",
            &[
                "ruby".into(),
                "-I".into(),
                text(kit.join("ruby/lib")),
                text(workers.join("ruby/worker.rb")),
            ],
            &[],
        ),
    ])
}

fn column(
    name: &'static str,
    command: &[String],
    environment: &[(&'static str, String)],
) -> Column {
    Column { name, command: command.to_vec(), environment: environment.to_vec() }
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

impl Column {
    /// The worker as a command of its own, without a master's variables.
    pub fn worker(&self, words: &str) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(words.split(' ').filter(|word| !word.is_empty()));
        self.surround(&mut command);
        command
    }

    /// Gives `command` what this language needs, and no master's variables.
    pub fn surround(&self, command: &mut Command) {
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("EINHORN_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }
}
