//! Who may operate. Invariant: no admin route is answered before this gate let the request in.

use std::net::{IpAddr, SocketAddr};

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
pub(crate) struct By(pub(crate) &'static str);

impl By {
    pub(crate) const LOCAL: Self = Self("somebody on this machine");
    pub(crate) const TOKEN: Self = Self("http.admin_token");
}

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
    let by = match &access {
        Access::Off => return Err(off().into_response()),
        Access::Token(expected) if !bears(headers, expected) => {
            let detail = "Send the token of http.admin_token, as in `Authorization: Bearer TOKEN`.";
            return Err(Problem::new(Kind::Unauthorized, detail).into_response());
        }
        Access::Local if !is_local(headers) || is_foreign(headers) => {
            let detail = "A page from elsewhere asks through a browser on this machine, or somebody through a proxy: set http.admin_token to allow it.";
            return Err(Problem::new(Kind::Foreign, detail).into_response());
        }
        Access::Token(_) => By::TOKEN,
        Access::Local => By::LOCAL,
    };
    request.extensions_mut().insert(by);
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Nobody is let in.
pub(crate) fn off() -> Problem {
    let detail = "The admin routes are off: http.admin_listen is not a loopback address, so everybody could \
                  use them. Set http.admin_token, or let http.admin_listen be 127.0.0.1:PORT.";
    Problem::new(Kind::AdminOff, detail)
}

/// Whether the request brings the token with this SHA-256.
pub(crate) fn bears(headers: &HeaderMap, expected: &[u8; 32]) -> bool {
    let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some((scheme, token)) = sent.split_at_checked("Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && is_token(token, expected)
}

/// Compares digests, each to its end, so that the time taken tells nothing.
pub(crate) fn is_token(token: &[u8], expected: &[u8; 32]) -> bool {
    let given: [u8; 32] = Sha256::digest(token).into();
    given.ct_eq(expected).into()
}

/// What proxies say: through one, whoever reaches it asks.
const FORWARDED: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];

/// Whether the host that is asked for is this machine: another name may have been made to point here. A proxy on this machine
/// that does not say so cannot be told from somebody who sits here.
pub(crate) fn is_local(headers: &HeaderMap) -> bool {
    if FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        return false;
    }
    let Some(host) = headers.get(header::HOST) else { return true };
    let authority = host.to_str().unwrap_or_default().parse::<Authority>();
    authority.is_ok_and(|authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    })
}

/// Whether a browser sends this for a page that is not the listener's own. What it says of that itself decides; an origin only
/// where it says nothing, for a page without referrers has one that says nothing.
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| Some(headers.get(name)?.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, None) => false,
        (None, Some(origin)) => {
            origin.split_once("://").map(|(_, place)| place)
                != Some(text("host").unwrap_or_default())
        }
    }
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
            let foreign = |more: &[(&str, &str)]| {
                is_foreign(&headers(&[&[("host", own)][..], more].concat()))
            };
            assert!(is_local(&headers(&[("host", own)])) && !foreign(&[]), "{own}");
            for scheme in ["http", "https"] {
                let origin = format!("{scheme}://{own}");
                assert!(!foreign(&[("origin", &origin)]), "{origin}");
            }
            for origin in ["http://evil.example", "null", ""] {
                assert!(foreign(&[("origin", origin)]), "{own}: {origin}");
                // The page is ours, and has no referrer.
                let own = [("origin", origin), ("sec-fetch-site", "same-origin")];
                assert!(!foreign(&own), "{origin}");
            }
            // Another port of this machine is another origin.
            for site in ["cross-site", "same-site", "", "Same-Origin"] {
                let origin = format!("http://{own}");
                assert!(foreign(&[("sec-fetch-site", site), ("origin", &origin)]), "{site}");
            }
            assert!(!foreign(&[("sec-fetch-site", "none")]), "{own}");
        }
        for elsewhere in
            ["evil.example:8082", "127.0.0.1.evil.example", "localhost.", "", "10.0.0.1"]
        {
            assert!(!is_local(&headers(&[("host", elsewhere)])), "{elsewhere}");
        }
        assert!(is_local(&HeaderMap::new()) && !is_foreign(&HeaderMap::new()));
    }
}
