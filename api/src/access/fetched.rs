//! The keys of an issuer. Invariants: its last good set holds for a day while it is away; it is asked by one request at a time,
//! and no token makes it be asked more often than [`Allowance`] has it; what it says is fetched from the configured address or
//! where that one leads, never from where a token says.

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use metrics::counter;
use reqwest::{Client, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;
use vitrina_projectors::Backoff;

use super::keyring::Keyring;
use super::settings::is_safe_address;
use crate::edge::measure::KEY_FETCHES_TOTAL;

/// Of one request to the issuer, and of a whole fetch of two.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BYTES: usize = 256 * 1024;
/// A key that the issuer withdraws is taken for so long yet.
const PACE: Duration = Duration::from_secs(300);
/// Keys that nobody has confirmed for so long judge nothing any more.
const STALE: Duration = Duration::from_secs(24 * 3600);
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Where a set of keys is.
pub(super) enum Address {
    /// Named by the OpenID configuration of this issuer.
    Discovery(String),
    Jwks(String),
}

pub(super) struct Fetched {
    address: Address,
    held: RwLock<Option<Held>>,
    fetching: Mutex<Allowance>,
}

struct Held {
    keys: Arc<Keyring>,
    /// What the keys were read from: the same text leaves them, and all that was judged by them, as they are.
    text: Vec<u8>,
    at: Instant,
}

/// How often tokens of unknown keys may have the issuer asked.
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    const MOST: u32 = 2;
    const REFILL: Duration = Duration::from_secs(10);

    fn full(now: Instant) -> Self {
        Self { left: Self::MOST, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let refills = now.duration_since(self.since).as_secs() / Self::REFILL.as_secs();
        if refills > 0 {
            *self =
                Self { left: Self::MOST.min(self.left.saturating_add(refills as u32)), since: now };
        }
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }
}

impl Fetched {
    /// Begins to ask, and asks again and again; until the first answer there are no keys.
    pub(super) fn begin(address: Address) -> Arc<Self> {
        let fetching = Mutex::new(Allowance::full(Instant::now()));
        let fetched = Arc::new(Self { address, held: RwLock::new(None), fetching });
        tokio::spawn(renew(Arc::downgrade(&fetched)));
        fetched
    }

    /// None while there are none to judge by.
    pub(super) fn current(&self) -> Option<Arc<Keyring>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|held| held.at.elapsed() < STALE).map(|held| held.keys.clone())
    }

    /// For a token of a key that `seen` does not hold: what the issuer says now, if it may be asked and says anything new.
    pub(super) async fn newer(&self, seen: &Arc<Keyring>) -> Option<Arc<Keyring>> {
        let mut allowance = self.fetching.lock().await;
        let newer = || self.current().filter(|current| !Arc::ptr_eq(current, seen));
        if newer().is_none()
            && allowance.take(Instant::now())
            && let Err(why) = self.fetch().await
        {
            tracing::warn!("{}: {why}", self.place());
        }
        newer()
    }

    fn place(&self) -> String {
        match &self.address {
            Address::Discovery(issuer) => format!("{issuer} (auth.issuer)"),
            Address::Jwks(url) => format!("{url} (auth.jwks_url)"),
        }
    }

    async fn fetch(&self) -> Result<(), String> {
        let fetched = tokio::time::timeout(PATIENCE, self.ask());
        let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()));
        let held = fetched.await.unwrap_or_else(late).and_then(|text| self.hold(text));
        let outcome = if held.is_ok() { "ok" } else { "failed" };
        counter!(KEY_FETCHES_TOTAL, "outcome" => outcome).increment(1);
        held
    }

    fn hold(&self, text: Vec<u8>) -> Result<(), String> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_mut().filter(|held| held.text == text) {
            held.at = Instant::now();
            return Ok(());
        }
        let (keys, passed_over) = Keyring::of_jwks(&text)?;
        let place = self.place();
        if !passed_over.is_empty() {
            tracing::warn!("{place}: keys are passed over: {}", passed_over.join("; "));
        }
        match keys.len() {
            0 => tracing::error!("{place}: it has no key that is taken, so no token is"),
            many => tracing::info!("{place}: tokens are judged by its keys, {many} in all"),
        }
        *held = Some(Held { keys: Arc::new(keys), text, at: Instant::now() });
        Ok(())
    }

    /// The text of its key set.
    async fn ask(&self) -> Result<Vec<u8>, String> {
        // An issuer that has moved is for people to follow: they change the setting.
        let client = Client::builder().redirect(redirect::Policy::none()).build();
        let client = client.map_err(|error| format!("no HTTP client can be made: {error}"))?;
        let url = match &self.address {
            Address::Jwks(url) => url.clone(),
            Address::Discovery(issuer) => discover(&client, issuer).await?,
        };
        get(&client, &url).await
    }
}

