//! `GET /docs`: what can be asked, in words that people read; and where the types of problems lead.

use askama::Template as _;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::access::Caller;
use crate::api::Api;
use crate::catalogue::View;
use crate::docs;
use crate::problem::{Kind, Problem};
use crate::query::Parameters;
use crate::sight;

/// Nothing from elsewhere, no script, and no frame around it.
const GUARDED: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
];

pub(crate) async fn page(
    State(api): State<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Problem> {
    Parameters::parse(uri.query())?.only("this page's address", &[])?;
    let catalogue = api.directory().current(api.database()).await?;
    let seen = sight::all(&catalogue, &caller);
    let views: Vec<&View> = seen.views.values().map(AsRef::as_ref).collect();
    let page = docs::Page::new(&views).render().map_err(|error| {
        tracing::error!(%error, "the page of the views cannot be made");
        Problem::new(Kind::Internal, "The page could not be made; the service's log says why.")
    })?;
    Ok((GUARDED, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response())
}

pub(crate) async fn style() -> Response {
    (GUARDED, [(header::CONTENT_TYPE, "text/css; charset=utf-8")], docs::STYLE).into_response()
}

/// A problem's type, followed to where it is explained.
pub(crate) async fn problem(OriginalUri(uri): OriginalUri) -> Result<Redirect, Problem> {
    let slug = uri.path().trim_start_matches("/problems/");
    let known = Kind::OF_READING.iter().any(|kind| kind.slug() == slug);
    let explained = known.then(|| Redirect::to(&format!("/docs#{slug}")));
    explained.ok_or_else(|| {
        Problem::new(
            Kind::UnknownRoute,
            "No problem has this type: /docs lists those that reading may meet.",
        )
    })
}
