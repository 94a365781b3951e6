//! Exact decimals: from two's complement of any length to Postgres's base-10000 form and to digits, and back. No digit
//! is ever rounded, and what exceeds the declared precision is refused.

/// An integer and where its decimal point goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decimal<'a> {
    unscaled: Unscaled<'a>,
    /// Digits after the point in `unscaled`.
    scale: u16,
    /// Digits after the point as shown, at least `scale`.
    shown: u16,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Unscaled<'a> {
    Small(i128),
    /// Big-endian two's complement of more than 16 bytes.
    Big(&'a [u8]),
}

impl<'a> Decimal<'a> {
    /// From Avro's form; `None` where the value has more digits than `precision`.
    pub(crate) fn new(bytes: &'a [u8], precision: u16, scale: u16, shown: u16) -> Option<Self> {
        let bytes = minimal(bytes);
        let unscaled = if bytes.len() <= 16 {
            let sign: u8 = if bytes.first().is_some_and(|&first| first >= 0x80) { 0xff } else { 0 };
            let mut wide = [sign; 16];
            wide[16 - bytes.len()..].copy_from_slice(bytes);
            Unscaled::Small(i128::from_be_bytes(wide))
        } else {
            Unscaled::Big(bytes)
        };
        let decimal = Self { unscaled, scale, shown: shown.max(scale) };
        decimal.fits(usize::from(precision)).then_some(decimal)
    }

    fn fits(self, precision: usize) -> bool {
        match self.unscaled {
            Unscaled::Small(value) => {
                let limit = u32::try_from(precision).ok().and_then(|precision| 10u128.checked_pow(precision));
                limit.is_none_or(|limit| value.unsigned_abs() < limit)
            }
            // A byte holds at least 2.4 digits, so a value far too long is refused before it is converted.
            Unscaled::Big(bytes) => bytes.len() * 12 / 5 <= precision + 3 && digits(bytes).1.len() <= precision,
        }
    }

    /// Calls `f` with whether it is negative, and the decimal digits (0 to 9) without leading zeros.
    fn with_digits<R>(self, f: impl FnOnce(bool, &[u8]) -> R) -> R {
        let value = match self.unscaled {
            Unscaled::Small(value) => value,
            Unscaled::Big(bytes) => {
                let (negative, digits) = digits(bytes);
                return f(negative, &digits);
            }
        };
        let mut buffer = [0; 39];
        let mut start = buffer.len();
        let mut rest = value.unsigned_abs();
        while rest > u128::from(u64::MAX) {
            start -= 1;
            buffer[start] = (rest % 10) as u8;
            rest /= 10;
        }
        let mut rest = rest as u64;
        while rest > 0 {
            start -= 1;
            buffer[start] = (rest % 10) as u8;
            rest /= 10;
        }
        f(value < 0, &buffer[start..])
    }

    /// Postgres's binary form: count of groups, weight of the first, sign, scale, then groups of four digits.
    pub(crate) fn write_binary(self, out: &mut Vec<u8>) {
        self.with_digits(|negative, digits| {
            let start = out.len();
            out.extend_from_slice(&[0; 8]);
            let leading = digits.len() as i32 - i32::from(self.scale) - 1;
            let weight = leading.div_euclid(4);
            let first = (leading.rem_euclid(4) + 1) as usize;
            let (head, tail) = digits.split_at(first.min(digits.len()));
            let mut groups = 0;
            let mut kept = 0;
            let padded = |chunk: &[u8], width: usize| {
                (0..width).fold(0u16, |sum, place| sum * 10 + u16::from(chunk.get(place).copied().unwrap_or(0)))
            };
            let chunks = std::iter::once(padded(head, first)).chain(tail.chunks(4).map(|chunk| padded(chunk, 4)));
            for group in chunks.take(if digits.is_empty() { 0 } else { usize::MAX }) {
                out.extend_from_slice(&group.to_be_bytes());
                groups += 1;
                if group != 0 {
                    kept = groups;
                }
            }
            out.truncate(start + 8 + 2 * usize::from(kept));
            let weight = if kept == 0 { 0 } else { weight as i16 };
            let sign: u16 = if negative { 0x4000 } else { 0 };
            for (place, half) in [kept, weight as u16, sign, self.shown].into_iter().enumerate() {
                out[start + 2 * place..][..2].copy_from_slice(&half.to_be_bytes());
            }
        });
    }

    /// The digits with their point, trailing zeros and all.
    pub(crate) fn write_text(self, out: &mut Vec<u8>) {
        self.with_digits(|negative, digits| {
            let (scale, shown) = (usize::from(self.scale), usize::from(self.shown));
            let whole = digits.len().saturating_sub(scale);
            if negative {
                out.push(b'-');
            }
            if whole == 0 {
                out.push(b'0');
            }
            out.extend(digits[..whole].iter().map(|digit| digit + b'0'));
            if shown > 0 {
                out.push(b'.');
                out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
                out.extend(digits[whole..].iter().map(|digit| digit + b'0'));
                out.extend(std::iter::repeat_n(b'0', shown - scale));
            }
        });
    }
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

/// Sign and decimal digits of a long two's complement.
fn digits(bytes: &[u8]) -> (bool, Vec<u8>) {
    let negative = bytes.first().is_some_and(|&first| first >= 0x80);
    let mut magnitude = bytes.to_vec();
    if negative {
        negate(&mut magnitude);
    }
    let mut digits = Vec::with_capacity(bytes.len() * 5 / 2);
    let mut from = 0;
    while let Some(zeros) = magnitude[from..].iter().position(|&byte| byte != 0) {
        from += zeros;
        let mut rest = 0u32;
        for byte in &mut magnitude[from..] {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 10_000_000 % 256) as u8;
            rest = value % 10_000_000;
        }
        for _ in 0..7 {
            digits.push((rest % 10) as u8);
            rest /= 10;
        }
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits.reverse();
    (negative, digits)
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
        (*byte, carry) = (sum, over);
    }
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
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| NotDecimal::Syntax)?),
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
    Ok(twos_complement(negative, &digits))
}

fn twos_complement(negative: bool, digits: &[u8]) -> Vec<u8> {
    // Little-endian while it grows; a last zero byte leaves room for the sign.
    let mut bytes = vec![0u8];
    for digit in digits {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            let value = u32::from(*byte) * 10 + carry;
            *byte = (value % 256) as u8;
            carry = value / 256;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.push(0);
    bytes.reverse();
    if negative {
        negate(&mut bytes);
    }
    minimal(&bytes).to_vec()
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
        let group = |place: i16| if (0..count).contains(&place) { half(4 + place as usize) } else { 0 };
        assert!(count == 0 || (group(0) != 0 && group(count - 1) != 0), "zero groups must be stripped");
        let whole: String = (0..=weight.max(0)).map(|place| format!("{:04}", group(place + weight.min(0)))).collect();
        let fraction: String = (0..250).map(|place| format!("{:04}", group(weight + 1 + place))).collect();
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
        assert_eq!(text(&[0xff; 20], 4, 2, 2).as_deref(), Some("-0.01"), "sign bytes are no digits");
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
