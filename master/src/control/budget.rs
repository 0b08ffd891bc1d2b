//! The memory of all clients' buffers together, bounded by [`limit::BUFFERS_BYTES_MAX`].
//!
//! The count is kept up by differences, so that it costs nothing per client. When it is
//! exceeded, whoever holds most is to go: a worker that acknowledges with a short line never
//! pays for a client that does not read.

use einhorn_protocol::limit;

use super::connection::Connection;

/// Bytes that are held now.
#[derive(Debug, Default)]
pub struct Budget {
    held: usize,
}

impl Budget {
    /// Counts what `connection` holds now in place of what it held at the last call. To be
    /// called after anything was received, queued, written or subscribed.
    pub fn settle(&mut self, connection: &mut Connection) {
        let held = connection.held();
        self.held = self.held.saturating_sub(connection.settled).saturating_add(held);
        connection.settled = held;
    }

    /// Takes a connection that is closed out of the count.
    pub fn release(&mut self, connection: &Connection) {
        self.held = self.held.saturating_sub(connection.settled);
    }

    /// Whether the one of [`heaviest`] is to be closed.
    pub fn is_exceeded(&self) -> bool {
        self.held > limit::BUFFERS_BYTES_MAX
    }
}

/// The key of the connection that holds most.
pub fn heaviest<'a, K>(connections: impl IntoIterator<Item = (K, &'a Connection)>) -> Option<K> {
    connections.into_iter().max_by_key(|(_, connection)| connection.settled).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Dialect, ReturnAddress, Topic};
    use crate::psych::Value;

    #[test]
    fn the_one_that_holds_most_goes_and_the_count_falls() {
        let mut budget = Budget::default();
        let mut hogs: Vec<Connection> = Vec::new();
        let mut small = Connection::new(0);
        small.receive(b"{\"command\":\"worker:ack\",\"pid\":1}");
        budget.settle(&mut small);
        while !budget.is_exceeded() {
            let mut hog = Connection::new(0);
            hog.receive(&vec![b'x'; limit::LINE_BYTES_MAX - 1]);
            budget.settle(&mut hog);
            budget.settle(&mut hog);
            hogs.push(hog);
        }
        assert!(hogs.len() >= limit::BUFFERS_BYTES_MAX / limit::LINE_BYTES_MAX / 2);

        let all = std::iter::once((0, &small)).chain((1..).zip(&hogs));
        let chosen = heaviest(all).unwrap();
        assert_ne!(chosen, 0);
        budget.release(&hogs.remove(chosen - 1));
        assert!(!budget.is_exceeded());

        for hog in &hogs {
            budget.release(hog);
        }
        budget.release(&small);
        assert_eq!(budget.held, 0);
        assert_eq!(heaviest::<usize>([]), None);
    }

    #[test]
    fn as_much_as_the_limit_is_kept_and_one_byte_more_is_not() {
        let mut budget = Budget { held: limit::BUFFERS_BYTES_MAX };
        assert!(!budget.is_exceeded());
        budget.held += 1;
        assert!(budget.is_exceeded());
    }

    #[test]
    fn subscriptions_count() {
        for id in [Value::String("x".repeat(1000)), Value::Bytes(vec![0xff; 1000])] {
            let mut budget = Budget::default();
            let mut connection = Connection::new(0);
            budget.settle(&mut connection);
            let idle = budget.held;
            connection.subscribe(Topic::Upgrade, ReturnAddress::new(Dialect::Yaml, id));
            budget.settle(&mut connection);
            assert!(budget.held >= idle + 1000);
        }
    }
}
