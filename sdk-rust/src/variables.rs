//! Reads `EINHORN_*` variables and says precisely what is wrong with one.
//!
//! It only turns text into numbers; what the numbers mean is decided elsewhere. The variables
//! come through a trait, so that every rule is tested without touching the environment.

use crate::error::{Error, Result};
use std::ffi::OsString;

/// Where variables come from.
pub(crate) trait Variables {
    /// The value of `name`, if it is set.
    fn get(&self, name: &str) -> Option<OsString>;
}

/// The environment of this process.
pub(crate) struct Environment;

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// The value of `name`, which must be set.
pub(crate) fn required(from: &dyn Variables, name: &str) -> Result<OsString> {
    from.get(name).ok_or_else(|| Error::Missing { variable: name.to_owned() })
}

/// `value` as a number of decimal digits only, at most `max`.
pub(crate) fn number(name: &str, value: &OsString, max: u32, wanted: &'static str) -> Result<u32> {
    let digits = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).filter(|&number| number <= max).ok_or_else(|| {
        Error::Malformed {
            variable: name.to_owned(),
            value: value.to_string_lossy().into_owned(),
            wanted,
        }
    })
}

/// `value` as the number of a descriptor.
pub(crate) fn descriptor(name: &str, value: &OsString) -> Result<i32> {
    let number = number(name, value, i32::MAX.unsigned_abs(), "the number of a descriptor")?;
    Ok(i32::try_from(number).unwrap_or(i32::MAX))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    impl Variables for BTreeMap<&str, &str> {
        fn get(&self, name: &str) -> Option<OsString> {
            BTreeMap::get(self, name).map(|&value| value.into())
        }
    }

    #[test]
    fn only_plain_decimal_numbers_in_range_are_taken() {
        let read = |text: &str| number("V", &text.into(), 100, "a small number").ok();
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("007"), Some(7));
        assert_eq!(read("100"), Some(100));
        for bad in ["", " 1", "1 ", "+1", "-1", "0x1", "1.0", "abc", "101", "99999999999999"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_name_and_value() {
        let error = descriptor("EINHORN_FD_0", &"stdin".into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "EINHORN_FD_0 is \"stdin\", but must be the number of a descriptor"
        );
        let none: BTreeMap<&str, &str> = BTreeMap::new();
        let error = required(&none, "EINHORN_FD_COUNT").unwrap_err();
        assert_eq!(
            error.to_string(),
            "EINHORN_FD_COUNT is not set, which every einhorn master does"
        );
    }
}
