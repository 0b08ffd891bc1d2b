//! A site: release folders, a link to the current one, and a master that runs what is there.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::folder::Folder;
use super::launch::Launch;
use super::load::{Watch, request};
use super::master::Master;
use super::process::start;

/// The operator's program.
const EINHORNSH: &str = env!("CARGO_BIN_EXE_einhornsh");

/// What einhornsh has said at its end.
pub(crate) struct Told {
    pub(crate) status: i32,
    pub(crate) last: String,
    pub(crate) all: String,
}

/// A master with 4 workers and one more at most.
pub(crate) struct Site {
    pub(crate) master: Master,
    pub(crate) port: u16,
}

pub(crate) const TARGET: usize = 4;

/// Makes a release with a program of this text, or that is no such program.
pub(crate) fn release(folder: &Folder, name: &str, body: &str) {
    fs::create_dir_all(folder.join(name)).unwrap();
    folder.script(&format!("{name}/run"), body);
}

/// Makes a release the current one, at one stroke.
pub(crate) fn point(folder: &Folder, name: &str) {
    let beside = folder.join("current.new");
    symlink(name, &beside).unwrap();
    fs::rename(beside, folder.join("current")).unwrap();
}

/// What an operator's script sees.
pub(crate) fn shell(master: &Master, script: &str) -> Told {
    let mut command = Command::new(EINHORNSH);
    command.arg("-d").arg(&master.socket).args(["-e", script]).stdin(Stdio::null());
    let output = start(command.stdout(Stdio::piped())).wait_with_output().unwrap();
    let all = String::from_utf8(output.stdout).unwrap();
    let last = all.lines().last().unwrap_or_default().to_owned();
    Told { status: output.status.code().unwrap(), last, all }
}

impl Site {
    /// Runs release `1`.
    pub(crate) fn start(options: &[&str], body: &str) -> Self {
        Self::start_with(options, body, |launch| launch)
    }

    pub(crate) fn start_with(
        options: &[&str],
        body: &str,
        change: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let folder = Folder::new();
        release(&folder, "1", body);
        point(&folder, "1");
        let current = folder.word("current");
        let number = TARGET.to_string();
        let fixed = ["-n", &number, "-b", "127.0.0.1:0", "-m", "manual", "-s", "0.01"];
        let limits = ["--max-upgrade-additional", "1", "--chdir", &current];
        let options: Vec<&str> = fixed.iter().chain(&limits).chain(options).copied().collect();
        let master = change(Launch::within(folder, &options, &["./run"])).start();
        let status = master.wait_for_up(TARGET);
        let port = status["listeners"][0]["port"].as_u64().unwrap().try_into().unwrap();
        Self { master, port }
    }

    /// Makes a release and points to it.
    pub(crate) fn deploy(&self, name: &str, body: &str) {
        release(&self.master.folder, name, body);
        point(&self.master.folder, name);
    }

    /// Writes a program that is no script.
    pub(crate) fn deploy_bytes(&self, name: &str, bytes: &[u8]) {
        release(&self.master.folder, name, "");
        self.master.folder.program(&format!("{name}/run"), bytes);
        point(&self.master.folder, name);
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch::start(self.master.socket.clone(), self.master.pid(), TARGET, TARGET + 1)
    }

    /// What an operator's script sees.
    pub(crate) fn shell(&self, script: &str) -> Told {
        shell(&self.master, script)
    }

    /// All answers come from this version.
    #[track_caller]
    pub(crate) fn answers(&self, version: &str) {
        for _ in 0..40 {
            assert_eq!(request(self.port).unwrap(), version);
        }
    }
}
