//! What reads as what, and what is refused.

use super::read;
use crate::moment::WallTime;
use crate::psych::{Limits, ReadError, Value};

fn request(text: &str) -> Result<Value, ReadError> {
    read(text.as_bytes(), &Limits::request())
}

fn state(text: &str) -> Result<Value, ReadError> {
    read(text.as_bytes(), &Limits::state())
}

fn symbol(name: &str) -> Value {
    Value::Symbol(name.to_owned())
}

fn list(items: &[Value]) -> Value {
    Value::Sequence(items.to_vec())
}

fn map(entries: &[(Value, Value)]) -> Value {
    Value::Mapping(entries.to_vec())
}

fn check(text: &str, value: Value) {
    assert_eq!(request(text), Ok(value), "{text:?}");
}

#[test]
fn nothing_reads_as_null() {
    for text in ["", "\n", " ", "# a comment\n", "---\n", "--- ~", "---\n...\n", "\u{feff}"] {
        check(text, Value::Null);
    }
}

#[test]
fn block_collections() {
    check(
        "--- \na: 1\nb:\n- x\n- y\n",
        map(&[("a".into(), Value::Integer(1)), ("b".into(), list(&["x".into(), "y".into()]))]),
    );
    check(
        "- - a\n  - b\n-\n- :c: d\n  e: ''",
        list(&[
            list(&["a".into(), "b".into()]),
            Value::Null,
            map(&[(symbol("c"), "d".into()), ("e".into(), "".into())]),
        ]),
    );
    check("? a\n: b\n", map(&[("a".into(), "b".into())]));
    check("a: 1\r\nb: 2\r\n", map(&[("a".into(), 1.into()), ("b".into(), 2.into())]));
    check("\u{feff}a: 1", map(&[("a".into(), 1.into())]));
}

#[test]
fn flow_collections() {
    check(
        "{\"a\":1,\"b\":[true,null,\"\\u00e9\\/\\ud83e\\udd84\"]}",
        map(&[
            ("a".into(), 1.into()),
            ("b".into(), list(&[true.into(), Value::Null, "\u{e9}/\u{1f984}".into()])),
        ]),
    );
    check(
        "{a: b, c: [d, 2.5]}",
        map(&[("a".into(), "b".into()), ("c".into(), list(&["d".into(), Value::Float(2.5)]))]),
    );
    check("{}", map(&[]));
    check("[ ]", list(&[]));
}

#[test]
fn quoted_text_is_text() {
    for (text, means) in [
        ("':sym'", ":sym"),
        ("\":sym\"", ":sym"),
        ("\"12\"", "12"),
        ("'2026-11-23'", "2026-11-23"),
        ("'it''s'", "it's"),
        (
            "\"a\\N\\L\\P\\_\\e\\x41\\u2603\\U0001F984\"",
            "a\u{85}\u{2028}\u{2029}\u{a0}\u{1b}A\u{2603}\u{1f984}",
        ),
        ("\"a\\\n   b\"", "ab"),
        ("|-\n  a\n   b", "a\n b"),
        ("|\n  a\n", "a\n"),
        (">\n  a\n  b\n", "a b\n"),
        ("|2-\n   a", " a"),
    ] {
        check(text, means.into());
    }
}

#[test]
fn tags_of_the_closed_list() {
    check("!ruby/symbol a b", symbol("a b"));
    check("!ruby/sym \"a: b\"", symbol("a: b"));
    check("!!str 12", "12".into());
    check("!str yes", "yes".into());
    check("! 'text'", "text".into());
    check("! ':a: b'", symbol("a: b"));
    check("! ''", Value::Null);
    check("!!int '12'", 12.into());
    check("!!float 12", Value::Float(12.0));
    check("!binary aGk=", "hi".into());
    check("!!binary |-\n  /wBh\n", Value::Bytes(vec![0xFF, 0, b'a']));
    check("!<tag:yaml.org,2002:str> 1", "1".into());
    check("!ruby/object:Hash {a: 1}", map(&[("a".into(), 1.into())]));
}