/// Where the issuer's keys are, as OpenID Connect Discovery has it.
async fn discover(client: &Client, issuer: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Configuration {
        issuer: String,
        jwks_uri: String,
    }
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let bytes = get(client, &url).await?;
    let found: Configuration = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{url} is no OpenID configuration: {error}"))?;
    if found.issuer != issuer {
        let found = found.issuer;
        return Err(format!(
            "{url} is the configuration of {found:?}: write auth.issuer exactly so"
        ));
    }
    let jwks = found.jwks_uri;
    is_safe_address(&jwks).map_err(|what| format!("{url}: its jwks_uri {what}"))?;
    Ok(jwks)
}

async fn get(client: &Client, url: &str) -> Result<Vec<u8>, String> {
    let words = |error: reqwest::Error| {
        let error = error.without_url();
        let mut words = format!("{url} cannot be fetched: {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            words += &format!(": {cause}");
            source = cause.source();
        }
        words
    };
    let mut response = client.get(url).send().await.map_err(words)?;
    if !response.status().is_success() {
        let status = response.status();
        let moved = response.status().is_redirection();
        let way =
            if moved { ", which is not followed: write the address where it leads" } else { "" };
        return Err(format!("{url} answers {status}{way}"));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(words)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_BYTES {
            return Err(format!("{url} answers more than {} KiB", MOST_BYTES / 1024));
        }
    }
    Ok(bytes)
}

/// Ends with the last holder of `fetched`.
async fn renew(fetched: Weak<Fetched>) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut trouble: Option<String> = None;
    while let Some(fetched) = fetched.upgrade() {
        let alone = fetched.fetching.lock().await;
        let asked = fetched.fetch().await;
        let place = fetched.place();
        let has_keys = fetched.current().is_some();
        drop(alone);
        drop(fetched);
        match asked {
            Ok(()) => {
                if trouble.take().is_some() {
                    tracing::info!("{place}: its keys are here");
                }
                backoff.reset();
                tokio::time::sleep(PACE).await;
            }
            Err(why) => {
                // Once for each reason, not for each attempt.
                if trouble.as_ref() != Some(&why) {
                    let meanwhile = match has_keys {
                        true => "its last keys go on to hold",
                        false => "no token can be judged until then, and each is answered 503",
                    };
                    tracing::warn!("{place}: its keys are waited for: {why}; {meanwhile}");
                    trouble = Some(why);
                }
                backoff.wait().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_unknown_keys_asks_twice_and_then_every_ten_seconds() {
        let begun = Instant::now();
        let mut allowance = Allowance::full(begun);
        let asked = |allowance: &mut Allowance, millis| {
            allowance.take(begun + Duration::from_millis(millis))
        };
        let flood = (0..60_000).filter(|millis| asked(&mut allowance, *millis)).count();
        assert_eq!(flood, 2 + 5);
        let after_a_day = (0..100).filter(|millis| asked(&mut allowance, 86_400_000 + millis));
        assert_eq!(after_a_day.count(), 2);
    }
}
