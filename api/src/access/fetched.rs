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
        let fetched = Arc::new(Self::of(address));
        tokio::spawn(renew(Arc::downgrade(&fetched), PACE));
        fetched
    }

    fn of(address: Address) -> Self {
        let fetching = Mutex::new(Allowance::full(Instant::now()));
        Self { address, held: RwLock::new(None), fetching }
    }

    /// None while there are none to judge by.
    pub(super) fn current(&self) -> Option<Arc<Keyring>> {
        self.held_at(Instant::now())
    }

    fn held_at(&self, now: Instant) -> Option<Arc<Keyring>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let is_good = |held: &&Held| now.duration_since(held.at) < STALE;
        held.as_ref().filter(is_good).map(|held| held.keys.clone())
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
        let held =
            fetched.await.unwrap_or_else(late).and_then(|text| self.hold(text, Instant::now()));
        let outcome = if held.is_ok() { "ok" } else { "failed" };
        counter!(KEY_FETCHES_TOTAL, "outcome" => outcome).increment(1);
        held
    }

    fn hold(&self, text: Vec<u8>, at: Instant) -> Result<(), String> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_mut().filter(|held| held.text == text) {
            held.at = at;
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
        *held = Some(Held { keys: Arc::new(keys), text, at });
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

/// Asks again at this pace; ends with the last holder of `fetched`.
async fn renew(fetched: Weak<Fetched>, pace: Duration) {
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
                tokio::time::sleep(pace).await;
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
    #![allow(clippy::unwrap_used)]
    use axum::Router;
    use axum::extract::State;
    use axum::routing::get;
    use tokio::sync::watch;

    use super::*;

    /// A key set of one P-256 key of this name.
    fn key_set(name: &str) -> String {
        // The curve's own base point: whose key it is does not matter here.
        let (x, y) = (
            "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
            "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
        );
        format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"{name}","x":"{x}","y":"{y}"}}]}}"#)
    }

    #[test]
    fn keys_hold_for_a_day_after_they_were_confirmed_last() {
        let fetched = Fetched::of(Address::Jwks("https://id.example.org/keys".to_owned()));
        let begun = Instant::now();
        let hour = |hours: u64| begun + Duration::from_secs(hours * 3600);
        let hold = |name: &str, at| fetched.hold(key_set(name).into_bytes(), at).unwrap();
        assert!(fetched.held_at(begun).is_none());
        hold("a", begun);
        let first = fetched.held_at(hour(23)).unwrap();
        assert_eq!(first.len(), 1);
        assert!(fetched.held_at(hour(24)).is_none(), "nobody has confirmed them");
        // The same text confirms them, and what was judged by them goes on to hold.
        hold("a", hour(20));
        assert!(Arc::ptr_eq(&first, &fetched.held_at(hour(43)).unwrap()));
        assert!(fetched.held_at(hour(44)).is_none());
        // What is no key set changes nothing, nor does it confirm anything.
        assert!(fetched.hold(b"<html>".to_vec(), hour(40)).is_err());
        assert!(fetched.held_at(hour(44)).is_none());
        // An issuer that comes back after days is believed again.
        hold("b", hour(100));
        assert!(!Arc::ptr_eq(&first, &fetched.held_at(hour(123)).unwrap()));
    }

    #[tokio::test]
    async fn keys_are_asked_for_again_without_any_token() {
        let (published, _) = watch::channel(key_set("a"));
        let keys =
            async |State(published): State<watch::Sender<String>>| published.borrow().clone();
        let routes = Router::new().route("/keys", get(keys)).with_state(published.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let fetched = Arc::new(Fetched::of(Address::Jwks(url)));
        tokio::spawn(renew(Arc::downgrade(&fetched), Duration::from_millis(5)));
        let until = async |is_met: &dyn Fn(Option<Arc<Keyring>>) -> bool| {
            let met = async {
                while !is_met(fetched.current()) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), met).await.unwrap();
        };
        until(&|keys| keys.is_some()).await;
        let first = fetched.current().unwrap();
        published.send_replace(key_set("b"));
        until(&|keys| keys.is_some_and(|keys| !Arc::ptr_eq(&keys, &first))).await;
    }

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
