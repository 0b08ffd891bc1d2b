//! What the files of a version were when it began, so that it shows when they are others.
//!
//! Only the program, and the script that an interpreter is given: those are what a deploy
//! replaces. Where a symlink on the way to one of them has moved, the file is found where it
//! really was; where the file itself was overwritten, there is no old version any more.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::folder::{self, WorkingFolder};

/// Programs, by the start of their name, that are given a script.
const INTERPRETERS: [&str; 14] = [
    "python", "pypy", "ruby", "node", "bun", "perl", "php", "lua", "bash", "dash", "ksh", "zsh",
    "sh", "Rscript",
];

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Which word of the command names it; 0 is the program.
    pub word: usize,
    /// Where it was, without symlinks.
    pub real: PathBuf,
    /// What it was.
    pub print: Print,
}

/// What tells a file's content from another's without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Print {
    /// Its device.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970; before that, 0.
    pub modified: u64,
}

/// Where a file of a version is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// Where it was named.
    InPlace,
    /// Where it really was; its name leads elsewhere by now.
    At(PathBuf),
    /// Nowhere: it was overwritten or removed.
    Gone,
}

impl Print {
    /// That of the file at `path`, symlinks followed.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        let nanoseconds = metadata
            .mtime()
            .checked_mul(1_000_000_000)
            .and_then(|seconds| seconds.checked_add(metadata.mtime_nsec()));
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: nanoseconds.and_then(|time| u64::try_from(time).ok()).unwrap_or_default(),
        })
    }
}

impl Deployed {
    /// The files of `command`, to be run in `folder`, as they are now.
    pub fn of(command: &[OsString], folder: Option<&WorkingFolder>) -> Vec<Self> {
        [Some(0), script(command, folder)]
            .into_iter()
            .flatten()
            .filter_map(|word| {
                let path = folder::locate(folder, Path::new(command.get(word)?));
                Some(Self { word, print: Print::of(&path).ok()?, real: path.canonicalize().ok()? })
            })
            .collect()
    }

    /// Where it is now. `named` is its word of the command.
    pub fn find(&self, named: &OsStr, folder: Option<&WorkingFolder>) -> Whereabouts {
        let is_it = |path: &Path| Print::of(path).is_ok_and(|print| print == self.print);
        if is_it(&folder::locate(folder, Path::new(named))) {
            Whereabouts::InPlace
        } else if is_it(&self.real) {
            Whereabouts::At(self.real.clone())
        } else {
            Whereabouts::Gone
        }
    }
}

/// The word that is an interpreter's script.
fn script(command: &[OsString], folder: Option<&WorkingFolder>) -> Option<usize> {
    let program = Path::new(command.first()?).file_name()?.as_bytes();
    let is_version = |rest: &[u8]| rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let is_interpreter = |name: &str| program.strip_prefix(name.as_bytes()).is_some_and(is_version);
    INTERPRETERS.iter().find(|name| is_interpreter(name))?;
    let word = command.iter().skip(1).position(|word| !word.as_bytes().starts_with(b"-"))? + 1;
    folder::locate(folder, Path::new(command.get(word)?)).is_file().then_some(word)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            for release in ["1", "2"] {
                fs::create_dir(place.path(release)).unwrap();
                fs::write(place.path(&format!("{release}/app.py")), release).unwrap();
            }
            symlink("1", place.path("current")).unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }

        fn command(&self) -> Vec<OsString> {
            vec!["/usr/bin/env".into(), self.path("current/app.py").into()]
        }
    }

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn an_interpreter_is_given_a_script() {
        let place = Place::new();
        let folder = WorkingFolder::open(&place.path("1")).unwrap();
        let check = |words_of: &[&str], expect| {
            assert_eq!(script(&words(words_of), Some(&folder)), expect, "{words_of:?}");
        };
        check(&["/usr/bin/python3.12", "app.py"], Some(1));
        check(&["python", "-u", "./app.py", "-x"], Some(2));
        check(&["sh", "-c", "exec app"], None);
        check(&["shred", "app.py"], None);
        check(&["./server", "app.py"], None);
        check(&["ruby", "none.rb"], None);
        check(&["node"], None);
        check(&[], None);
    }

    #[test]
    fn a_moved_link_is_seen_through_and_an_overwritten_file_is_gone() {
        let place = Place::new();
        let mut command = place.command();
        command[0] = place.path("current/app.py").into();
        let [deployed] = <[Deployed; 1]>::try_from(Deployed::of(&command, None)).unwrap();
        let find = || deployed.find(&command[0], None);
        assert_eq!(find(), Whereabouts::InPlace);
        fs::remove_file(place.path("current")).unwrap();
        symlink("2", place.path("current")).unwrap();
        assert_eq!(find(), Whereabouts::At(place.path("1/app.py")));
        fs::write(place.path("1/app.py"), "overwritten").unwrap();
        assert_eq!(find(), Whereabouts::Gone);
        fs::remove_file(place.path("1/app.py")).unwrap();
        assert_eq!(find(), Whereabouts::Gone);
    }

    #[test]
    fn a_file_put_in_the_place_of_another_is_not_the_same() {
        let place = Place::new();
        let command = [OsString::from(place.path("1/app.py"))];
        let deployed = Deployed::of(&command, None);
        fs::rename(place.path("2/app.py"), place.path("1/app.py")).unwrap();
        assert_eq!(deployed[0].find(&command[0], None), Whereabouts::Gone);
    }

    #[test]
    fn a_renamed_release_folder_is_found_by_its_descriptor() {
        let place = Place::new();
        let folder = WorkingFolder::open(&place.path("current")).unwrap();
        let command = words(&["./app.py"]);
        let deployed = Deployed::of(&command, Some(&folder));
        fs::rename(place.path("1"), place.path("elsewhere")).unwrap();
        assert_eq!(deployed[0].find(&command[0], Some(&folder)), Whereabouts::InPlace);
    }
}
