//! Who may operate. Invariant: no admin route is answered before this gate let the request in.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::problem::{Kind, Problem};

/// Who may use the admin routes.
#[derive(Clone)]
pub enum Access {
    /// Whoever is on this machine: the listener's address is a loopback one.
    Local,
    /// Who sends the token with this SHA-256.
    Token([u8; 32]),
    /// Nobody: the listener can be reached from elsewhere, and there is no token.
    Off,
}

/// Who decides, as it is written down beside the decision: the name of what let the request in.
#[derive(Clone, Copy)]
pub(super) struct By(pub(super) &'static str);

impl Access {
    /// What fits a listener at `address`.
    pub fn new(address: SocketAddr, token: Option<&str>) -> Self {
        match token {
            Some(token) => Self::Token(Sha256::digest(token).into()),
            None if address.ip().is_loopback() => Self::Local,
            None => Self::Off,
        }
    }
}

pub(crate) async fn admit(
    State(access): State<Access>,
    mut request: Request,
    next: Next,
) -> Result<Response, Response> {
    let headers = request.headers();
    match &access {
        Access::Off => {
            let detail = "The admin routes are off: http.admin_listen is not a loopback address, so everybody could \
                          use them. Set http.admin_token, or let http.admin_listen be 127.0.0.1:PORT.";
            Err(Problem::new(Kind::AdminOff, detail).into_response())
        }
        Access::Token(expected) if !bears(headers, expected) => {
            let detail = "Send the token of http.admin_token, as in `Authorization: Bearer TOKEN`.";
            Err(Problem::new(Kind::Unauthorized, detail).into_response())
        }
        Access::Local if is_foreign(headers) => {
            let detail = "A page from elsewhere asks through a browser on this machine: set http.admin_token to allow it.";
            Err(Problem::new(Kind::Foreign, detail).into_response())
        }
        Access::Token(_) | Access::Local => {
            let by = match access {
                Access::Token(_) => "http.admin_token",
                _ => "somebody on this machine",
            };
            request.extensions_mut().insert(By(by));
            let mut response = next.run(request).await;
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        }
    }
}

/// Compares digests, each to its end, so that the time taken tells nothing.
fn bears(headers: &HeaderMap, expected: &[u8; 32]) -> bool {
    let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some((scheme, token)) = sent.split_at_checked("Bearer ".len()) else { return false };
    let given: [u8; 32] = Sha256::digest(token).into();
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(expected))
}

/// Whether a browser sends this for a page that is not the listener's own: a page's name may be made to point here.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text =
        |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    let name = host
        .parse::<Authority>()
        .map(|authority| authority.host().trim_matches(['[', ']']).to_owned());
    let name = name.unwrap_or_default();
    let local = name.is_empty()
        || name == "localhost"
        || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let origin = text(header::ORIGIN);
    let own = |origin: &str| origin.split_once("://").is_some_and(|(_, place)| place == host);
    !local || origin.is_some_and(|origin| !own(origin))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_token_is_wanted_where_one_is_set_and_nobody_is_let_in_from_elsewhere_without() {
        let of = |address: &str, token| Access::new(address.parse().unwrap(), token);
        assert!(matches!(of("127.0.0.1:1", None), Access::Local));
        assert!(matches!(of("[::1]:1", None), Access::Local));
        assert!(matches!(of("0.0.0.0:1", None), Access::Off));
        assert!(matches!(of("10.0.0.1:1", None), Access::Off));
        assert!(matches!(of("127.0.0.1:1", Some("t")), Access::Token(_)));
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let expected: [u8; 32] = Sha256::digest("secret").into();
        let bears = |value: &str| bears(&headers(&[("authorization", value)]), &expected);
        assert!(bears("Bearer secret") && bears("bearer secret"));
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "Bearer",
            "Basic secret",
            "secret",
            "Bearer Secret",
        ] {
            assert!(!bears(wrong), "{wrong}");
        }
        assert!(!super::bears(&HeaderMap::new(), &expected));
    }

    #[test]
    fn pages_from_elsewhere_are_foreign_and_tools_are_not() {
        for own in ["127.0.0.1:8082", "localhost:8082", "localhost", "[::1]:8082"] {
            assert!(!is_foreign(&headers(&[("host", own)])), "{own}");
            for scheme in ["http", "https"] {
                let origin = format!("{scheme}://{own}");
                assert!(!is_foreign(&headers(&[("host", own), ("origin", &origin)])), "{origin}");
            }
            assert!(
                is_foreign(&headers(&[("host", own), ("origin", "http://evil.example")])),
                "{own}"
            );
            assert!(is_foreign(&headers(&[("host", own), ("origin", "null")])), "{own}");
        }
        assert!(is_foreign(&headers(&[("host", "evil.example:8082")])));
        assert!(!is_foreign(&HeaderMap::new()));
    }
}
