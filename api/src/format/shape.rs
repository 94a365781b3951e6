//! What rows are made of. Invariant: a value that is written here from its text in Postgres is what `to_jsonb` makes of it.

use std::borrow::Cow;

use crate::json::json;
use crate::problem::Problem;

/// How JSON writes a type's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As their texts are.
    Raw,
    /// The same, but for those that JSON has no number for.
    Number,
    /// In quotes.
    Text,
    /// In quotes, as ISO 8601 writes it. Sessions are in UTC.
    Moment,
}

/// Names and forms of a row's values.
#[derive(Debug)]
pub(crate) struct Shape {
    /// As they stand before the values of an object.
    names: Vec<String>,
    forms: Vec<Form>,
}

impl Shape {
    pub(crate) fn new<'n>(values: impl Iterator<Item = (&'n str, Form)>) -> Result<Self, Problem> {
        let (mut names, mut forms) = (Vec::new(), Vec::new());
        for (name, form) in values {
            let before = if names.is_empty() { '{' } else { ',' };
            names.push(format!("{before}{}:", json(&name)?));
            forms.push(form);
        }
        Ok(Self { names, forms })
    }

    /// Adds a row as a JSON object.
    pub(crate) fn object(&self, values: &[Option<&str>], out: &mut String) {
        for ((name, form), value) in self.names.iter().zip(&self.forms).zip(values) {
            out.push_str(name);
            match value {
                None => out.push_str("null"),
                Some(value) => form.write(value, out),
            }
        }
        out.push_str(if self.names.is_empty() { "{}" } else { "}" });
    }

    /// The values' texts as JSON has them, without quotes.
    pub(crate) fn texts<'t>(
        &'t self,
        values: &'t [Option<&'t str>],
    ) -> impl Iterator<Item = Option<Cow<'t, str>>> {
        self.forms.iter().zip(values).map(|(form, value)| Some(form.text((*value)?)))
    }
}

impl Form {
    fn text(self, text: &str) -> Cow<'_, str> {
        match (self, text.split_once(' ')) {
            (Self::Moment, Some((date, time))) => Cow::Owned(match time.split_once("+00") {
                Some((time, era)) => format!("{date}T{time}+00:00{era}"),
                None => format!("{date}T{time}"),
            }),
            _ => Cow::Borrowed(text),
        }
    }

    fn write(self, text: &str, out: &mut String) {
        match self {
            Self::Raw => out.push_str(text),
            Self::Number if text.ends_with(|last: char| last.is_ascii_digit()) => {
                out.push_str(text)
            }
            Self::Number | Self::Text | Self::Moment => quote(&self.text(text), out),
        }
    }
}

fn quote(text: &str, out: &mut String) {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    match text.bytes().all(is_plain) {
        true => {
            out.push('"');
            out.push_str(text);
            out.push('"');
        }
        // The text of a text: this cannot fail.
        false => out.push_str(&serde_json::to_string(text).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_written_by_their_forms() {
        for (form, text, json) in [
            (Form::Raw, "[1, 2]", "[1, 2]"),
            (Form::Number, "-1.50", "-1.50"),
            (Form::Number, "NaN", r#""NaN""#),
            (Form::Number, "-Infinity", r#""-Infinity""#),
            (Form::Text, "a b", r#""a b""#),
            (Form::Text, "a\"\\\n\u{1}é", r#""a\"\\\n\u0001é""#),
            (Form::Moment, "2026-03-01 10:00:00.25+00", r#""2026-03-01T10:00:00.25+00:00""#),
            (Form::Moment, "2026-03-01 10:00:00", r#""2026-03-01T10:00:00""#),
            (Form::Moment, "0044-03-15 00:00:00+00 BC", r#""0044-03-15T00:00:00+00:00 BC""#),
            (Form::Moment, "infinity", r#""infinity""#),
        ] {
            let shape = Shape::new([("n\"", form)].into_iter()).unwrap();
            let mut out = String::new();
            shape.object(&[Some(text)], &mut out);
            assert_eq!(out, format!(r#"{{"n\"":{json}}}"#));
        }
    }
}
