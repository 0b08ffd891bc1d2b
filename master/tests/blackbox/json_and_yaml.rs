//! The two dialects of the command socket, and the framing that both share.

use einhorn_master::psych::{self, Limits, Value};
use serde_json::{Value as Json, json};

use crate::support::{IDLE, Master, NONE, worker_of};

/// What the state has for a worker.
fn pinged_request_id(master: &Master, pid: i32) -> Value {
    fn get<'a>(mapping: &'a Value, key: &Value) -> &'a Value {
        let Value::Mapping(entries) = mapping else { panic!("{mapping:?}") };
        entries.iter().find(|(name, _)| name == key).map_or(&Value::Null, |(_, value)| value)
    }
    let symbol = |name: &str| Value::Symbol(name.to_owned());
    let state = psych::read(master.state().as_bytes(), &Limits::state()).unwrap();
    let worker = get(get(&state, &symbol("children")), &Value::Integer(pid.into())).clone();
    get(&worker, &symbol("pinged_request_id")).clone()
}

fn one() -> Master {
    Master::start(&["-m", "manual"], &IDLE)
}

#[test]
fn a_reply_speaks_the_language_of_its_request() {
    let master = one();
    let mut client = master.client();
    client.send("---%0Acommand: louder%0Aid: a b%0Aargs: []%0A\n");
    assert_eq!(client.yaml_reply(), "---\nmessage: '0'\nrequest_id: a b\n");
    client.send_json(&json!({"command": "quieter", "id": "a b"}));
    assert_eq!(client.reply(), json!({"message": "1", "request_id": "a b"}));
    client.send("{command: louder, id: 3}\n");
    assert_eq!(client.yaml_reply(), "---\nmessage: '0'\nrequest_id: 3\n");
    client.send("{\"command\": \"quieter\"}\n");
    assert_eq!(client.reply(), json!({"message": "1"}));
}

#[test]
fn every_request_of_rubys_clients_means_what_it_meant() {
    let program = ["sh", "-c", "trap '' USR1; echo ready >&2; exec sleep 1000000"];
    let master = Master::start(&["-m", "manual"], &program);
    master.wait_for_line("ready");
    let pid = master.only_pid();
    let mut client = master.client();
    let mut count = 0;
    for row in include_str!("../vectors/ruby-client-requests.jsonl").lines() {
        let row: Json = serde_json::from_str(row).unwrap();
        let means = &row["means"];
        let line = row["line"].as_str().unwrap().replace("pid: 123", &format!("pid: {pid}"));
        count += 1;
        match means["command"].as_str() {
            Some("worker:ack") => {
                let mut client = master.client();
                client.send(&line);
                assert!(client.is_closed());
                assert_eq!(worker_of(&master.status(), pid)["acked"], true);
            }
            Some("worker:ping") | None => {
                let mut client = master.client();
                client.send(&line);
                assert!(client.is_closed());
                let expected = match (&means["request_id"], &means["request_id_base64"]) {
                    (Json::Null, Json::Null) => Value::Null,
                    (Json::Null, _) => Value::Bytes(b"bin\xff".to_vec()),
                    (Json::String(text), _) if text == "sym" => Value::Symbol(text.clone()),
                    (Json::String(text), _) => Value::String(text.clone()),
                    (number, _) => Value::Integer(number.as_i64().unwrap()),
                };
                assert_eq!(pinged_request_id(&master, pid), expected, "{line}");
            }
            Some("die") => {}
            Some(command) => {
                client.send(&line);
                let reply = client.yaml_reply();
                let id = match &means["id"] {
                    Json::Null => String::new(),
                    Json::String(text) => format!("\nrequest_id: {text}\n"),
                    other => format!("\nrequest_id: {other}\n"),
                };
                assert!(reply.starts_with("---\nmessage: ") && reply.contains(&id), "{reply}");
                assert!(!reply.contains("\nerror: "), "{command}: {reply}");
            }
        }
    }
    assert_eq!(count, 20);
    let status = master.status();
    assert_eq!(status["target"], 12);
    let state = master.state();
    assert!(state.contains(":signal_timeout: 5"), "{state}");
}

