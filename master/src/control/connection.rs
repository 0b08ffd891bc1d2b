//! One client: what it has sent, what it has yet to read, and what it waits for.
//!
//! The descriptor is elsewhere. Everything here crosses a reload ([`Restored`]), so that a
//! client that is in the middle of anything does not notice one.

use einhorn_protocol::limit;

use super::address::ReturnAddress;
use super::dialect::{self, Dialect};
use super::input::LineBuffer;
use super::output::{OutputQueue, Overrun};
use super::reply::Reply;
use super::request::{Refusal, Request};

/// What a client can wait for beyond the reply to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The progress of an upgrade, up to its end.
    Upgrade,
}

/// A connection as another master left it. From a Ruby master every subscriber is answered
/// in YAML.
#[derive(Debug, Default)]
pub struct Restored {
    /// What was read and not taken.
    pub unread: Vec<u8>,
    /// What was queued and not written.
    pub unsent: Vec<u8>,
    /// What it waits for.
    pub subscriptions: Vec<(Topic, ReturnAddress)>,
}

/// A client of the command socket.
#[derive(Debug)]
pub struct Connection {
    uid: u32,
    input: LineBuffer,
    output: OutputQueue,
    subscriptions: Vec<(Topic, ReturnAddress)>,
    /// The language of its last request.
    dialect: Option<Dialect>,
    closing: bool,
    /// What the budget counts for it.
    pub(super) settled: usize,
}

impl Connection {
    /// A new client with the user id `uid` (from its peer credentials).
    pub fn new(uid: u32) -> Self {
        Self::restore(uid, Restored::default())
    }

    /// A client that was another master's.
    pub fn restore(uid: u32, restored: Restored) -> Self {
        let mut input = LineBuffer::new(limit::LINE_BYTES_MAX);
        input.push(&restored.unread);
        Self {
            uid,
            input,
            output: OutputQueue::restored(restored.unsent),
            dialect: restored.subscriptions.first().map(|(_, address)| address.dialect),
            subscriptions: restored.subscriptions,
            closing: false,
            settled: 0,
        }
    }

    /// The client's user id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Takes what was read from the client. Requests come out of [`Self::next_request`].
    pub fn receive(&mut self, bytes: &[u8]) {
        if !self.closing {
            self.dialect.get_or_insert_with(|| dialect::guess(bytes));
            self.input.push(bytes);
        }
    }

    /// Whether more should be read: not while requests wait, and not from a client that is
    /// being closed.
    pub fn wants_input(&mut self) -> bool {
        !self.closing && !self.input.is_ready()
    }

    /// Whether [`Self::next_request`] has something.
    pub fn has_request(&mut self) -> bool {
        !self.closing && self.input.is_ready()
    }

    /// The next request, or the answer to a line that is none. After an answer that closes
    /// the connection there is nothing more.
    pub fn next_request(&mut self) -> Option<Result<Request, Refusal>> {
        if self.closing {
            return None;
        }
        let request = match self.input.next_line()? {
            Ok(line) => Request::parse(line),
            Err(error) => {
                let dialect = self.dialect.unwrap_or(Dialect::Yaml);
                Err(Refusal::too_long(dialect, error))
            }
        };
        self.input.compact();
        match &request {
            Ok(request) => self.dialect = Some(request.dialect),
            Err(refusal) => {
                self.dialect = Some(refusal.address.dialect);
                self.closing = refusal.close;
            }
        }
        Some(request)
    }

    /// Adds a reply to what is to be written.
    ///
    /// # Errors
    /// [`Overrun`] if the client is too far behind; it is to be cut off.
    pub fn reply(&mut self, reply: &Reply, address: &ReturnAddress) -> Result<(), Overrun> {
        self.output.queue(|out| reply.append_to(out, address))
    }

    /// What is to be written.
    pub fn pending(&self) -> &[u8] {
        self.output.pending()
    }

