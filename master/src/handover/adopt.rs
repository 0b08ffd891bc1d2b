//! The other end of a reload: taking over what the former image of this process handed on.
//!
//! Nothing is believed: each descriptor is asked what it is, each pid whether it is a living
//! child. What does not hold is named in the log, and the rest is saved.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use einhorn_protocol::limit;

use super::inherited::Inherited;
use super::merge::merge;
use super::patience::insist;
use super::preloaders::{self, AdoptedPreloader};
use super::ready_pipes::{self, AdoptedPipe};
use super::{listeners, versions, workers};
use crate::control::{Connection, Dialect, Restored, ReturnAddress, Topic};
use crate::instance::{Environment, Instance};
use crate::log::Unwritten;
use crate::moment::Moment;
use crate::options::{Files, Launch};
use crate::pool::{Pool, RequestNumber, Version};
use crate::settings::AckMode;
use crate::spawn::{self, Source};
use crate::start::{self, Allowed, FilesError, NotifySocket, StartError, WantedFiles};
use crate::state::{Bytes, ClientConnection, Snapshot, StateError};
use crate::sys::files::{self, FileKind, Identity};
use crate::sys::limits::{self, OpenFiles};
use crate::sys::socket::{self, Family, LocalAddress, Peer};
use crate::sys::{descriptor, memory_file, reason};