#[test]
fn percent_signs_and_newlines_come_back_as_they_went() {
    let master = one();
    let mut client = master.client();
    // In YAML the line is escaped; in JSON clients that unescape and clients that don't must
    // both read the same.
    client.send("---%0Acommand: ehlo%0Auser: 50%25 of%0Aid: \"100%25\\n\"%0A\n");
    let reply = client.yaml_reply();
    assert!(reply.contains("Welcome, 50% of!"), "{reply}");
    assert!(reply.contains("100%"), "{reply}");
    client.send("{\"command\":\"ehlo\",\"user\":\"50% of %25\",\"id\":\"100%\\n\"}\n");
    let line = client.line().unwrap();
    assert!(!line.contains('%') && line.contains("\\u0025"), "{line}");
    let reply: Json = serde_json::from_str(&line).unwrap();
    assert_eq!(reply["request_id"], "100%\n");
    assert!(reply["message"].as_str().unwrap().contains("50% of %"), "{reply}");
}

#[test]
fn ids_of_every_kind_come_back() {
    let master = one();
    let mut client = master.client();
    for id in [json!(0), json!(-7), json!(1.5), json!("x"), json!(""), json!("null"), json!(true)] {
        let reply = client.ask(&json!({"command": "louder", "id": id}));
        assert_eq!(reply["request_id"], id);
    }
    // Null is no id.
    let reply = client.ask(&json!({"command": "louder", "id": null}));
    assert_eq!(reply.get("request_id"), None);
    for id in [json!([1]), json!({"a": 1})] {
        let reply = client.ask(&json!({"command": "louder", "id": id}));
        assert_eq!(reply["error"], "bad_arguments", "{reply}");
    }
    // One client in use names it so.
    client.send("---%0Acommand: louder%0Aargs: []%0Arequest_id: go-1%0A\n");
    assert_eq!(client.yaml_reply(), "---\nmessage: '0'\nrequest_id: go-1\n");
}

#[test]
fn no_time_has_a_plus_sign() {
    // A client in use reads replies as URL query text, where that is a blank.
    let master = one();
    let mut client = master.client();
    client.send("---%0Acommand: state%0Aargs: []%0A\n");
    let reply = client.yaml_reply();
    assert!(reply.contains(" Z\\n") || reply.contains(" Z\n"), "{reply}");
    assert!(!reply.contains('+'), "{reply}");
}

#[test]
fn lines_come_in_pieces_several_at_once_and_with_carriage_returns() {
    let master = one();
    let mut client = master.client();
    for piece in ["{\"comm", "and\":\"ehlo\"", ",\"id\":1}\n{\"command\":\"help\",\"id\":2}\n{\"c"]
    {
        client.send(piece);
    }
    assert_eq!(client.reply()["request_id"], 1);
    assert_eq!(client.reply()["request_id"], 2);
    client.send("ommand\":\"ehlo\",\"id\":3}\r\n---%0Acommand: ehlo%0Aid: 4%0A\r\n");
    assert_eq!(client.reply()["request_id"], 3);
    assert!(client.yaml_reply().contains("\nrequest_id: 4\n"));
    // A hundred that nobody has read yet are answered in order.
    for id in 0..100 {
        client.send_json(&json!({"command": "ehlo", "id": id}));
    }
    for id in 0..100 {
        assert_eq!(client.reply()["request_id"], id);
    }
}

#[test]
fn what_is_no_mapping_gets_one_error_reply_and_the_connection_stays() {
    let master = one();
    let mut client = master.client();
    for line in
        ["", "[]", "text", "3", "---", "%0A", "- a", "{\"a\":1", "\u{e9}", "'", "{}{}", "[a]: b"]
    {
        client.send(format!("{line}\n"));
        let reply = client.yaml_reply();
        assert!(reply.contains("error: malformed\n"), "{line:?}: {reply}");
    }
    for line in ["{\"command\":\"help\",\"command\":\"die\"}", "{\"a\":{\"b\":1,\"b\":2}}"] {
        client.send(format!("{line}\n"));
        assert_eq!(client.reply()["error"], "malformed", "{line}");
    }
    client.send("command: help%0Acommand: die\n");
    assert!(client.yaml_reply().contains("error: malformed\n"));
    assert_eq!(client.ask(&json!({"command": "louder", "id": 1}))["message"], "0");
}

#[test]
fn what_was_asked_before_the_end_of_the_stream_is_answered() {
    let master = Master::start(&NONE, &IDLE);
    let mut client = master.client();
    client.send("{\"command\":\"ehlo\",\"id\":1}\n{\"command\":\"help\",\"id\":2}\n");
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.reply()["request_id"], 1);
    assert_eq!(client.reply()["request_id"], 2);
    assert!(client.is_closed());
}