    /// All but the first `length` bytes of [`Self::pending`] are not to be written after all.
    pub fn take_back(&mut self, length: usize) {
        self.output.take_back(length);
    }

    /// The first `written` bytes of [`Self::pending`] were written.
    pub fn advance(&mut self, written: usize) {
        self.output.advance(written);
    }

    /// What was read and not taken: it crosses a reload.
    pub fn unread(&self) -> &[u8] {
        self.input.unread()
    }

    /// No request is taken any more; once everything is written, [`Self::is_finished`].
    pub fn close_after_flush(&mut self) {
        self.closing = true;
    }

    /// Whether the connection is to be closed now.
    pub fn is_finished(&self) -> bool {
        self.closing && self.pending().is_empty()
    }

    /// From now on the client is told about `topic`. What it waited for before is handed
    /// back: it is to be told that nothing more comes under that id.
    pub fn subscribe(&mut self, topic: Topic, address: ReturnAddress) -> Option<ReturnAddress> {
        let former = self.unsubscribe(topic);
        self.subscriptions.push((topic, address));
        former
    }

    /// Ends a subscription, and says where its last reply goes.
    pub fn unsubscribe(&mut self, topic: Topic) -> Option<ReturnAddress> {
        let index = self.subscriptions.iter().position(|(other, _)| *other == topic)?;
        Some(self.subscriptions.swap_remove(index).1)
    }

    /// Where news of `topic` goes, if the client wants them.
    pub fn subscription(&self, topic: Topic) -> Option<&ReturnAddress> {
        self.subscriptions.iter().find(|(other, _)| *other == topic).map(|(_, address)| address)
    }

    /// All that the client waits for.
    pub fn subscriptions(&self) -> &[(Topic, ReturnAddress)] {
        &self.subscriptions
    }

    /// Bytes of memory that the client costs.
    pub fn held(&self) -> usize {
        let subscriptions: usize =
            self.subscriptions.iter().map(|(_, address)| address.held()).sum();
        self.input.held().saturating_add(self.output.held()).saturating_add(subscriptions)
    }
}

#[cfg(test)]
mod tests {
    use einhorn_protocol::error_code;

    use super::*;
    use crate::control::Reply;
    use crate::psych::Value;

    fn commands(connection: &mut Connection) -> Vec<String> {
        let requests = std::iter::from_fn(|| connection.next_request());
        requests
            .map(|request| match request {
                Ok(request) => request.command,
                Err(refusal) => refusal.code.to_owned(),
            })
            .collect()
    }

    #[test]
    fn requests_come_out_in_order_and_bad_lines_cost_nothing_but_themselves() {
        let mut connection = Connection::new(7);
        assert_eq!(connection.uid(), 7);
        connection.receive(b"{\"command\":\"help\"}\n\n[]\n{\"comm");
        assert!(connection.has_request() && !connection.wants_input());
        assert_eq!(commands(&mut connection), ["help", "malformed", "malformed"]);
        assert!(!connection.has_request() && connection.wants_input());
        connection.receive(b"and\":\"state\"}\n");
        assert_eq!(commands(&mut connection), ["state"]);
    }

    #[test]
    fn over_a_limit_there_is_one_answer_and_then_nothing() {
        for (head, dialect) in [(&b" {\"x\":\""[..], Dialect::Json), (b"x: ", Dialect::Yaml)] {
            let mut connection = Connection::new(0);
            connection.receive(head);
            assert!(connection.wants_input());
            connection.receive(&vec![b'x'; limit::LINE_BYTES_MAX]);
            assert!(connection.has_request());
            let refusal = connection.next_request().unwrap().unwrap_err();
            assert_eq!(refusal.code, error_code::LINE_TOO_LONG);
            assert_eq!(refusal.address, ReturnAddress::anonymous(dialect));
            assert!(refusal.close && !connection.wants_input());
            connection.reply(&refusal.reply(), &refusal.address).unwrap();
            connection.receive(b"\n{\"command\":\"die\"}\n");
            assert_eq!(commands(&mut connection), [""; 0]);
            assert!(!connection.is_finished());
            connection.advance(usize::MAX);
            assert!(connection.is_finished());
        }
    }

