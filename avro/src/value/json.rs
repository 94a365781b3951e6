//! The pieces of JSON text that are written by hand: strings and hexadecimal digits. What is written as a string, any
//! JSON reader reads back unchanged.

/// Appends `text` in quotes. NUL is written too; Postgres refuses it, which is an error of the record.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(place) =
        rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.extend_from_slice(&rest[..place]);
        match rest[place] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control @ 0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex(control));
            }
            quoted => out.extend_from_slice(&[b'\\', quoted]),
        }
        rest = &rest[place + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends in quotes a text without anything to escape.
pub(crate) fn write_plain(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// Two lower-case digits.
pub(crate) fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}
