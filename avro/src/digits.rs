//! Decimal digits of integers, without the formatting machinery: text is written for every number in a record's JSON.

/// More digits than a `u128` has.
pub(crate) const MOST: usize = 40;

/// The digits of `value` in ASCII, at the end of `buffer`; none for 0.
pub(crate) fn of(value: u128, buffer: &mut [u8; MOST]) -> &[u8] {
    let mut start = MOST;
    let mut put = |digit: u8| {
        start -= 1;
        buffer[start] = b'0' + digit;
    };
    let mut wide = value;
    while wide > u128::from(u64::MAX) {
        put((wide % 10) as u8);
        wide /= 10;
    }
    // Division of 64 bits is many times as fast.
    let mut rest = wide as u64;
    while rest > 0 {
        put((rest % 10) as u8);
        rest /= 10;
    }
    &buffer[start..]
}

/// Appends an integer as text.
pub(crate) fn write(out: &mut Vec<u8>, value: i64) {
    match value {
        0..10 => out.push(b'0' + value as u8),
        _ => {
            if value < 0 {
                out.push(b'-');
            }
            out.extend_from_slice(of(u128::from(value.unsigned_abs()), &mut [0; MOST]));
        }
    }
}

/// Appends at least `width` digits of a number that is not negative.
pub(crate) fn write_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = [0; MOST];
    let digits = of(u128::from(value), &mut buffer);
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits);
}
