//! One request and its replies, in words that every master understands: ours and Ruby's.

use einhorn_protocol::{command, error_code, key};

use crate::control::{Malformed, decode_reply, encode_request};
use crate::psych::{self, Value};

/// Gives each request an id of its own.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last_id: i64,
}

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// What its replies repeat.
    pub id: i64,
    /// The line, newline included.
    pub line: Vec<u8>,
}

/// One message of the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    /// The text, as it is to be printed.
    pub message: String,
    /// What it means for whoever waits.
    pub meaning: Meaning,
}

/// What a reply means for whoever waits for the end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// More follow.
    Progress,
    /// The last one; all went well, as far as it says.
    Done,
    /// The last one, and it is an error: a script's exit status for it.
    Failed(u8),
    /// To a request before this one.
    Stale,
}

impl Requests {
    /// A command of the user's.
    pub(super) fn command(&mut self, words: &[String]) -> Outgoing {
        let name = words.first().cloned().unwrap_or_default();
        let args = words.iter().skip(1).cloned().map(Value::String).collect();
        self.request(name, (key::ARGS, Value::Sequence(args)))
    }

    /// The greeting that a person is met with.
    pub(super) fn greeting(&mut self, user: &str) -> Outgoing {
        self.request(command::EHLO.to_owned(), (key::USER, Value::String(user.to_owned())))
    }

    fn request(&mut self, command: String, (key, value): (&str, Value)) -> Outgoing {
        self.last_id += 1;
        let entries = [
            (key::ID, Value::Integer(self.last_id)),
            (key::COMMAND, Value::String(command)),
            (key, value),
        ];
        let entries = entries.map(|(key, value)| (Value::String(key.to_owned()), value));
        let line = encode_request(&Value::Mapping(entries.into()));
        Outgoing { id: self.last_id, line }
    }
}

/// Exit statuses that tell how an upgrade ended; every other error is 1.
const EXIT_STATUSES: [(&str, u8); 4] = [
    (error_code::RELOAD_FAILED, 2),
    (error_code::ROLLED_BACK, 3),
    (error_code::ABORTED, 4),
    (error_code::SUPERSEDED, 5),
];

fn exit_status(code: Option<&Value>) -> u8 {
    let code = code.and_then(Value::as_str);
    let row = EXIT_STATUSES.iter().find(|(known, _)| Some(*known) == code);
    row.map_or(1, |(_, status)| *status)
}

/// Reads a line of the master's while the request `id` waits. A reply without an id is to
/// that request, since there never is another.
///
/// # Errors
/// It is no message.
pub(super) fn read(line: &[u8], id: i64) -> Result<Incoming, Malformed> {
    let reply = decode_reply(line)?;
    let to = reply.get(key::REQUEST_ID).filter(|to| **to != Value::Null);
    let is_set = |name| !matches!(reply.get(name), None | Some(Value::Null | Value::Bool(false)));
    let meaning = if to.is_some_and(|to| *to != Value::Integer(id)) {
        Meaning::Stale
    } else if is_set(key::WAIT) {
        Meaning::Progress
    } else if is_set(key::ERROR) {
        Meaning::Failed(exit_status(reply.get(key::ERROR)))
    } else {
        Meaning::Done
    };
    let message = match reply.get(key::MESSAGE) {
        Some(Value::String(message)) => message.clone(),
        Some(other) => psych::write(other),
        None => psych::write(&reply),
    };
    Ok(Incoming { message, meaning })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::control::Request;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check(line: &str, message: &str, meaning: Meaning) {
        let incoming = Incoming { message: message.to_owned(), meaning };
        assert_eq!(read(line.as_bytes(), 7), Ok(incoming), "{line}");
    }

    #[test]
    fn requests_are_ascii_json_that_both_masters_read() {
        let mut requests = Requests::default();
        let outgoing = requests.command(&words(&["config", "{a: 50%25}", "h\u{e9}"]));
        assert_eq!(
            String::from_utf8(outgoing.line).unwrap(),
            "{\"id\":1,\"command\":\"config\",\"args\":[\"{a: 50\\u002525}\",\"h\\u00e9\"]}\n"
        );
        let greeting = requests.greeting("ann");
        assert_eq!(greeting.line, b"{\"id\":2,\"command\":\"ehlo\",\"user\":\"ann\"}\n");
        assert_eq!(requests.command(&words(&["help"])).id, 3);
    }

    #[test]
    fn replies_of_our_master() {
        check(r#"{"message":"5\u0025 a","request_id":7}"#, "5% a", Meaning::Done);
        check(r#"{"message":"a","request_id":7,"wait":true}"#, "a", Meaning::Progress);
        check(r#"{"message":"a","request_id":7,"error":"failed"}"#, "a", Meaning::Failed(1));
        check(r#"{"message":"a","error":"malformed"}"#, "a", Meaning::Failed(1));
        check(r#"{"message":"a","error":"rolled_back"}"#, "a", Meaning::Failed(3));
        check(r#"{"message":"a","request_id":6,"error":"x"}"#, "a", Meaning::Stale);
        check(
            r#"{"message":"a","request_id":7,"protocol":1,"capabilities":[]}"#,
            "a",
            Meaning::Done,
        );
    }

    #[test]
    fn replies_of_a_ruby_master() {
        check("---%0Amessage: a%0Arequest_id: 7%0A", "a", Meaning::Done);
        check("---%0Amessage: 'a: %25'%0Arequest_id: 7%0Await: true%0A", "a: %", Meaning::Progress);
        check("---%0Amessage: |%0A  a%0A  b%0Arequest_id: 7%0A", "a\nb\n", Meaning::Done);
        check("--- %0Amessage: a%0A", "a", Meaning::Done);
        check("---%0Amessage: a%0Arequest_id: 5%0A", "a", Meaning::Stale);
    }

    #[test]
    fn a_message_that_is_no_text_is_shown_as_it_is() {
        check(r#"{"message":5,"request_id":7}"#, "--- 5\n", Meaning::Done);
        check("---%0Arequest_id: 7%0A", "---\nrequest_id: 7\n", Meaning::Done);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for line in ["", "[]", "x", "{", "- a"] {
            assert!(read(line.as_bytes(), 1).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn the_master_reads_what_was_typed(
            typed in proptest::collection::vec(any::<String>(), 0..5),
        ) {
            let outgoing = Requests::default().command(&typed);
            prop_assert!(outgoing.line.is_ascii());
            let request = Request::parse(outgoing.line.strip_suffix(b"\n").unwrap()).unwrap();
            let (name, args) = typed.split_first().map_or(("", &[][..]), |(n, a)| (n.as_str(), a));
            prop_assert_eq!(request.command.as_str(), name);
            prop_assert_eq!(request.args.as_slice(), args);
            prop_assert_eq!(request.id, Some(Value::Integer(outgoing.id)));
        }

        #[test]
        fn no_reply_panics(line: Vec<u8>) {
            let _ = read(&line, 1);
        }
    }
}
