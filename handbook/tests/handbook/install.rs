//! Installing below a folder, running from there, and taking it away again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use einhorn_handbook::{project, read};

use crate::support::{blocks, programs, run};

/// All files and links below a folder, as paths from there.
fn files(folder: &Path) -> BTreeSet<String> {
    let found = run(Command::new("find").current_dir(folder).args([".", "!", "-type", "d"]));
    found.lines().map(|line| line.trim_start_matches("./").to_owned()).collect()
}

fn install(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(project().join("packaging/install"));
    command.args(arguments).env("FROM", programs()).env("CFROM", programs());
    command.env_remove("LIBDIR").env_remove("UNITDIR").env_remove("BINDIR");
    run(command.env("PREFIX", "/opt/e").env("DESTDIR", folder));
}

#[test]
fn what_is_installed_is_in_its_place_runs_from_there_and_goes_again() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), &[]);
    let installed = files(folder.path());
    let outside_docs: Vec<&str> = installed
        .iter()
        .filter_map(|path| path.strip_prefix("opt/e/"))
        .filter(|path| !path.starts_with("share/doc/"))
        .collect();
    let expected = [
        "bin/einhorn",
        "bin/einhornsh",
        "include/einhorn.h",
        "lib/libeinhorn.a",
        "lib/libeinhorn.so",
        "lib/libeinhorn.so.1",
        "lib/pkgconfig/einhorn.pc",
        "lib/systemd/system/einhorn@.service",
        "share/bash-completion/completions/einhorn",
        "share/bash-completion/completions/einhornsh",
        "share/fish/vendor_completions.d/einhorn.fish",
        "share/fish/vendor_completions.d/einhornsh.fish",
        "share/man/man1/einhorn.1",
        "share/man/man1/einhornsh.1",
        "share/man/man3/libeinhorn.3",
        "share/man/man7/einhorn.7",
        "share/zsh/site-functions/_einhorn",
        "share/zsh/site-functions/_einhornsh",
    ];
    assert_eq!(outside_docs, expected);
    for page in ["README.md", "LICENSE", "CHANGELOG.md", "docs/README.md", "docs/upgrades.md"] {
        assert!(installed.contains(&format!("opt/e/share/doc/einhorn/{page}")), "{page}");
    }

    let prefix = folder.path().join("opt/e");
    let version = run(Command::new(prefix.join("bin/einhorn")).arg("--version"));
    assert_eq!(version, format!("einhorn {}\n", env!("CARGO_PKG_VERSION")));
    let manual = run(Command::new("man")
        .args(["--pager=cat", "-M"])
        .arg(prefix.join("share/man"))
        .args(["7", "einhorn"]));
    assert!(manual.contains("EINHORN_MASTER_PID"), "{manual}");
    let module = run(Command::new("pkg-config")
        .args(["--variable=includedir", "einhorn"])
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
    assert_eq!(module, "/opt/e/include\n");
    let unit = fs::read_to_string(prefix.join("lib/systemd/system/einhorn@.service")).unwrap();
    assert!(unit.contains("ExecStart=/opt/e/bin/einhorn ") && !unit.contains("@BINDIR@"), "{unit}");

    install(folder.path(), &["--remove"]);
    assert_eq!(files(folder.path()), BTreeSet::new());
    assert!(!prefix.join("share/doc/einhorn").exists());
}

/// systemd has nothing to say about a unit, whose programs are where `folder` has them.
#[track_caller]
fn verify(unit: &str, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    for program in ["einhorn", "einhornsh"] {
        std::os::unix::fs::symlink(programs().join(program), folder.path().join(program)).unwrap();
    }
    let here = folder.path().to_str().unwrap();
    let unit = unit.replace("@BINDIR@", here).replace("/usr/bin", here);
    // Pages that are not installed here cannot be found either.
    let unit = unit.replace("Documentation=man:einhorn(1)\n", "");
    let path = folder.path().join(name);
    fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(path).output();
    let output = output.expect("systemd-analyze (packaging/setup installs it)");
    let said = String::from_utf8_lossy(&output.stderr);
    let (service, _) = name.split_once('.').unwrap();
    assert!(output.status.success() && !said.contains(service), "{said}");
}

#[test]
fn the_units_are_such_as_systemd_takes() {
    verify(&read("packaging/systemd/einhorn@.service.in").unwrap(), "einhorn@.service");
    let page = read("docs/security.md").unwrap();
    let shown = blocks(&page).into_iter().find(|block| block.text.starts_with("[Service]"));
    verify(&shown.unwrap().text, "einhorn-shown.service");
}
