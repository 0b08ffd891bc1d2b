//! What each version's workers are started with, for as long as it may be started.
//!
//! Until an upgrade is committed, and after it was rolled back, workers of the version before
//! it are started as ever: with its command, its environment and its folder, whatever has
//! become of links and files meanwhile. Which version is started, and when, is decided by the
//! pool.
//!
//! Invariant: what a version runs with changes only by an upgrade, but for the environment of
//! one that no upgrade has left yet, which is that of the latest reload (`protocol.md §2`).

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use einhorn_protocol::environment as names;

use super::deployed::{Deployed, Whereabouts};
use super::environment::{Environment, Numbering, SharedEnvironment, WorkerSocket};
use super::folder::WorkingFolder;
use super::plan::{Checked, Own, PlanError, Rules, WorkerPlan};
use super::program;
use crate::pool::Version;
use crate::sys::process::Pid;
use crate::sys::reason;

/// What is the same whatever the version.
#[derive(Clone, Debug)]
pub struct Common {
    /// The master's pid.
    pub master: Pid,
    /// The command socket, absolute.
    pub socket_path: PathBuf,
    /// Where workers are to notify the master.
    pub notify_socket: Option<PathBuf>,
    /// The bound sockets, in order.
    pub sockets: Vec<WorkerSocket>,
    /// `--fd-base` and `--listen-fds`.
    pub numbering: Numbering,
    /// Limits, nice level and the like.
    pub rules: Rules,
}

/// What one version's workers run, and where.
#[derive(Debug)]
pub struct Source {
    /// The program in the form in which it is executed, and its arguments.
    pub command: Vec<OsString>,
    /// What the master had in its own environment.
    pub environment: Environment,
    /// An upgrade has been tried since: its environment stays as it is.
    pub kept: bool,
    /// `--chdir`.
    pub folder: Option<WorkingFolder>,
    /// Its files as they were when it began.
    pub files: Vec<Deployed>,
    /// Its files were looked at.
    pub seen: bool,
}

impl Source {
    /// A version that begins now.
    pub fn new(
        command: Vec<OsString>,
        environment: Environment,
        folder: Option<WorkingFolder>,
    ) -> Self {
        let mut source = Self::unseen(command, environment, folder);
        source.see();
        source
    }

    /// One whose files are looked at when its first worker is on its way, so that this one does not
    /// wait for it.
    pub fn unseen(
        command: Vec<OsString>,
        environment: Environment,
        folder: Option<WorkingFolder>,
    ) -> Self {
        Self { command, environment, kept: false, folder, files: Vec::new(), seen: false }
    }

    fn see(&mut self) {
        if !std::mem::replace(&mut self.seen, true) {
            self.files = Deployed::of(&self.command, self.folder.as_ref());
        }
    }

    /// Files that are no more what they were, and are nowhere else.
    fn gone(&self) -> Vec<&Path> {
        self.files
            .iter()
            .filter(|file| self.find(file) == Whereabouts::Gone)
            .filter_map(|file| Some(Path::new(self.command.get(file.word)?)))
            .collect()
    }

    fn find(&self, file: &Deployed) -> Whereabouts {
        match self.command.get(file.word) {
            Some(named) => file.find(named, self.folder.as_ref()),
            None => Whereabouts::InPlace,
        }
    }

    /// Where each of its files is now, by the word that names it: one look at each.
    fn look(&self) -> Vec<(usize, Whereabouts)> {
        self.files.iter().map(|file| (file.word, self.find(file))).collect()
    }
}

#[derive(Debug)]
struct Entry {
    source: Source,
    plan: WorkerPlan,
    /// It was said that its files are gone.
    said: bool,
}

/// The versions that may be started.
#[derive(Debug)]
pub struct Versions {
    common: Common,
    entries: BTreeMap<Version, Entry>,
    next: Option<Source>,
}

impl Versions {
    /// None yet.
    pub fn new(common: Common) -> Self {
        Self { common, entries: BTreeMap::new(), next: None }
    }

    /// Takes up `version`.
    ///
    /// # Errors
    /// Its command cannot be handed to a process.
    pub fn insert(&mut self, version: Version, source: Source) -> Result<(), PlanError> {
        let common = &self.common;
        let environment = SharedEnvironment::new(
            source.environment.iter(),
            common.master,
            &common.socket_path,
            &common.sockets,
            common.numbering,
        );
        let environment = match &common.notify_socket {
            Some(path) => environment.with_path(names::NOTIFY_SOCKET, path),
            None => environment,
        };
        let plan = WorkerPlan::new(&source.command, environment, common.rules)?;
        self.entries.insert(version, Entry { source, plan, said: false });
        Ok(())
    }

