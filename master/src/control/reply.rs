//! A reply, and its bytes in the dialect of whom it answers (`protocol.md §3`).
//!
//! Ruby clients find `message`, `request_id` and `wait` under string keys, JSON clients one
//! line of JSON, and clients that unescape JSON find nothing to unescape in it.

use einhorn_protocol::{framing, key};

use super::address::ReturnAddress;
use super::dialect::Dialect;
use super::json::written::Object;
use crate::psych::{self, Value};

/// One message to a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The text for a person.
    pub message: String,
    /// One of [`einhorn_protocol::error_code`]; absent when all went well.
    pub error: Option<&'static str>,
    /// More replies to the same request follow. Only told to a request that has an id.
    pub wait: bool,
    /// Further keys, for programs.
    pub extra: Vec<(&'static str, Value)>,
    /// Others, which never change.
    pub fixed: Option<&'static FixedKeys>,
}

/// Keys that every reply of a kind repeats, written once.
#[derive(Debug, PartialEq)]
pub struct FixedKeys {
    entries: Vec<(&'static str, Value)>,
    json: Vec<u8>,
}

impl FixedKeys {
    /// These, in this order.
    pub fn new(entries: Vec<(&'static str, Value)>) -> Self {
        let mut json = Vec::new();
        let mut object = Object::go_on(&mut json);
        for (name, value) in &entries {
            object.value(name, value);
        }
        Self { entries, json }
    }

    /// The keys with their values.
    pub fn entries(&self) -> &[(&'static str, Value)] {
        &self.entries
    }
}

impl Reply {
    /// The last reply to a request that went well.
    pub fn done(message: impl Into<String>) -> Self {
        Self { message: message.into(), error: None, wait: false, extra: Vec::new(), fixed: None }
    }

    /// A reply that others follow.
    pub fn progress(message: impl Into<String>) -> Self {
        Self { wait: true, ..Self::done(message) }
    }

    /// The last reply to a request that failed; `code` is one of
    /// [`einhorn_protocol::error_code`].
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self { error: Some(code), ..Self::done(message) }
    }

    /// The same reply with one key more.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: Value) -> Self {
        self.extra.push((key, value));
        self
    }

    /// The reply as one line, newline included.
    pub fn encode(&self, address: &ReturnAddress) -> Vec<u8> {
        let mut line = Vec::new();
        self.append_to(&mut line, address);
        line
    }

    /// Like [`Self::encode`], behind what is in `out`.
    pub(super) fn append_to(&self, out: &mut Vec<u8>, address: &ReturnAddress) {
        match address.dialect {
            Dialect::Json => self.append_json(out, address.id.as_ref()),
            Dialect::Yaml => self.append_yaml(out, address.id.as_ref()),
        }
    }

    fn append_json(&self, out: &mut Vec<u8>, id: Option<&Value>) {
        let mut object = Object::begin(out);
        object.text(key::MESSAGE, &self.message);
        if let Some(id) = id {
            object.value(key::REQUEST_ID, id);
            if self.wait {
                object.value(key::WAIT, &Value::Bool(true));
            }
        }
        if let Some(code) = self.error {
            object.text(key::ERROR, code);
        }
        for (name, value) in &self.extra {
            object.value(name, value);
        }
        if let Some(fixed) = self.fixed {
            object.entries(&fixed.json);
        }
        object.end();
        out.push(b'\n');
    }

