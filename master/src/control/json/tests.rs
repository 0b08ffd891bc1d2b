use einhorn_protocol::limit;
use proptest::prelude::*;

use super::written::{write, write_ascii};
use super::*;

fn read(text: &str) -> Result<Value, Malformed> {
    super::read(text.as_bytes(), &Limits::request()).expect("it is an object").map(mapping)
}

fn is_object(text: &[u8]) -> bool {
    super::read(text, &Limits::request()).is_some()
}

#[track_caller]
fn check(text: &str, expect: &Value) {
    assert_eq!(read(text).unwrap().get("id"), Some(expect));
}

#[test]
fn values() {
    check(r#"{"id":null}"#, &Value::Null);
    check(r#" {"id" : -5 } "#, &Value::Integer(-5));
    check(r#"{"id":1.5}"#, &Value::Float(1.5));
    check(r#"{"id":[true]}"#, &Value::Sequence(vec![Value::Bool(true)]));
    check(r#"{"id":"\u00e9\ud83e\udd84\/"}"#, &Value::String("é🦄/".into()));
}

#[test]
fn integers_keep_their_digits() {
    for digits in ["9223372036854775808", "-9223372036854775809", &"9".repeat(500)] {
        check(&format!(r#"{{"id":{digits}}}"#), &Value::BigInteger(digits.to_owned()));
        assert_eq!(write(&Value::BigInteger(digits.to_owned())), digits);
    }
    check(r#"{"id":9223372036854775807}"#, &Value::Integer(i64::MAX));
}

/// What no command asks for is as near as a double comes.
#[test]
fn only_ids_keep_digits_that_no_double_has() {
    let (digits, nearest) = ("100000000000000000001", Value::Float(1e20));
    let exact = Value::BigInteger(digits.to_owned());
    let text =
        format!(r#"{{"id":{digits},"request_id":{digits},"n":{digits},"in":{{"id":{digits}}}}}"#);
    let value = read(&text).unwrap();
    assert_eq!(value.get("id"), Some(&exact));
    assert_eq!(value.get("request_id"), Some(&exact));
    assert_eq!(value.get("n"), Some(&nearest));
    assert_eq!(value.get("in").and_then(|inner| inner.get("id")), Some(&nearest));
}

#[test]
fn only_objects_by_the_standard_are_json() {
    for other in [
        "",
        " ",
        "[]",
        "1",
        "null",
        "{",
        "{a: b}",
        "{'a': 1}",
        "{\"a\": 1,}",
        "{\"a\": 01}",
        "{\"a\": nan}",
        "{\"a\": \"\n\"}",
        "{} {}",
        "{\"a\": \"\\x41\"}",
        "# {}",
        "\u{feff}{}",
    ] {
        assert!(!is_object(other.as_bytes()), "{other}");
    }
    assert!(!is_object(b"{\"a\": \"\xff\"}"));
    assert!(is_object(b"\r\n\t {}\r"));
}

#[test]
fn duplicate_keys_are_refused_at_any_depth() {
    for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"b":2,"\u0061":3}]}"#] {
        assert_eq!(read(text), Err(Malformed::DuplicateKey { key: "a".into() }));
    }
    assert!(read(r#"{"a":{"a":{"a":1}}}"#).is_ok());
}

/// Also around the number of keys from which on they are looked up.
#[test]
fn a_duplicate_is_found_among_any_number_of_keys() {
    let entry = |key: usize| format!("\"k{key}\":{key}");
    let object = |entries: &[String]| read(&format!("{{{}}}", entries.join(",")));
    for keys in 1..FEW_KEYS + 4 {
        let mut entries: Vec<String> = (0..keys).map(entry).collect();
        assert!(object(&entries).is_ok(), "{keys}");
        for again in 0..keys {
            entries.push(entry(again));
            let duplicate = Malformed::DuplicateKey { key: format!("k{again}") };
            assert_eq!(object(&entries), Err(duplicate), "{keys}");
            entries.pop();
        }
    }
}

#[test]
fn nesting_at_the_limit_is_read_and_one_more_is_not() {
    let nested =
        |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert!(read(&nested(limit::NESTING_MAX)).is_ok());
    for levels in [limit::NESTING_MAX + 1, 200, 100_000] {
        let text = nested(levels);
        assert_eq!(read(&text), Err(Malformed::TooDeep), "{levels}");
    }
    let in_id = nested(limit::NESTING_MAX + 1).replacen('x', "id", 1);
    assert_eq!(read(&in_id), Err(Malformed::TooDeep));
}

#[test]
fn as_many_values_as_the_limit_are_read_and_one_more_is_not() {
    let list = |items: usize| format!("{{\"x\":[0{}]}}", ",0".repeat(items - 1));
    let room = limit::REQUEST_VALUES_MAX - 3;
    assert!(read(&list(room)).is_ok());
    assert_eq!(
        read(&list(room + 1)),
        Err(Malformed::TooLarge { values_max: limit::REQUEST_VALUES_MAX })
    );
}

#[test]
fn what_no_value_holds_is_an_error() {
    for text in [r#"{"id":1e400}"#, r#"{"a":1e400}"#, r#"{"a":"\ud800"}"#] {
        assert!(matches!(read(text), Err(Malformed::Syntax { .. })), "{text}");
    }
}

#[test]
fn written_json_has_no_percent_and_no_line_end_of_yaml() {
    let text = "50%\n\r\t\"\\\u{1}\u{7f}\u{85}\u{2028}\u{feff}\u{ffff}é🦄";
    assert_eq!(
        write(&Value::String(text.into())),
        r#""50\u0025\n\r\t\"\\\u0001\u007f\u0085\u2028\ufeff\uffffé🦄""#
    );
}

#[test]
fn plain_text_is_written_as_it_is_and_what_is_special_never_is() {
    for text in ["", " ", "~", "a plain one!"] {
        assert_eq!(write(&Value::String(text.into())), format!("\"{text}\""));
    }
    for (text, written) in [
        ("%", r#""\u0025""#),
        ("\"", r#""\"""#),
        ("\\", r#""\\""#),
        ("\u{1f}", r#""\u001f""#),
        ("\u{7f}", r#""\u007f""#),
    ] {
        assert_eq!(write(&Value::String(text.into())), written);
    }
}

#[test]
fn ascii_json_means_the_same() {
    let value = Value::String("50% é\u{ffee}\"".into());
    let text = write_ascii(&value);
    assert_eq!(text, r#""50\u0025 \u00e9\uffee\"""#);
    check(&format!("{{\"id\":{text}}}"), &value);
}

#[test]
fn a_character_that_json_has_in_two_halves_is_written_as_yaml_has_it() {
    let value = Value::Mapping(vec![("a".into(), "é🦄".into())]);
    let text = write_ascii(&value);
    assert_eq!(text, r#"{"a":"\u00e9\U0001f984"}"#);
    assert!(!is_object(text.as_bytes()));
    assert_eq!(crate::psych::read(text.as_bytes(), &Limits::request()), Ok(value));
}

#[test]
fn what_json_has_no_word_for() {
    let time = |nanoseconds| Value::Time(crate::moment::WallTime { nanoseconds });
    assert_eq!(write(&time(1_500_000_000)), "1.500000000");
    assert_eq!(write(&time(-1)), "-0.000000001");
    assert_eq!(write(&time(0)), "0.000000000");
    assert_eq!(write(&Value::Float(f64::NAN)), "null");
    assert_eq!(write(&Value::Symbol("sym".into())), "\"sym\"");
    assert_eq!(write(&Value::Bytes(b"a\xff".into())), "\"a\u{fffd}\"");
    assert_eq!(
        write(&Value::Mapping(vec![(Value::Integer(1), Value::Set(vec![Value::Null]))])),
        r#"{"1":[null]}"#
    );
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        "-?[1-9][0-9]{19,60}".prop_map(Value::BigInteger),
        proptest::num::f64::NORMAL.prop_map(Value::Float),
        any::<String>().prop_map(Value::String),
    ]
}

proptest! {
    #[test]
    fn an_id_is_written_as_it_was_read(id in scalar()) {
        let text = format!("{{\"id\":{}}}", write(&id));
        let value = read(&text).unwrap();
        prop_assert_eq!(value.get("id"), Some(&id));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = super::read(&bytes, &Limits::request());
    }

    #[test]
    fn json_like_text_never_panics(text in "[{}\\[\\]\",:0-9eE.\\\\ua-f -]{0,80}") {
        let text = format!("{{{text}}}");
        prop_assert_eq!(is_object(text.as_bytes()), is_valid(&text));
    }
}
