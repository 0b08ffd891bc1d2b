//! `:persistent_descriptors`: what a Ruby master's event loop takes over, by class.
//!
//! Only what a Ruby master knows stands here; it dies of anything else.

use super::portable::{Portable, Reader, symbol, symbol_text};
use super::snapshot::{AckTimer, ClientConnection, Snapshot};
use crate::psych::Value;

/// The key at the top of the document.
pub(super) const PERSISTENT_DESCRIPTORS: &str = "persistent_descriptors";

const CLASS: &str = "class";
const COMMAND_SERVER: &str = "Einhorn::Event::CommandServer";
const CONNECTION: &str = "Einhorn::Event::Connection";
const ACK_TIMER: &str = "Einhorn::Event::ACKTimer";

const SERVER: &str = "server";
const SOCKET: &str = "socket";
const READ_BUFFER: &str = "read_buffer";
const WRITE_BUFFER: &str = "write_buffer";
const SUBSCRIPTIONS: &str = "subscriptions";
const UPGRADE: &str = "upgrade";
const TIME: &str = "time";
const START: &str = "start";
const PID: &str = "pid";

/// The list for `snapshot`.
pub(super) fn to_value(snapshot: &Snapshot) -> Value {
    let server = snapshot
        .command_server
        .iter()
        .map(|server| of_class(COMMAND_SERVER, vec![(symbol(SERVER), server.to_value())]));
    let connections = snapshot.connections.iter().map(connection);
    let timers = snapshot.ack_timers.iter().map(|timer| {
        of_class(
            ACK_TIMER,
            vec![
                (symbol(TIME), timer.time.to_value()),
                (symbol(START), timer.start.to_value()),
                (symbol(PID), timer.pid.to_value()),
            ],
        )
    });
    Value::Sequence(server.chain(connections).chain(timers).collect())
}

fn of_class(class: &str, mut entries: Vec<(Value, Value)>) -> Value {
    entries.insert(0, (symbol(CLASS), class.into()));
    Value::Mapping(entries)
}

fn connection(client: &ClientConnection) -> Value {
    let mut entries = vec![(symbol(SOCKET), client.socket.to_value())];
    for (name, buffer) in [(READ_BUFFER, &client.read_buffer), (WRITE_BUFFER, &client.write_buffer)]
    {
        if !buffer.is_empty() {
            entries.push((symbol(name), buffer.to_value()));
        }
    }
    let subscription = client.upgrade_subscription.iter();
    let subscriptions = subscription.map(|id| (symbol(UPGRADE), id.clone())).collect();
    entries.push((symbol(SUBSCRIPTIONS), Value::Mapping(subscriptions)));
    of_class(CONNECTION, entries)
}

/// Reads the list into `snapshot`. A wrong entry is noted and left out.
pub(super) fn read(list: &[Value], snapshot: &mut Snapshot, reader: &mut Reader) {
    reader.below(&symbol_text(PERSISTENT_DESCRIPTORS), |reader| {
        for (place, entry) in list.iter().enumerate() {
            reader.below(&place.to_string(), |reader| read_one(entry, snapshot, reader));
        }
    });
}

fn read_one(value: &Value, snapshot: &mut Snapshot, reader: &mut Reader) {
    match value.get(CLASS).and_then(Value::as_str) {
        Some(COMMAND_SERVER) => {
            let mut fields = Fields::of(value, &[SERVER], reader);
            if let Some(server) = fields.needed(SERVER) {
                snapshot.command_server = Some(server);
            }
        }
        Some(CONNECTION) => {
            let known = [SOCKET, READ_BUFFER, WRITE_BUFFER, SUBSCRIPTIONS];
            let mut fields = Fields::of(value, &known, reader);
            if let Some(socket) = fields.needed(SOCKET) {
                let read_buffer = fields.optional(READ_BUFFER).unwrap_or_default();
                let write_buffer = fields.optional(WRITE_BUFFER).unwrap_or_default();
                let upgrade_subscription = fields.upgrade_subscription();
                snapshot.connections.push(ClientConnection {
                    socket,
                    read_buffer,
                    write_buffer,
                    upgrade_subscription,
                });
            }
        }
        Some(ACK_TIMER) => {
            let mut fields = Fields::of(value, &[TIME, START, PID], reader);
            let (time, start, pid) =
                (fields.needed(TIME), fields.needed(START), fields.needed(PID));
            if let (Some(time), Some(start), Some(pid)) = (time, start, pid) {
                snapshot.ack_timers.push(AckTimer { time, start, pid });
            }
        }
        Some(_) => reader.below(&symbol_text(CLASS), |reader| {
            let class = value.get(CLASS).unwrap_or(value);
            reader.unexpected("a class that is known", class);
        }),
        None => reader.unexpected("a descriptor with its :class", value),
    }
}

/// The fields of one entry.
struct Fields<'a> {
    value: &'a Value,
    reader: &'a mut Reader,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, known: &[&str], reader: &'a mut Reader) -> Self {
        if let Value::Mapping(entries) = value {
            for (key, _) in entries {
                let is_known = |name: &str| name == CLASS || known.contains(&name);
                if !key.as_name().is_some_and(is_known) {
                    reader.unknown(key);
                }
            }
        }
        Self { value, reader }
    }

    fn needed<T: Portable>(&mut self, name: &str) -> Option<T> {
        let Some(value) = self.value.get(name) else {
            self.reader.missing(name);
            return None;
        };
        self.reader.read(&symbol_text(name), value)
    }

    fn optional<T: Portable>(&mut self, name: &str) -> Option<T> {
        let value = self.value.get(name)?;
        self.reader.read::<Option<T>>(&symbol_text(name), value)?
    }

    fn upgrade_subscription(&mut self) -> Option<Value> {
        let subscriptions = match self.value.get(SUBSCRIPTIONS)? {
            Value::Null => return None,
            subscriptions => subscriptions,
        };
        self.reader.below(&symbol_text(SUBSCRIPTIONS), |reader| {
            let Value::Mapping(entries) = subscriptions else {
                reader.unexpected("a mapping", subscriptions);
                return None;
            };
            for (key, _) in entries {
                if key.as_name() != Some(UPGRADE) {
                    reader.unknown(key);
                }
            }
            subscriptions.get(UPGRADE).cloned()
        })
    }
}