    fn append_yaml(&self, out: &mut Vec<u8>, id: Option<&Value>) {
        let mut entries = vec![(key::MESSAGE, self.message.as_str().into())];
        if let Some(id) = id {
            entries.push((key::REQUEST_ID, id.clone()));
            if self.wait {
                entries.push((key::WAIT, true.into()));
            }
        }
        entries.extend(self.error.map(|code| (key::ERROR, code.into())));
        entries.extend(self.extra.iter().cloned());
        entries.extend(self.fixed.iter().flat_map(|fixed| fixed.entries.iter().cloned()));
        let mapping = entries.into_iter().map(|(name, value)| (name.into(), value)).collect();
        out.extend(framing::escape(psych::write(&Value::Mapping(mapping)).as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use einhorn_protocol::error_code;
    use proptest::prelude::*;

    use super::*;
    use crate::psych::Limits;

    fn json(id: Value) -> ReturnAddress {
        ReturnAddress::new(Dialect::Json, id)
    }

    fn yaml(id: Value) -> ReturnAddress {
        ReturnAddress::new(Dialect::Yaml, id)
    }

    #[track_caller]
    fn check(reply: &Reply, address: &ReturnAddress, line: &str) {
        assert_eq!(String::from_utf8(reply.encode(address)).unwrap(), line);
    }

    /// What a client of the Ruby master makes of a line.
    fn as_ruby_reads(line: &[u8]) -> Value {
        let text = framing::unescape(line.strip_suffix(b"\n").unwrap());
        psych::read(&text, &Limits::request()).unwrap()
    }

    #[test]
    fn to_a_json_request() {
        check(
            &Reply::done("50% of\ntwo"),
            &ReturnAddress::anonymous(Dialect::Json),
            "{\"message\":\"50\\u0025 of\\ntwo\"}\n",
        );
        check(
            &Reply::progress("soon"),
            &json(Value::Integer(7)),
            "{\"message\":\"soon\",\"request_id\":7,\"wait\":true}\n",
        );
        check(
            &Reply::failed(error_code::MALFORMED, "no").with("n", Value::Integer(1)),
            &json(Value::String("a%b".into())),
            "{\"message\":\"no\",\"request_id\":\"a\\u0025b\",\"error\":\"malformed\",\"n\":1}\n",
        );
    }

    #[test]
    fn keys_that_never_change_come_last_in_both_languages() {
        static FIXED: LazyLock<FixedKeys> = LazyLock::new(|| {
            let list = Value::Sequence(vec!["50%".into(), Value::Null]);
            FixedKeys::new(vec![("k", 1.into()), ("l", list)])
        });
        let reply = Reply { fixed: Some(&*FIXED), ..Reply::done("ok") }.with("a", true.into());
        let line =
            "{\"message\":\"ok\",\"request_id\":7,\"a\":true,\"k\":1,\"l\":[\"50\\u0025\",null]}\n";
        check(&reply, &json(Value::Integer(7)), line);
        let line = "---%0Amessage: ok%0Arequest_id: 7%0Aa: true%0Ak: 1%0Al:%0A- 50%25%0A-%0A";
        let yaml = String::from_utf8(reply.encode(&yaml(Value::Integer(7)))).unwrap();
        assert_eq!(yaml.trim_end(), line);
        assert_eq!(FIXED.entries().len(), 2);
    }

    #[test]
    fn to_a_yaml_request() {
        check(
            &Reply::progress("50% done"),
            &yaml(Value::Integer(7)),
            "---%0Amessage: 50%25 done%0Arequest_id: 7%0Await: true%0A\n",
        );
        check(
            &Reply::done("ok"),
            &ReturnAddress::anonymous(Dialect::Yaml),
            "---%0Amessage: ok%0A\n",
        );
    }

    #[test]
    fn whoever_gave_no_id_is_not_told_to_wait() {
        for dialect in [Dialect::Json, Dialect::Yaml] {
            let address = ReturnAddress::anonymous(dialect);
            let read = as_ruby_reads(&Reply::progress("soon").encode(&address));
            assert_eq!(read.get(key::WAIT), None);
            assert_eq!(read.get(key::REQUEST_ID), None);
        }
    }

    #[test]
    fn a_reply_that_query_text_decoders_read_has_no_plus_of_ours() {
        let line = Reply::failed(error_code::FAILED, "x").encode(&yaml(Value::Integer(1)));
        assert!(!line.contains(&b'+'));
    }

    proptest! {
        #[test]
        fn every_client_reads_every_message(message: String, wait: bool, id: String) {
            let id = Value::String(id);
            let reply = Reply { wait, ..Reply::done(message.as_str()) };
            for address in [json(id.clone()), yaml(id.clone())] {
                let line = reply.encode(&address);
                prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
                let read = as_ruby_reads(&line);
                prop_assert_eq!(read.get(key::MESSAGE), Some(&Value::String(message.clone())));
                prop_assert_eq!(read.get(key::REQUEST_ID), Some(&id));
                prop_assert_eq!(read.get(key::WAIT).is_some(), wait);
            }
            let line = reply.encode(&json(id));
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(value[key::MESSAGE].as_str(), Some(message.as_str()));
            prop_assert_eq!(framing::unescape(&line), &line[..]);
        }
    }
}
