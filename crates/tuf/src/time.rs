//! Times as TUF writes them: UTC, whole seconds, `2026-11-22T20:15:00Z`.

use std::fmt;
use std::str::FromStr;

const DAY_SECONDS: i64 = 86_400;

/// A moment, in whole seconds since the Unix epoch, of the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// What is no time of the form `2026-11-22T20:15:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no time such as 2026-11-22T20:15:00Z")]
pub struct NoTime;

impl Time {
    const FIRST: i64 = -62_135_596_800;
    const LAST: i64 = 253_402_300_799;

    /// So many seconds after the Unix epoch; what lies outside the years 1 to 9999 is moved to their edge.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(if seconds < Self::FIRST {
            Self::FIRST
        } else if seconds > Self::LAST {
            Self::LAST
        } else {
            seconds
        })
    }

    /// Seconds since the Unix epoch.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// So many seconds later.
    pub const fn plus(self, seconds: i64) -> Self {
        Self::from_seconds(self.0.saturating_add(seconds))
    }

    /// So many days later.
    pub const fn plus_days(self, days: i64) -> Self {
        self.plus(days.saturating_mul(DAY_SECONDS))
    }
}

/// Days since the Unix epoch of a date of the Gregorian calendar; the year begins in March, so that the leap day is
/// its last.
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of so many days since the Unix epoch.
const fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0.div_euclid(DAY_SECONDS));
        let second = self.0.rem_euclid(DAY_SECONDS);
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }
}

impl FromStr for Time {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let bytes: &[u8; 20] = text.as_bytes().try_into().map_err(|_| NoTime)?;
        for (at, byte) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')] {
            if bytes[at] != byte {
                return Err(NoTime);
            }
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0_i64, |number, digit| match digit {
                b'0'..=b'9' => Ok(number * 10 + i64::from(digit - b'0')),
                _ => Err(NoTime),
            })
        };
        let days = days_of(number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let seconds = number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
        let time = Self::from_seconds(days * DAY_SECONDS + seconds);
        // What does not come back as it was written is no date: the 31st of April, the 25th hour.
        if time.to_string() == text { Ok(time) } else { Err(NoTime) }
    }
}
