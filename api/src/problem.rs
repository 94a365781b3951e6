//! What goes wrong, as RFC 9457 tells it. Invariant: every answer that is not a success is one of these kinds, and says
//! the way out.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The kinds of problem: the end of the `type` URL, the status and the title of each are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    UnknownView,
    UnknownRoute,
    NotFound,
    UnknownParameter,
    RepeatedParameter,
    BadEncoding,
    BadValue,
    OrderNeedsIndex,
    CursorMismatch,
    GenerationChanged,
    TooExpensive,
    MethodNotAllowed,
    NotAcceptable,
    NotImplemented,
    UriTooLong,
    HeadersTooLarge,
    Internal,
    Unavailable,
    Overloaded,
    ProjectionBehind,
    TooManyRequests,
    NotReady,
    Unwell,
    AdminOff,
    /// No credential was sent.
    Unauthorized,
    /// The one that was sent is not taken.
    InvalidCredential,
    Unjudged,
    Foreign,
    UnknownName,
    Refused,
    TlsWanted,
}

impl Kind {
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::UnknownView => (S::NOT_FOUND, "unknown-view", "There is no such view"),
            Self::UnknownRoute => {
                (S::NOT_FOUND, "unknown-route", "There is nothing at this address")
            }
            Self::NotFound => (S::NOT_FOUND, "not-found", "There is no such row"),
            Self::UnknownParameter => {
                (S::BAD_REQUEST, "unknown-parameter", "A parameter is not known")
            }
            Self::RepeatedParameter => {
                (S::BAD_REQUEST, "repeated-parameter", "A parameter is given twice")
            }
            Self::BadEncoding => {
                (S::BAD_REQUEST, "bad-encoding", "The address is not encoded properly")
            }
            Self::BadValue => (S::BAD_REQUEST, "bad-value", "A value does not fit"),
            Self::OrderNeedsIndex => {
                (S::BAD_REQUEST, "order-needs-index", "This order needs an index")
            }
            Self::CursorMismatch => (S::BAD_REQUEST, "cursor-mismatch", "The cursor does not fit"),
            Self::GenerationChanged => {
                (S::GONE, "generation-changed", "The view has been rebuilt meanwhile")
            }
            Self::TooExpensive => (S::BAD_REQUEST, "too-expensive", "The query takes too long"),
            Self::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "method-not-allowed", "This method is not possible here")
            }
            Self::NotAcceptable => {
                (S::NOT_ACCEPTABLE, "not-acceptable", "No form of the answer is accepted")
            }
            Self::NotImplemented => {
                (S::NOT_IMPLEMENTED, "not-implemented", "This method is not known")
            }
            Self::UriTooLong => (S::URI_TOO_LONG, "uri-too-long", "The address is too long"),
            Self::HeadersTooLarge => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                "The headers are too large",
            ),
            Self::Internal => {
                (S::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side")
            }
            Self::Unavailable => {
                (S::SERVICE_UNAVAILABLE, "unavailable", "The data cannot be reached right now")
            }
            Self::Overloaded => {
                (S::SERVICE_UNAVAILABLE, "overloaded", "Too many requests at a time")
            }
            Self::ProjectionBehind => {
                (S::SERVICE_UNAVAILABLE, "projection-behind", "The view has not come so far yet")
            }
            Self::TooManyRequests => {
                (S::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests of one caller")
            }
            Self::NotReady => {
                (S::SERVICE_UNAVAILABLE, "not-ready", "This instance cannot do its job yet")
            }
            Self::Unwell => (S::SERVICE_UNAVAILABLE, "unwell", "A model is not well"),
            Self::AdminOff => (S::NOT_FOUND, "admin-off", "The admin routes are off"),
            Self::Unauthorized => (S::UNAUTHORIZED, "unauthorized", "A token is wanted"),
            Self::InvalidCredential => {
                (S::UNAUTHORIZED, "invalid-credential", "The credential is not taken")
            }
            Self::Unjudged => {
                (S::SERVICE_UNAVAILABLE, "unjudged", "Tokens cannot be judged right now")
            }
            Self::Foreign => (S::FORBIDDEN, "foreign", "A page from elsewhere may not operate"),
            Self::UnknownName => (S::NOT_FOUND, "unknown-name", "There is nothing of this name"),
            Self::Refused => (S::BAD_REQUEST, "refused", "This cannot be done"),
            Self::TlsWanted => (S::BAD_REQUEST, "tls-wanted", "TLS is spoken here"),
        }
    }
}

