//! Points in time as Psych writes them: `2026-11-23 10:18:47.520615809 Z`.

use crate::moment::WallTime;

const NANOSECONDS: i128 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
/// First and last second that a year of four digits can say.
const YEAR_0_SECONDS: i64 = -62_167_219_200;
const YEAR_9999_SECONDS: i64 = 253_402_300_799;

/// Reads a date and a time of day, with an optional fraction and zone (none means UTC).
/// `None` if `text` is anything else, a bare date included. As in Ruby, a day or second just
/// past the end of its month or minute counts into the next.
pub(super) fn parse(text: &str) -> Option<WallTime> {
    let mut rest = Reader(text.as_bytes());
    let year = i64::from(rest.number(4, 4)?);
    rest.expect(b'-')?;
    let month = rest.number(1, 2)?;
    rest.expect(b'-')?;
    let day = rest.number(1, 2)?;
    if !rest.skip(|byte| byte == b'T' || byte == b't') {
        rest.blanks().then_some(())?;
    }
    let hour = rest.number(1, 2)?;
    rest.expect(b':')?;
    let minute = rest.number(2, 2)?;
    rest.expect(b':')?;
    let second = rest.number(2, 2)?;
    let nanoseconds = if rest.skip(|byte| byte == b'.') { rest.fraction() } else { 0 };
    rest.blanks();
    let offset = rest.zone()?;
    let in_range = rest.0.is_empty()
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    in_range.then_some(())?;
    let time_of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let seconds = days_before(year, month, day) * DAY_SECONDS + time_of_day - offset;
    // What could not be written again is no time.
    (YEAR_0_SECONDS..=YEAR_9999_SECONDS).contains(&seconds).then_some(())?;
    Some(WallTime { nanoseconds: i128::from(seconds) * NANOSECONDS + i128::from(nanoseconds) })
}

