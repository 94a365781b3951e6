//! What stands around every page, and the headers that it goes with.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Console;
use crate::admin::{Access, Queries};
use crate::problem::{Kind, Problem};

/// Nothing from elsewhere, no script within a page, and no frame around it.
const GUARDED: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// What stands around a page.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) version: &'static str,
    pub(super) tab: Tab,
    /// Whether somebody has signed in, and may sign out.
    pub(super) is_signed_in: bool,
    /// Whether this listener describes its views.
    pub(super) has_docs: bool,
}

/// Where a page belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Views,
    Parked,
    Elsewhere,
}

impl Tab {
    /// For `aria-current`.
    pub(super) fn current(&self, tab: &str) -> bool {
        match self {
            Self::Overview => tab == "overview",
            Self::Views => tab == "views",
            Self::Parked => tab == "parked",
            Self::Elsewhere => false,
        }
    }
}

impl Console {
    pub(super) fn frame(&self, tab: Tab) -> Frame {
        Frame {
            version: env!("CARGO_PKG_VERSION"),
            tab,
            is_signed_in: matches!(self.operators.access, Access::Token(_)),
            has_docs: self.operators.queries == Queries::Here,
        }
    }
}

impl Frame {
    /// Around what nobody was let in for.
    pub(super) fn bare() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            tab: Tab::Elsewhere,
            is_signed_in: false,
            has_docs: false,
        }
    }
}

/// A page as it is sent.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            (status, kind, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page of the console cannot be made");
            let detail = "The page could not be made; the service's log says why.";
            Problem::new(Kind::Internal, detail).into_response()
        }
    }
}

/// Every answer leaves so, files and refusals, too.
pub(super) async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in GUARDED {
        headers.insert(name, value);
    }
    let unsaid = headers.entry(header::CACHE_CONTROL);
    unsaid.or_insert(HeaderValue::from_static("no-store"));
    response
}