/// Why nothing can be taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The descriptor cannot be read.
    #[error("cannot read the state on descriptor {0} (--with-state-fd): {reason}", reason = reason(.1))]
    Unreadable(RawFd, #[source] io::Error),
    /// It holds no state.
    #[error("descriptor {0} (--with-state-fd) holds no state: {1}")]
    NoState(RawFd, #[source] StateError),
    /// The state names no program.
    #[error("the state on descriptor {0} names no program (:cmd is empty)")]
    NoProgram(RawFd),
    /// The command cannot be handed to a process.
    #[error("the state on descriptor {0} has a NUL byte in its :cmd")]
    Nul(RawFd),
    /// The paths of its files make no sense.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// There is no command socket, and no other can be opened.
    #[error("no command socket came with the state, and no other can be opened: {0}")]
    NoCommandSocket(#[from] StartError),
}

/// A client that was handed over.
pub struct AdoptedClient {
    /// Its connection.
    pub stream: OwnedFd,
    /// Its buffers and subscriptions.
    pub connection: Connection,
    /// Who it is.
    pub peer: Peer,
    /// The upgrade request that it follows.
    pub request: RequestNumber,
}

/// Everything that was taken over.
pub struct Adopted {
    /// What this master is.
    pub instance: Instance,
    /// Its workers.
    pub pool: Pool,
    /// What its versions run.
    pub versions: Vec<(Version, Source)>,
    /// Its clients.
    pub clients: Vec<AdoptedClient>,
    /// Processes that have code loaded.
    pub preloaders: Vec<AdoptedPreloader>,
    /// On which workers say that they are ready.
    pub ready_pipes: Vec<AdoptedPipe>,
    /// How loud the former image was.
    pub verbosity: u8,
    /// What it could not write to its log.
    pub log: Unwritten,
}

/// Reads the state on `number` and takes over what it names.
///
/// # Errors
/// There is no state, or nothing to run by it.
pub fn adopt(
    number: RawFd,
    mut inherited: Inherited,
    typed: Launch,
    environment: Environment,
    own_name: OsString,
    now: Moment,
) -> Result<Adopted, AdoptError> {
    let mut snapshot = read(number, &mut inherited)?;
    let launch = merge(typed, &snapshot);
    if snapshot.cmd.first().is_none_or(Vec::is_empty) {
        return Err(AdoptError::NoProgram(number));
    }
    if snapshot.cmd.iter().any(|word| word.contains(&0)) {
        return Err(AdoptError::Nul(number));
    }
    let files = wanted_files(&launch, &snapshot, &environment)?;
    let pool = workers::restore(&snapshot, &launch, now);
    // First what is named, then what is missing from what is left, and then anew.
    let mut places = listeners::take_over(&snapshot, &mut inherited);
    let named = named_command_socket(&snapshot, &mut inherited);
    let clients = clients(&snapshot, &mut inherited);
    let versions = versions::take_over(&snapshot, &mut inherited, &environment);
    let notify_socket = notify_socket(&snapshot, &launch, &files, &mut inherited);
    let preloaders = preloaders::take_over(&snapshot, &mut inherited);
    let ready_pipes = ready_pipes::take_over(&snapshot, &mut inherited);
    listeners::find_lost(&mut places, &mut inherited);
    let command_socket = named.or_else(|| find_command_socket(&files, &mut inherited));
    for number in inherited.close_rest() {
        ::log::debug!("descriptor {number} is not in the state and closed");
    }
    let allowed = Allowed::of_those_known(&launch);
    let (command_socket, command_socket_identity) = match command_socket {
        Some(socket) => (socket, command_socket_identity(&snapshot, &files)),
        None => open_anew(&files, &allowed)?,
    };
    if let Some(identity) = command_socket_identity {
        allowed.open_file(&files.command_socket, identity);
    }
    let listeners = listeners::open_lost(places, launch.settings.backlog);
    let instance = Instance {
        cmd: command(&snapshot, &environment),
        allowed,
        listeners,
        command_socket,
        command_socket_identity,
        notify_socket,
        generation: snapshot.generation,
        open_files: original_open_files(&snapshot),
        files,
        launch,
        environment,
        own_name,
    };
    let verbosity = snapshot.verbosity;
    let log = snapshot
        .ours
        .take()
        .map(|ours| Unwritten { bytes: ours.log_unwritten, dropped: ours.log_dropped });
    let log = log.unwrap_or_default();
    Ok(Adopted { instance, pool, versions, clients, preloaders, ready_pipes, verbosity, log })
}

/// The program and its arguments. A master that looks its program up at each start hands the
/// bare name over.
fn command(snapshot: &Snapshot, environment: &Environment) -> Vec<OsString> {
    let words: Vec<OsString> = snapshot.cmd.iter().cloned().map(OsString::from_vec).collect();
    let is_bare = words.first().is_some_and(|word| !word.as_bytes().contains(&b'/'));
    if !is_bare {
        return words;
    }
    spawn::resolve_command(None, &words, environment.get("PATH")).unwrap_or_else(|error| {
        ::log::error!("state: no worker can be started: {error}");
        words
    })
}

fn read(number: RawFd, inherited: &mut Inherited) -> Result<Snapshot, AdoptError> {
    let unreadable = |error| AdoptError::Unreadable(number, error);
    let file = inherited.take(number).map_err(unreadable)?;
    let patience = Duration::from_secs(limit::STATE_WAIT_SECONDS_MAX);
    let text = memory_file::read_everything(file.as_fd(), limit::STATE_BYTES_MAX, patience)
        .map_err(unreadable)?;
    let (snapshot, notes) =
        Snapshot::from_yaml(&text).map_err(|error| AdoptError::NoState(number, error))?;
    for note in notes {
        ::log::warn!("state: {note}");
    }
    Ok(snapshot)
}

/// Option, then state, then default.
fn wanted_files(
    launch: &Launch,
    snapshot: &Snapshot,
    environment: &Environment,
) -> Result<Files, FilesError> {
    let lookup = |name: &str| environment.get(name).map(OsString::from);
    let wanted = WantedFiles::of(launch, lookup)?.files;
    let path = |typed: &Option<PathBuf>, stored: &Option<Bytes>, wanted: PathBuf| match stored {
        // An older master kept what was typed; relative means from where it was started.
        Some(stored) if typed.is_none() => {
            std::path::absolute(OsString::from_vec(stored.clone())).unwrap_or(wanted)
        }
        _ => wanted,
    };
    Ok(Files {
        command_socket: path(&launch.socket_path, &snapshot.socket_path, wanted.command_socket),
        pidfile: path(&launch.pidfile, &snapshot.pidfile, wanted.pidfile),
        lockfile: path(&launch.lockfile, &snapshot.lockfile, wanted.lockfile),
    })
}

/// The command socket under the number that the state has for it.
fn named_command_socket(snapshot: &Snapshot, inherited: &mut Inherited) -> Option<OwnedFd> {
    let number = snapshot.command_server?;
    match listeners::take_over_command_socket(number, inherited) {
        Ok(socket) => Some(nonblocking(socket)),
        Err(reason) => {
            ::log::error!("descriptor {number} is not the command socket: {reason}");
            None
        }
    }
}

/// The command socket under any other number.
fn find_command_socket(files: &Files, inherited: &mut Inherited) -> Option<OwnedFd> {
    let (socket, _) = inherited.find(|found| match &found.local {
        LocalAddress::Path(path) if found.listening && found.stream => {
            std::path::absolute(path).is_ok_and(|path| path == files.command_socket)
        }
        _ => false,
    })?;
    ::log::warn!("the command socket is descriptor {}", socket.as_raw_fd());
    Some(nonblocking(socket))
}

fn nonblocking(socket: OwnedFd) -> OwnedFd {
    if let Err(error) = descriptor::set_nonblocking(socket.as_fd(), true) {
        ::log::warn!("the command socket may block: {}", reason(&error));
    }
    socket
}

/// The socket for `sd_notify(3)`: that of the former image, or where it is wanted a new one.
fn notify_socket(
    snapshot: &Snapshot,
    launch: &Launch,
    files: &Files,
    inherited: &mut Inherited,
) -> Option<NotifySocket> {
    if let Some(number) = snapshot.ours.as_ref().and_then(|ours| ours.notify_fd) {
        let taken = inherited.take(number).map_err(|error| reason(&error));
        match taken.and_then(|socket| NotifySocket::take_over(&files.command_socket, socket)) {
            Ok(socket) => return Some(socket),
            Err(reason) => ::log::error!(
                "descriptor {number}, said to be the socket that workers notify, is lost: {reason}"
            ),
        }
    }
    if launch.settings.ack_mode != AckMode::Notify {
        return None;
    }
    NotifySocket::open(&files.command_socket).map_err(|error| ::log::error!("{error}")).ok()
}

/// The limit that workers get: an image of ours does not lower its own for the next one.
fn original_open_files(snapshot: &Snapshot) -> Option<OpenFiles> {
    let soft = snapshot.ours.as_ref()?.open_files?;
    Some(OpenFiles { soft: Some(soft), ..limits::open_files() })
}

/// Which file the command socket is. Another master has not told; it is the socket at its path.
fn command_socket_identity(snapshot: &Snapshot, files: &Files) -> Option<Identity> {
    let stored = snapshot.ours.as_ref().and_then(|ours| ours.command_socket_file);
    match stored {
        Some((device, inode)) => Some(Identity { device, inode }),
        None => identity_of_socket(&files.command_socket),
    }
}

fn open_anew(wanted: &Files, allowed: &Allowed) -> Result<(OwnedFd, Option<Identity>), AdoptError> {
    let (socket, identity) = start::open_command_socket(&wanted.command_socket, allowed)?;
    Ok((socket, Some(identity)))
}

fn identity_of_socket(path: &Path) -> Option<Identity> {
    match files::look(path) {
        Ok(Some((FileKind::Socket, identity))) => Some(identity),
        Ok(_) | Err(_) => None,
    }
}

fn clients(snapshot: &Snapshot, inherited: &mut Inherited) -> Vec<AdoptedClient> {
    let mut clients = Vec::new();
    for record in &snapshot.connections {
        match client(snapshot, record, inherited) {
            Ok(client) => clients.push(client),
            Err(reason) => ::log::error!(
                "descriptor {}, said to be a client, is lost: {reason}",
                record.socket
            ),
        }
    }
    clients
}

fn client(
    snapshot: &Snapshot,
    record: &ClientConnection,
    inherited: &mut Inherited,
) -> Result<AdoptedClient, String> {
    let stream = inherited.take(record.socket).map_err(|error| reason(&error))?;
    let found = insist(|| socket::describe(stream.as_fd())).map_err(|error| reason(&error))?;
    if found.family != Family::Unix || !found.stream || found.listening {
        return Err("it is no unix stream socket".to_string());
    }
    descriptor::set_nonblocking(stream.as_fd(), true).map_err(|error| reason(&error))?;
    let peer = insist(|| socket::peer(&stream)).map_err(|error| reason(&error))?;
    let known = snapshot.ours.as_ref().and_then(|ours| ours.clients.get(&record.socket));
    // A Ruby master's subscribers speak YAML, and follow the upgrade that is under way.
    let dialect = if known.is_some_and(|known| known.json) { Dialect::Json } else { Dialect::Yaml };
    let request = match (&snapshot.ours, known) {
        (Some(_), Some(known)) => known.request,
        (Some(_), None) => 0,
        (None, _) => workers::FOREIGN_REQUEST,
    };
    let subscription = record.upgrade_subscription.clone();
    let restored = Restored {
        unread: record.read_buffer.clone(),
        unsent: record.write_buffer.clone(),
        subscriptions: subscription
            .map(|id| (Topic::Upgrade, ReturnAddress::new(dialect, id)))
            .into_iter()
            .collect(),
    };
    let connection = Connection::restore(peer.uid, restored);
    Ok(AdoptedClient { stream, connection, peer, request })
}