#[test]
fn sets_in_all_their_shapes() {
    let set = Value::Set(vec!["A".into(), "B".into()]);
    check("!ruby/object:Set\nhash:\n  A: true\n  B: true\n", set.clone());
    check("!ruby/set\nhash:\n  A: true\n  B: true\n", set.clone());
    check("!ruby/set\nA: true\nB: true\n", set.clone());
    check("!ruby/object:Set {hash: {A: true, B: true}}", set);
    check("!ruby/object:Set\nhash: {}\n", Value::Set(vec![]));
    check("!ruby/set {}", Value::Set(vec![]));
    check("!ruby/set {hash: true}", Value::Set(vec!["hash".into()]));
}

#[test]
fn no_other_tag_is_read() {
    for tag in [
        "!ruby/object:Object",
        "!ruby/object:OpenStruct",
        "!ruby/hash:Foo",
        "!ruby/regexp",
        "!ruby/class",
        "!ruby/exception",
        "!ruby/object:Set:x",
        "!foo",
        "tag:yaml.org,2002:python",
    ] {
        let short = tag.replace("tag:yaml.org,2002:", "!!");
        for content in ["{a: 1}", "x", "[1]"] {
            let error = state(&format!("k: {short} {content}"));
            assert_eq!(error, Err(ReadError::UnknownTag(tag.to_owned())), "{short} {content}");
        }
    }
    for text in ["!ruby/object:Set [a]", "!ruby/set a", "!binary [a]", "!!seq a", "!!map [a]"] {
        assert!(matches!(state(text), Err(ReadError::UnknownTag(_))), "{text}");
    }
}

#[test]
fn a_long_tag_is_cut_in_the_error() {
    let error = state(&format!("!{} x", "x".repeat(100_000))).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn aliases_are_copies_in_a_state_and_errors_in_a_request() {
    let text = "a: &1 2026-11-23 10:18:47.5 +00:00\nb: *1\n";
    let time = Value::Time(WallTime { nanoseconds: 1_795_429_127_500_000_000 });
    assert_eq!(state(text), Ok(map(&[("a".into(), time.clone()), ("b".into(), time)])));
    assert_eq!(request(text), Err(ReadError::Aliases { line: 2 }));
    let tree = list(&[list(&["x".into()]), list(&["x".into()])]);
    assert_eq!(state("- &t [x]\n- *t\n"), Ok(tree));
    assert_eq!(request("a: &1 2"), Ok(map(&[("a".into(), 2.into())])));
}

#[test]
fn aliases_that_refer_to_nothing_or_to_themselves() {
    for text in ["*a", "[*a]", "&a [*a]", "&a {b: *a}"] {
        assert!(matches!(state(text), Err(ReadError::Malformed { .. })), "{text}");
        assert!(request(text).is_err(), "{text}");
    }
}

#[test]
fn keys_are_unique_scalars() {
    let duplicate = |name: &str| Err(ReadError::DuplicateKey(name.to_owned()));
    assert_eq!(request("{a: 1, a: 2}"), duplicate("a"));
    assert_eq!(request("a: 1\n\"a\": 2\n"), duplicate("a"));
    assert_eq!(request("a: 1\n:a: 2\n"), duplicate("a"));
    assert_eq!(request("1: 1\n0x1: 2\n"), duplicate("1"));
    assert_eq!(
        request("- a: 1\n  b:\n    a: 2\n"),
        Ok(list(&[map(&[("a".into(), 1.into()), ("b".into(), map(&[("a".into(), 2.into())])),])]))
    );
    assert_eq!(request("? [a]\n: b\n"), Err(ReadError::KeyNotScalar { line: 1 }));
    assert_eq!(request("{{a: b}: c}"), Err(ReadError::KeyNotScalar { line: 1 }));
    assert_eq!(state("- &a [b]\n- *a : c\n"), Err(ReadError::KeyNotScalar { line: 2 }));
    check("<<: {a: 1}\n", map(&[("<<".into(), map(&[("a".into(), 1.into())]))]));
}

#[test]
fn errors_say_where() {
    let error = request("a: 1\nb: [1,\n").unwrap_err();
    assert!(matches!(error, ReadError::Malformed { line: 2..=3, .. }), "{error}");
    let error = request("a: 1\nb\u{1}: 2").unwrap_err();
    let expect = "not valid YAML at line 2, column 2: control character 0x01";
    assert_eq!(error.to_string(), expect);
    let error = read(b"a: \xff", &Limits::request()).unwrap_err();
    assert_eq!(error.to_string(), "not UTF-8 text: byte 3 is 0xff");
    let error = request("a: 1\n---\nb: 2\n").unwrap_err();
    assert_eq!(error.to_string(), "not valid YAML at line 2, column 1: a second document");
}

#[test]
fn what_is_not_yaml() {
    for text in [
        "a: b: c",
        "[1, 2",
        "{a: 1",
        "\"abc",
        "'abc",
        "a: 'b' c",
        "- a\n b: c\n",
        "%YAML 1.1\n---\na",
        "]",
        "}",
        "@a",
        "`a",
        "a: \"\\q\"",
        "!!float x",
        "\0",
        "a\0b",
        "\"\\ud800\"",
        "--- a\n--- b",
    ] {
        assert!(
            matches!(request(text), Err(ReadError::Malformed { .. })),
            "{text:?}: {:?}",
            request(text)
        );
    }
}

#[test]
fn nesting_at_the_limit_and_one_past_it() {
    let limits = Limits::request();
    let nested = |depth: usize, open: &str, close: &str| {
        let text = format!("{}{}", open.repeat(depth), close.repeat(depth));
        read(text.as_bytes(), &limits)
    };
    let error = Err(ReadError::TooDeep { nesting_max: limits.nesting_max });
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("{\"a\":[", "]}")] {
        let levels = open.matches(['[', '{', '-']).count();
        let most = limits.nesting_max / levels;
        assert!(nested(most, open, close).is_ok(), "{open}");
        assert_eq!(nested(most + 1, open, close), error, "{open}");
    }
}

