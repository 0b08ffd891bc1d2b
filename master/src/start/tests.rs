use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::*;
use crate::finish::Leftovers;
use crate::options::BindAddress;
use crate::sys::files as sys_files;
use crate::sys::own_process::alone;
use crate::sys::process::{own_pid, parent_pid};
use crate::sys::socket::LocalAddress;

/// A folder with the files of a master in it, some of them prepared.
struct Place {
    folder: tempfile::TempDir,
    wanted: WantedFiles,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let files = Files {
            command_socket: path("e.sock"),
            pidfile: path("e.pid"),
            lockfile: path("e.lock"),
        };
        Self { wanted: WantedFiles { files, fallback: None, notify: false }, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, addresses: &[&str]) -> Result<Opened, StartError> {
        let sockets = addresses
            .iter()
            .map(|address| Socket::Wanted(BindAddress::parse(OsStr::new(address)).unwrap()))
            .collect();
        open(&self.wanted, sockets, 100, &Allowed::default())
    }

    fn names(&self) -> Vec<String> {
        let entries = self.folder.path().read_dir().unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Fails to open, with that message (`{}` is the folder) and these files left.
    #[track_caller]
    fn check_refusal(&self, addresses: &[&str], message: &str, left: &[&str]) {
        let error = self.open(addresses).unwrap_err().to_string();
        assert_eq!(error, message.replace("{}", self.folder.path().to_str().unwrap()));
        assert_eq!(self.names(), left);
    }
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[test]
fn everything_is_opened_in_order_and_removed_at_the_end() {
    let place = Place::new();
    let path = place.path("web");
    let opened =
        place.open(&["127.0.0.1:0", "v6=[::1]:0,n", "localhost:0,r", &unix(&path)]).unwrap();
    assert_eq!(place.names(), ["e.lock", "e.pid", "e.sock", "web"]);
    assert_eq!(std::fs::read_to_string(place.path("e.pid")).unwrap(), format!("{}\n", own_pid()));
    let mode = place.path("e.sock").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    UnixStream::connect(place.path("e.sock")).unwrap();
    for listener in &opened.listeners {
        match &listener.local {
            LocalAddress::Internet(address) => drop(TcpStream::connect(address).unwrap()),
            LocalAddress::Path(path) => drop(UnixStream::connect(path).unwrap()),
            LocalAddress::Unnamed => panic!("{listener:?}"),
        }
    }
    let ports: Vec<bool> =
        opened.listeners.iter().map(|one| one.bound_port().is_some_and(|port| port > 0)).collect();
    assert_eq!(ports, [true, true, true, false]);
    let families: Vec<&str> = opened.listeners.iter().map(|one| one.family.name()).collect();
    assert_eq!(families[0], "AF_INET");
    assert_eq!(families[1], "AF_INET6");
    assert_eq!(families[3], "AF_UNIX");
    assert_eq!(opened.pidfile_named, None);
    assert!(leftovers(&opened).remove().is_empty());
    assert_eq!(place.names(), ["e.lock"]);
}

#[test]
fn a_later_failure_undoes_everything() {
    alone!();
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let path = place.path("web");
    place.check_refusal(
        &["127.0.0.1:0", &unix(&path), &address],
        &format!(
            "cannot bind {address}: address already in use (another program listens there, or \
             connections of one that has ended are still closing: the option r, as in ADDR,r, \
             allows those)"
        ),
        &["e.lock"],
    );
    // The pid file comes last; here it cannot be written.
    std::fs::create_dir(place.path("e.pid")).unwrap();
    place.check_refusal(
        &[&unix(&path)],
        "cannot write the pid file {}/e.pid: it is a folder, which is left alone (use -e PATH \
         for another one)",
        &["e.lock", "e.pid"],
    );
}

#[test]
fn addresses_that_cannot_be_bound() {
    alone!();
    let place = Place::new();
    place.check_refusal(
        &["192.0.2.1:0"],
        "cannot bind 192.0.2.1:0: cannot assign requested address (no interface of this machine \
         has that address)",
        &["e.lock"],
    );
    place.check_refusal(
        &[&unix(&place.path("no/web"))],
        "cannot bind unix:{}/no/web: no such file or directory",
        &["e.lock"],
    );
    let error = place.open(&["no-such-host.invalid:80"]).unwrap_err().to_string();
    let start = "cannot bind no-such-host.invalid:80: the name no-such-host.invalid cannot be \
                 resolved: ";
    assert!(error.starts_with(start), "{error}");
    let refused = StartError::Bind {
        address: "127.0.0.1:80".to_owned(),
        port: 80,
        source: io::ErrorKind::PermissionDenied.into(),
    };
    assert_eq!(
        refused.to_string(),
        "cannot bind 127.0.0.1:80: permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)"
    );
}

#[test]
fn a_second_master_is_refused_and_the_first_keeps_its_files() {
    alone!();
    let place = Place::new();
    let first = place.open(&[]).unwrap();
    let before = first.socket_identity;
    std::fs::write(place.path("e.pid"), "the first one's").unwrap();
    place.check_refusal(
        &[],
        "another master, or some other program, is listening at the command socket {}/e.sock \
         (use -d PATH, or -c NAME, to run this one beside it)",
        &["e.lock", "e.pid", "e.sock"],
    );
    let (_, after) = sys_files::look(&place.path("e.sock")).unwrap().unwrap();
    assert_eq!(before, after);
    assert_eq!(std::fs::read_to_string(place.path("e.pid")).unwrap(), "the first one's");
}

#[test]
fn a_dead_command_socket_is_replaced() {
    alone!();
    let place = Place::new();
    drop(UnixListener::bind(place.path("e.sock")).unwrap());
    let _opened = place.open(&[]).unwrap();
    UnixStream::connect(place.path("e.sock")).unwrap();
}

#[test]
fn a_full_backlog_is_a_living_master() {
    let place = Place::new();
    let options =
        crate::sys::socket::ListenOptions { reuse_address: false, nonblocking: false, backlog: 0 };
    let path = place.path("e.sock");
    let _busy = crate::sys::socket::listen_unix(&path, 0o600, options).unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    assert!(matches!(place.open(&[]), Err(StartError::SocketLive(_))));
}

#[test]
fn what_is_no_socket_is_left_alone() {
    alone!();
    let place = Place::new();
    std::fs::write(place.path("e.sock"), "precious").unwrap();
    place.check_refusal(
        &[],
        "cannot open the command socket {}/e.sock: it is a plain file, which is left alone (use \
         -d PATH for another one)",
        &["e.lock", "e.sock"],
    );
    assert_eq!(std::fs::read(place.path("e.sock")).unwrap(), b"precious");
    std::fs::write(place.path("web"), "precious").unwrap();
    std::fs::remove_file(place.path("e.sock")).unwrap();
    place.check_refusal(
        &[&unix(&place.path("web"))],
        "cannot bind unix:{}/web: there is a plain file, which is left alone",
        &["e.lock", "web"],
    );
}

#[test]
fn symlinks_are_never_followed() {
    let target = tempfile::tempdir().unwrap();
    let target = target.path().join("target");
    let plant = |place: &Place, name: &str| symlink(&target, place.path(name)).unwrap();

    let place = Place::new();
    plant(&place, "e.lock");
    place.check_refusal(
        &[],
        "cannot lock {}/e.lock: it is a symlink, which is left alone (use -f PATH for another \
         lock file)",
        &["e.lock"],
    );
    let place = Place::new();
    plant(&place, "e.sock");
    assert!(matches!(place.open(&[]), Err(StartError::NotASocket { .. })));
    let place = Place::new();
    plant(&place, "web");
    let result = place.open(&[&unix(&place.path("web"))]);
    assert!(matches!(result, Err(StartError::PathNotASocket { .. })));
    assert!(!target.exists());

    std::fs::write(&target, "precious").unwrap();
    let place = Place::new();
    plant(&place, "e.pid");
    let opened = place.open(&[]).unwrap();
    assert!(place.path("e.pid").symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    assert!(leftovers(&opened).remove().is_empty());
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
}

#[test]
fn the_lock_is_held_by_one_and_free_afterwards() {
    alone!();
    let place = Place::new();
    let held = lock::take(&place.path("e.lock")).unwrap();
    place.check_refusal(
        &[],
        "the lock file {}/e.lock is held by another einhorn that is starting (wait for it, or \
         give this one files of its own with -c NAME)",
        &["e.lock"],
    );
    drop(held);
    let _opened = place.open(&[]).unwrap();
    lock::take(&place.path("e.lock")).unwrap();
}

#[test]
fn folders_that_are_not_there() {
    let mut place = Place::new();
    place.wanted.files.lockfile = place.path("no/e.lock");
    place.check_refusal(
        &[],
        "cannot lock {}/no/e.lock: no such file or directory (use -f PATH for another lock file)",
        &[],
    );
    let mut place = Place::new();
    place.wanted.files.command_socket = place.path("no/e.sock");
    place.check_refusal(
        &[],
        "cannot open the command socket {}/no/e.sock: no such file or directory (use -d PATH for \
         another one)",
        &["e.lock"],
    );
    let mut place = Place::new();
    place.wanted.files.pidfile = place.path("no/e.pid");
    place.check_refusal(
        &[],
        "cannot write the pid file {}/no/e.pid: no such file or directory (use -e PATH for \
         another one)",
        &["e.lock"],
    );
}

#[test]
fn devices_are_left_alone() {
    alone!();
    let mut place = Place::new();
    place.wanted.files.pidfile = PathBuf::from("/dev/null");
    assert!(matches!(place.open(&[]), Err(StartError::PidfileNotAFile { .. })));
    place.wanted.files.lockfile = PathBuf::from("/dev/null");
    assert!(matches!(place.open(&[]), Err(StartError::LockNotAFile { .. })));
    assert!(sys_files::look(Path::new("/dev/null")).unwrap().is_some());
}

#[test]
fn unix_listeners_replace_what_is_dead_and_refuse_what_lives() {
    alone!();
    let place = Place::new();
    let path = place.path("web");
    let live = UnixListener::bind(&path).unwrap();
    place.check_refusal(
        &[&unix(&path)],
        "cannot bind unix:{}/web: another program is listening there",
        &["e.lock", "web"],
    );
    UnixStream::connect(&path).unwrap();
    drop(live);
    let opened = place.open(&[&unix(&path)]).unwrap();
    UnixStream::connect(&path).unwrap();
    drop(opened);
}

#[test]
fn a_dead_socket_of_another_user_is_left_alone() {
    alone!();
    let place = Place::new();
    let path = place.path("web");
    drop(UnixListener::bind(&path).unwrap());
    let another = crate::sys::credentials::own_uid() + 1;
    if let Err(error) = std::os::unix::fs::chown(&path, Some(another), None) {
        // Only root can give a file away.
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        return;
    }
    place.check_refusal(
        &[&unix(&path)],
        &format!(
            "cannot bind unix:{}/web: there is an unused socket of another user (uid {another}), \
             which is left alone (remove it if nobody needs it)",
            "{}"
        ),
        &["e.lock", "web"],
    );
}

#[test]
fn at_the_end_only_what_is_still_ours_goes() {
    let place = Place::new();
    let path = place.path("web");
    let opened = place.open(&[&unix(&path)]).unwrap();
    for name in ["web", "e.sock"] {
        std::fs::remove_file(place.path(name)).unwrap();
    }
    let _others =
        [UnixListener::bind(&path).unwrap(), UnixListener::bind(place.path("e.sock")).unwrap()];
    std::fs::write(place.path("e.pid"), format!("{}\n", parent_pid())).unwrap();
    assert!(leftovers(&opened).remove().is_empty());
    assert_eq!(place.names(), ["e.lock", "e.pid", "e.sock", "web"]);
    // Gone altogether is as good.
    for name in ["web", "e.sock", "e.pid"] {
        std::fs::remove_file(place.path(name)).unwrap();
    }
    assert!(leftovers(&opened).remove().is_empty());
}

#[test]
fn pid_files_are_read_with_care() {
    let place = Place::new();
    let path = place.path("e.pid");
    let check = |content: &str, expect| {
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        assert_eq!(pidfile_names(&path), expect, "{content}");
    };
    check("812\n", Some(812));
    check("812", Some(812));
    check("", None);
    check("-1", None);
    check("0", None);
    check("12 13", None);
    check("99999999999999999999", None);
    assert_eq!(pidfile_names(&place.path("none")), None);
    assert_eq!(pidfile_names(place.folder.path()), None);
}

#[test]
fn whose_pid_file_was_taken_is_told() {
    let place = Place::new();
    std::fs::write(place.path("e.pid"), format!("{}\n", parent_pid())).unwrap();
    assert_eq!(place.open(&[]).unwrap().pidfile_named, Some(parent_pid()));
}

#[test]
fn a_worker_of_another_master_gives_way_to_its_files() {
    alone!();
    let mut place = Place::new();
    let outer = place.open(&[]).unwrap();
    std::fs::write(place.path("e.pid"), format!("{}\n", parent_pid())).unwrap();
    place.wanted.fallback = Some(Files {
        command_socket: place.path("own.sock"),
        pidfile: place.path("own.pid"),
        lockfile: place.path("own.lock"),
    });
    let inner = place.open(&["127.0.0.1:0"]).unwrap();
    assert_eq!(inner.files, place.wanted.fallback.clone().unwrap());
    assert_eq!(pidfile_names(&place.path("e.pid")), Some(parent_pid()));
    assert!(leftovers(&inner).remove().is_empty());
    drop((inner, outer));
    // Where nothing is in the way it has the usual names.
    std::fs::remove_file(place.path("e.pid")).unwrap();
    let inner = place.open(&[]).unwrap();
    assert_eq!(inner.files, place.wanted.files);
    // Where it is not files that are in the way, there is no second try.
    drop(inner);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(matches!(place.open(&[&address]), Err(StartError::Bind { .. })));
    assert!(!place.path("own.sock").exists());
}

fn leftovers(opened: &Opened) -> Leftovers {
    Leftovers::of(&opened.files, Some(opened.socket_identity), &opened.listeners)
}
