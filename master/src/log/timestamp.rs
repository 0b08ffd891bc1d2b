//! A point in time as the log writes it.

use crate::moment::WallTime;

const NANOSECONDS_PER_MILLISECOND: i128 = 1_000_000;
const MILLISECONDS_PER_DAY: i128 = 86_400_000;
/// From 0000-03-01 to 1970-01-01, in the Gregorian calendar extended backwards.
const DAYS_BEFORE_1970: i128 = 719_468;
const DAYS_PER_400_YEARS: i128 = 146_097;

/// `2026-11-23T10:18:47.520Z`: UTC, cut to milliseconds.
pub(super) fn timestamp(time: WallTime) -> String {
    let milliseconds = time.nanoseconds.div_euclid(NANOSECONDS_PER_MILLISECOND);
    let (year, month, day) = date(milliseconds.div_euclid(MILLISECONDS_PER_DAY));
    let of_day = milliseconds.rem_euclid(MILLISECONDS_PER_DAY);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, millisecond) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so
/// that the leap day is a year's last.
fn date(days: i128) -> (i128, i128, i128) {
    let days = days + DAYS_BEFORE_1970;
    let cycle = days.div_euclid(DAYS_PER_400_YEARS);
    let day = days.rem_euclid(DAYS_PER_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    (cycle * 400 + year + i128::from(is_next_year), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i128, milliseconds: i128, expected: &str) {
        let nanoseconds = seconds * 1_000_000_000 + milliseconds * 1_000_000 + 999_999;
        assert_eq!(timestamp(WallTime { nanoseconds }), expected);
    }

    #[test]
    fn dates() {
        check(0, 0, "1970-01-01T00:00:00.000Z");
        check(1_795_429_127, 520, "2026-11-23T10:18:47.520Z");
        check(951_782_399, 999, "2000-02-28T23:59:59.999Z");
        check(951_782_400, 0, "2000-02-29T00:00:00.000Z");
        check(951_868_800, 0, "2000-03-01T00:00:00.000Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00.000Z");
        check(1_735_689_599, 0, "2024-12-31T23:59:59.000Z");
        check(-1, 0, "1969-12-31T23:59:59.000Z");
    }

    #[test]
    fn no_time_is_out_of_reach() {
        for nanoseconds in [i128::MIN, i128::MAX] {
            assert!(timestamp(WallTime { nanoseconds }).ends_with('Z'));
        }
    }
}
