use std::os::unix::fs::symlink;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, mode: u32, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn resolve(&self, typed: &str) -> Result<PathBuf, ProgramError> {
        resolve(OsStr::new(typed), Some(self.0.path().as_os_str()))
    }

    /// Resolves `name` in this folder, and expects that message with the path for `{}`.
    #[track_caller]
    fn check(&self, name: &str, expect: &str) {
        let path = self.path(name);
        let path = path.to_str().unwrap();
        let message = self.resolve(path).unwrap_err().to_string();
        assert_eq!(message, expect.replace("{}", path));
    }
}

#[test]
fn a_name_is_looked_up_and_a_path_stays_as_typed() {
    let folder = Folder::new();
    let program = folder.file("worker", 0o755, "#!/bin/sh\n");
    assert_eq!(folder.resolve("worker").unwrap(), program);
    assert_eq!(folder.resolve(program.to_str().unwrap()).unwrap(), program);
    assert_eq!(resolve(OsStr::new("/bin/../bin/sh"), None).unwrap(), Path::new("/bin/../bin/sh"));
    assert!(resolve(OsStr::new("sh"), None).unwrap().is_absolute());
    let words = [OsString::from("worker"), OsString::from("worker")];
    let command = resolve_command(None, &words, Some(folder.0.path().as_os_str())).unwrap();
    assert_eq!(command, [program.into_os_string(), OsString::from("worker")]);
}

#[test]
fn the_first_executable_one_counts() {
    let [first, second] = [Folder::new(), Folder::new()];
    let blocked = first.file("worker", 0o644, "");
    let path = std::env::join_paths([first.0.path(), second.0.path()]).unwrap();
    let message = resolve(OsStr::new("worker"), Some(&path)).unwrap_err().to_string();
    assert_eq!(
        message,
        format!(
            "cannot run {}: not executable (chmod +x it, or run it through its interpreter)",
            blocked.display()
        )
    );
    let program = second.file("worker", 0o755, "");
    assert_eq!(resolve(OsStr::new("worker"), Some(&path)).unwrap(), program);
}

#[test]
fn a_name_that_is_nowhere() {
    let folder = Folder::new();
    let message = folder.resolve("worker.py").unwrap_err().to_string();
    assert_eq!(message, "cannot run worker.py: no folder in PATH has it");
    // The tests' working directory is the crate's own.
    let message = folder.resolve("Cargo.toml").unwrap_err().to_string();
    assert_eq!(
        message,
        "cannot run Cargo.toml: no folder in PATH has it (for the one in this folder write \
         ./Cargo.toml)"
    );
    assert!(resolve_command(None, &[], None).is_err());
}

#[test]
fn what_is_no_program_says_why() {
    let folder = Folder::new();
    folder.check("none", "cannot run {}: no such file");
    std::fs::create_dir(folder.path("folder")).unwrap();
    folder.check("folder", "cannot run {}: it is a folder");
    symlink("nowhere", folder.path("link")).unwrap();
    folder.check("link", "cannot run {}: it is a symlink to nowhere, which is missing");
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    folder.check("socket", "cannot run {}: it is not a regular file");
    folder.file("plain", 0o644, "");
    folder.check(
        "plain",
        "cannot run {}: not executable (chmod +x it, or run it through its interpreter)",
    );
    folder.check("plain/x", "cannot run {}: not a directory");
    let error = resolve(OsStr::new("a/\0"), None).unwrap_err();
    assert!(matches!(error, ProgramError::Unreadable { .. }), "{error}");
}

#[test]
fn interpreters_are_looked_at() {
    let folder = Folder::new();
    folder.file("missing", 0o755, "#! /no/such/thing -x\n");
    folder.check(
        "missing",
        "cannot run {}: its interpreter /no/such/thing is missing (see the first line of the \
         file)",
    );
    folder.file("windows", 0o755, "#!/bin/sh\r\necho\r\n");
    folder.check(
        "windows",
        "cannot run {}: its interpreter /bin/sh\\r is missing (see the first line of the file); \
         its lines end in carriage returns",
    );
    folder.file("blocked", 0o755, "#!/etc/passwd");
    folder.check(
        "blocked",
        "cannot run {}: its interpreter /etc/passwd is not executable (see the first line of \
         the file)",
    );
    folder.file("env", 0o755, "#!/usr/bin/env pythn3\n");
    folder.check(
        "env",
        "cannot run {}: its interpreter pythn3 is in no folder of PATH (see the first line of \
         the file)",
    );
    folder.file("interpreter", 0o755, "");
    let fine = [
        "#!/usr/bin/env interpreter\n",
        "#!/usr/bin/env -S pythn3 -u\n",
        "#!/bin/sh -e\n",
        "#!\t /bin/sh",
        "#!\n",
        "#",
        "",
        "echo plain text\n",
        "\x7fELF",
    ];
    for content in fine {
        let path = folder.file("fine", 0o755, content);
        assert_eq!(folder.resolve(path.to_str().unwrap()).unwrap(), path, "{content}");
    }
}