    #[test]
    fn after_the_last_word_to_a_client_nothing_is_taken_and_it_is_still_written() {
        let mut connection = Connection::new(0);
        connection.receive(b"{\"command\":\"help\"}\n{\"command\":\"die\"}\n");
        assert!(connection.next_request().is_some());
        connection.output.queue(|out| out.extend_from_slice(b"goodbye\n")).unwrap();
        assert!(!connection.is_finished());
        connection.close_after_flush();
        connection.receive(b"{\"command\":\"die\"}\n");
        assert!(!connection.has_request() && !connection.wants_input());
        assert_eq!(commands(&mut connection), [""; 0]);
        connection.advance(b"goodby".len());
        assert!(!connection.is_finished());
        assert_eq!(connection.pending(), b"e\n");
        connection.advance(2);
        assert!(connection.is_finished());
    }

    #[test]
    fn nesting_over_the_limit_closes_and_what_is_behind_it_is_not_served() {
        let mut connection = Connection::new(0);
        let deep = format!("{{\"command\":{}{}}}\n", "[".repeat(3000), "]".repeat(3000));
        connection.receive(deep.as_bytes());
        connection.receive(b"{\"command\":\"die\"}\n");
        assert_eq!(commands(&mut connection), [error_code::TOO_DEEP]);
        assert!(connection.is_finished());
    }

    #[test]
    fn a_client_crosses_a_reload() {
        let mut old = Connection::new(5);
        old.receive(b"{\"command\":\"upgrade\",\"id\":\"u\"}\n{\"command\":\"help\"}\n{\"co");
        let upgrade = old.next_request().unwrap().unwrap();
        assert_eq!(old.subscribe(Topic::Upgrade, upgrade.address()), None);
        old.reply(&Reply::progress("reloading"), &upgrade.address()).unwrap();
        old.advance(5);

        let mut new = Connection::restore(
            old.uid(),
            Restored {
                unread: old.unread().to_vec(),
                unsent: old.pending().to_vec(),
                subscriptions: old.subscriptions().to_vec(),
            },
        );
        let unsent = b"sage\":\"reloading\",\"request_id\":\"u\",\"wait\":true}\n";
        assert_eq!(new.pending(), unsent);
        assert_eq!(new.subscription(Topic::Upgrade), Some(&upgrade.address()));
        new.receive(b"mmand\":\"state\"}\n");
        assert_eq!(commands(&mut new), ["help", "state"]);
    }

    #[test]
    fn a_later_subscription_hands_the_former_back() {
        let mut connection = Connection::new(0);
        let address = |id| ReturnAddress::new(Dialect::Yaml, Value::Integer(id));
        assert_eq!(connection.subscribe(Topic::Upgrade, address(1)), None);
        assert_eq!(connection.subscribe(Topic::Upgrade, address(2)), Some(address(1)));
        assert_eq!(connection.unsubscribe(Topic::Upgrade), Some(address(2)));
        assert_eq!(connection.unsubscribe(Topic::Upgrade), None);
    }

    #[test]
    fn an_idle_client_holds_next_to_nothing() {
        let mut connection = Connection::new(0);
        let line = format!("{{\"command\":\"{}\"}}\n", "x".repeat(900_000));
        connection.receive(line.as_bytes());
        assert_eq!(commands(&mut connection).len(), 1);
        let long = vec![b'x'; limit::CLIENT_OUTPUT_BYTES_MAX];
        connection.output.queue(|out| out.extend_from_slice(&long)).unwrap();
        connection.advance(limit::CLIENT_OUTPUT_BYTES_MAX);
        assert_eq!(connection.held(), 0);
    }
}
