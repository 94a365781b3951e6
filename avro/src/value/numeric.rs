//! Exact decimals: from two's complement of any length to Postgres's base-10000 form and to digits, and back. No digit
//! is ever rounded, and what exceeds the declared precision is refused.

use num_bigint::{BigInt, Sign};

use crate::value::digits;

/// An integer and where its decimal point goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decimal<'a> {
    small: i64,
    /// Where `small` does not suffice, big-endian two's complement of more than eight bytes, none of which only repeats
    /// the sign; else empty. Not an enum: that would travel through memory.
    long: &'a [u8],
    /// Digits after the point in the integer.
    scale: u16,
    /// Digits after the point as shown, at least `scale`.
    shown: u16,
}

/// With so many digits after the point, any number of 64 bits has room in 40 characters.
const SMALL_SCALE: u16 = 18;

/// Powers of ten that fit into 64 bits.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut place = 1;
    while place < powers.len() {
        powers[place] = powers[place - 1] * 10;
        place += 1;
    }
    powers
};

impl<'a> Decimal<'a> {
    /// From Avro's form; `None` where the value has more digits than `precision`.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], precision: u16, scale: u16, shown: u16) -> Option<Self> {
        let bytes = if bytes.len() > 8 { minimal(bytes) } else { bytes };
        let shown = shown.max(scale);
        if bytes.len() > 8 {
            return fits(bytes, usize::from(precision)).then_some(Self {
                small: 0,
                long: bytes,
                scale,
                shown,
            });
        }
        let small = small(bytes);
        let limit = POWERS.get(usize::from(precision));
        let fits = limit.is_none_or(|&limit| small.unsigned_abs() < limit);
        fits.then_some(Self { small, long: &[], scale, shown })
    }

    /// Calls `f` with whether it is negative, and the decimal digits, in ASCII and without leading zeros.
    fn with_digits<R>(self, f: impl FnOnce(bool, &[u8]) -> R) -> R {
        let value = match self.long.len() {
            0 => i128::from(self.small),
            9..=16 => wide(self.long),
            _ => {
                let value = BigInt::from_signed_bytes_be(self.long);
                let digits = value.magnitude().to_string();
                return f(value.sign() == Sign::Minus, digits.as_bytes());
            }
        };
        f(value < 0, digits::of(value.unsigned_abs(), &mut [0; digits::MOST]))
    }

    /// Postgres's binary form: count of groups, weight of the first, sign, scale, then groups of four digits.
    pub(crate) fn write_binary(self, out: &mut Vec<u8>) {
        if self.long.is_empty() {
            self.write_small_binary(out);
        } else {
            self.with_digits(|negative, digits| self.write_long_binary(negative, digits, out));
        }
    }

    /// Nearly all decimals are small, and dividing them by ten thousand beats making digits and gathering them again.
    fn write_small_binary(self, out: &mut Vec<u8>) {
        // Groups meet at the decimal point, so the last one may have fewer digits than four.
        let (full, partial) = (self.scale / 4, usize::from(self.scale % 4));
        let magnitude = self.small.unsigned_abs();
        let mut rest = magnitude / POWERS[partial];
        // From the last group to the first; 64 bits are five groups and the partial one.
        let mut groups = [0; 6];
        groups[0] = (magnitude % POWERS[partial] * POWERS[4 - partial]) as u16;
        let mut count = 1;
        while rest > 0 {
            groups[count] = (rest % 10_000) as u16;
            rest /= 10_000;
            count += 1;
        }
        let last = groups.iter().position(|&group| group != 0).unwrap_or(count);
        let kept = &groups[last.min(count)..count];
        let weight = if kept.is_empty() { 0 } else { count as i16 - 2 - full as i16 };
        self.write_header(kept.len() as u16, weight, self.small < 0, out);
        kept.iter().rev().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    }

    fn write_long_binary(self, negative: bool, digits: &[u8], out: &mut Vec<u8>) {
        let leading = digits.len() as i32 - i32::from(self.scale) - 1;
        let first = (leading.rem_euclid(4) + 1) as usize;
        let (head, tail) = digits.split_at(first.min(digits.len()));
        let padded = |chunk: &[u8], width: usize| {
            let digit = |place: usize| chunk.get(place).map_or(0, |&digit| u16::from(digit - b'0'));
            (0..width).fold(0, |sum, place| sum * 10 + digit(place))
        };
        let groups = std::iter::once(padded(head, first))
            .chain(tail.chunks(4).map(|chunk| padded(chunk, 4)));
        let kept = digits
            .iter()
            .rposition(|&digit| digit != b'0')
            .map_or(0, |last| (last + 4 - first) / 4 + 1);
        self.write_header(kept as u16, leading.div_euclid(4) as i16, negative, out);
        groups.take(kept).for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    }

    fn write_header(self, groups: u16, weight: i16, negative: bool, out: &mut Vec<u8>) {
        let sign = if negative { 0x4000 } else { 0 };
        let [[a, b], [c, d], [e, f], [g, h]] =
            [groups, weight as u16, sign, self.shown].map(u16::to_be_bytes);
        out.extend_from_slice(&[a, b, c, d, e, f, g, h]);
    }

    /// The digits with their point, trailing zeros and all.
    pub(crate) fn write_text(self, out: &mut Vec<u8>) {
        if self.long.is_empty() && self.shown <= SMALL_SCALE {
            self.write_small_text(out);
        } else {
            self.with_digits(|negative, digits| self.write_long_text(negative, digits, out));
        }
    }

    fn write_small_text(self, out: &mut Vec<u8>) {
        let (scale, shown) = (usize::from(self.scale), usize::from(self.shown));
        let mut buffer = [b'0'; digits::MOST];
        let point = buffer.len() - shown;
        let magnitude = self.small.unsigned_abs();
        let (whole, fraction) = (magnitude / POWERS[scale], magnitude % POWERS[scale]);
        // What neither part fills are the zeros that belong there.
        digits::put(fraction, &mut buffer, point + scale);
        let end = if shown > 0 { point - 1 } else { point };
        let mut start = digits::put(whole, &mut buffer, end).min(end - 1);
        if shown > 0 {
            buffer[end] = b'.';
        }
        if self.small < 0 {
            start -= 1;
            buffer[start] = b'-';
        }
        out.extend_from_slice(&buffer[start..]);
    }

    fn write_long_text(self, negative: bool, digits: &[u8], out: &mut Vec<u8>) {
        let (scale, shown) = (usize::from(self.scale), usize::from(self.shown));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
        if negative {
            out.push(b'-');
        }
        out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
        if shown > 0 {
            out.push(b'.');
            out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
            out.extend_from_slice(fraction);
            out.extend(std::iter::repeat_n(b'0', shown - scale));
        }
    }
}

