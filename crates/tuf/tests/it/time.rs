//! Times.

use proptest::prelude::*;
use tuf::Time;

#[test]
fn times_as_written() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:34:56Z", 951_827_696),
        ("2026-11-22T20:15:01Z", 1_795_378_501),
        ("1969-12-31T23:59:59Z", -1),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
    ] {
        assert_eq!(text.parse::<Time>().map(Time::seconds), Ok(seconds), "{text}");
        assert_eq!(Time::from_seconds(seconds).to_string(), text);
    }
    for text in [
        "",
        "2026-11-22",
        "2026-11-22T20:15:01",
        "2026-11-22T20:15:01+00:00",
        "2026-11-22t20:15:01z",
        "2026-11-22T20:15:01.0Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "0000-01-01T00:00:00Z",
        "2026-1-01T00:00:000Z",
        "２026-01-01T00:00:0Z",
    ] {
        assert!(text.parse::<Time>().is_err(), "{text}");
    }
    assert_eq!(Time::from_seconds(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
    assert_eq!(Time::from_seconds(i64::MAX).plus(i64::MAX).plus_days(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
}

proptest! {
    #[test]
    fn times_come_back(seconds in -62_135_596_800_i64..=253_402_300_799) {
        let time = Time::from_seconds(seconds);
        prop_assert_eq!(time.to_string().parse(), Ok(time));
    }
}
