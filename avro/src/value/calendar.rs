//! Days and microseconds as Postgres counts them, from 2000-01-01 in the proleptic Gregorian calendar, and the texts
//! it writes and reads for them. A moment that Postgres cannot hold never gets past here.

use crate::value::digits;

const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS * MICROS_PER_DAY;
/// 4714-11-24 BC, the first day of Postgres, and what follows its last date and its last timestamp.
const FIRST_DAY: i64 = -2_451_545;
const AFTER_LAST_DATE: i64 = 2_145_031_949;
const AFTER_LAST_TIMESTAMP: i64 = 106_751_983 * MICROS_PER_DAY;

/// What a moment is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// Days since 2000, from days since 1970.
pub(crate) fn date(unix_days: i32) -> Option<i32> {
    let days = i64::from(unix_days) - EPOCH_DAYS;
    if (FIRST_DAY..AFTER_LAST_DATE).contains(&days) { i32::try_from(days).ok() } else { None }
}

/// Microseconds since 2000, from units since 1970; nanoseconds are rounded down.
pub(crate) fn timestamp(unix: i64, unit: Unit) -> Option<i64> {
    let micros = match unit {
        Unit::Millis => unix.checked_mul(1000)?,
        Unit::Micros => unix,
        Unit::Nanos => unix.div_euclid(1000),
    };
    let micros = micros.checked_sub(EPOCH_MICROS)?;
    (FIRST_DAY * MICROS_PER_DAY..AFTER_LAST_TIMESTAMP).contains(&micros).then_some(micros)
}

/// Microseconds since midnight; Postgres knows 24:00.
pub(crate) fn time(micros: i64) -> Option<i64> {
    (0..=MICROS_PER_DAY).contains(&micros).then_some(micros)
}

/// Microseconds since 1970, from microseconds since 2000.
pub(crate) fn unix_micros(micros: i64) -> i64 {
    micros.saturating_add(EPOCH_MICROS)
}

/// Units since 1970, from microseconds since 2000.
pub(crate) fn unix(micros: i64, unit: Unit) -> Option<i64> {
    let unix = unix_micros(micros);
    match unit {
        Unit::Millis => Some(unix.div_euclid(1000)),
        Unit::Micros => Some(unix),
        Unit::Nanos => unix.checked_mul(1000),
    }
}

/// Days since 1970, from days since 2000.
pub(crate) fn unix_days(days: i32) -> Option<i32> {
    i32::try_from(i64::from(days) + EPOCH_DAYS).ok()
}

pub(crate) fn write_date(out: &mut Vec<u8>, days: i32) {
    let era = write_day(out, i64::from(days));
    out.extend_from_slice(era.as_bytes());
}

/// `zone` is what follows the time of day, as `+00` in text and `+00:00` in JSON.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, micros: i64, separator: u8, zone: &str) {
    let era = write_day(out, micros.div_euclid(MICROS_PER_DAY));
    out.push(separator);
    write_time(out, micros.rem_euclid(MICROS_PER_DAY));
    out.extend_from_slice(zone.as_bytes());
    out.extend_from_slice(era.as_bytes());
}

pub(crate) fn write_time(out: &mut Vec<u8>, micros: i64) {
    let (seconds, fraction) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    digits::write_padded(out, seconds as u64 / 3600, 2);
    for part in [seconds / 60 % 60, seconds % 60] {
        out.push(b':');
        digits::write_padded(out, part as u64, 2);
    }
    if fraction != 0 {
        out.push(b'.');
        digits::write_padded(out, fraction as u64, 6);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Writes the date without its era, and gives the era.
fn write_day(out: &mut Vec<u8>, days: i64) -> &'static str {
    let (year, month, day) = civil(days);
    let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    digits::write_padded(out, shown as u64, 4);
    for part in [month, day] {
        out.push(b'-');
        digits::write_padded(out, part as u64, 2);
    }
    era
}

/// Days in 400 years, and the day 2000-03-01 from which they are counted, so that a leap day ends its year.
const ERA_DAYS: i64 = 146_097;
const MARCH_2000: i64 = 60;

/// Year (0 is 1 BC), month and day.
fn civil(days: i64) -> (i64, i64, i64) {
    let since = days - MARCH_2000;
    let (era, of_era) = (since.div_euclid(ERA_DAYS), since.rem_euclid(ERA_DAYS));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (2000 + era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let from_march = year - i64::from(month <= 2) - 2000;
    let (era, year_of_era) = (from_march.div_euclid(400), from_march.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * ERA_DAYS + of_era + MARCH_2000
}

/// `2026-11-22`, as days since 2000.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let mut scan = Scan(text.as_bytes());
    let days = scan.day()?;
    scan.0.is_empty().then(|| i32::try_from(days).ok())?
}

/// `04:44:09.5`, as microseconds since midnight.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let mut scan = Scan(text.as_bytes());
    let micros = scan.clock()?;
    scan.0.is_empty().then(|| time(micros))?
}

/// RFC 3339, as microseconds since 2000. Without an offset it is UTC, as in the sessions of this service.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let mut scan = Scan(text.trim().as_bytes());
    let day = scan.day()?;
    scan.one_of(b"Tt ")?;
    let clock = scan.clock()?;
    let offset = scan.offset()?;
    let micros = day.checked_mul(MICROS_PER_DAY)?.checked_add(clock)?.checked_sub(offset)?;
    scan.0.is_empty().then(|| timestamp(unix_micros(micros), Unit::Micros))?
}

