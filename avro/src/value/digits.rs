//! Decimal digits of integers, without the formatting machinery: text is written for every number in a record's JSON.

/// More digits than a `u128` has.
pub(crate) const MOST: usize = 40;

/// `00` to `99`: two digits for one division.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut value = 0;
    while value < pairs.len() {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

/// Puts the digits of `value` before `end` and gives where they start; none for 0.
#[inline]
pub(crate) fn put(mut value: u64, buffer: &mut [u8; MOST], mut end: usize) -> usize {
    while value >= 10 {
        end -= 2;
        buffer[end..end + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if value > 0 {
        end -= 1;
        buffer[end] = b'0' + value as u8;
    }
    end
}

/// The digits of `value` in ASCII, at the end of `buffer`; none for 0.
pub(crate) fn of(value: u128, buffer: &mut [u8; MOST]) -> &[u8] {
    let mut start = MOST;
    let mut rest = value;
    while rest > u128::from(u64::MAX) {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // Division of 64 bits is many times as fast.
    start = put(rest as u64, buffer, start);
    &buffer[start..]
}

/// Appends an integer as text.
pub(crate) fn write(out: &mut Vec<u8>, value: i64) {
    if let 0..10 = value {
        return out.push(b'0' + value as u8);
    }
    let mut buffer = [b'-'; MOST];
    let start = put(value.unsigned_abs(), &mut buffer, MOST);
    out.extend_from_slice(&buffer[start - usize::from(value < 0)..]);
}

/// Appends at least `width` digits of a number that is not negative.
pub(crate) fn write_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = [b'0'; MOST];
    let start = put(value, &mut buffer, MOST);
    out.extend_from_slice(&buffer[start.min(MOST - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written_as_the_standard_library_does() {
        let powers = (0..19).map(|power| 10i64.pow(power));
        for value in powers
            .flat_map(|power| [power - 1, power, power + 1, power * 5])
            .chain([i64::MAX, i64::MIN])
        {
            for value in [value, value.wrapping_neg()] {
                let (mut plain, mut padded) = (Vec::new(), Vec::new());
                write(&mut plain, value);
                write_padded(&mut padded, value.unsigned_abs(), 6);
                assert_eq!(String::from_utf8_lossy(&plain), value.to_string());
                assert_eq!(
                    String::from_utf8_lossy(&padded),
                    format!("{:06}", value.unsigned_abs())
                );
            }
        }
    }
}
