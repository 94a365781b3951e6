//! What `[http]`, `[health]` and `[webhook]` say: who may read how often and who may operate, when a model is unwell, and
//! who is told.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use vitrina_api::{Origin, Rate, Thresholds};

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

/// Whose pages may read views.
pub(super) fn cors_origins(source: &mut Source) -> Vec<Origin> {
    let mut origins = Vec::new();
    for text in source.list("http.cors_origins").unwrap_or_default() {
        match text.parse() {
            Ok(origin) => origins.push(origin),
            Err(_) => source.refuse(
                "http.cors_origins",
                &format!(
                    "holds `{text}`, which no browser sends: write scheme and host in lower case, a port only where it is not the \
                     scheme's own, no path and no slash at the end, as in \"https://shop.example.org\"; or \"*\" for all"
                ),
            ),
        }
    }
    if origins.len() > 1 && origins.contains(&Origin::Any) {
        source.refuse(
            "http.cors_origins",
            "holds `*`, which stands for all origins, among others: write it alone, or take it out",
        );
    }
    origins
}

/// How often one caller may ask; none where nobody sets a bound.
pub(super) fn rate(source: &mut Source) -> Option<Rate> {
    let rate = source.get("http.rate", value::rate);
    let burst = source.get("http.burst", value::burst);
    if burst.is_some() && !source.names("http.rate") {
        source.refuse("http.burst", "bounds nothing without http.rate: set both, or take it out");
    }
    rate.map(|rate| Rate { burst: burst.unwrap_or(rate.burst), ..rate })
}
