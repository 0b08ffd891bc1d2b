//! C and C++ programs against the installed library: shared, static, and wholly static.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests start compilers and programs")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};
use tempfile::TempDir;

/// The library, installed into a folder of its own by the script that `make install` runs.
static INSTALLED: LazyLock<Installed> = LazyLock::new(Installed::new);

struct Installed {
    prefix: TempDir,
    libraries: PathBuf,
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    output
}

fn text(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

impl Installed {
    fn new() -> Self {
        // Neither kind of library is built for a test, since no Rust program can link to it.
        let cargo = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--package", "einhorn-c"])
            .status()
            .unwrap();
        assert!(cargo.success());
        let test = std::env::current_exe().unwrap();
        let built = test.ancestors().nth(2).unwrap();
        let prefix = tempfile::tempdir().unwrap();
        let libraries = prefix.path().join("lib64");
        run(Command::new(folder().join("install"))
            .env("FROM", built)
            .env("PREFIX", prefix.path())
            .env("LIBDIR", &libraries));
        Self { prefix, libraries }
    }

    fn pkg_config(&self, arguments: &[&str]) -> Vec<String> {
        let flags = text(
            Command::new("pkg-config")
                .env("PKG_CONFIG_PATH", self.libraries.join("pkgconfig"))
                .args(arguments)
                .arg("einhorn"),
        );
        flags.split_whitespace().map(str::to_owned).collect()
    }
}

/// How a program is compiled and linked.
#[derive(Clone, Copy)]
struct Build {
    compiler: &'static [&'static str],
    link: &'static [&'static str],
    flags: &'static [&'static str],
    /// In the place of pkg-config's `-leinhorn`.
    library: &'static str,
}

const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
const SHARED: &[&str] = &["--cflags", "--libs"];
const STATIC: &[&str] = &["--static", "--cflags", "--libs"];
const C99: Build =
    Build { compiler: &["cc", "-std=c99"], link: SHARED, flags: &[], library: "-leinhorn" };
const CPP11: Build = Build {
    compiler: &["c++", "-std=c++11", "-x", "c++"],
    link: SHARED,
    flags: &[],
    library: "-leinhorn",
};
const C99_STATIC: Build = Build { link: STATIC, flags: &["-static"], ..C99 };
/// Only this library from its archive, the system's as they come.
const ARCHIVE: Build = Build { link: STATIC, library: "-l:libeinhorn.a", ..C99 };

/// Compiles a program of `tests/c` and gives a command that runs it without an environment.
fn program(name: &str, build: Build, into: &TempDir) -> Command {
    let out = into.path().join(name);
    let (compiler, flags) = build.compiler.split_first().unwrap();
    let link = INSTALLED.pkg_config(build.link).into_iter().map(|flag| match flag.as_str() {
        "-leinhorn" => build.library.to_owned(),
        _ => flag,
    });
    run(Command::new(compiler)
        .args(flags)
        .args(STRICT)
        .args(build.flags)
        .arg(folder().join(format!("tests/c/{name}.c")))
        .args(["-x", "none", "-pthread", "-o"])
        .arg(&out)
        .args(link));
    let mut command = Command::new(out);
    command.env_clear().env("LD_LIBRARY_PATH", &INSTALLED.libraries);
    command
}

#[track_caller]
fn check(name: &str, build: Build, environment: &[(&str, &str)]) {
    let out = tempfile::tempdir().unwrap();
    run(program(name, build, &out).envs(environment.iter().copied()));
}

#[test]
fn c99_outside_a_master() {
    check("outside", C99, &[]);
}

#[test]
fn cpp11_outside_a_master() {
    check("outside", CPP11, &[]);
}

#[test]
fn wholly_static_outside_a_master() {
    check("outside", C99_STATIC, &[]);
}

#[test]
fn the_archive_alone_needs_no_shared_library() {
    let out = tempfile::tempdir().unwrap();
    let mut command = program("outside", ARCHIVE, &out);
    run(command.env_remove("LD_LIBRARY_PATH"));
}

#[test]
fn signals_do_no_harm() {
    check("signals", C99, &[("EINHORN_MASTER_PID", &std::process::id().to_string())]);
}

#[test]
fn threads_do_not_disturb_each_other() {
    check(
        "threads",
        C99,
        &[
            ("EINHORN_MASTER_PID", &std::process::id().to_string()),
            ("EINHORN_SOCK_PATH", "/nonexistent/einhorn.sock"),
            ("EINHORN_FD_COUNT", "2"),
        ],
    );
}

#[test]
fn the_shared_library_has_its_name_and_exports_only_its_calls() {
    let library = INSTALLED.libraries.join("libeinhorn.so.1");
    let dynamic = text(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("Library soname: [libeinhorn.so.1]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    let symbols = text(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    let exported: Vec<_> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let header = INSTALLED.prefix.path().join("include/einhorn.h");
    let header = std::fs::read_to_string(header).unwrap();
    assert!(exported.len() >= 9, "{symbols}");
    for symbol in exported {
        assert!(header.contains(&format!("{symbol}(")), "{symbol} is not in the header");
    }
}

#[test]
fn pkg_config_knows_the_version() {
    assert_eq!(INSTALLED.pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let libdir = INSTALLED.pkg_config(&["--variable=libdir"]);
    assert_eq!(libdir, [INSTALLED.libraries.to_str().unwrap()]);
}
