//! `-m notify`: what workers say to the socket in `NOTIFY_SOCKET`.
//!
//! A message counts if its sender is a living worker, or is in a living worker's process group:
//! a worker's own helper, such as systemd-notify, may speak for it. All others are passed over.

use einhorn_protocol::limit::NOTIFY_BYTES_MAX;
use mio::Interest;
use mio::unix::SourceFd;

use super::super::{Master, NOTIFICATIONS};
use crate::control::Notification;
use crate::pool::{Event, Pid, SpawnId, Worker};
use crate::start::NotifySocket;
use crate::sys::datagram::{self, Received};
use crate::sys::{process, reason};

/// Read in one turn; more wait for the next one.
const DATAGRAMS_A_TURN: usize = 32;

/// Turns that are still had before another master takes over.
const LAST_TURNS: usize = 16;

/// What is known of the socket.
#[derive(Debug, Default)]
pub(super) struct Notifications {
    /// There may be more.
    pub(super) unheard: bool,
    passed_over: u64,
}

impl Master {
    /// From now on the event loop wakes up for the socket, if there is one.
    pub(in super::super) fn listen_for_notifications(&mut self) {
        let Some(socket) = &self.instance.notify_socket else { return };
        let source = &mut SourceFd(&socket.number());
        if let Err(error) = self.poll.registry().register(source, NOTIFICATIONS, Interest::READABLE)
        {
            ::log::error!("cannot hear what workers notify: {}", reason(&error));
        }
        self.readiness.notifications.unheard = true;
    }

    pub(in super::super) fn note_notifications(&mut self) {
        self.readiness.notifications.unheard = true;
    }

    /// One turn.
    pub(super) fn hear_notifications(&mut self) {
        if !self.readiness.notifications.unheard {
            return;
        }
        // A worker may speak as soon as its pid is on its way.
        if self.preloads.awaits_a_pid() {
            self.read_preloaders();
        }
        let mut buffer = [0; NOTIFY_BYTES_MAX];
        for _ in 0..DATAGRAMS_A_TURN {
            let Some(received) = self.next_notification(&mut buffer) else {
                self.readiness.notifications.unheard = false;
                return;
            };
            self.take_notification(received, buffer.get(..received.length).unwrap_or_default());
        }
    }

    fn next_notification(&mut self, buffer: &mut [u8]) -> Option<Received> {
        let socket = self.instance.notify_socket.as_ref()?;
        match datagram::receive(socket, buffer) {
            Ok(received) => received,
            Err(error) => {
                self.ask_again("cannot hear what workers notify", &error);
                None
            }
        }
    }

    fn take_notification(&mut self, received: Received, message: &[u8]) {
        let Received { sender, truncated, .. } = received;
        let Some(worker) = self.speaker(sender) else {
            self.pass_over(sender, "it is no worker, nor in a living worker's process group");
            return;
        };
        let (id, acked, is_stopping) = (worker.id, worker.acked, worker.is_stopping());
        if truncated {
            self.pass_over(sender, &format!("it is longer than {NOTIFY_BYTES_MAX} bytes"));
            return;
        }
        let said = Notification::read(message);
        if let Some(text) = said.status {
            self.tell_pool(Event::StatusSaid { id, text });
        }
        if said.watchdog {
            self.tell_pool(Event::Pinged { id, request_id: None });
        }
        if said.ready {
            self.take_ready(id, sender, acked, is_stopping);
        }
        if said.stopping && !is_stopping {
            self.tell_pool(Event::Retiring { id });
        }
    }

    fn take_ready(&mut self, id: SpawnId, sender: Pid, acked: bool, is_stopping: bool) {
        if is_stopping {
            self.pass_over(sender, "its worker is stopping");
        } else if acked {
            // As programs say it again that have loaded their settings anew.
            ::log::debug!("process {sender} says again that its worker is up");
        } else {
            self.tell_pool(Event::Acknowledged { id });
        }
    }

    fn speaker(&self, sender: Pid) -> Option<&Worker> {
        let by_group = || self.pool.find(process::group_of(sender)?);
        self.pool.find(sender).or_else(by_group)
    }

    /// Said less and less often, so that nobody fills the log.
    fn pass_over(&mut self, sender: Pid, why: &str) {
        let count = &mut self.readiness.notifications.passed_over;
        *count += 1;
        let level = if count.is_power_of_two() { ::log::Level::Warn } else { ::log::Level::Debug };
        ::log::log!(
            level,
            "notification of process {sender} ignored: {why} ({count} ignored so far)"
        );
    }

    /// Another master would not remove it. What was said before is heard.
    pub(in super::super) fn leave_notify_socket(&mut self) {
        self.readiness.notifications.unheard = true;
        for _ in 0..LAST_TURNS {
            self.hear_notifications();
        }
        self.instance.notify_socket = None;
    }

    /// There is no other master.
    pub(in super::super) fn reopen_notify_socket(&mut self) {
        if !self.is_notified() || self.instance.notify_socket.is_some() {
            return;
        }
        match NotifySocket::open(&self.instance.files.command_socket) {
            Ok(socket) => self.instance.notify_socket = Some(socket),
            Err(error) => ::log::error!("{error}"),
        }
        self.listen_for_notifications();
    }

    fn is_notified(&self) -> bool {
        self.pool.settings().ack_mode == crate::settings::AckMode::Notify
    }
}
