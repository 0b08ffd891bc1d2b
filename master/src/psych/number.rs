//! Numbers as Psych reads and writes them (YAML 1.1's, with Ruby's habits).

use super::value::Value;

/// Most digits of the hours in `1:30`; more could not be counted in seconds.
const HOURS_DIGITS_MAX: usize = 12;

/// The integer or floating-point number that `text` stands for.
pub(super) fn parse(text: &str) -> Option<Value> {
    let (negative, digits) = split_sign(text);
    special(text)
        .or_else(|| sexagesimal(digits, negative))
        .or_else(|| float(digits, negative))
        .or_else(|| integer(digits, negative))
}

/// Whether some reader of YAML (1.1, 1.2, JSON) may take `text` for a number, so that a
/// string like it must be quoted.
pub(super) fn resembles_one(text: &str) -> bool {
    let bare: String = text.chars().filter(|character| !",_".contains(*character)).collect();
    let digits = split_sign(&bare).1;
    let radix = digits.get(..2).is_some_and(|prefix| {
        ["0x", "0o", "0b"].iter().any(|known| prefix.eq_ignore_ascii_case(known))
    });
    let clock = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    parse(text).is_some() || radix || clock || bare.parse::<f64>().is_ok()
}

/// `number` with a point and, where it has one, a signed exponent: without them Psych reads
/// an integer or a string.
pub(super) fn format_float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = format!("{number:?}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}{point}e{sign}{exponent:0>2}")
}

/// `number` as a floating-point number, for text that is tagged as one.
pub(super) fn into_float(number: Value) -> Option<Value> {
    match number {
        Value::Float(_) => Some(number),
        #[expect(clippy::cast_precision_loss, reason = "that is what was asked for")]
        Value::Integer(integer) => Some(Value::Float(integer as f64)),
        Value::BigInteger(digits) => digits.parse().ok().map(Value::Float),
        _ => None,
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Infinity takes a sign, not-a-number takes none.
fn special(text: &str) -> Option<Value> {
    let number = match text.to_ascii_lowercase().as_str() {
        ".inf" | "+.inf" => f64::INFINITY,
        "-.inf" => f64::NEG_INFINITY,
        ".nan" => f64::NAN,
        _ => return None,
    };
    Some(Value::Float(number))
}

/// `1:30` and `1:30:00`. Psych reads both as hours first, and gives a sign to the first part
/// only.
fn sexagesimal(digits: &str, negative: bool) -> Option<Value> {
    let (clock, fraction) = match digits.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (digits, None),
    };
    let mut parts = clock.split(':');
    let hours = grouped(parts.next()?, "_").filter(|hours| hours.len() <= HOURS_DIGITS_MAX)?;
    let hours: i64 = hours.parse().ok()?;
    let minutes = sixtieth(parts.next()?)?;
    let seconds = parts.next().map(sixtieth);
    parts.next().is_none().then_some(())?;
    let (seconds, unit) = match seconds {
        Some(seconds) => (seconds?, 1.0),
        None => (0, 60.0),
    };
    let whole = if negative { -hours } else { hours } * 3600 + minutes * 60 + seconds;
    let Some(fraction) = fraction else { return Some(Value::Integer(whole)) };
    let digits: String = fraction.chars().filter(|character| *character != '_').collect();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    let fraction: f64 = format!("0.{digits}0").parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "that is what a floating-point number is")]
    Some(Value::Float(whole as f64 + fraction * unit))
}

/// `0` to `59`, with or without a leading zero.
fn sixtieth(text: &str) -> Option<i64> {
    let short = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| short && *number < 60)
}

/// Digits with a point; an exponent needs its sign.
fn float(digits: &str, negative: bool) -> Option<Value> {
    let (whole, rest) = digits.split_once('.')?;
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let whole = if whole.is_empty() { String::new() } else { grouped(whole, "_,")? };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_whole = exponent.is_none_or(|text| {
        text.strip_prefix(['+', '-']).is_some_and(|text| !text.is_empty() && all_digits(text))
    });
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    (has_digits && all_digits(fraction) && exponent_is_whole).then_some(())?;
    let sign = if negative { "-" } else { "" };
    let number: f64 =
        format!("{sign}0{whole}.{fraction}0e{}", exponent.unwrap_or("0")).parse().ok()?;
    Some(Value::Float(number))
}

fn integer(digits: &str, negative: bool) -> Option<Value> {
    let lower = digits.get(..2).unwrap_or("");
    match (lower, digits.as_bytes()) {
        ("0x", _) => in_radix(&digits[2..], 16, negative),
        ("0b", _) => in_radix(&digits[2..], 2, negative),
        (_, [b'0']) => Some(Value::Integer(0)),
        (_, [b'0', ..]) => in_radix(&digits[1..], 8, negative),
        (_, [b'1'..=b'9', ..]) => decimal(digits, negative),
        _ => None,
    }
}