/// What is left to read.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn one_of(&mut self, choices: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        choices.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
        })
    }

    fn day(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        self.one_of(b"-")?;
        let month = self.digits(2)?;
        self.one_of(b"-")?;
        let day = self.digits(2)?;
        let result = days(year, month, day);
        (year > 0 && (1..=12).contains(&month) && civil(result) == (year, month, day))
            .then_some(result)
    }

    /// A leap second is the first of the next minute, as in Postgres.
    fn clock(&mut self) -> Option<i64> {
        let hours = self.digits(2)?;
        self.one_of(b":")?;
        let minutes = self.digits(2)?;
        let seconds = if self.one_of(b":").is_some() { self.digits(2)? } else { 0 };
        let mut micros = ((hours * 60 + minutes) * 60 + seconds) * MICROS_PER_SECOND;
        if self.one_of(b".,").is_some() {
            let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, rest) = self.0.split_at_checked(length).filter(|_| length > 0)?;
            self.0 = rest;
            micros += fraction
                .iter()
                .zip([100_000, 10_000, 1000, 100, 10, 1])
                .map(|(digit, worth)| i64::from(digit - b'0') * worth)
                .sum::<i64>();
        }
        let in_day = minutes < 60 && seconds <= 60 && micros <= MICROS_PER_DAY;
        in_day.then_some(micros)
    }

    /// In microseconds; none is 0.
    fn offset(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.one_of(b"Zz").is_some() {
            return Some(0);
        }
        let sign = if self.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.digits(2)?;
        let _ = self.one_of(b":");
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2)? };
        (hours < 24 && minutes < 60)
            .then_some(sign * (hours * 60 + minutes) * 60 * MICROS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stamp(micros: i64) -> String {
        let mut out = Vec::new();
        write_timestamp(&mut out, micros, b'T', "+00:00");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_day_of_postgres_is_its_own_inverse() {
        for day in (FIRST_DAY..FIRST_DAY + 4000).chain(-1000..1000).chain(106_750_000..106_751_983)
        {
            let (year, month, dom) = civil(day);
            assert_eq!(days(year, month, dom), day);
        }
        assert_eq!(civil(0), (2000, 1, 1));
        assert_eq!(civil(FIRST_DAY), (-4713, 11, 24));
    }

    #[test]
    fn texts_are_those_of_postgres() {
        assert_eq!(stamp(0), "2000-01-01T00:00:00+00:00");
        assert_eq!(stamp(-1), "1999-12-31T23:59:59.999999+00:00");
        assert_eq!(stamp(timestamp(0, Unit::Micros).unwrap()), "1970-01-01T00:00:00+00:00");
        assert_eq!(stamp(FIRST_DAY * MICROS_PER_DAY), "4714-11-24T00:00:00+00:00 BC");
        assert_eq!(stamp(AFTER_LAST_TIMESTAMP - 1), "294276-12-31T23:59:59.999999+00:00");
        assert_eq!(timestamp(i64::MAX, Unit::Millis), None);
        assert_eq!(timestamp(i64::MIN, Unit::Micros), None);
        assert_eq!(timestamp(-1, Unit::Nanos), timestamp(-1, Unit::Micros));
    }

    #[test]
    fn reads_what_rfc_3339_allows_and_nothing_else() {
        let at = |text| parse_timestamp(text).map(stamp);
        let noon = Some("2026-02-28T12:00:00+00:00".to_owned());
        for text in [
            "2026-02-28T12:00:00Z",
            "2026-02-28t14:00:00.000+02:00",
            "2026-02-28 06:30:00-0530",
            "2026-02-28T12:00:00",
        ] {
            assert_eq!(at(text), noon, "{text}");
        }
        assert_eq!(at("2016-12-31T23:59:60Z").as_deref(), Some("2017-01-01T00:00:00+00:00"));
        assert_eq!(
            at("2026-02-28T12:00:00.1234567Z").as_deref(),
            Some("2026-02-28T12:00:00.123456+00:00")
        );
        for text in [
            "",
            "yesterday",
            "2026-02-29T12:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-28",
            "2026-02-28T12:00:00Zx",
            "2026-02-28T25:00:00Z",
            "2026-02-28T12:60:00Z",
            "0000-01-01T00:00:00Z",
            "2026-02-28T12:00:00.Z",
            "+026-02-28T12:00:00Z",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
        assert_eq!(parse_time("24:00:00"), Some(MICROS_PER_DAY));
        assert_eq!(parse_time("24:00:01"), None);
        assert_eq!(parse_date("1970-01-01").and_then(unix_days), Some(0));
    }
}