fn is_negative(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&first| first >= 0x80)
}

/// Two's complement of at most eight bytes.
fn small(bytes: &[u8]) -> i64 {
    let sign = if is_negative(bytes) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, &byte| value << 8 | i64::from(byte))
}

/// Two's complement of at most sixteen bytes: decimals of so many digits are common enough to allocate nothing.
fn wide(bytes: &[u8]) -> i128 {
    let sign = if is_negative(bytes) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, &byte| value << 8 | i128::from(byte))
}

/// Whether a two's complement of more than eight bytes, none of which only repeats the sign, has no more digits than
/// `precision`.
fn fits(bytes: &[u8], precision: usize) -> bool {
    if bytes.len() <= 16 {
        let limit =
            u32::try_from(precision).ok().and_then(|precision| 10u128.checked_pow(precision));
        return limit.is_none_or(|limit| wide(bytes).unsigned_abs() < limit);
    }
    // A byte holds at least 2.4 digits, so a value far too long is refused before it is converted.
    bytes.len() * 12 / 5 <= precision + 3
        && BigInt::from_signed_bytes_be(bytes).magnitude().to_string().len() <= precision
}

/// Without the bytes that only repeat the sign.
fn minimal(mut bytes: &[u8]) -> &[u8] {
    while let [first, second, ..] = bytes {
        let repeats = (*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80);
        if !repeats {
            break;
        }
        bytes = &bytes[1..];
    }
    bytes
}

/// Why a text is not a decimal of some precision and scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDecimal {
    Syntax,
    Scale,
    Precision,
}

