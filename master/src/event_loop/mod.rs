//! Where policy, speech and effects meet: one thread that waits for events.
//!
//! Invariants: no wake-up without an event or a deadline that somebody set; no wait for
//! anything but the poll.

mod again;
mod balance;
mod check;
mod client;
mod clients;
mod door;
mod facts;
mod handed_over;
mod outer_master;
mod perform;
mod poll;
mod preload;
mod readiness;
mod serve;
mod signals;

use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use self::balance::Balance;
use self::clients::Clients;
use self::outer_master::OuterMaster;
pub use self::poll::EventPoll;
use self::preload::Preloads;
use self::readiness::Readiness;
use crate::commands::{ListenerFacts, introduction};
use crate::handover::{Check, Kind};
use crate::instance::Instance;
use crate::moment::Moment;
use crate::pool::{Event, PendingReload, Pool};
use crate::settings::Settings;
use crate::spawn::Versions;
use crate::sys::signals::SignalSource;
use crate::sys::{clock, process};

const SIGNALS: Token = Token(0);
const COMMAND_SOCKET: Token = Token(1);
const LOG: Token = Token(2);
const CHECK: Token = Token(3);
const PRELOADERS: Token = Token(4);
const NOTIFICATIONS: Token = Token(5);

/// A master that has done its work.
pub struct Ended {
    /// Its exit status.
    pub status: u8,
    /// What it leaves behind.
    pub instance: Instance,
}

/// A running master.
pub struct Master {
    poll: Poll,
    signals: SignalSource,
    instance: Instance,
    pool: Pool,
    clients: Clients,
    versions: Versions,
    preloads: Preloads,
    readiness: Readiness,
    balance: Balance,
    check: Option<Check>,
    reexec_next: Option<Kind>,
    /// What has passed the check, and is executed.
    next_program: CString,
    outer: Option<OuterMaster>,
    title: String,
    introduction: String,
    listener_facts: Vec<ListenerFacts>,
    log_is_registered: bool,
    exit: Option<u8>,
    /// When what the system has refused to tell is asked for again.
    ask_again_at: Option<Duration>,
    /// Whose turn is not over yet; kept for its memory.
    served: Vec<Token>,
    /// Whether the loop runs: there may be clients.
    serves: bool,
}

impl Master {
    /// A master with everything that it needs, which does nothing yet.
    pub fn new(
        instance: Instance,
        pool: Pool,
        versions: Versions,
        signals: SignalSource,
        selector: EventPoll,
    ) -> Self {
        let EventPoll { poll, of_clients, of_pipes } = selector;
        let title = facts::title(&instance);
        Self {
            clients: Clients::new(of_clients),
            readiness: Readiness::new(of_pipes),
            outer: OuterMaster::find(&instance.environment),
            introduction: introduction(process::own_pid(), &title),
            title,
            listener_facts: facts::listeners(&instance),
            poll,
            signals,
            instance,
            pool,
            versions,
            preloads: Preloads::default(),
            balance: Balance::default(),
            check: None,
            reexec_next: None,
            next_program: CString::default(),
            log_is_registered: false,
            exit: None,
            ask_again_at: None,
            served: Vec::new(),
            serves: false,
        }
    }

    /// What it is called where processes are listed.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Does what the first event leads to: the first workers are started.
    pub fn begin(&mut self, first: Event) {
        let left = self.pool.version();
        let upgrades = self.pool.pending_reload().is_some_and(PendingReload::is_for_upgrade);
        self.prepare_upgrade();
        self.pool.handle(clock::now(), first);
        self.place_preloaders(left, upgrades);
        self.perform_actions();
        self.end_idle_subscriptions();
        self.listen_for_notifications();
        self.begin_checks();
    }

    /// As [`Versions::see_files`].
    pub fn see_files(&mut self) {
        self.versions.see_files();
    }

    /// As [`crate::options::Launch::count_processors`], for what has begun already: starting all workers does not
    /// depend on it.
    pub fn count_processors(&mut self, count: impl FnOnce() -> NonZeroU32) {
        self.instance.launch.count_processors(count);
        let max_unacked = self.instance.launch.settings.max_unacked;
        self.tell_pool(Event::SettingsChanged(Settings {
            max_unacked,
            ..self.pool.settings().clone()
        }));
    }

