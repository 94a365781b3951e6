//! RFC 4180. Invariant: what is missing is empty, and an empty text is `""`, so that they differ.

/// The values as one line.
pub(super) fn line<'v>(values: impl Iterator<Item = Option<&'v str>>) -> String {
    let fields: Vec<_> = values.map(|value| value.map_or_else(String::new, field)).collect();
    fields.join(",") + "\r\n"
}

fn field(value: &str) -> String {
    match value.is_empty() || value.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value.to_owned(),
    }
}
