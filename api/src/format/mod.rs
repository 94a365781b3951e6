//! The forms in which rows are told. Invariant: each says the same rows in the same order; which one it is the caller's
//! `Accept` decides, and nothing else.

mod csv;
mod shape;

use axum::http::{HeaderMap, header};
use headers_accept::Accept;
use mediatype::names::{APPLICATION, CSV, JSON, TEXT};
use mediatype::{MediaType, Name};

use crate::problem::{Kind, Problem};

pub(crate) use shape::{Form, Shape};

static OFFERED: [(MediaType<'static>, Format); 3] = [
    (MediaType::new(APPLICATION, JSON), Format::Json),
    (MediaType::new(APPLICATION, Name::new_unchecked("x-ndjson")), Format::Lines),
    (MediaType::new(TEXT, CSV), Format::Csv),
];

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One object with all that is known of the answer.
    Json,
    /// A JSON object a line.
    Lines,
    Csv,
}

impl Format {
    /// The one that the caller likes best.
    pub(crate) fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let said: Vec<_> = lines
            .flat_map(|line| line.split(','))
            .filter(|range| !range.trim().is_empty())
            .collect();
        if said.is_empty() {
            return Ok(Self::Json);
        }
        let ranges: Vec<_> = said.into_iter().filter_map(range).collect();
        let accept = ranges.join(",").parse::<Accept>().ok();
        let best =
            accept.and_then(|accept| accept.negotiate(OFFERED.iter().map(|(media, _)| media)));
        let format =
            OFFERED.iter().find(|(media, _)| best == Some(media)).map(|(_, format)| *format);
        format.ok_or_else(|| {
            let offered = [Self::Json, Self::Lines, Self::Csv].map(Self::media_type);
            let detail =
                format!("`Accept` takes none of {}: name one of them.", offered.join(", "));
            Problem::of(Kind::NotAcceptable, "Accept", detail, offered)
        })
    }

    /// As `Accept` names it.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    /// As the answer names it.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            other => other.media_type(),
        }
    }

    /// What stands before the rows, whose values have these names.
    pub(crate) fn head<'n>(self, names: impl Iterator<Item = &'n str>) -> String {
        match self {
            Self::Json | Self::Lines => String::new(),
            Self::Csv => csv::line(names.map(Some)),
        }
    }

    /// Adds a row to those that are written one after the other.
    pub(crate) fn add(self, shape: &Shape, values: &[Option<&str>], body: &mut String) {
        match self {
            Self::Json | Self::Lines => {
                shape.object(values, body);
                body.push('\n');
            }
            Self::Csv => {
                let texts: Vec<_> = shape.texts(values).collect();
                body.push_str(&csv::line(texts.iter().map(Option::as_deref)));
            }
        }
    }
}

/// A media range with its quality alone: `charset` and the like make no other form of it. None for what is no media range, as
/// the `*; q=.2` of older Java.
fn range(text: &str) -> Option<String> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next()?;
    let is_quality = |part: &&str| part.get(..2).is_some_and(|q| q.eq_ignore_ascii_case("q="));
    let range = match parts.find(is_quality) {
        Some(quality) => format!("{media};{quality}"),
        None => media.to_owned(),
    };
    range.parse::<Accept>().is_ok().then_some(range)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accepted(lines: &[&'static str]) -> Option<Format> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, HeaderValue::from_static(line));
        }
        Format::accepted(&headers).ok()
    }

    #[test]
    fn the_form_is_the_one_that_is_liked_best() {
        for (accept, format) in [
            ("", Some(Format::Json)),
            (" , ", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("application/*", Some(Format::Json)),
            ("text/*", Some(Format::Csv)),
            ("Text/CSV", Some(Format::Csv)),
            ("text/csv; charset=utf-8", Some(Format::Csv)),
            (
                "application/json;charset=utf-8;Q=0.3, text/csv;header=present;q=0.2",
                Some(Format::Json),
            ),
            ("application/x-ndjson", Some(Format::Lines)),
            (
                "application/json;q=0.5, text/csv;q=0.6, application/x-ndjson;q=0.1",
                Some(Format::Csv),
            ),
            ("text/csv, application/json", Some(Format::Csv)),
            ("application/json;q=0, */*;q=0.1", Some(Format::Lines)),
            ("application/json;q=0, application/*, text/csv;q=0.1", Some(Format::Lines)),
            ("*/*;q=0", None),
            ("text/csv;q=0", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Format::Json)),
            ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", Some(Format::Json)),
            ("text/html", None),
            ("application/jsonx", None),
            ("nonsense", None),
            ("text/csv, \"", Some(Format::Csv)),
        ] {
            assert_eq!(accepted(&[accept]), format, "{accept}");
        }
        assert_eq!(accepted(&[]), Some(Format::Json));
        assert_eq!(accepted(&["text/html", "text/csv"]), Some(Format::Csv));
    }
}