    /// Works until it is time to leave, and says with which exit status.
    ///
    /// # Errors
    /// The poll fails, which it does not do for anything that comes from outside.
    pub fn run(mut self) -> io::Result<Ended> {
        self.serves = true;
        self.take_signals();
        self.reap();
        self.accept_clients();
        let mut events = Events::with_capacity(256);
        loop {
            let now = clock::now();
            self.meet_deadlines(now);
            self.serve_clients(now);
            self.hear_workers();
            if self.clients.take_someone_waits() {
                self.accept_clients();
            }
            self.flush_log();
            self.settle_preloaders();
            self.settle_balance();
            if let Some(next) = self.reexec_next
                && self.is_ready_for(next)
            {
                self.reexec(next);
            }
            if let Some(status) = self.exit
                && self.have_preloaders_left()
            {
                self.take_leave();
                return Ok(Ended { status, instance: self.instance });
            }
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                match event.token() {
                    SIGNALS => self.take_signals(),
                    COMMAND_SOCKET => self.accept_clients(),
                    LOG => self.flush_log(),
                    CHECK => self.read_check(),
                    PRELOADERS => self.read_preloaders(),
                    NOTIFICATIONS => self.note_notifications(),
                    token if self.readiness.note_readable(token) => {}
                    token => self.clients.note_readiness(token, event.into()),
                }
            }
        }
    }

    fn is_leaving(&self) -> bool {
        self.exit.is_some()
    }

    /// How long nothing needs to be done if nothing happens.
    fn patience(&self) -> Option<Duration> {
        if self.clients.is_someone_ready() || self.readiness.is_someone_unheard() {
            return Some(Duration::ZERO);
        }
        let check = self.check.as_ref().map(Check::deadline);
        let outer = self.outer.as_ref().and_then(OuterMaster::deadline);
        let ready = self.readiness.checks.deadline().filter(|_| self.reexec_next.is_none());
        let balance = self.balance.deadline();
        let pool = self.pool.next_deadline();
        let log = crate::log::repeats_deadline();
        let again = self.ask_again_at;
        let first = [pool, self.preloads.deadline(), check, outer, ready, balance, log, again]
            .into_iter()
            .flatten()
            .min()?;
        Some(first.saturating_sub(clock::now().monotonic))
    }

    fn meet_deadlines(&mut self, now: Moment) {
        if self.pool.next_deadline().is_some_and(|at| at <= now.monotonic) {
            self.tell_pool(Event::DeadlineReached);
        }
        if self.check.as_ref().is_some_and(|check| check.deadline() <= now.monotonic) {
            self.give_check_up();
        }
        self.watch_draining(now.monotonic);
        self.meet_preload_deadlines(now.monotonic);
        self.meet_check_deadlines(now.monotonic);
        crate::log::tell_repeats(Some(now.monotonic));
        self.meet_second_try(now.monotonic);
        if let Some(outer) = &mut self.outer {
            outer.meet_deadline(now);
        }
    }

    /// Lines that could not be written at once wait for their reader.
    fn flush_log(&mut self) {
        crate::log::flush();
        match (crate::log::pending_fd(), self.log_is_registered) {
            (Some(descriptor), false) => {
                let source = &mut SourceFd(&descriptor);
                let registered = self.poll.registry().register(source, LOG, Interest::WRITABLE);
                self.log_is_registered = registered.is_ok();
            }
            (None, true) => self.log_is_registered = false,
            (Some(_), true) | (None, false) => {}
        }
    }

    /// The last words: everybody gets what was still to be written, as far as it can be.
    fn take_leave(&mut self) {
        self.readiness.checks.stop_all();
        self.serve_clients(clock::now());
        if self.instance.launch.kill_children_on_exit {
            self.signal_those_left();
        }
        crate::log::tell_repeats(None);
        crate::log::flush();
    }
}
