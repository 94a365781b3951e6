//! Whose token it is. Invariants: the signature is judged before a word of the token is believed, with an algorithm that the
//! configuration names and a key of the issuer's for it; then `exp`, `nbf`, `aud` and `iss`. `jsonwebtoken` only verifies: it
//! passes over claims that are missing.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};

use super::claims::{self, Claims};
use super::keyring::Keyring;
use super::reader::{Bearer, Reader};
use super::refusal::{Refusal, Why};
use super::settings::TokenSettings;

/// A reader, and until when its token lasts, in seconds since 1970.
#[derive(Clone)]
pub(super) struct Judged {
    pub(super) reader: Arc<Reader>,
    pub(super) expires: f64,
}

/// Judges `token` by `keys`. [`Why::UnknownKey`]: newer keys may know better.
pub(super) fn judge(
    token: &str,
    keys: &Keyring,
    settings: &TokenSettings,
) -> Result<Judged, Refusal> {
    let header = header(token, &settings.algorithms)?;
    let claims = verified(token, &header, keys)?;
    let expires = claims::check_times(&claims, claims::now())?;
    if let Some(issuer) = &settings.issuer {
        claims::check_issuer(&claims, issuer)?;
    }
    claims::check_audience(&claims, &settings.audience)?;
    let subject = claims.get("sub").and_then(|sub| sub.as_str()).map(str::to_owned);
    let reader = Reader {
        bearer: Some(Bearer::Token(subject)),
        roles: claims::roles(&claims, &settings.roles_claim),
        claims,
    };
    Ok(Judged { reader: Arc::new(reader), expires })
}

fn header(token: &str, algorithms: &[Algorithm]) -> Result<Header, Refusal> {
    let allowed = || {
        let names: Vec<String> =
            algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        names.join(", ")
    };
    let header = jsonwebtoken::decode_header(token).map_err(|_| {
        let detail = format!(
            "This is no API key, and no token either: a token is three texts in base64url with dots between them, signed with {}.",
            allowed()
        );
        Refusal::new(Why::Malformed, detail)
    })?;
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        let detail = "The token's header has `crit`, `enc` or `zip`: it asks for what this service does not have.";
        return Err(Refusal::new(Why::Malformed, detail));
    }
    match algorithms.contains(&header.alg) {
        true => Ok(header),
        false => {
            let detail =
                format!("The token is signed with {:?}; taken are {}.", header.alg, allowed());
            Err(Refusal::new(Why::Algorithm, detail))
        }
    }
}

/// The claims, once one of the keys that the header may mean has signed them.
fn verified(token: &str, header: &Header, keys: &Keyring) -> Result<Claims, Refusal> {
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_aud) = (false, false);
    let mut any = false;
    for key in keys.candidates(header.kid.as_deref(), header.alg) {
        any = true;
        match jsonwebtoken::decode::<Claims>(token, &key.key, &validation) {
            Ok(token) => return Ok(token.claims),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
            Err(_) => {
                let detail = "The token cannot be read: its signature or its claims are malformed.";
                return Err(Refusal::new(Why::Malformed, detail));
            }
        }
    }
    // Without a name, nobody can say whether it is the signature or the key that is not known.
    Err(match any && header.kid.is_some() {
        true => Refusal::new(Why::Signature, "The token's signature does not hold."),
        false => Refusal::new(
            Why::UnknownKey,
            "The token is signed with no key that this service knows of its issuer.",
        ),
    })
}
