//! The API's metrics. Invariant: labels come from a fixed set: a route's pattern, never its address.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, header};
use axum::response::Response;
use axum::routing::get;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use vitrina_projectors::metrics::without_ended;

/// Requests answered, by `route`, `method` and `status`.
pub const REQUESTS_TOTAL: &str = "vitrina_http_requests_total";
/// Time from a request's head to its answer's, by `route` and `method`.
pub const DURATION_SECONDS: &str = "vitrina_http_request_duration_seconds";
/// Credentials that were not taken, by `reason`.
pub const AUTHENTICATION_FAILURES_TOTAL: &str = "vitrina_http_authentication_failures_total";
/// Requests for an issuer's keys, by `outcome`.
pub const KEY_FETCHES_TOTAL: &str = "vitrina_auth_key_fetches_total";
/// When the listeners' certificate ends, in seconds since 1970; absent where they speak plain HTTP.
pub const CERTIFICATE_UNTIL_SECONDS: &str = "vitrina_http_certificate_until_seconds";

/// Tells the installed recorder what the metrics mean; called once, after it was installed.
pub fn describe_metrics() {
    describe_counter!(
        REQUESTS_TOTAL,
        Unit::Count,
        "HTTP requests answered, by route, method and status"
    );
    describe_histogram!(
        DURATION_SECONDS,
        Unit::Seconds,
        "Time to answer an HTTP request, by route and method"
    );
    describe_counter!(
        AUTHENTICATION_FAILURES_TOTAL,
        Unit::Count,
        "Credentials that were not taken, by reason"
    );
    describe_counter!(KEY_FETCHES_TOTAL, Unit::Count, "Requests for an issuer's keys, by outcome");
    describe_gauge!(
        CERTIFICATE_UNTIL_SECONDS,
        Unit::Seconds,
        "When the listeners' certificate ends, since 1970"
    );
}

/// `/metrics`, rendered on each request.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(handle: PrometheusHandle) -> Router<S> {
    let render = move || async move {
        (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            without_ended(&handle.render()),
        )
    };
    Router::new().route("/metrics", get(render))
}

/// A request that is being answered.
pub(super) struct Measured {
    begun: Instant,
    route: Option<MatchedPath>,
    method: &'static str,
}

impl Measured {
    pub(super) fn begin(request: &Request) -> Self {
        let route = request.extensions().get().cloned();
        Self { begun: Instant::now(), route, method: method(request.method()) }
    }

    pub(super) fn end(self, response: &Response) {
        let route = self.route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
        let (method, status) = (self.method, response.status().as_u16().to_string());
        counter!(REQUESTS_TOTAL, "route" => route.clone(), "method" => method, "status" => status)
            .increment(1);
        histogram!(DURATION_SECONDS, "route" => route, "method" => method)
            .record(self.begun.elapsed());
    }
}

/// Callers may invent methods; the labels do not follow.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        _ => "OTHER",
    }
}