/// Digits in groups: each separator stands between two digits, or the number is a string.
fn decimal(digits: &str, negative: bool) -> Option<Value> {
    let separated = digits.bytes().all(|byte| byte.is_ascii_digit() || b"_,".contains(&byte));
    let doubled = digits.as_bytes().windows(2).any(|pair| !pair.iter().any(u8::is_ascii_digit));
    let closed = digits.ends_with(|last: char| last.is_ascii_digit());
    (separated && !doubled && closed).then_some(())?;
    let bare = grouped(digits, "_,")?;
    let signed = if negative { format!("-{bare}") } else { bare };
    Some(match signed.parse() {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::BigInteger(signed),
    })
}

/// A number in another base. One that does not fit into 64 bits counts as text.
fn in_radix(digits: &str, radix: u32, negative: bool) -> Option<Value> {
    let bare: String = digits.chars().filter(|character| !"_,".contains(*character)).collect();
    if bare.is_empty() {
        return (radix == 8).then_some(Value::Integer(0));
    }
    bare.starts_with(|first: char| first.is_digit(radix)).then_some(())?;
    let signed = if negative { format!("-{bare}") } else { bare };
    i64::from_str_radix(&signed, radix).ok().map(Value::Integer)
}

/// `text` without its separators, if it begins with a digit and has nothing else.
fn grouped(text: &str, separators: &str) -> Option<String> {
    text.starts_with(|first: char| first.is_ascii_digit()).then_some(())?;
    text.chars()
        .all(|character| character.is_ascii_digit() || separators.contains(character))
        .then(|| text.chars().filter(char::is_ascii_digit).collect())
}

#[cfg(test)]
mod tests {
    use super::{format_float, parse, resembles_one};
    use crate::psych::Value;

    #[test]
    fn integers() {
        for (text, number) in [
            ("0", 0),
            ("-0", 0),
            ("00", 0),
            ("0_", 0),
            ("+5", 5),
            ("-12", -12),
            ("1_000", 1000),
            ("1,000", 1000),
            ("014", 12),
            ("0x1F", 31),
            ("-0x1f", -31),
            ("0b11", 3),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("1:30", 5400),
            ("-1:30", -1800),
            ("1:2:3", 3723),
        ] {
            assert_eq!(parse(text), Some(Value::Integer(number)), "{text}");
        }
        let big = "9223372036854775808";
        assert_eq!(parse(big), Some(Value::BigInteger(big.to_owned())));
    }

    #[test]
    fn floats() {
        for (text, number) in [
            ("1.0", 1.0),
            ("1.", 1.0),
            ("-.5", -0.5),
            ("1_000.25", 1000.25),
            ("1.5e+3", 1500.0),
            ("1.e-3", 0.001),
            (".inf", f64::INFINITY),
            ("-.INF", f64::NEG_INFINITY),
            ("1:30.5", 5430.0),
            ("1:00:30.5", 3630.5),
        ] {
            assert_eq!(parse(text), Some(Value::Float(number)), "{text}");
        }
        assert!(matches!(parse(".NaN"), Some(Value::Float(number)) if number.is_nan()));
    }

    #[test]
    fn strings_that_begin_like_numbers() {
        for text in [
            "",
            "+",
            "-",
            ".",
            "08",
            "0o14",
            "1e3",
            "1.5e3",
            "12e+3",
            "1__0",
            "1,",
            "1_",
            "_1",
            "0x",
            "0b2",
            "0xg",
            "12:60",
            "1:2:3:4",
            "1:",
            ":1",
            "1.2.3",
            "127.0.0.1",
            "0123abcd",
            "-.nan",
            "+.nan",
            "--1",
            "+-1",
            "0x-1",
            "0+1",
            "1.5e+",
            ".e+5",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_must_be_quoted() {
        for text in ["1", "1e3", "1.5e3", "0o14", "08", "0x", "1__0", "12:60", "inf", "1_000_"] {
            assert!(resembles_one(text), "{text}");
        }
        for text in ["127.0.0.1", "0123abcd", "v1", "w.rb", "1-2"] {
            assert!(!resembles_one(text), "{text}");
        }
    }

    #[test]
    fn floats_have_a_point_and_a_signed_exponent() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.5, "0.5"),
            (-0.0, "-0.0"),
            (1e20, "1.0e+20"),
            (1.5e-7, "1.5e-07"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, ".inf"),
            (f64::NEG_INFINITY, "-.inf"),
            (f64::NAN, ".nan"),
        ] {
            assert_eq!(format_float(number), text);
        }
    }
}
