//! Ruby's own YAML library reads what we write, as exactly what we meant, with no class
//! permitted but Set, Symbol and Time; and we read what it writes.
//!
//! Runs where a `ruby` is installed. Under continuous integration (`CI=true`) there must be one.

mod ruby;

use einhorn_master::psych::{Limits, Value, read, write};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use ruby::describe;
use ruby::random::{key, runner, scalar};

/// Random values that are sent through Ruby at once. With what `state_random` and `replies_ruby`
/// send it is more than 10,000.
const VALUES: usize = 5000;
/// Random unquoted scalars.
const SCALARS: usize = 4000;

/// Keys that we would call the same are left out of mappings and sets.
fn unique(values: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let mut seen = std::collections::HashSet::new();
    let name = |key: &Value| match key {
        Value::Symbol(name) => describe(&Value::String(name.clone())),
        other => describe(other),
    };
    values.into_iter().filter(|(key, _)| seen.insert(name(key))).collect()
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        let entries =
            proptest::collection::vec((key(), inner.clone()), 0..4).prop_map(unique).boxed();
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::Sequence),
            entries.clone().prop_map(Value::Mapping),
            entries.prop_map(|entries| {
                Value::Set(entries.into_iter().map(|(member, _)| member).collect())
            }),
        ]
    })
}

#[test]
fn random_values_through_ruby_and_back() {
    let Some(ruby) = ruby::installed() else { return };
    let (mut runner, strategy) = (runner(), value());
    let values: Vec<Value> =
        (0..VALUES).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect();
    let meant: Vec<(Value, String)> = values.into_iter().map(|v| (v.clone(), write(&v))).collect();
    ruby.check(&meant);
    for (value, document) in &meant {
        assert_eq!(read(document.as_bytes(), &Limits::state()).as_ref(), Ok(value), "{document}");
        assert!(document.is_ascii(), "{document}");
    }
}

/// Unquoted scalars mean the same to us as to Ruby.
#[test]
fn plain_scalars_mean_what_they_mean_to_ruby() {
    let Some(ruby) = ruby::installed() else { return };
    let mut runner = runner();
    let numeric = "[-+]?[0-9._,:exob]{1,8}";
    let timely = "20[0-9]{2}-[01][0-9]-[0-2][0-9][ T](1?[0-9]|2[0-3]):[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?( ?(Z|[-+][1-9]|[-+](0[1-9]|1[0-9])(:?[0-5][0-9])?))?";
    let wordy = "[nNyYtTfFoO~][eEuUoOrRnNaAfF]{0,2}[sSlLeEfF]{0,2}|:[a-z.]{1,5}|:\"[a-z ]{1,5}\"|:'[a-z ]{1,5}'|[-+]?\\.(inf|NAN|5)";
    let pattern = format!("({numeric})|({timely})|({wordy})");
    let strategy = proptest::string::string_regex(&pattern).expect("a pattern");
    let texts: Vec<String> =
        (0..SCALARS).map(|_| strategy.new_tree(&mut runner).expect("a text").current()).collect();
    let documents: Vec<String> = texts.iter().map(|text| format!("- {text}\n")).collect();
    for (document, answer) in documents.iter().zip(ruby.describe(&documents)) {
        // Where Ruby stumbles over its own rules, anything goes.
        if !answer.yaml.is_empty() {
            let value = read(document.as_bytes(), &Limits::state()).expect(document);
            assert_eq!(describe(&value), answer.description, "{document}");
        }
    }
}
