//! Clients and state between images: what is handed on, and what was handed over.

use std::os::fd::AsRawFd;

use einhorn_protocol::error_code;

use super::Master;
use super::door::Door;
use crate::control::{Reply, Topic};
use crate::handover::{self, AdoptedClient, ClientRecord};
use crate::state::Snapshot;

impl Master {
    /// Everything as it is now; for a reload, as the next image is to see it.
    pub(super) fn capture(&self, for_reload: bool) -> Snapshot {
        let clients = self.clients.iter().map(|client| ClientRecord {
            descriptor: client.stream.as_raw_fd(),
            connection: &client.connection,
            request: client.request,
        });
        let generation = self.instance.generation.saturating_add(u64::from(for_reload));
        let pool = self.pool.to_restored();
        let verbosity = crate::log::verbosity();
        handover::capture(&self.instance, &pool, &self.versions, clients, generation, verbosity)
    }

    /// Takes in the clients of the former image.
    pub fn take_over_clients(&mut self, clients: Vec<AdoptedClient>) {
        for AdoptedClient { stream, connection, peer, request } in clients {
            let follows = connection.subscription(Topic::Upgrade).is_some();
            let door = Door { allowed: &self.instance.allowed, pool: &self.pool };
            let token = self.clients.take_over(stream, connection, peer, &door);
            let Some(token) = token else { continue };
            if let Some(client) = self.clients.get_mut(token) {
                client.request = request;
            }
            if follows {
                self.clients.follow(token);
            }
        }
    }

    /// Nobody waits for an upgrade that is not under way: a Ruby master whose reload fails
    /// forgets to tell, and hands its caller over at the next one.
    pub(super) fn end_idle_subscriptions(&mut self) {
        if self.pool.upgrade().is_some() || self.pool.pending_reload().is_some() {
            return;
        }
        let message = "no upgrade is in progress any more; the log tells how it ended";
        let reply = Reply::failed(error_code::NO_UPGRADE, message);
        self.clients.for_each_follower(|client| {
            match client.connection.unsubscribe(Topic::Upgrade) {
                Some(address) => client.reply(&reply, &address),
                None => Ok(()),
            }
        });
    }
}
