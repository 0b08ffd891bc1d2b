//! All clients of the command socket: who is let in, whose turn it is, who is cut off.
//!
//! Invariant: no client can block, starve, grow or kill the master. Each turn is one read and
//! a bounded number of requests; buffers are bounded one by one and together.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use ::log::Level;
use einhorn_protocol::limit::LOG_REPEATS_MAX;
use einhorn_protocol::{error_code, limit};
use mio::{Registry, Token};

use super::client::{Client, READ_BYTES, Readiness, Turn};
use super::door::Door;
use crate::commands::Rights;
use crate::control::{Budget, Connection, Dialect, Reply, ReturnAddress, heaviest};
use crate::log::repeated;
use crate::sys::reason;
use crate::sys::socket::{self, Peer};

/// Tokens below are the event loop's own.
const FIRST_TOKEN: usize = 16;

/// The clients, and the order in which they are served.
pub(super) struct Clients {
    registry: Registry,
    /// A tree gives the room of a crowd back when it has gone, which a table does not.
    by_token: BTreeMap<Token, Box<Client>>,
    per_uid: HashMap<u32, usize>,
    ready: VecDeque<Token>,
    /// Where each read goes first, so that an idle client has no buffer.
    scratch: Box<[u8; READ_BYTES]>,
    followers: BTreeSet<Token>,
    /// Those that have not asked for anything yet; tokens grow with time.
    silent: BTreeSet<Token>,
    /// How many have the rights of a worker only.
    of_workers: usize,
    budget: Budget,
    next_token: usize,
    /// Given up to accept and turn away one client when descriptors have run out.
    spare: Option<File>,
    turned_away: u64,
    /// Somebody may be waiting who could not be taken in.
    someone_waits: bool,
    /// That is known to the log.
    is_told: bool,
}

/// A descriptor to be given up.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