impl Kind {
    /// What a 401 asks for, as RFC 6750 has it.
    fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Unauthorized => Some("Bearer"),
            Self::InvalidCredential => Some("Bearer error=\"invalid_token\""),
            _ => None,
        }
    }

    /// What may go wrong for who reads.
    pub(crate) const OF_READING: [Self; 23] = [
        Self::BadEncoding,
        Self::UnknownParameter,
        Self::RepeatedParameter,
        Self::BadValue,
        Self::OrderNeedsIndex,
        Self::CursorMismatch,
        Self::TooExpensive,
        Self::Unauthorized,
        Self::InvalidCredential,
        Self::UnknownRoute,
        Self::UnknownView,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::GenerationChanged,
        Self::UriTooLong,
        Self::TooManyRequests,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::Unavailable,
        Self::Overloaded,
        Self::ProjectionBehind,
        Self::Unjudged,
    ];

    pub(crate) fn status(self) -> StatusCode {
        self.facts().0
    }

    /// The end of its `type`.
    pub(crate) fn slug(self) -> &'static str {
        self.facts().1
    }

    pub(crate) fn title(self) -> &'static str {
        self.facts().2
    }
}

/// One parameter that is in the way.
#[derive(Debug, Clone, Serialize)]
struct ParameterError {
    parameter: String,
    detail: String,
    allowed: Vec<String>,
}

/// A problem on its way to the caller.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<ParameterError>,
    /// Seconds after which trying again makes sense.
    retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    errors: &'a [ParameterError],
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let is_passing = kind.status() == StatusCode::SERVICE_UNAVAILABLE;
        let retry_after = is_passing.then_some(1);
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same, with the seconds after which trying again makes sense.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// A problem with one parameter; `allowed` is what may stand there instead, empty where no list says it.
    pub(crate) fn of<A: Into<String>>(
        kind: Kind,
        parameter: &str,
        detail: impl Into<String>,
        allowed: impl IntoIterator<Item = A>,
    ) -> Self {
        let detail = detail.into();
        let allowed = allowed.into_iter().map(Into::into).collect();
        let error =
            ParameterError { parameter: parameter.to_owned(), detail: detail.clone(), allowed };
        Self { errors: vec![error], ..Self::new(kind, detail) }
    }

    /// A problem with several things, each by its name and what is wrong with it; `way` ends the sentence over all.
    pub(crate) fn listing(kind: Kind, way: &str, found: Vec<(&str, String)>) -> Self {
        let lines: Vec<String> =
            found.iter().map(|(name, what)| format!("{name}: {what}")).collect();
        let error = |(name, detail): (&str, String)| ParameterError {
            parameter: name.to_owned(),
            detail,
            allowed: Vec::new(),
        };
        let detail = format!("{}. {way}", lines.join("; "));
        let errors = found.into_iter().map(error).collect();
        Self { errors, ..Self::new(kind, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, slug, title) = self.kind.facts();
        let body = Body {
            r#type: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        // Strings and a number: this cannot fail, and an empty body is still the right status.
        let body = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = self.kind.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// ` Did you mean …?` where one of the names is close, else nothing.
pub(crate) fn suggestion<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    vitrina_sql::nearest(name, names)
        .map_or_else(String::new, |known| format!(" Did you mean `{known}`?"))
}
