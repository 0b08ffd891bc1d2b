//! Everything recorded from Ruby programs reads as what it means (`tests/vectors`).

use einhorn_master::psych::{Limits, Value, read, write};
use serde_json::Value as Json;

const REQUESTS: &str = include_str!("vectors/ruby-client-requests.jsonl");
const STATES: [(&str, &str); 3] = [
    ("manual", include_str!("vectors/state-manual.yaml")),
    ("timer", include_str!("vectors/state-timer.yaml")),
    ("mid-upgrade", include_str!("vectors/state-mid-upgrade.yaml")),
];

fn meaning(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => Value::Integer(number.as_i64().expect("an integer")),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Sequence(items.iter().map(meaning).collect()),
        Json::Object(entries) => {
            let pair = |(key, value): (&String, &Json)| (key.as_str().into(), meaning(value));
            Value::Mapping(entries.iter().map(pair).collect())
        }
    }
}

/// Mappings have no order of their own here, and a request's symbols stand for their names.
fn comparable(value: Value) -> Value {
    match value {
        Value::Symbol(name) => Value::String(name),
        Value::Sequence(items) => Value::Sequence(items.into_iter().map(comparable).collect()),
        Value::Mapping(mut entries) => {
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
            let pair = |(key, value)| (key, comparable(value));
            Value::Mapping(entries.into_iter().map(pair).collect())
        }
        other => other,
    }
}

fn unframed(line: &str) -> String {
    line.trim_end_matches('\n').replace("%0A", "\n").replace("%25", "%")
}

#[test]
fn every_request_of_a_ruby_client() {
    for record in REQUESTS.lines() {
        let record: Json = serde_json::from_str(record).expect("a line of JSON");
        let text = unframed(record["line"].as_str().expect("a line"));
        let value = read(text.as_bytes(), &Limits::request()).expect(&text);
        let means = &record["means"];
        if let Some(base64) = means.get("request_id_base64") {
            assert_eq!(base64, "Ymlu/w==");
            assert_eq!(value.get("request_id"), Some(&Value::Bytes(b"bin\xff".to_vec())));
        } else {
            assert_eq!(comparable(value), comparable(meaning(means)), "{text}");
        }
    }
}

#[test]
fn every_state_reads_and_reads_back() {
    for (name, text) in STATES {
        let value = read(text.as_bytes(), &Limits::state()).expect(name);
        let again = read(write(&value).as_bytes(), &Limits::state()).expect(name);
        assert_eq!(again, value, "{name}");
    }
}

/// What we write differs from what Ruby wrote in three known ways only.
#[test]
fn a_state_is_laid_out_as_ruby_lays_it_out() {
    for (name, text) in STATES {
        let value = read(text.as_bytes(), &Limits::state()).expect(name);
        let aliased = text.lines().find_map(|line| line.split_once("&1 ")).expect("an anchor").1;
        let expect = text.replace("&1 ", "").replace("*1", aliased).replace(" +00:00", " Z");
        assert_eq!(write(&value), expect, "{name}");
    }
}