    /// What the version of the upgrade that is about to begin will run.
    pub fn prepare(&mut self, source: Source) {
        self.next = Some(source);
    }

    /// The upgrade to `version` begins: that is what was prepared, and the others stay as they
    /// are.
    ///
    /// # Errors
    /// Its command cannot be handed to a process.
    pub fn begin(&mut self, version: Version) -> Result<(), PlanError> {
        for entry in self.entries.values_mut() {
            entry.source.kept = true;
        }
        match self.next.take() {
            Some(source) => self.insert(version, source),
            None => Ok(()),
        }
    }

    /// Forgets the versions that are never started again.
    pub fn retain(&mut self, keep: &[Version]) {
        self.entries.retain(|version, _| keep.contains(version));
    }

    /// Each version and what it runs.
    pub fn sources(&self) -> impl Iterator<Item = (Version, &Source)> {
        self.entries.iter().map(|(&version, entry)| (version, &entry.source))
    }

    /// What `version` runs.
    pub fn source(&self, version: Version) -> Option<&Source> {
        self.entries.get(&version).map(|entry| &entry.source)
    }

    /// What the version of the upgrade that is about to begin will run.
    pub fn prepared(&self) -> Option<&Source> {
        self.next.as_ref()
    }

    /// What workers of `version` find, whoever starts them.
    pub fn plan(&self, version: Version) -> Option<&WorkerPlan> {
        self.entries.get(&version).map(|entry| &entry.plan)
    }

    /// What holds for all workers.
    pub fn rules(&self) -> Rules {
        self.common.rules
    }

    /// Whether `version` can be started.
    pub fn knows(&self, version: Version) -> bool {
        self.entries.contains_key(&version)
    }

    /// The folders that are held open.
    pub fn folders(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources().filter_map(|(_, source)| source.folder.as_ref().map(AsFd::as_fd))
    }

    /// Says in a few words that there is no `version` any more to go back to, if its files were
    /// overwritten or removed; once in the log too.
    pub fn warn_of_overwritten(&mut self, version: Version) -> Option<String> {
        let entry = self.entries.get_mut(&version)?;
        let gone = entry.source.gone();
        if gone.is_empty() {
            return None;
        }
        let gone: Vec<String> =
            gone.iter().map(|path| crate::log::shown(&path.to_string_lossy())).collect();
        let text = format!(
            "files were overwritten in place, so workers started from now on run what is there \
             now: {}",
            gone.join(", ")
        );
        if !std::mem::replace(&mut entry.said, true) {
            ::log::warn!("version {version}: its {text}");
        }
        Some(format!("the old version's {text}"))
    }

    /// Starts a check of a worker of `version`; its program is looked up afresh.
    ///
    /// # Errors
    /// It cannot be started; why, for people.
    pub fn start_check(
        &self,
        version: Version,
        words: &[String],
        of: Checked<'_>,
    ) -> Result<Pid, String> {
        let Some(Entry { source, plan, .. }) = self.entries.get(&version) else {
            return Err(format!("version {version} is not known any more"));
        };
        let typed = OsString::from(words.first().cloned().unwrap_or_default());
        let path = source.environment.get("PATH");
        let program = program::resolve_in(source.folder.as_ref(), &typed, path)
            .map_err(|error| error.to_string())?;
        let to_c = |word: Vec<u8>| CString::new(word).map_err(|error| error.to_string());
        let program = to_c(program.into_os_string().into_vec())?;
        let words: Vec<CString> =
            words.iter().map(|word| to_c(word.clone().into_bytes())).collect::<Result<_, _>>()?;
        let folder = source.folder.as_ref().map(AsFd::as_fd);
        plan.start_check(&program, &words, &of, folder).map_err(|error| reason(&error))
    }

    /// Starts a worker of `version`.
    ///
    /// # Errors
    /// Those of fork(2), and that nothing is known of the version.
    pub fn start(&mut self, version: Version, own: Own<'_>) -> io::Result<Pid> {
        let unknown = || io::Error::other(format!("version {version} is not known any more"));
        let found = self.source(version).ok_or_else(unknown)?.look();
        if found.iter().any(|(_, place)| *place == Whereabouts::Gone) {
            self.warn_of_overwritten(version);
        }
        let Entry { source, plan, .. } = self.entries.get_mut(&version).ok_or_else(unknown)?;
        let moved = moved(found);
        let folder = source.folder.as_ref().map(AsFd::as_fd);
        let started = plan.start(&Own { folder, moved: &moved, ..own });
        source.see();
        started
    }