#[test]
fn an_alias_cannot_nest_deeper_than_the_text_may() {
    let line = |level| format!("- &a{level} [*a{}]\n", level - 1);
    let text = "- &a0 [x]\n".to_owned() + &(1..100).map(line).collect::<String>();
    let nesting_max = Limits::state().nesting_max;
    assert_eq!(state(&text), Err(ReadError::TooDeep { nesting_max }));
}

#[test]
fn values_at_the_limit_and_one_past_it() {
    let limits = Limits { values_max: 10, ..Limits::state() };
    let read = |text: &str| read(text.as_bytes(), &limits);
    let error = Err(ReadError::TooLarge { limit: 10, unit: "values" });
    assert!(read("[1,2,3,4,5,6,7,8,9]").is_ok());
    assert_eq!(read("[1,2,3,4,5,6,7,8,9,0]"), error);
    assert!(read("[&a [1, 2], *a]").is_ok(), "three, once kept and once copied, and the list");
    assert_eq!(read("[&a [1, 2], *a, *a]"), error);
}

#[test]
fn bytes_at_the_limit_and_one_past_it() {
    let limits = Limits { bytes_max: 40, ..Limits::state() };
    let read = |text: &str| read(text.as_bytes(), &limits);
    assert!(read(&"x".repeat(40)).is_ok());
    assert_eq!(read(&"x".repeat(41)), Err(ReadError::TooLarge { limit: 40, unit: "bytes" }));
    assert!(read("[&a xxxxxxxxxxxxx, *a, *a]").is_ok(), "13 bytes kept and copied twice");
    let error = Err(ReadError::TooLarge { limit: 40, unit: "bytes of copies" });
    assert_eq!(read("[&a xxxxxxxxxxxxxx, *a, *a]"), error);
}