/// Two's complement of `text` (digits, a point, an exponent) times ten to the `scale`.
pub(crate) fn parse(text: &str, precision: usize, scale: usize) -> Result<Vec<u8>, NotDecimal> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| NotDecimal::Syntax)?)
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NotDecimal::Syntax);
    }
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..leading);
    if digits.is_empty() {
        return Ok(vec![0]);
    }
    // How many places the digits are away from an integer of units.
    let shift = scale as i64 + i64::from(exponent) - fraction.len() as i64;
    if digits.len() as i64 + shift > precision as i64 {
        return Err(NotDecimal::Precision);
    }
    if shift >= 0 {
        digits.extend(std::iter::repeat_n(b'0', shift as usize));
    } else {
        let kept = usize::try_from(digits.len() as i64 + shift).map_err(|_| NotDecimal::Scale)?;
        if digits[kept..].iter().any(|&digit| digit != b'0') {
            return Err(NotDecimal::Scale);
        }
        digits.truncate(kept);
    }
    let value = BigInt::parse_bytes(&digits, 10).ok_or(NotDecimal::Syntax)?;
    Ok(if negative { -value } else { value }.to_signed_bytes_be())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8], precision: u16, scale: u16, shown: u16) -> Option<String> {
        Decimal::new(bytes, precision, scale, shown).map(|decimal| {
            let mut out = Vec::new();
            decimal.write_text(&mut out);
            String::from_utf8(out).unwrap()
        })
    }

    /// The reading of `numeric_recv`, written from its layout.
    fn read_binary(bytes: &[u8]) -> String {
        let half = |place: usize| i16::from_be_bytes([bytes[2 * place], bytes[2 * place + 1]]);
        let (count, weight, sign, scale) = (half(0), half(1), half(2), half(3));
        assert_eq!(bytes.len(), 8 + 2 * count as usize);
        let group =
            |place: i16| if (0..count).contains(&place) { half(4 + place as usize) } else { 0 };
        assert!(
            count == 0 || (group(0) != 0 && group(count - 1) != 0),
            "zero groups must be stripped"
        );
        let whole: String = (0..=weight.max(0))
            .map(|place| format!("{:04}", group(place + weight.min(0))))
            .collect();
        let fraction: String =
            (0..250).map(|place| format!("{:04}", group(weight + 1 + place))).collect();
        let whole = if weight < 0 { "0" } else { whole.trim_start_matches('0') };
        let whole = if whole.is_empty() { "0" } else { whole };
        let minus = if sign == 0x4000 { "-" } else { "" };
        let point = if scale > 0 { "." } else { "" };
        format!("{minus}{whole}{point}{}", &fraction[..scale as usize])
    }

    #[test]
    fn known_values() {
        assert_eq!(text(&[0x04, 0xe2], 12, 2, 2).as_deref(), Some("12.50"));
        assert_eq!(text(&[0xff], 12, 2, 2).as_deref(), Some("-0.01"));
        assert_eq!(text(&[], 12, 2, 2).as_deref(), Some("0.00"));
        assert_eq!(text(&[0, 0, 0, 5], 1, 0, 3).as_deref(), Some("5.000"));
        assert_eq!(text(&[0x27, 0x10], 4, 2, 2), None, "10000 has five digits");
        assert_eq!(text(&[0x7f; 20], 4, 2, 2), None);
        assert_eq!(
            text(&[0xff; 20], 4, 2, 2).as_deref(),
            Some("-0.01"),
            "sign bytes are no digits"
        );
    }

    #[test]
    fn parses_and_refuses() {
        assert_eq!(parse("12.5", 12, 2), Ok(vec![0x04, 0xe2]));
        assert_eq!(parse("-1e-2", 12, 2), Ok(vec![0xff]));
        assert_eq!(parse("12.500", 12, 2), Ok(vec![0x04, 0xe2]));
        assert_eq!(parse("0.001", 12, 2), Err(NotDecimal::Scale));
        assert_eq!(parse("1e9999999", 12, 2), Err(NotDecimal::Precision));
        assert_eq!(parse("1e-9999999", 12, 2), Err(NotDecimal::Scale));
        for text in ["", ".", "-", "1,5", "0x1", "1e", "NaN"] {
            assert_eq!(parse(text, 12, 2), Err(NotDecimal::Syntax), "{text}");
        }
    }

    proptest! {
        #[test]
        fn digits_survive_the_way_there_and_back(minus in any::<bool>(), digits in "[1-9][0-9]{0,90}|0", scale in 0u16..40, more in 0u16..9) {
            let signed = if minus && digits != "0" { format!("-{digits}") } else { digits.clone() };
            let bytes = parse(&format!("{signed}e-{scale}"), 100, usize::from(scale)).unwrap();
            let padded = format!("{digits:0>width$}", width = usize::from(scale) + 1);
            let (whole, fraction) = padded.split_at(padded.len() - usize::from(scale));
            let zeros = "0".repeat(usize::from(more));
            let point = if scale + more > 0 { "." } else { "" };
            let minus = if signed.starts_with('-') { "-" } else { "" };
            let expected = format!("{minus}{whole}{point}{fraction}{zeros}");
            let decimal = Decimal::new(&bytes, 100, scale, scale + more).unwrap();
            let (mut written, mut binary) = (Vec::new(), Vec::new());
            decimal.write_text(&mut written);
            decimal.write_binary(&mut binary);
            prop_assert_eq!(String::from_utf8(written).unwrap(), expected.clone());
            prop_assert_eq!(read_binary(&binary), expected);
            let enough = digits.trim_start_matches('0').len() as u16;
            prop_assert!(Decimal::new(&bytes, enough, scale, scale).is_some());
            prop_assert!(enough == 0 || Decimal::new(&bytes, enough - 1, scale, scale).is_none());
        }
    }
}