impl Clients {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            by_token: BTreeMap::new(),
            per_uid: HashMap::new(),
            ready: VecDeque::new(),
            scratch: Box::new([0; READ_BYTES]),
            followers: BTreeSet::new(),
            silent: BTreeSet::new(),
            of_workers: 0,
            budget: Budget::default(),
            next_token: FIRST_TOKEN,
            spare: spare(),
            turned_away: 0,
            someone_waits: false,
            is_told: false,
        }
    }

    /// Takes in everyone who waits at the command socket.
    pub(super) fn accept_all(&mut self, listener: &OwnedFd, door: &Door<'_>) {
        self.someone_waits = false;
        loop {
            match socket::accept(listener) {
                Ok(Some(stream)) => self.welcome(stream, door),
                Ok(None) => {
                    self.is_told = false;
                    return;
                }
                Err(error) if self.turn_away(listener, &error) => {}
                Err(_) => return,
            }
        }
    }

    /// Whether somebody may be waiting whom no event will tell of.
    pub(super) fn has_someone_outside(&self) -> bool {
        self.someone_waits
    }

    /// Whether to accept again although no event says so.
    pub(super) fn take_someone_waits(&mut self) -> bool {
        self.spare.is_some() && std::mem::take(&mut self.someone_waits)
    }

    /// Out of descriptors: whoever waits is told by a closed connection, not by silence. For any
    /// other reason they wait. Says whether there may be more; whether anybody waits at all only
    /// shows with a descriptor to spare.
    fn turn_away(&mut self, listener: &OwnedFd, error: &io::Error) -> bool {
        if !socket::is_about_descriptors(error) {
            self.leave_outside(error);
            return false;
        }
        drop(self.spare.take());
        let found = socket::accept(listener).map(|someone| someone.map(drop));
        self.spare = spare();
        match found {
            Ok(None) => return false,
            Ok(Some(())) => self.turned_away += 1,
            Err(_) => {
                self.leave_outside(error);
                return false;
            }
        }
        if self.turned_away.is_power_of_two() {
            ::log::error!(
                "cannot take a client: {}; turned away {} so far (raise the limit of open files)",
                reason(error),
                self.turned_away
            );
        }
        self.someone_waits = self.spare.is_none();
        !self.someone_waits
    }

    /// No event will tell of them again.
    fn leave_outside(&mut self, error: &io::Error) {
        self.someone_waits = true;
        if !std::mem::replace(&mut self.is_told, true) {
            ::log::error!("cannot take a client: {}; trying again every second", reason(error));
        }
    }

    fn welcome(&mut self, stream: OwnedFd, door: &Door<'_>) {
        let peer = match socket::peer(&stream) {
            Ok(peer) => peer,
            Err(error) => {
                ::log::warn!(
                    "cannot tell who a client is, so it is not served: {}",
                    reason(&error)
                );
                return;
            }
        };
        let rights = door.rights(peer, &stream).and_then(|rights| self.room_for(peer, rights));
        let connection = Connection::new(peer.uid);
        let granted = rights.as_ref().copied().unwrap_or(Rights::OfAWorker);
        let token = self.insert(stream, connection, peer, granted);
        match rights {
            Err(reply) => self.refuse(token, &reply, Dialect::Json),
            Ok(Rights::OfAGivenConnection) => {}
            Ok(_) => self.note_silent(token),
        }
    }

    /// Takes in a client of the former image, unless it is somebody whom that image should not
    /// have let in: another master lets in whoever the socket's mode lets in.
    pub(super) fn take_over(
        &mut self,
        stream: OwnedFd,
        connection: Connection,
        peer: Peer,
        door: &Door<'_>,
    ) -> Option<Token> {
        match door.rights(peer, &stream) {
            Ok(rights) => Some(self.insert(stream, connection, peer, rights)),
            Err(reply) => {
                let connection = Connection::new(peer.uid);
                let token = self.insert(stream, connection, peer, Rights::OfAWorker);
                self.refuse(token, &reply, Dialect::Yaml);
                None
            }
        }
    }

    fn refuse(&mut self, token: Token, reply: &Reply, dialect: Dialect) {
        let Some(client) = self.by_token.get_mut(&token) else { return };
        let Peer { pid, uid, .. } = client.peer;
        let line = format!("client (pid {pid}, uid {uid}) refused: {}", reply.message);
        repeated(Level::Warn, "clients that were refused", LOG_REPEATS_MAX, &line);
        let _ = client.reply(reply, &ReturnAddress::anonymous(dialect));
        client.connection.close_after_flush();
    }

    /// The rights, if there is room for one more. Those that `-g` gives are the master's own
    /// doing, one a worker.
    fn room_for(&self, peer: Peer, rights: Rights) -> Result<Rights, Reply> {
        let of_uid = self.per_uid.get(&peer.uid).copied().unwrap_or(0);
        let is_full = self.by_token.len() >= limit::CLIENTS_MAX
            || of_uid >= limit::CLIENTS_PER_UID_MAX
            || (rights == Rights::OfAWorker && self.of_workers >= limit::WORKER_CLIENTS_MAX);
        if rights == Rights::OfAGivenConnection || !is_full {
            return Ok(rights);
        }
        let message = format!("too many clients: {} of uid {}", of_uid, peer.uid);
        Err(Reply::failed(error_code::OVERLOADED, message))
    }

    /// It has not said anything yet. Where too many do not, the one that has not for the
    /// longest goes.
    fn note_silent(&mut self, token: Token) {
        self.silent.insert(token);
        if self.silent.len() > limit::SILENT_CLIENTS_MAX
            && let Some(oldest) = self.silent.first().copied()
        {
            self.cut_off(oldest, "it has asked for nothing yet, and newer clients need the room");
        }
    }

    /// It has asked for something.
    pub(super) fn note_request(&mut self, token: Token) {
        self.silent.remove(&token);
    }

    /// Adds a client, new or handed over. The poll hears of it when its first turn is over:
    /// many have said all by then, and are gone.
    fn insert(
        &mut self,
        stream: OwnedFd,
        connection: Connection,
        peer: Peer,
        rights: Rights,
    ) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        *self.per_uid.entry(peer.uid).or_default() += 1;
        self.of_workers += usize::from(rights == Rights::OfAWorker);
        let mut client = Client::new(stream, connection, peer, rights);
        self.budget.settle(&mut client.connection);
        queue(&mut self.ready, token, &mut client);
        self.by_token.insert(token, Box::new(client));
        token
    }

    pub(super) fn note_readiness(&mut self, token: Token, readiness: Readiness) {
        if let Some(client) = self.by_token.get_mut(&token) {
            client.note_readiness(readiness);
            queue(&mut self.ready, token, client);
        }
    }

    /// Whether somebody waits for a turn.
    pub(super) fn is_someone_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many turns make a round: everyone who is ready now has one.
    pub(super) fn round(&self) -> usize {
        self.ready.len()
    }

    /// Whose turn it is, with all that it has to say now; nobody, where that one is gone.
    pub(super) fn next_ready(&mut self) -> Option<Token> {
        let token = self.ready.pop_front()?;
        let client = self.by_token.get_mut(&token)?;
        client.is_queued = false;
        match client.fill(&mut self.scratch[..]) {
            Ok(()) => Some(token),
            Err(error) => {
                ::log::debug!("client (pid {}) is gone: {}", client.peer.pid, reason(&error));
                self.close(token);
                None
            }
        }
    }

    pub(super) fn get(&self, token: Token) -> Option<&Client> {
        self.by_token.get(&token).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Client> {
        self.by_token.get_mut(&token).map(Box::as_mut)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.by_token.values().map(Box::as_ref)
    }

    /// Ends a client's turn: writes, counts its memory, and keeps or closes it.
    pub(super) fn end_turn(&mut self, token: Token) {
        let Some(client) = self.by_token.get_mut(&token) else { return };
        if let Err(error) = client.flush() {
            ::log::debug!("client (pid {}) is gone: {}", client.peer.pid, reason(&error));
            self.close(token);
            return;
        }
        self.budget.settle(&mut client.connection);
        match client.turn() {
            Turn::Again => queue(&mut self.ready, token, client),
            Turn::Close => self.close(token),
            Turn::Idle => {
                if let Err(error) = client.watch(&self.registry, token) {
                    let pid = client.peer.pid;
                    ::log::error!("cannot serve a client (pid {pid}): {}", reason(&error));
                    self.close(token);
                }
            }
        }
        while self.budget.is_exceeded() {
            let clients = self.by_token.iter().map(|(token, client)| (*token, &client.connection));
            let Some(token) = heaviest(clients) else { return };
            self.cut_off(token, "all clients together have too much unread");
        }
    }

    pub(super) fn cut_off(&mut self, token: Token, why: &str) {
        if let Some(client) = self.by_token.get(&token) {
            let line = format!("client (pid {}) is cut off: {why}", client.peer.pid);
            repeated(Level::Warn, "clients that were cut off", LOG_REPEATS_MAX, &line);
        }
        self.close(token);
    }

    pub(super) fn close(&mut self, token: Token) {
        let Some(client) = self.by_token.remove(&token) else { return };
        self.budget.release(&client.connection);
        self.followers.remove(&token);
        self.silent.remove(&token);
        self.of_workers -= usize::from(client.rights == Rights::OfAWorker);
        if let Some(count) = self.per_uid.get_mut(&client.peer.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_uid.remove(&client.peer.uid);
            }
        }
        // Closing the descriptor takes it out of the poll as well.
        drop(client);
        if self.spare.is_none() {
            self.spare = spare();
        }
    }

    /// From now on the client hears of upgrades.
    pub(super) fn follow(&mut self, token: Token) {
        self.followers.insert(token);
    }

    /// Those who asked for a reload are to hear this from the next image.
    pub(super) fn promise_reload(&mut self, reply: &Reply) {
        let followers: Vec<Token> = self.followers.iter().copied().collect();
        for token in followers {
            let Some(client) = self.by_token.get_mut(&token) else { continue };
            if let Err(error) = client.promise_reload(reply) {
                self.cut_off(token, &error.to_string());
            }
        }
    }

    /// They are not to hear it: there is no next image.
    pub(super) fn take_promises_back(&mut self) {
        self.by_token.values_mut().for_each(|client| client.take_promise_back());
    }

    /// Runs `tell` for everyone who follows an upgrade, and drops whom it cannot be told.
    pub(super) fn for_each_follower(
        &mut self,
        mut tell: impl FnMut(&mut Client) -> Result<(), crate::control::Overrun>,
    ) {
        let followers: Vec<Token> = self.followers.iter().copied().collect();
        for token in followers {
            let Some(client) = self.by_token.get_mut(&token) else { continue };
            let told = tell(client);
            if client.connection.subscriptions().is_empty() && client.reloads.is_empty() {
                self.followers.remove(&token);
            }
            match told {
                Ok(()) => self.end_turn(token),
                Err(error) => self.cut_off(token, &error.to_string()),
            }
        }
    }
}

fn queue(ready: &mut VecDeque<Token>, token: Token, client: &mut Client) {
    if !std::mem::replace(&mut client.is_queued, true) {
        ready.push_back(token);
    }
}
