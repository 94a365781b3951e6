//! What a token says, once its signature holds. Invariant: a claim that is judged has the type that RFC 7519 gives it; one that
//! is missing or of another type is refused, never passed over.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::refusal::{Refusal, Why};

pub(super) type Claims = Map<String, Value>;

/// How far clocks may be apart.
const LEEWAY: f64 = 30.0;
/// The year 9999, the last that a date is told of.
const LAST: f64 = 253_402_300_799.0;

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Whether a token with this `exp` is taken no more.
pub(super) fn is_over(expires: f64, now: f64) -> bool {
    expires + LEEWAY <= now
}

/// Judges `exp` and `nbf`; when the token expires.
pub(super) fn check_times(claims: &Claims, now: f64) -> Result<f64, Refusal> {
    let expires = number(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    if is_over(expires, now) {
        let detail =
            format!("The token expired at {}: ask its issuer for a new one.", date(expires));
        return Err(Refusal::new(Why::Expired, detail));
    }
    match number(claims, "nbf")? {
        Some(begins) if begins > now + LEEWAY => {
            let detail = format!("The token is not valid before {}.", date(begins));
            Err(Refusal::new(Why::NotYet, detail))
        }
        _ => Ok(expires),
    }
}

pub(super) fn check_issuer(claims: &Claims, issuer: &str) -> Result<(), Refusal> {
    match claims.get("iss") {
        None => Err(missing("iss")),
        Some(Value::String(found)) if found == issuer => Ok(()),
        Some(_) => {
            let detail =
                "The token's `iss` is not the issuer that this service trusts, to the letter.";
            Err(Refusal::new(Why::Issuer, detail))
        }
    }
}

pub(super) fn check_audience(claims: &Claims, audience: &str) -> Result<(), Refusal> {
    let is_meant = match claims.get("aud") {
        None => return Err(missing("aud")),
        Some(Value::String(found)) => found == audience,
        Some(Value::Array(found)) => found.iter().any(|found| found == audience),
        Some(_) => false,
    };
    match is_meant {
        true => Ok(()),
        false => {
            let detail =
                format!("The token is for another service: its `aud` does not hold {audience:?}.");
            Err(Refusal::new(Why::Audience, detail))
        }
    }
}

/// The roles at `path`: an array's texts, or the words of one text. None of another type, and none where there is nothing.
pub(super) fn roles(claims: &Claims, path: &str) -> BTreeSet<String> {
    match at(claims, path) {
        Some(Value::Array(roles)) => {
            roles.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect()
        }
        Some(Value::String(roles)) => {
            roles.split(' ').filter(|role| !role.is_empty()).map(str::to_owned).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// What is at a path of names with dots between them. A name may hold dots itself, as URLs do: a whole name comes first.
fn at<'c>(claims: &'c Claims, path: &str) -> Option<&'c Value> {
    claims.get(path).or_else(|| {
        let dots = path.match_indices('.').map(|(dot, _)| dot);
        let mut below = dots.filter_map(|dot| Some((claims.get(&path[..dot])?.as_object()?, dot)));
        below.find_map(|(object, dot)| at(object, &path[dot + 1..]))
    })
}

fn number(claims: &Claims, name: &str) -> Result<Option<f64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let number = value.as_f64().filter(|number| number.is_finite());
    number.map(Some).ok_or_else(|| {
        Refusal::new(
            Why::Claim,
            format!("The token's `{name}` is no number of seconds since 1970."),
        )
    })
}

fn missing(name: &str) -> Refusal {
    Refusal::new(Why::Claim, format!("The token has no `{name}`, which this service wants."))
}

fn date(seconds: f64) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(
        UNIX_EPOCH + Duration::from_secs_f64(seconds.clamp(0.0, LAST)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn times_hold_to_the_leeway_and_are_told_with_their_dates() {
        let at = |value: Value| check_times(&claims(value), 1_000_000.0);
        assert_eq!(at(json!({ "exp": 1_000_001 })).unwrap(), 1_000_001.0);
        assert!(at(json!({ "exp": 999_970.5 })).is_ok());
        assert!(at(json!({ "exp": 1_000_001, "nbf": 1_000_030 })).is_ok());
        assert!(at(json!({ "exp": 1e300 })).is_ok());
        let told = |value: Value| format!("{:?}", at(value).unwrap_err());
        let expired = told(json!({ "exp": 999_970 }));
        assert!(
            expired.contains("Expired") && expired.contains("1970-01-12T13:46:10Z"),
            "{expired}"
        );
        let early = told(json!({ "exp": 2e300, "nbf": 1e300 }));
        assert!(early.contains("NotYet") && early.contains("9999-12-31T23:59:59Z"), "{early}");
        assert!(told(json!({ "exp": -1e300 })).contains("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn a_claim_of_another_type_is_no_claim() {
        for exp in [json!("1e12"), json!(null), json!([2e12]), json!({ "a": 1 }), json!(true)] {
            assert_eq!(
                check_times(&claims(json!({ "exp": exp })), 0.0).unwrap_err().why,
                Why::Claim
            );
            let early = claims(json!({ "exp": 10, "nbf": exp }));
            assert_eq!(check_times(&early, 0.0).unwrap_err().why, Why::Claim);
        }
        assert_eq!(check_times(&Claims::new(), 0.0).unwrap_err().why, Why::Claim);
    }

    #[test]
    fn issuer_and_audience_are_wanted_and_compared_to_the_letter() {
        let issuer = |value: Value| check_issuer(&claims(value), "https://a/").map_err(|r| r.why);
        assert!(issuer(json!({ "iss": "https://a/" })).is_ok());
        for wrong in [json!("https://a"), json!("https://A/"), json!(["https://a/"]), json!(null)] {
            assert_eq!(issuer(json!({ "iss": wrong })), Err(Why::Issuer), "{wrong}");
        }
        assert_eq!(issuer(json!({})), Err(Why::Claim));
        let audience = |value: Value| check_audience(&claims(value), "me").map_err(|r| r.why);
        assert!(audience(json!({ "aud": "me" })).is_ok());
        assert!(audience(json!({ "aud": ["you", "me"] })).is_ok());
        for wrong in [json!("you"), json!("me you"), json!([]), json!([["me"]]), json!({ "me": 1 })]
        {
            assert_eq!(audience(json!({ "aud": wrong })), Err(Why::Audience), "{wrong}");
        }
        assert_eq!(audience(json!({})), Err(Why::Claim));
    }

    #[test]
    fn roles_are_found_where_issuers_keep_them() {
        let of = |value: Value, path: &str| {
            roles(&claims(value), path).into_iter().collect::<Vec<_>>().join("|")
        };
        assert_eq!(of(json!({ "roles": ["b", "a c", 1, null] }), "roles"), "a c|b");
        assert_eq!(of(json!({ "scope": "read  write" }), "scope"), "read|write");
        assert_eq!(of(json!({ "realm_access": { "roles": ["a"] } }), "realm_access.roles"), "a");
        let url = json!({ "https://example.org/roles": ["a"], "https://example": "no" });
        assert_eq!(of(url, "https://example.org/roles"), "a");
        let inner = json!({ "resource_access": { "a.b": { "roles": ["x"] } } });
        assert_eq!(of(inner, "resource_access.a.b.roles"), "x");
        for none in [json!({}), json!({ "roles": 1 }), json!({ "roles": { "a": 1 } })] {
            assert_eq!(of(none, "roles"), "");
        }
        assert_eq!(of(json!({ "a": ["x"] }), "a.b.c"), "");
    }
}
