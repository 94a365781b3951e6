//! The credential that a request carries. Invariant: there is at most one, and only from a header: addresses are logged on the
//! way here, and kept by browsers.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::refusal::{Refusal, Why};

pub(super) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request carries.
#[derive(Debug, PartialEq)]
pub(super) enum Credential<'h> {
    /// A token or an API key, as `Authorization: Bearer …`.
    Bearer(&'h str),
    /// As `X-Api-Key: …`.
    ApiKey(&'h str),
}

impl<'h> Credential<'h> {
    /// None where the request carries nothing.
    pub(super) fn sent(headers: &'h HeaderMap) -> Result<Option<Self>, Refusal> {
        let sent = |name: HeaderName| headers.get_all(name).iter().collect::<Vec<_>>();
        match (sent(header::AUTHORIZATION).as_slice(), sent(API_KEY).as_slice()) {
            ([], []) => Ok(None),
            ([authorization], []) => bearer(authorization).map(|token| Some(Self::Bearer(token))),
            ([], [key]) => match text(key) {
                Some(key) => Ok(Some(Self::ApiKey(key))),
                None => Err(refused("The header `X-Api-Key` holds no key.")),
            },
            _ => Err(refused(
                "The request carries several credentials: send one `Authorization` or one `X-Api-Key`.",
            )),
        }
    }
}

fn bearer(value: &HeaderValue) -> Result<&str, Refusal> {
    const WANTED: &str = "The header `Authorization` is not of the form that is taken: `Authorization: Bearer TOKEN`.";
    let (scheme, token) =
        text(value).and_then(|value| value.split_once(' ')).ok_or_else(|| refused(WANTED))?;
    let token = token.trim_matches(' ');
    match scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        true => Ok(token),
        false => Err(refused(WANTED)),
    }
}

/// Visible ASCII that is not empty: no credential holds anything else.
fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().filter(|value| !value.is_empty())
}

fn refused(detail: &str) -> Refusal {
    Refusal::new(Why::Form, detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent(pairs: &[(&'static str, &[u8])]) -> Result<Option<String>, Why> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let sent = Credential::sent(&headers);
        sent.map(|sent| sent.map(|sent| format!("{sent:?}"))).map_err(|refusal| refusal.why)
    }

    #[test]
    fn one_credential_is_taken_from_one_header() {
        let bearer = |token: &str| Ok(Some(format!("Bearer({token:?})")));
        assert_eq!(sent(&[]), Ok(None));
        assert_eq!(sent(&[("authorization", b"Bearer abc")]), bearer("abc"));
        assert_eq!(sent(&[("authorization", b"bEARER   abc")]), bearer("abc"));
        assert_eq!(sent(&[("x-api-key", b"abc")]), Ok(Some("ApiKey(\"abc\")".to_owned())));
    }

    #[test]
    fn what_is_not_one_credential_is_refused_and_never_passed_over() {
        let wrong: [&[(&'static str, &[u8])]; 11] = [
            &[("authorization", b"")],
            &[("authorization", b"Bearer")],
            &[("authorization", b"Bearer ")],
            &[("authorization", b"abc")],
            &[("authorization", b"Basic YTpi")],
            &[("authorization", b"Bearer\tabc")],
            &[("authorization", b"Bearer a\xff")],
            &[("authorization", b"Bearer a"), ("authorization", b"Bearer a")],
            &[("authorization", b"Bearer a"), ("x-api-key", b"a")],
            &[("x-api-key", b"a"), ("x-api-key", b"a")],
            &[("x-api-key", b"")],
        ];
        for pairs in wrong {
            assert_eq!(sent(pairs), Err(Why::Form), "{pairs:?}");
        }
    }
}