    /// Looks at the files of those versions that were not looked at yet.
    pub fn see_files(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.source.see());
    }
}

/// Words of the command whose file is elsewhere by now.
fn moved(found: Vec<(usize, Whereabouts)>) -> Vec<(usize, CString)> {
    found
        .into_iter()
        .filter_map(|(word, place)| match place {
            Whereabouts::At(path) => {
                Some((word, CString::new(path.into_os_string().into_vec()).ok()?))
            }
            Whereabouts::InPlace | Whereabouts::Gone => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::options::FdBase;
    use crate::sys::children::{self, ExitStatus};
    use crate::sys::descriptor;
    use crate::sys::own_process::alone;
    use crate::sys::process::own_pid;

    /// Release folders with a program that says which release it is of.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            for release in ["1", "2"] {
                fs::create_dir(place.path(release)).unwrap();
                place.deploy(&format!("{release}/program"), release);
            }
            symlink("1", place.path("current")).unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }

        fn deploy(&self, name: &str, release: &str) {
            let path = self.path(name);
            fs::write(
                &path,
                format!("#!/bin/sh\necho {release} $0 $A $(pwd -P) >&$EINHORN_SOCK_FD\n"),
            )
            .unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }

        fn move_link(&self) {
            fs::remove_file(self.path("current")).unwrap();
            symlink("2", self.path("current")).unwrap();
        }

        fn source(&self, program: &str, environment: &str, folder: Option<&str>) -> Source {
            let environment = [("A".into(), environment.into())].into_iter().collect();
            let folder = folder.map(|name| WorkingFolder::open(&self.path(name)).unwrap());
            Source::new(vec![program.into()], environment, folder)
        }
    }

    fn versions() -> Versions {
        Versions::new(Common {
            master: own_pid(),
            socket_path: "/run/e.sock".into(),
            notify_socket: None,
            sockets: Vec::new(),
            numbering: Numbering { base: FdBase::Zero, listen_fds: false },
            rules: Rules::default(),
        })
    }

    #[track_caller]
    fn check(versions: &mut Versions, version: Version, expect: &str) {
        let (report, writer) = descriptor::pipe().unwrap();
        let own = Own { descriptors: &[(names::SOCK_FD, writer.as_fd())], ..Own::default() };
        let pid = versions.start(version, own).unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(report).read_to_string(&mut text).unwrap();
        assert_eq!(text.trim_end(), expect);
        assert_eq!(children::wait_for_end(pid).status, ExitStatus::Exited(0));
    }

    #[test]
    fn versions_run_side_by_side_with_what_is_their_own() {
        alone!();
        let place = Place::new();
        let mut versions = versions();
        versions.insert(0, place.source("./program", "a", Some("current"))).unwrap();
        place.move_link();
        versions.prepare(place.source("./program", "b", Some("current")));
        versions.begin(1).unwrap();
        let (one, two) = (place.path("1"), place.path("2"));
        check(&mut versions, 0, &format!("1 ./program a {}", one.display()));
        check(&mut versions, 1, &format!("2 ./program b {}", two.display()));
        let kept: Vec<bool> = versions.sources().map(|(_, source)| source.kept).collect();
        assert_eq!(kept, [true, false]);
        versions.retain(&[0]);
        assert!(versions.start(1, Own::default()).is_err());
        check(&mut versions, 0, &format!("1 ./program a {}", one.display()));
    }

    #[test]
    fn a_program_behind_a_moved_link_is_found_where_it_was() {
        alone!();
        let place = Place::new();
        let mut versions = versions();
        let program = place.path("current/program");
        versions.insert(0, place.source(program.to_str().unwrap(), "a", Some("1"))).unwrap();
        place.move_link();
        let (real, one) = (place.path("1/program"), place.path("1"));
        check(&mut versions, 0, &format!("1 {} a {}", real.display(), one.display()));
        assert_eq!(versions.warn_of_overwritten(0), None);
    }

    #[test]
    fn an_overwritten_program_is_started_and_told_of() {
        alone!();
        let place = Place::new();
        let mut versions = versions();
        versions.insert(0, place.source("./program", "a", Some("1"))).unwrap();
        place.deploy("1/program", "overwritten");
        let text = versions.warn_of_overwritten(0).unwrap();
        assert!(text.contains("overwritten in place, so ") && text.contains("./program"), "{text}");
        let one = place.path("1");
        check(&mut versions, 0, &format!("overwritten ./program a {}", one.display()));
        assert!(versions.entries[&0].said);
    }
}
