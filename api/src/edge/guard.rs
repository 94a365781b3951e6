//! What no handler needs to think of. Invariant: a request that is too large, too much or not for us is answered
//! before it costs anything.

use std::any::Any;
use std::convert::Infallible;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use tracing::Span;

use crate::problem::{Kind, Problem};

/// Bytes of a request's address: room for a cursor of many long texts.
const MAX_URI: usize = 32 * 1024;
/// Bytes of all header names and values.
const MAX_HEADERS: usize = 32 * 1024;

/// Refuses addresses and headers that are out of all proportion.
pub(super) fn bounds(request: &Request) -> Result<(), Problem> {
    let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if uri > MAX_URI {
        let detail =
            format!("The address has {uri} bytes, {MAX_URI} is the most: ask for less at a time.");
        return Err(Problem::new(Kind::UriTooLong, detail));
    }
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers > MAX_HEADERS {
        let detail = format!(
            "The headers have {headers} bytes, {MAX_HEADERS} is the most: leave out what is not needed."
        );
        return Err(Problem::new(Kind::HeadersTooLarge, detail));
    }
    Ok(())
}

/// What HTTP itself knows.
const METHODS: [Method; 10] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
    Method::QUERY,
];

/// Names the methods that an address has, to who asks for them and to who tried another one.
pub(crate) async fn methods(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    if !METHODS.contains(&method) {
        let detail = format!("{method} is no method of HTTP: GET reads, and POST decides.");
        return Problem::new(Kind::NotImplemented, detail).into_response();
    }
    let response = next.run(request).await;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok());
    let routes = allow.unwrap_or_default().split(',').filter(|route| !route.is_empty());
    let possible = routes.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ");
    let mut response = match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => {
            let detail = format!("{method} is not possible here; possible are: {possible}.");
            Problem::new(Kind::MethodNotAllowed, detail).into_response()
        }
    };
    if let Ok(allow) = HeaderValue::from_str(&possible) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Lets the log name the request that something went wrong in, and with it the view. Not its parameters: they may hold a token
/// that somebody put there.
pub(super) fn span(request: &Request) -> Span {
    tracing::error_span!("request", method = %request.method(), path = request.uri().path())
}

/// Plain HTTP at a listener that speaks TLS. It is not sent on to the right address: what it carried was readable on its
/// way, and whoever wrote the address shall know.
pub(super) async fn tls_wanted(request: Request<Incoming>) -> Result<Response, Infallible> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let (host, path) = (host.unwrap_or("HOST:PORT"), request.uri().path());
    let detail = format!("TLS is spoken here (http.tls_cert): ask https://{host}{path}.");
    let mut response = Problem::new(Kind::TlsWanted, detail).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

/// Where queries are answered.
pub(crate) async fn unknown_route(uri: Uri) -> Problem {
    unknown(&uri, "GET /v1/views lists the views.")
}

/// Where only operators ask.
pub(crate) async fn unknown_admin_route(uri: Uri) -> Problem {
    unknown(
        &uri,
        "This listener serves the console at /, /admin/v1/models, /admin/v1/parked, /metrics, /livez, /readyz and /healthz; views are at http.listen.",
    )
}

/// Routes of later versions, and what is below those that end in a slash.
const LATER: [&str; 1] = ["/v1/changes/"];

fn unknown(uri: &Uri, way: &str) -> Problem {
    let path = uri.path();
    let later = |route: &&str| path == *route || (route.ends_with('/') && path.starts_with(*route));
    let detail = match LATER.iter().any(later) {
        true => format!("{path} is not built yet in this version of Vitrina. {way}"),
        false => format!("Nothing is served at {path}. {way}"),
    };
    Problem::new(Kind::UnknownRoute, detail)
}

/// A handler panicked: the log has the details, the caller an answer.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("no message"), "a request's handler panicked");
    Problem::new(Kind::Internal, "The answer could not be made; the service's log says why.")
        .into_response()
}
