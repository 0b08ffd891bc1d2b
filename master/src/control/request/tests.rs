use einhorn_protocol::framing;
use proptest::prelude::*;

use super::*;
use crate::control::json;
use crate::psych;

#[track_caller]
fn parse(line: &str) -> Request {
    Request::parse(line.as_bytes()).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"))
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// The line gets an error reply with `code`, a message that contains `hint`, and the id.
#[track_caller]
fn refused(line: &str, code: &str, hint: &str, id: Option<&Value>) -> Refusal {
    let refusal = Request::parse(line.as_bytes()).unwrap_err();
    assert_eq!(refusal.code, code, "{line}: {}", refusal.message);
    assert!(refusal.message.contains(hint), "{}", refusal.message);
    assert_eq!(refusal.address.id.as_ref(), id, "{line}");
    let reply = refusal.reply();
    assert_eq!((reply.error, reply.wait), (Some(code), false));
    refusal
}

/// The same meaning in both dialects.
#[track_caller]
fn check_both(json: &str, yaml: &str, check: impl Fn(Request)) {
    for (line, dialect) in [(json, Dialect::Json), (yaml, Dialect::Yaml)] {
        let request = parse(line);
        assert_eq!(request.dialect, dialect, "{line}");
        check(request);
    }
}

#[test]
fn command_arguments_and_id() {
    check_both(
        r#"{"command":"signal","args":["USR1","sigcont"],"id":"x y"}"#,
        "---%0Acommand: signal%0Aargs:%0A- USR1%0A- sigcont%0Aid: x y%0A",
        |request| {
            assert_eq!(request.command, "signal");
            assert_eq!(request.args, ["USR1", "sigcont"]);
            assert_eq!(request.address().id, Some(string("x y")));
            assert_eq!(request.address().dialect, request.dialect);
        },
    );
}

#[test]
fn absent_arguments_are_none() {
    for (json, yaml) in [
        (r#"{"command":"inc"}"#, "command: inc"),
        (r#"{"command":"inc","args":null}"#, "{command: inc, args: }"),
        (r#"{"command":"inc","args":[]}"#, "{command: inc, args: []}"),
    ] {
        check_both(json, yaml, |request| {
            assert!(request.args.is_empty());
            assert_eq!(request.id, None);
        });
    }
}

#[test]
fn arguments_that_are_no_list_of_strings_are_named() {
    let id = Value::Integer(3);
    for (args, hint) in [
        ("5", "not an integer"),
        ("\"5\"", "not a string"),
        ("{}", "not a mapping"),
        ("[\"a\",5]", "item 2 is an integer"),
        ("[null]", "item 1 is null"),
        ("[[\"a\"]]", "item 1 is a list"),
    ] {
        let json = format!("{{\"id\":3,\"command\":\"signal\",\"args\":{args}}}");
        refused(&json, error_code::BAD_ARGUMENTS, hint, Some(&id));
        let yaml = format!("{{id: 3, command: signal, args: {args}}}");
        let refusal = refused(&yaml, error_code::BAD_ARGUMENTS, hint, Some(&id));
        assert_eq!(refusal.address.dialect, Dialect::Yaml);
        assert!(!refusal.close);
    }
}

#[test]
fn a_command_that_is_no_string() {
    let id = Value::Bool(true);
    let bad = error_code::BAD_ARGUMENTS;
    refused(r#"{"id":true}"#, bad, "missing", Some(&id));
    refused(r#"{"id":true,"command":null}"#, bad, "missing", Some(&id));
    refused(r#"{"id":true,"command":7}"#, bad, "an integer", Some(&id));
    refused("{id: yes, command: :ehlo}", bad, "a symbol", Some(&id));
    refused("{:command: ehlo}", bad, "missing", None);
}

#[test]
fn null_is_no_id_and_zero_and_the_empty_string_are() {
    let id = |json: &str, yaml: &str, expect: Option<Value>| {
        let json = format!("{{\"command\":\"inc\",\"id\":{json}}}");
        check_both(&json, &format!("{{command: inc, id: {yaml}}}"), |request| {
            assert_eq!(request.id, expect);
        });
    };
    id("null", "~", None);
    id("0", "0", Some(Value::Integer(0)));
    id("\"\"", "''", Some(string("")));
    id("false", "no", Some(Value::Bool(false)));
    id("123456789012345678901", "123456789012345678901", {
        Some(Value::BigInteger("123456789012345678901".into()))
    });
    id("0.1", "0.1", Some(Value::Float(0.1)));
}

#[test]
fn a_request_id_is_the_id_unless_it_is_a_pings_or_there_is_one() {
    let id = |keys: &str, expect| {
        let json = format!("{{\"command\":\"inc\",{keys}}}");
        let yaml = format!("{{command: inc, {keys}}}");
        check_both(&json, &yaml, |request| assert_eq!(request.id, Some(string(expect))));
    };
    id(r#""request_id": "r""#, "r");
    id(r#""request_id": "r", "id": "i""#, "i");
    id(r#""request_id": "r", "id": null"#, "r");
    check_both(
        r#"{"command":"worker:ping","request_id":"r","pid":5}"#,
        "{command: 'worker:ping', request_id: r, pid: 5}",
        |request| {
            assert_eq!(request.id, None);
            assert_eq!(request.request_id, Some(string("r")));
            assert_eq!(request.worker_pid(), Ok(5));
        },
    );
}

#[test]
fn an_id_is_a_single_value_of_bounded_length() {
    for (id, hint) in [("[1]", "not a list"), ("{\"a\":1}", "not a mapping")] {
        for key in ["id", "request_id"] {
            let line = format!("{{\"command\":\"inc\",\"{key}\":{id}}}");
            refused(&line, error_code::BAD_ARGUMENTS, hint, None);
        }
    }
    let with_id = |bytes| format!("{{\"command\":\"inc\",\"id\":\"{}\"}}", "x".repeat(bytes));
    assert!(parse(&with_id(limit::ID_BYTES_MAX)).id.is_some());
    let long = with_id(limit::ID_BYTES_MAX + 1);
    refused(&long, error_code::BAD_ARGUMENTS, "65537 bytes long", None);
}

#[test]
fn lines_that_are_no_mapping_leave_the_connection_open() {
    for (line, hint) in [
        ("", "empty"),
        (" \t", "empty"),
        ("%0A", "empty"),
        ("[]", "a list"),
        ("- a", "a list"),
        ("5", "an integer"),
        ("hello", "a string"),
        ("null", "null"),
        ("\"{}\"", "a string"),
    ] {
        let refusal = refused(line, error_code::MALFORMED, hint, None);
        assert!(!refusal.close, "{line}");
        assert_eq!(refusal.address.dialect, Dialect::Yaml);
    }
}

#[test]
fn a_duplicate_key_is_refused_in_both_dialects() {
    for line in [
        r#"{"command":"inc","command":"dec"}"#,
        r#"{"command":"inc","x":{"a":1,"a":2}}"#,
        "{command: inc, command: dec}",
        "command: inc%0Acommand: dec",
    ] {
        let refusal = refused(line, error_code::MALFORMED, "twice", None);
        assert!(!refusal.close, "{line}");
    }
}

#[test]
fn both_dialects_are_unescaped_before_they_are_read() {
    check_both(r#"{"command":"ehlo","user":"50%25"}"#, "{command: ehlo, user: 50%25}", |request| {
        assert_eq!(request.user.as_deref(), Some("50%"));
    });
    let pretty = parse("{%0A  \"command\": \"ehlo\"%0A}");
    assert_eq!(pretty.dialect, Dialect::Json);
}

#[test]
fn json_from_a_client_that_does_not_escape_stays_json() {
    let request = parse(r#"{"command":"ehlo","user":"a%0Ab"}"#);
    assert_eq!((request.dialect, request.user.as_deref()), (Dialect::Json, Some("a%0Ab")));
    let request = parse(r#"{"command":"ehlo","user":"\u0025250%"}"#);
    assert_eq!(request.user.as_deref(), Some("%250%"));
}

#[test]
fn pids_of_workers() {
    let pid =
        |pid: &str| parse(&format!("{{\"command\":\"worker:ack\",\"pid\":{pid}}}")).worker_pid();
    assert_eq!(pid("1"), Ok(1));
    assert_eq!(pid("2147483647"), Ok(i32::MAX));
    for bad in ["0", "-1", "2147483648", "99999999999999999999", "1.0", "\"1\"", "null"] {
        assert!(pid(bad).unwrap_err().contains("`pid`"), "{bad}");
    }
}

#[test]
fn users() {
    let user = |user: &str| parse(&format!("{{\"command\":\"ehlo\",\"user\":{user}}}")).user;
    assert_eq!(user("\"ann\"").as_deref(), Some("ann"));
    assert_eq!(user("12").as_deref(), Some("12"));
    for none in ["null", "[1]", "{}"] {
        assert_eq!(user(none), None);
    }
}

/// What brought the Ruby master down (`protocol.md §3`) costs one error reply here.
#[test]
fn what_hurt_the_ruby_master() {
    let closing = |line: &str, code| assert!(refused(line, code, "", None).close);
    closing(&"[".repeat(3000), error_code::TOO_DEEP);
    closing(&"- ".repeat(3000), error_code::TOO_DEEP);
    closing(&"{a: ".repeat(3000), error_code::TOO_DEEP);
    closing("{x: &a 1, command: *a}", error_code::ALIASES);
    refused("{command: *unknown}", error_code::MALFORMED, "", None);
    let levels: Vec<String> =
        (1..9).map(|level| format!("a{level}: &a{level} [*a{0},*a{0}]%0A", level - 1)).collect();
    let bomb = format!("a0: &a0 lol%0A{}", levels.concat());
    closing(&bomb, error_code::ALIASES);

    for tag in ["!ruby/object:Kernel", "!ruby/object:Object {}", "!unknown x"] {
        let line = format!("{{command: ehlo, user: {tag}}}");
        assert!(!refused(&line, error_code::MALFORMED, "", None).close);
    }
    let refusal = Request::parse(b"{command: ehlo, user: \xff}").unwrap_err();
    assert_eq!(refusal.code, error_code::MALFORMED);
    assert!(parse("{command: ehlo, id: 2026-11-23}").id.is_some());
    assert_eq!(parse("{command: ehlo, user: h\u{e9}}").user.as_deref(), Some("h\u{e9}"));
}

#[test]
fn nesting_at_the_limit() {
    let json = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!("{{\"command\":\"inc\",\"x\":{open}{close}}}")
    };
    let yaml = |levels| json(levels).replace('"', "'");
    check_both(&json(limit::NESTING_MAX), &yaml(limit::NESTING_MAX), |_| ());
    let past = limit::NESTING_MAX + 1;
    for (line, dialect) in [(json(past), Dialect::Json), (yaml(past), Dialect::Yaml)] {
        let refusal = refused(&line, error_code::TOO_DEEP, "64", None);
        assert_eq!((refusal.close, refusal.address.dialect), (true, dialect));
    }
}

/// Lines that the Ruby library writes, recorded, with what they mean.
#[test]
fn recorded_requests_of_ruby_clients() {
    let vectors = include_str!("../../../tests/vectors/ruby-client-requests.jsonl");
    assert!(vectors.lines().count() >= 20);
    for vector in vectors.lines() {
        let vector: serde_json::Value = serde_json::from_str(vector).unwrap();
        let (line, means) = (vector["line"].as_str().unwrap(), &vector["means"]);
        let request = Request::parse(line.strip_suffix('\n').unwrap().as_bytes());
        check_meaning(&request.unwrap(), means, line);
    }
}

fn check_meaning(request: &Request, means: &serde_json::Value, line: &str) {
    assert_eq!(request.dialect, Dialect::Yaml);
    if let Some(command) = means["command"].as_str() {
        assert_eq!(request.command, command, "{line}");
    }
    let args = means["args"].as_array().into_iter().flatten();
    let args: Vec<&str> = args.map(|arg| arg.as_str().unwrap()).collect();
    assert_eq!(request.args, args, "{line}");
    assert_eq!(request.user.as_deref(), means["user"].as_str(), "{line}");
    if let Some(pid) = means["pid"].as_i64() {
        assert_eq!(request.worker_pid().map(i64::from), Ok(pid), "{line}");
    }
    assert_eq!(as_json(request.id.as_ref()), means["id"], "{line}");
    if means["request_id_base64"].is_null() {
        assert_eq!(as_json(request.request_id.as_ref()), means["request_id"], "{line}");
    } else {
        assert_eq!(request.request_id, Some(Value::Bytes(b"bin\xff".to_vec())), "{line}");
    }
}

fn as_json(value: Option<&Value>) -> serde_json::Value {
    match value {
        None => serde_json::Value::Null,
        Some(Value::Integer(number)) => (*number).into(),
        Some(Value::String(text) | Value::Symbol(text)) => text.as_str().into(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::parse(&bytes);
    }

    #[test]
    fn no_text_panics(text in "[-{}\\[\\]\",:&*!|>'#%0-9a-z\u{e9} \t]{0,120}") {
        let _ = Request::parse(text.as_bytes());
        let _ = Request::parse(format!("---%0Acommand: {text}").as_bytes());
    }

    #[test]
    fn an_id_comes_back_exactly(id: String, number: i64) {
        for id in [Value::String(id), Value::Integer(number)] {
            let entries = vec![("command".into(), string("inc")), ("id".into(), id.clone())];
            let message = Value::Mapping(entries);
            let json = json::written::write(&message).into_bytes();
            let yaml = framing::escape(psych::write(&message).as_bytes());
            for (dialect, line) in [(Dialect::Json, json), (Dialect::Yaml, yaml)] {
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let request = Request::parse(line).unwrap();
                prop_assert_eq!(request.dialect, dialect);
                prop_assert_eq!(request.id.as_ref(), Some(&id));
            }
        }
    }
}
