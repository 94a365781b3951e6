//! Who names callers, by what `[auth]` says. Invariant: a credential that cannot be judged is refused: nobody is let in because
//! an issuer is away, and nobody falls back to what is everyone's because a token is wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::api_keys::ApiKeys;
use super::claims::{is_over, now};
use super::credential::Credential;
use super::fetched::{Address, Fetched};
use super::followed::{Followed, Unreadable};
use super::keyring::Keyring;
use super::provider;
use super::reader::Reader;
use super::refusal::{Refusal, Why};
use super::settings::{AuthSettings, KeySource, TokenSettings};
use super::token::{Judged, judge};

/// How many tokens are remembered.
const MOST_KNOWN: usize = 1024;

pub(crate) struct Authority {
    anonymous: Arc<Reader>,
    api_keys: Option<Arc<Followed<ApiKeys>>>,
    tokens: Option<Tokens>,
}

struct Tokens {
    settings: TokenSettings,
    keys: Keys,
    known: Known,
}

enum Keys {
    File(Arc<Followed<Keyring>>),
    Issuer(Arc<Fetched>),
}

impl Authority {
    /// Must be called within a Tokio runtime: keys are read and fetched from now on.
    ///
    /// # Errors
    /// A file cannot be used. An issuer that is away is waited for.
    pub(crate) fn new(settings: AuthSettings) -> Result<Self, Unreadable> {
        provider::install();
        let api_keys = settings.api_keys_file.as_deref();
        let api_keys = api_keys.map(|path| Followed::open("api_keys_file", path, ApiKeys::of_toml));
        Ok(Self {
            anonymous: Arc::new(Reader::anonymous()),
            api_keys: api_keys.transpose()?,
            tokens: settings.tokens.map(Tokens::new).transpose()?,
        })
    }

    pub(crate) async fn reader(&self, headers: &HeaderMap) -> Result<Arc<Reader>, Refusal> {
        let of_key = |key: &str| self.api_keys.as_ref().and_then(|keys| keys.current().reader(key));
        match Credential::sent(headers)? {
            None => Ok(self.anonymous.clone()),
            Some(Credential::ApiKey(key)) => of_key(key).ok_or_else(unknown_key),
            Some(Credential::Bearer(text)) => match (of_key(text), &self.tokens) {
                (Some(reader), _) => Ok(reader),
                (None, Some(tokens)) => tokens.reader(text).await,
                (None, None) => Err(unknown_key()),
            },
        }
    }
}

fn unknown_key() -> Refusal {
    Refusal::new(Why::ApiKey, "This service knows no such API key.")
}

impl Tokens {
    fn new(settings: TokenSettings) -> Result<Self, Unreadable> {
        let keys = match &settings.keys {
            KeySource::Discovery(issuer) => {
                Keys::Issuer(Fetched::begin(Address::Discovery(issuer.clone())))
            }
            KeySource::JwksUrl(url) => Keys::Issuer(Fetched::begin(Address::Jwks(url.clone()))),
            KeySource::PublicKeyFile(path) => {
                Keys::File(Followed::open("public_key_file", path, Keyring::of_pem)?)
            }
            KeySource::SecretFile(path) => {
                Keys::File(Followed::open("secret_file", path, Keyring::of_secret)?)
            }
        };
        Ok(Self { settings, keys, known: Known::default() })
    }

    async fn reader(&self, token: &str) -> Result<Arc<Reader>, Refusal> {
        let unjudged = || {
            Refusal::new(
                Why::Unjudged,
                "The keys of the token's issuer cannot be reached, so it cannot be judged yet; ask again later.",
            )
        };
        let keys = match &self.keys {
            Keys::File(file) => file.current(),
            Keys::Issuer(issuer) => issuer.current().ok_or_else(unjudged)?,
        };
        let digest = Sha256::digest(token).into();
        if let Some(reader) = self.known.reader(&digest, &keys) {
            return Ok(reader);
        }
        let (judged, keys) = match (judge(token, &keys, &self.settings), &self.keys) {
            (Err(refusal), Keys::Issuer(issuer)) if refusal.why == Why::UnknownKey => {
                let keys = issuer.newer(&keys).await.ok_or(refusal)?;
                (judge(token, &keys, &self.settings)?, keys)
            }
            (judged, _) => (judged?, keys),
        };
        self.known.learn(digest, &judged, keys);
        Ok(judged.reader)
    }
}

/// Tokens that were judged, by their SHA-256, so that each costs one signature. None outlasts its `exp`, or the keys that it was
/// judged by.
#[derive(Default)]
struct Known(Mutex<HashMap<Digest, (Judged, Arc<Keyring>)>>);

type Digest = [u8; 32];

impl Known {
    fn reader(&self, digest: &Digest, keys: &Arc<Keyring>) -> Option<Arc<Reader>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (judged, by) = known.get(digest)?;
        (Arc::ptr_eq(by, keys) && !is_over(judged.expires, now())).then(|| judged.reader.clone())
    }

    fn learn(&self, digest: Digest, judged: &Judged, by: Arc<Keyring>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(digest, (judged.clone(), by));
    }
}
