//! The whole document: `:state` and `:persistent_descriptors`, and our own part in it.

use super::descriptors::{self, PERSISTENT_DESCRIPTORS};
use super::note::{Note, StateError, found};
use super::portable::{Portable, Reader, symbol, symbol_text};
use super::record::Record;
use super::snapshot::{FORMAT, Ours, Snapshot};
use crate::psych::{self, Limits, Value};

const STATE: &str = "state";
/// What is ours alone.
const EINHORN: &str = "einhorn";
const FORMAT_KEY: &str = "format";
/// Keys that every Ruby master writes and none of this kind needs: written empty.
const LEGACY: [&str; 2] = ["versions", "sockets"];

impl Snapshot {
    /// The document that the next image reads, of whatever kind it is.
    pub fn to_yaml(&self) -> String {
        psych::write(&Value::Mapping(vec![
            (symbol(STATE), self.state()),
            (symbol(PERSISTENT_DESCRIPTORS), descriptors::to_value(self)),
        ]))
    }

    /// What the command `state` shows: the part under `:state`, without what the versions
    /// have in their environments, which may be secret.
    pub fn state_text(&self) -> String {
        let mut shown = self.clone();
        for version in shown.ours.iter_mut().flat_map(|ours| &mut ours.versions) {
            version.environment = None;
        }
        psych::write(&shown.state())
    }

    /// Reads what [`Self::to_yaml`] or a Ruby master wrote, and remarks for the log.
    ///
    /// # Errors
    /// It is no state, or the workers, the bound sockets or the command in it make no sense.
    pub fn from_yaml(text: &[u8]) -> Result<(Self, Vec<Note>), StateError> {
        let document = psych::read(text, &Limits::state())?;
        let no_state = || StateError::NoState { found: found(&document) };
        let Value::Mapping(parts) = &document else { return Err(no_state()) };
        let Some(Value::Mapping(state)) = document.get(STATE) else { return Err(no_state()) };
        let mut reader = Reader::default();
        let [legacy_1, legacy_2] = LEGACY;
        let mut snapshot = Self::from_entries(state, &[EINHORN, legacy_1, legacy_2], &mut reader);
        snapshot.ours = document
            .get(STATE)
            .and_then(|state| state.get(EINHORN))
            .and_then(|ours| reader.below(&symbol_text(EINHORN), |reader| read_ours(ours, reader)));
        match document.get(PERSISTENT_DESCRIPTORS) {
            Some(Value::Sequence(list)) => descriptors::read(list, &mut snapshot, &mut reader),
            Some(Value::Null) | None => return Err(StateError::Truncated),
            Some(other) => {
                return Err(StateError::Unexpected {
                    place: symbol_text(PERSISTENT_DESCRIPTORS),
                    expected: "a list",
                    found: found(other),
                });
            }
        }
        note_other_parts(parts, &mut reader);
        snapshot.note_alignment(&mut reader);
        Ok((snapshot, reader.finish()?))
    }

    fn state(&self) -> Value {
        let mut entries = self.entries();
        let empty = |name: &&str| (symbol(name), Value::Mapping(Vec::new()));
        entries.extend(LEGACY.iter().map(empty));
        if let Some(ours) = &self.ours {
            let mut own = vec![(symbol(FORMAT_KEY), ours.format().to_value())];
            own.extend(ours.entries());
            entries.push((symbol(EINHORN), Value::Mapping(own)));
        }
        Value::Mapping(entries)
    }

    fn note_alignment(&self, reader: &mut Reader) {
        let (bind, bind_fds, bound_ports) =
            (self.bind.len(), self.bind_fds.len(), self.bound_ports.len());
        if bind != bind_fds || bound_ports != bind_fds {
            reader.note(Note::Unaligned { bind, bind_fds, bound_ports });
        }
    }
}

/// Our own part, unless it is of a format that is not known: then the state counts as that of
/// another master.
fn read_ours(value: &Value, reader: &mut Reader) -> Option<Ours> {
    let Value::Mapping(entries) = value else {
        if *value != Value::Null {
            reader.unexpected("a mapping", value);
        }
        return None;
    };
    let Some(format) = value.get(FORMAT_KEY) else {
        reader.missing(FORMAT_KEY);
        return None;
    };
    let format: u64 = reader.read(&symbol_text(FORMAT_KEY), format)?;
    if format > FORMAT {
        reader.note(Note::NewerFormat { format, known: FORMAT });
        return None;
    }
    Some(Ours::from_entries(entries, &[FORMAT_KEY], reader))
}

fn note_other_parts(parts: &[(Value, Value)], reader: &mut Reader) {
    for (key, _) in parts {
        if !matches!(key.as_name(), Some(STATE | PERSISTENT_DESCRIPTORS)) {
            reader.unknown(key);
        }
    }
}

#[cfg(test)]
mod tests;
