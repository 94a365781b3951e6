//! What `[http]`, `[health]` and `[webhook]` say: who may operate, when it is unwell, and who is told.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use vitrina_api::Thresholds;

use super::source::Source;
use super::value;
use crate::webhook::WebhookSettings;

/// When `/healthz` calls a model unwell.
pub(super) fn health(source: &mut Source) -> Thresholds {
    let defaults = Thresholds::default();
    Thresholds {
        lag: source.get("health.max_lag", value::pause).unwrap_or(defaults.lag),
        parked: source.get("health.max_parked", value::count).unwrap_or(defaults.parked),
        error_share: source
            .get("health.max_error_share", value::share)
            .unwrap_or(defaults.error_share),
    }
}

/// None where no address is set.
pub(super) fn webhook(source: &mut Source) -> Option<WebhookSettings> {
    let timeout = source.get("webhook.timeout", value::pause).unwrap_or(Duration::from_secs(5));
    let mut headers = HeaderMap::new();
    for (name, text) in source.section("webhook.headers") {
        match (HeaderName::try_from(&name), HeaderValue::try_from(&text)) {
            (Ok(name), Ok(value)) => _ = headers.insert(name, value),
            _ => source.refuse(
                &format!("webhook.headers.{name}"),
                "is no header that HTTP can carry; mend it",
            ),
        }
    }
    Some(WebhookSettings { url: source.url("webhook.url", &["http", "https"])?, timeout, headers })
}

/// What an operator sends as `Authorization: Bearer …`.
pub(super) fn admin_token(source: &mut Source) -> Option<String> {
    let token = source.text("http.admin_token")?;
    if token.chars().all(|character| character.is_ascii_graphic()) {
        return Some(token);
    }
    source.refuse(
        "http.admin_token",
        "holds blanks or other characters that no header carries; write another one",
    );
    None
}