/// Writes `time` in UTC with nine digits. What a year of four digits cannot say becomes the
/// nearest time that it can.
pub(super) fn format(time: WallTime) -> String {
    let first = i128::from(YEAR_0_SECONDS) * NANOSECONDS;
    let last = i128::from(YEAR_9999_SECONDS) * NANOSECONDS + (NANOSECONDS - 1);
    let clamped = time.nanoseconds.clamp(first, last);
    let seconds = i64::try_from(clamped.div_euclid(NANOSECONDS)).unwrap_or(YEAR_9999_SECONDS);
    let nanoseconds = clamped.rem_euclid(NANOSECONDS);
    let (year, month, day) = date_of(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{nanoseconds:09} Z")
}

/// Whether `text` begins like a date, so that some reader may take it for one.
pub(super) fn begins_like_a_date(text: &str) -> bool {
    let mut rest = Reader(text.as_bytes());
    rest.number(4, 4).is_some()
        && rest.expect(b'-').is_some()
        && rest.number(1, 2).is_some()
        && rest.expect(b'-').is_some()
        && rest.number(1, 2).is_some()
}

/// Days from 1970-01-01 to the given day of the proleptic Gregorian calendar. Years are
/// counted from March, so that the leap day comes last.
fn days_before(year: i64, month: u32, day: u32) -> i64 {
    let month = i64::from(month);
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_before`].
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// What is left to read.
struct Reader<'text>(&'text [u8]);

impl Reader<'_> {
    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        match self.0 {
            [first, rest @ ..] if wanted(*first) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip(|next| next == byte).then_some(())
    }

    /// Skips blanks; whether there were any.
    fn blanks(&mut self) -> bool {
        let before = self.0.len();
        while self.skip(|byte| byte == b' ' || byte == b'\t') {}
        self.0.len() < before
    }

    fn digit(&mut self) -> Option<u32> {
        let first = *self.0.first()?;
        let digit = char::from(first).to_digit(10)?;
        self.0 = &self.0[1..];
        Some(digit)
    }

    /// A number of `least` to `most` digits (at most 9).
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let (mut number, mut count) = (0, 0);
        while count < most {
            let Some(digit) = self.digit() else { break };
            number = number * 10 + digit;
            count += 1;
        }
        (count >= least).then_some(number)
    }

    /// The digits after the point in nanoseconds; digits after the ninth are dropped.
    fn fraction(&mut self) -> u32 {
        let mut nanoseconds = 0;
        let mut weight = 100_000_000;
        while let Some(digit) = self.digit() {
            nanoseconds += digit * weight;
            weight /= 10;
        }
        nanoseconds
    }

    /// Seconds east of UTC: `Z`, `+1`, `+01:00`, `+0100` or nothing.
    fn zone(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.skip(|byte| byte == b'Z') {
            return Some(0);
        }
        let west = self.skip(|byte| byte == b'-');
        if !west {
            self.expect(b'+')?;
        }
        let hours = self.number(1, 2)?;
        self.skip(|byte| byte == b':');
        let minutes = if self.0.is_empty() { 0 } else { self.number(2, 2)? };
        (hours < 24 && minutes < 60).then_some(())?;
        let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
        Some(if west { -seconds } else { seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::{begins_like_a_date, format, parse};
    use crate::moment::WallTime;

    fn check(text: &str, nanoseconds: Option<i128>) {
        assert_eq!(parse(text), nanoseconds.map(|nanoseconds| WallTime { nanoseconds }), "{text}");
    }

    #[test]
    fn the_forms_of_every_generation() {
        let expect = Some(1_795_429_127_520_615_809);
        check("2026-11-23 10:18:47.520615809 +00:00", expect);
        check("2026-11-23 10:18:47.520615809 Z", expect);
        check("2026-11-23 10:18:47.520615809Z", expect);
        check("2026-11-23T10:18:47.520615809Z", expect);
        check("2026-11-23t10:18:47.5206158099999Z", expect);
        check("2026-11-23 10:18:47.520615809", expect);
        check("2026-11-23 05:18:47.520615809 -05:00", expect);
        check("2026-11-23 15:48:47.520615809 +0530", expect);
        check("2026-11-23 12:18:47.520615809 +2", expect);
        check("2026-11-23   10:18:47 Z", Some(1_795_429_127_000_000_000));
        check("1969-12-31 23:59:59.5 Z", Some(-500_000_000));
        check("2026-02-30 00:00:00 Z", Some(1_772_409_600_000_000_000));
        check("2026-11-23 10:18:60 Z", Some(1_795_429_140_000_000_000));
    }

    #[test]
    fn what_is_not_a_time() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23 ",
            "2026-13-23 10:18:47 Z",
            "2026-02-32 10:18:47 Z",
            "2026-11-00 10:18:47 Z",
            "2026-11-23 24:18:47 Z",
            "2026-11-23 10:60:47 Z",
            "2026-11-23 10:18:61 Z",
            "2026-11-23 10:18",
            "2026-11-23 10:18:47 UTC",
            "2026-11-23 10:18:47 +1:2:3",
            "2026-11-23 10:18:47 +24:00",
            "2026-11-23 10:18:47 -01:60",
            "2026-11-2310:18:47",
            "0000-01-01 00:00:00 +00:01",
            "9999-12-31 23:59:00 -00:01",
            "12026-11-23 10:18:47 Z",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_survives() {
        for day in -150_000_i128..150_000 {
            let time = WallTime { nanoseconds: day * 86_400_000_000_000 + 86_399_999_999_999 };
            assert_eq!(parse(&format(time)), Some(time));
        }
    }

    #[test]
    fn what_four_digits_cannot_say_is_clamped() {
        let format = |nanoseconds| format(WallTime { nanoseconds });
        assert_eq!(format(i128::MAX), "9999-12-31 23:59:59.999999999 Z");
        assert_eq!(format(i128::MIN), "0000-01-01 00:00:00.000000000 Z");
        assert_eq!(format(0), "1970-01-01 00:00:00.000000000 Z");
    }

    #[test]
    fn dates_are_recognised_by_their_beginning() {
        assert!(begins_like_a_date("2026-11-23"));
        assert!(begins_like_a_date("2026-1-2x"));
        assert!(!begins_like_a_date("2026-11"));
        assert!(!begins_like_a_date("202-11-23"));
    }
}
