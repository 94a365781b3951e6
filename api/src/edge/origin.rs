//! Pages of other origins. Invariant: only what is read is open to them, whatever else shares the listener, and all that is
//! answered there, problems too, can be read by the origins of the settings and by no other.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may keep what it was told before a request.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// What readers send beyond what any page may.
const SENT: [HeaderName; 7] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    // Clients generated from OpenAPI send it with requests that have no body, too.
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    HeaderName::from_static("prefer"),
    HeaderName::from_static("read-after"),
    HeaderName::from_static("x-api-key"),
];

/// What a page may see of an answer's head beyond what any page may.
const SEEN: [HeaderName; 8] = [
    header::ALLOW,
    header::ETAG,
    header::LINK,
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("projection-position"),
    header::RETRY_AFTER,
    HeaderName::from_static("total-count"),
    header::WWW_AUTHENTICATE,
];

/// What every answer depends on besides its address.
const VARY: [&str; 3] = ["Accept", "Accept-Encoding", "Origin"];

/// Where pages come from that may read views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From anywhere.
    Any,
    /// From one scheme, host and port, as browsers write it.
    One(HeaderValue),
}

/// No browser sends this as an origin.
#[derive(Debug, thiserror::Error)]
#[error("no browser sends this as an origin: write it as https://shop.example.org")]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, authority) = text.split_once("://").ok_or(OriginError)?;
        let uri: Uri = text.parse().map_err(|_| OriginError)?;
        let own_port =
            matches!((scheme, uri.port_u16()), ("https", Some(443)) | ("http", Some(80)));
        // Nothing stands behind the authority, not even the slash that the path of any URI is.
        let bare = uri.authority().is_some_and(|parsed| parsed.as_str() == authority);
        let odd = text.contains(|c: char| c.is_ascii_uppercase() || matches!(c, '@' | '*'));
        if !bare || odd || own_port || text.ends_with(':') {
            return Err(OriginError);
        }
        HeaderValue::from_str(text).map(Self::One).map_err(|_| OriginError)
    }
}

/// What `cors_origins` allow; none where they are none.
pub(crate) fn cors(origins: &[Origin]) -> Option<CorsLayer> {
    let listed: Vec<HeaderValue> = origins
        .iter()
        .filter_map(|origin| match origin {
            Origin::One(origin) => Some(origin.clone()),
            Origin::Any => None,
        })
        .collect();
    let allowed = match listed.len() == origins.len() {
        true => AllowOrigin::list(listed),
        false => AllowOrigin::any(),
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers(SENT)
        .expose_headers(SEEN)
        .max_age(MAX_AGE)
        .vary([]);
    (!origins.is_empty()).then_some(layer)
}

/// Lets pages of the origins in, and tells caches what an answer depends on.
pub(crate) async fn open(
    State(cors): State<Option<CorsLayer>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_read(request.uri().path()) {
        return next.run(request).await;
    }
    // Without the browser's question it is somebody who asks for the methods.
    let is_question = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match cors {
        Some(cors) if is_question || request.method() != Method::OPTIONS => {
            let Ok(response) = cors.layer(next).oneshot(request).await;
            response
        }
        _ => next.run(request).await,
    };
    if let Ok(vary) = vary(response.headers()).parse() {
        response.headers_mut().insert(header::VARY, vary);
    }
    response
}

/// All that an answer depends on, in one line.
fn vary(headers: &HeaderMap) -> String {
    let said = headers.get_all(header::VARY).iter().filter_map(|line| line.to_str().ok());
    let said = said.flat_map(|line| line.split(',')).map(str::trim);
    let mut names = VARY.to_vec();
    for name in said {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// What is read there is a view, or what describes views.
fn is_read(path: &str) -> bool {
    path == "/openapi.json" || path == "/v1" || path.starts_with("/v1/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_sends_is_an_origin() {
        for origin in [
            "https://shop.example.org",
            "http://localhost:5173",
            "http://127.0.0.1",
            "http://[::1]:3000",
            "https://shop.example.org:8443",
            "capacitor://localhost",
            "https://xn--bcher-kva.example",
            "*",
        ] {
            assert!(origin.parse::<Origin>().is_ok(), "{origin}");
        }
        for none in [
            "",
            "null",
            "shop.example.org",
            "https://",
            "https://shop.example.org/",
            "https://shop.example.org/path",
            "https://shop.example.org?a",
            "https://shop.example.org#a",
            "https://ann@shop.example.org",
            "https://Shop.example.org",
            "HTTPS://shop.example.org",
            "https://shop.example.org:443",
            "http://shop.example.org:80",
            "https://*.example.org",
            "https://bücher.example",
            "https://shop example.org",
            "https://a https://b",
            "https://shop.example.org:",
        ] {
            assert!(none.parse::<Origin>().is_err(), "{none}");
        }
    }

    #[test]
    fn nothing_of_operators_is_open() {
        for open in ["/v1/views", "/v1/views/flight/F1", "/v1/nowhere", "/openapi.json"] {
            assert!(is_read(open), "{open}");
        }
        for closed in ["/admin/v1/models", "/metrics", "/livez", "/healthz", "/docs", "/v1x", "/"] {
            assert!(!is_read(closed), "{closed}");
        }
    }
}
