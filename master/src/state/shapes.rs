//! Values of the state whose form is no plain table of fields.

use super::portable::{Item, Portable, Reader, symbol, symbol_text};
use super::record::Record;
use super::snapshot::{
    AckMode, Bind, Child, OurFile, OurListener, OurPreloader, OurVersion, WorkerChild,
};
use crate::psych::Value;

const TYPE: &str = "type";
const WORKER: &str = "worker";
const STATE_PASSER: &str = "state_passer";
const MANUAL: &str = "manual";
const TIMER: &str = "timer";
const TIMEOUT: &str = "timeout";

/// The name under `:type`.
fn type_of(value: &Value) -> Option<&str> {
    value.get(TYPE)?.as_name()
}

fn typed(name: &str, mut entries: Vec<(Value, Value)>) -> Value {
    entries.insert(0, (symbol(TYPE), symbol(name)));
    Value::Mapping(entries)
}

impl Portable for Child {
    const EXPECTED: &'static str = "a mapping of :type worker or state_passer";

    fn to_value(&self) -> Value {
        match self {
            Self::Worker(worker) => typed(WORKER, worker.entries()),
            Self::StatePasser => typed(STATE_PASSER, Vec::new()),
        }
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        let Value::Mapping(entries) = value else { return None };
        match type_of(value)? {
            WORKER => Some(Self::Worker(WorkerChild::from_entries(entries, &[TYPE], reader))),
            STATE_PASSER => Some(Self::StatePasser),
            _ => None,
        }
    }
}

impl Portable for AckMode {
    const EXPECTED: &'static str = "a mapping of :type manual, or timer with a :timeout in seconds";

    fn to_value(&self) -> Value {
        match self {
            Self::Manual => typed(MANUAL, Vec::new()),
            Self::Timer(seconds) => typed(TIMER, vec![(symbol(TIMEOUT), seconds.to_value())]),
        }
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        match type_of(value)? {
            MANUAL => Some(Self::Manual),
            TIMER => reader.read(&symbol_text(TIMEOUT), value.get(TIMEOUT)?).map(Self::Timer),
            _ => None,
        }
    }
}

/// `[host, port, flags]`.
impl Portable for Bind {
    const EXPECTED: &'static str = "a list of host, port and flags";

    fn to_value(&self) -> Value {
        Value::Sequence(vec![self.host.to_value(), self.port.to_value(), self.flags.to_value()])
    }

    fn from_value(value: &Value, reader: &mut Reader) -> Option<Self> {
        let Value::Sequence(parts) = value else { return None };
        let (host, port, flags) = match parts.as_slice() {
            [host, port] => (host, port, Vec::new()),
            [host, port, flags] => (host, port, Vec::from_value(flags, reader)?),
            _ => return None,
        };
        let host = Portable::from_value(host, reader)?;
        let port = Option::from_value(port, reader)?.unwrap_or_default();
        Some(Self { host, port, flags })
    }
}

impl Item for Bind {
    const LIST_EXPECTED: &'static str = "a list of lists of host, port and flags";
}

impl Item for OurPreloader {
    const LIST_EXPECTED: &'static str = "a list of mappings";
}

impl Item for OurListener {
    const LIST_EXPECTED: &'static str = "a list of mappings";
}

impl Item for OurVersion {
    const LIST_EXPECTED: &'static str = "a list of mappings";
}

impl Item for OurFile {
    const LIST_EXPECTED: &'static str = "a list of mappings";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_may_be_left_out() {
        let list = |flags: Option<Value>| {
            let parts = ["localhost".into(), 80.into()].into_iter().chain(flags).collect();
            Bind::from_value(&Value::Sequence(parts), &mut Reader::default())
        };
        let bind = Bind { host: b"localhost".to_vec(), port: 80, flags: Vec::new() };
        assert_eq!(list(None), Some(bind.clone()));
        assert_eq!(list(Some(Value::Sequence(Vec::new()))), Some(bind.clone()));
        let flags = Value::Sequence(vec!["r".into()]);
        assert_eq!(list(Some(flags)), Some(Bind { flags: vec!["r".to_owned()], ..bind }));
        assert_eq!(list(Some(Value::Null)), None);
    }
}
