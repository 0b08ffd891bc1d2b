//! Sizes in bytes as people write them: `512M`.

/// Units by their letter, the largest first.
const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// A size in bytes, shown in the largest unit of which it is a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// Reads a whole number with a unit, in either case; none without a unit.
    pub fn parse(text: &str) -> Option<Self> {
        let letter = text.chars().next_back()?;
        let (_, unit) = UNITS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(&letter))?;
        let digits = text.get(..text.len() - 1)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(unit).map(Self)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fits = |unit: &u64| self.0 > 0 && self.0.is_multiple_of(*unit);
        match UNITS.into_iter().find(|(_, unit)| fits(unit)) {
            Some((letter, unit)) => write!(f, "{}{letter}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        for (text, expected) in [
            ("1K", Some(1024)),
            ("512M", Some(512 << 20)),
            ("3g", Some(3 << 30)),
            ("0M", Some(0)),
            ("1T", Some(1 << 40)),
            ("512", None),
            ("M", None),
            ("-1M", None),
            ("+1M", None),
            ("1.5M", None),
            ("1MB", None),
            ("1 M", None),
            ("é", None),
            ("", None),
            ("99999999999T", None),
        ] {
            assert_eq!(Size::parse(text).map(|size| size.0), expected, "{text}");
        }
    }

    #[test]
    fn a_size_is_shown_as_it_is_typed() {
        for (bytes, expected) in [(0, "0"), (1000, "1000"), (1024, "1K"), (3 << 30, "3G")] {
            assert_eq!(Size(bytes).to_string(), expected);
        }
    }
}
