//! Why a credential is not taken. Invariant: the text tells the bearer what to mend, and holds nothing that the bearer did not
//! send and need not know.

use axum::response::{IntoResponse, Response};
use metrics::counter;

use crate::edge::measure::AUTHENTICATION_FAILURES_TOTAL;
use crate::problem::{Kind, Problem};

/// Why a credential is not taken; each is a label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// No header of one of the forms, or several.
    Form,
    ApiKey,
    Malformed,
    Algorithm,
    UnknownKey,
    Signature,
    Claim,
    Expired,
    NotYet,
    Issuer,
    Audience,
    /// Not the bearer's fault: there are no keys to judge it with.
    Unjudged,
}

impl Why {
    fn label(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::ApiKey => "api_key",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim => "claim",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Unjudged => "unjudged",
        }
    }
}

/// A credential that is not taken.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(super) why: Why,
    detail: String,
}

impl Refusal {
    pub(super) fn new(why: Why, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        counter!(AUTHENTICATION_FAILURES_TOTAL, "reason" => self.why.label()).increment(1);
        let kind = match self.why {
            Why::Unjudged => Kind::Unjudged,
            _ => Kind::InvalidCredential,
        };
        Problem::new(kind, self.detail).into_response()
    }
}
