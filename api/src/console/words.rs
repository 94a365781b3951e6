//! Numbers and times for people.

use std::time::SystemTime;

/// `43 000`, with spaces that do not break.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `3 events`, `1 event`.
pub(super) fn counted(number: i64, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {of}{plural}", grouped(number))
}

/// A length of time, as coarse as one looks at it.
pub(super) fn lasting(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as i64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        ..120 => format!("{whole} s"),
        120..7200 => format!("{} min", whole / 60),
        7200..172_800 => format!("{} h", whole / 3600),
        _ => format!("{} days", whole / 86_400),
    }
}

/// `12:03` in UTC.
pub(super) fn clock(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.get(11..16).unwrap_or_default().to_owned()
}

/// An RFC 3339 time, without what nobody reads: `2026-03-01 12:00:00`.
pub(super) fn moment(time: &str) -> String {
    time.get(..19).unwrap_or(time).replacen('T', " ", 1)
}

/// A share of a whole, in per cent.
pub(super) fn percent(done: i64, total: i64) -> i64 {
    if total <= 0 { 0 } else { (done.clamp(0, total) * 100) / total }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((&*grouped(-1000), &*grouped(0), &*grouped(999)), ("-1\u{202f}000", "0", "999"));
        assert_eq!((&*counted(1, "event"), &*counted(0, "event")), ("1 event", "0 events"));
        let lengths = [0.04, 9.94, 10.0, 119.0, 120.0, 7300.0, 200_000.0].map(lasting);
        assert_eq!(lengths, ["0.0 s", "9.9 s", "10 s", "119 s", "2 min", "2 h", "2 days"]);
        assert_eq!(clock(UNIX_EPOCH + Duration::from_secs(3660)), "01:01");
        assert_eq!(moment("2026-03-01T12:00:00.123Z"), "2026-03-01 12:00:00");
        assert_eq!((percent(1, 3), percent(5, 0), percent(9, 3)), (33, 0, 100));
    }
}
