//! JSON: what is an object, and what it says, by the judgement of `serde_json`'s own values; what
//! is written, read by it and by the YAML reader.

use einhorn_protocol::key;
use serde_json::Value as Json;

use super::{message, owned};
use crate::control::json;
use crate::psych::{self, Limits, Value};

/// So small that an input of some KiB can pass them.
const SMALL: Limits = Limits { nesting_max: 20, values_max: 1000, ..Limits::request() };
/// Longest key that every reader of YAML finds the colon of: within 1,024 characters, of which an
/// escaped byte takes six. The keys of our replies are our own, and short.
const YAML_KEY_BYTES_MAX: usize = 150;

pub(super) fn run(data: &[u8]) {
    let theirs: Option<Json> = serde_json::from_slice(data).ok().filter(Json::is_object);
    let Some(read) = json::read(data, &SMALL).map(|read| read.map(json::mapping)) else {
        assert!(theirs.is_none(), "an object that is not seen as one");
        return;
    };
    match read {
        Err(refused) => message::check(&refused.to_string()),
        Ok(value) => {
            match theirs {
                Some(theirs) => assert!(is_same(&value, &theirs), "{value:?} is not {theirs}"),
                None => assert!(has_id_beyond_doubles(&value), "{value:?} is an object to us only"),
            }
            check_written(&value);
        }
    }
}

/// An id is read to its last digit, which others refuse where no double is so large.
fn has_id_beyond_doubles(value: &Value) -> bool {
    [key::ID, key::REQUEST_ID].into_iter().filter_map(|id| value.get(id)).any(|id| match id {
        Value::BigInteger(digits) => digits.parse().is_ok_and(f64::is_infinite),
        _ => false,
    })
}

fn check_written(value: &Value) {
    let written = json::written::write(value);
    let ascii = json::written::write_ascii(value);
    assert!(ascii.is_ascii());
    assert!(!written.contains(['%', '\n', '\r']));
    let is_json = |text: &str| !text.contains("\\U");
    for text in [&written, &ascii].into_iter().filter(|text| is_json(text)) {
        let again = json::read(text.as_bytes(), &SMALL).expect("an object").expect(text);
        let again = json::mapping(again);
        assert!(is_near(&again, value), "{text}");
        for id in [key::ID, key::REQUEST_ID] {
            assert_eq!(again.get(id), value.get(id), "an id is repeated as it came: {text}");
        }
    }
    if is_the_same_in_yaml(value) {
        for text in [&written, &ascii] {
            let read = psych::read(text.as_bytes(), &Limits::request());
            assert_eq!(read.as_ref(), Ok(value), "{text}");
        }
    }
}

/// Equal, but for the last bits of a floating-point number: only those of an id count, which
/// [`json`] reads by itself.
fn is_near(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Float(number), Value::Float(other)) => is_near_number(*number, *other),
        (Value::Sequence(items), Value::Sequence(others)) => {
            items.len() == others.len() && items.iter().zip(others).all(|(a, b)| is_near(a, b))
        }
        (Value::Mapping(entries), Value::Mapping(others)) => {
            let is_near = |((key, value), (other_key, other)): (&Entry, &Entry)| {
                key == other_key && is_near(value, other)
            };
            entries.len() == others.len() && entries.iter().zip(others).all(is_near)
        }
        _ => value == other,
    }
}

type Entry = (Value, Value);

fn is_near_number(number: f64, other: f64) -> bool {
    number.to_bits() == other.to_bits()
        || (number - other).abs() <= number.abs().max(f64::MIN_POSITIVE) * 4.0 * f64::EPSILON
}

/// What YAML 1.1 reads differently: floating-point numbers without a point or a signed exponent;
/// a tab or a key of any length is nothing to JSON.
fn is_the_same_in_yaml(value: &Value) -> bool {
    match value {
        Value::Float(_) => false,
        Value::Sequence(items) => items.iter().all(is_the_same_in_yaml),
        Value::Mapping(entries) => entries.iter().all(|(key, value)| {
            let length = key.as_str().map_or(0, str::len);
            length <= YAML_KEY_BYTES_MAX && is_the_same_in_yaml(value)
        }),
        _ => true,
    }
}

fn is_same(ours: &Value, theirs: &Json) -> bool {
    match (ours, theirs) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(truth), Json::Bool(other)) => truth == other,
        (Value::String(text), Json::String(other)) => text == other,
        // An id keeps its digits, and -0 is no integer of theirs.
        (Value::Integer(0), Json::Number(other)) => other.as_f64() == Some(0.0),
        (Value::Integer(number), Json::Number(other)) => other.as_i64() == Some(*number),
        // As exactly as it was written, where they have a double.
        (Value::BigInteger(digits), Json::Number(other)) => {
            let numbers = digits.parse().ok().zip(other.as_f64());
            other.as_i64().is_none() && numbers.is_some_and(|(a, b)| is_near_number(a, b))
        }
        (Value::Float(number), Json::Number(other)) => {
            other.as_f64().is_some_and(|other| is_near_number(*number, other))
        }
        (Value::Sequence(items), Json::Array(others)) => {
            items.len() == others.len() && items.iter().zip(others).all(|(a, b)| is_same(a, b))
        }
        (Value::Mapping(entries), Json::Object(others)) => {
            let has = |(key, value): &(Value, Value)| {
                let other = key.as_str().and_then(|key| others.get(key));
                other.is_some_and(|other| is_same(value, other))
            };
            entries.len() == others.len() && entries.iter().all(has)
        }
        _ => false,
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    owned(&[
        r#"{"command":"worker:ack","pid":123}"#,
        r#"{"command":"signal","args":["USR1","sigcont"],"id":"x y"}"#,
        r#"{"id":9223372036854775808,"request_id":-0,"a":1.5e-3,"b":[true,false,null,{}]}"#,
        r#" {"a" : "\u00e9\ud83e\udd84\/\b\f\n\r\t\"\\" , "%25":"50% of%0A"} "#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":1e400}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"x":[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]}"#,
        "{\"a\":\"\u{85}\u{2028}\u{feff}\u{7f}\"}",
    ])
}
