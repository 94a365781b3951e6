//! Who has signed in. Invariant: a session is a cookie that only a holder of the admin token can have been given; no instance
//! keeps anything of it, every instance of the same token knows it, and another token knows it not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::catalogue::{Seal, Secret};

const NAME: &str = "vitrina_console";
/// After this somebody signs in again.
const LASTS: Duration = Duration::from_secs(12 * 3600);

fn seal(token: &[u8; 32]) -> Seal {
    Seal::new(&Secret::new(token.to_vec()), ["vitrina console session"])
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The cookie of a session that begins now; `token` is the admin token's SHA-256. It goes back to this host alone, with
/// nothing that a page of another site asks for, and no script reads it.
pub(super) fn begin(token: &[u8; 32], now: SystemTime, is_encrypted: bool) -> Option<HeaderValue> {
    let sealed = seal(token).seal(&seconds(now + LASTS).to_be_bytes())?;
    cookie(&URL_SAFE_NO_PAD.encode(sealed), LASTS.as_secs(), is_encrypted)
}

/// A cookie that takes the session away.
pub(super) fn end(is_encrypted: bool) -> Option<HeaderValue> {
    cookie("", 0, is_encrypted)
}

fn cookie(value: &str, lasts: u64, is_encrypted: bool) -> Option<HeaderValue> {
    let secure = if is_encrypted { "; Secure" } else { "" };
    let cookie =
        format!("{NAME}={value}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&cookie).ok()
}

/// Whether a session of this token is on.
pub(super) fn is_on(headers: &HeaderMap, token: &[u8; 32], now: SystemTime) -> bool {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == NAME).then_some(value)
    });
    cookies.any(|value| until(value, token).is_some_and(|until| until > seconds(now)))
}

/// Until when the session lasts that a cookie's value is of.
fn until(value: &str, token: &[u8; 32]) -> Option<u64> {
    let until = seal(token).open(&URL_SAFE_NO_PAD.decode(value).ok()?)?;
    Some(u64::from_be_bytes(until.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_session_is_on_for_its_token_and_its_time_alone() {
        let (token, now) = ([7; 32], UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let cookie = begin(&token, now, true).unwrap();
        let cookie = cookie.to_str().unwrap();
        for said in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
            assert!(cookie.contains(said), "{cookie}");
        }
        let pair = cookie.split(';').next().unwrap();
        let sent = |pair: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, format!("other=1; {pair}").parse().unwrap());
            headers
        };
        assert!(is_on(&sent(pair), &token, now + LASTS - Duration::from_secs(1)));
        assert!(!is_on(&sent(pair), &token, now + LASTS));
        assert!(!is_on(&sent(pair), &[8; 32], now));
        let mut changed = pair.to_owned();
        let last = if changed.pop() == Some('A') { 'E' } else { 'A' };
        changed.push(last);
        for wrong in [&*changed, &pair[..pair.len() - 4], "vitrina_console=", "vitrina_console"] {
            assert!(!is_on(&sent(wrong), &token, now), "{wrong}");
        }
        assert!(!is_on(&HeaderMap::new(), &token, now));
    }
}
