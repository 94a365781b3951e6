//! The one list of settings that exist. A key that is not in it is a finding.

use std::collections::BTreeSet;

const MODEL: &[&str] = &[
    "max_events",
    "max_bytes",
    "linger",
    "duplicate_window",
    "timeout",
    "concurrency",
    "swap",
    "keep_retired",
    "reset",
];
const RETRY: &[&str] = &["strategy", "first", "max", "factor", "jitter"];

/// Every section and its keys. `[models.NAME]` has `enabled`, too, and the sections below `[model]`.
const SECTIONS: &[(&str, &[&str])] = &[
    ("kafka", &["brokers", "group_prefix"]),
    ("kafka.properties", &[]),
    ("registry", &["url", "username", "password", "token", "tls_ca"]),
    ("postgres", &["url"]),
    ("definitions", &["contracts", "models"]),
    (
        "http",
        &[
            "listen",
            "admin_listen",
            "admin_token",
            "tls_cert",
            "tls_key",
            "cors_origins",
            "rate",
            "burst",
        ],
    ),
    ("health", &["max_lag", "max_parked", "max_error_share"]),
    ("webhook", &["url", "timeout"]),
    ("webhook.headers", &[]),
    (
        "auth",
        &[
            "issuer",
            "jwks_url",
            "public_key_file",
            "secret_file",
            "audience",
            "algorithms",
            "roles_claim",
            "api_keys_file",
        ],
    ),
    ("model", MODEL),
    ("model.retry.transient", RETRY),
    ("model.retry.timeout", RETRY),
    ("model.retry.rate_limit", RETRY),
    ("model.retry.resource", RETRY),
    ("model.breaker", &["in_a_row", "same_reason", "share", "of_last", "half_open_after"]),
    ("model.parked", &["max_per_key", "max"]),
    ("models", &[]),
];

/// Sections whose keys are not ours: names of models, and what others read.
const FREE: &[&str] = &["models", "kafka.properties", "webhook.headers"];

/// Keys that hold a list of texts.
const LISTS: &[&str] = &["http.cors_origins", "auth.algorithms"];

/// Whether a list may stand at this key.
pub(super) fn is_list(path: &str) -> bool {
    LISTS.contains(&path)
}

/// Whether `key`, a table or a value, may stand in `section` (empty: the top of the file).
///
/// # Errors
/// All names that may stand there.
pub(super) fn known(section: &str, key: &str, table: bool) -> Result<(), BTreeSet<&'static str>> {
    if FREE.contains(&section) {
        return Ok(());
    }
    let (values, tables) = (values_of(section), tables_of(section));
    if if table { tables.contains(&key) } else { values.contains(&key) } {
        return Ok(());
    }
    Err(values.into_iter().chain(tables).collect())
}

/// The key that the end of a variable's name means, and whether the variable names a file that holds the value. No shell takes
/// the dots of librdkafka's properties: `KAFKA__PROPERTIES__SASL_PASSWORD` is `kafka.properties.sasl.password`.
pub(super) fn key_of_variable(section: &str, end: &str) -> (String, bool) {
    let end = end.to_lowercase();
    // Some keys name a file themselves.
    let own = !FREE.contains(&section) && known(section, &end, false).is_ok();
    let file = end.strip_suffix("_file").filter(|_| !own);
    let key = file.unwrap_or(&end);
    let dotted = section == "kafka.properties";
    (if dotted { key.replace('_', ".") } else { key.to_owned() }, file.is_some())
}

/// The section that the middle of a variable's name means: `MODELS__a__RETRY__TIMEOUT` is `models.a.retry.timeout`. A
/// model's name may hold two underlines itself.
pub(super) fn section_of_variable(middle: &str) -> String {
    let middle = middle.to_lowercase();
    let Some(("models", rest)) = middle.split_once("__") else { return middle.replace("__", ".") };
    let below = SECTIONS.iter().filter_map(|(section, _)| section.strip_prefix("model."));
    let below = below.map(|section| format!("__{}", section.replace('.', "__")));
    let cut =
        below.filter_map(|tail| rest.strip_suffix(&tail)).map(str::len).min().unwrap_or(rest.len());
    format!("models.{}{}", &rest[..cut], rest[cut..].replace("__", "."))
}

/// `models.NAME.retry.timeout` has what `model.retry.timeout` has.
fn general(section: &str) -> (String, bool) {
    let Some(below) = section.strip_prefix("models.") else { return (section.to_owned(), false) };
    match below.split_once('.') {
        Some((_, rest)) => (format!("model.{rest}"), false),
        None => ("model".to_owned(), true),
    }
}

fn values_of(section: &str) -> Vec<&'static str> {
    let (section, named) = general(section);
    let keys =
        SECTIONS.iter().find(|(known, _)| *known == section).map_or(&[][..], |(_, keys)| keys);
    keys.iter().copied().chain(named.then_some("enabled")).collect()
}

fn tables_of(section: &str) -> Vec<&'static str> {
    let (section, _) = general(section);
    let below = |known: &'static str| match section.as_str() {
        "" => Some(known),
        section => known.strip_prefix(section)?.strip_prefix('.'),
    };
    SECTIONS.iter().filter_map(|(known, _)| below(known)?.split('.').next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that the example sets or shows behind a `#`, each with its section.
    fn shown() -> BTreeSet<(String, String)> {
        let mut section = String::new();
        let mut shown = BTreeSet::new();
        for line in include_str!("../../vitrina.toml").lines() {
            let line = line.trim_start_matches("# ");
            let head = line.strip_prefix('[').and_then(|head| head.split_once(']'));
            let word = |name: &str| {
                name.chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "_.\"-".contains(letter))
            };
            match (head, line.split_once(" = ")) {
                (Some((name, _)), _) if word(name) => name.clone_into(&mut section),
                (_, Some((key, _))) if word(key) => {
                    shown.insert((section.clone(), key.to_owned()));
                }
                _ => {}
            }
        }
        shown
    }

    #[test]
    fn the_example_shows_every_key_and_no_other() {
        let shown = shown();
        for (section, key) in &shown {
            assert!(known(section, key, false).is_ok(), "[{section}] {key} is no setting");
        }
        let all = SECTIONS
            .iter()
            .flat_map(|(section, keys)| keys.iter().map(move |key| (*section, *key)));
        for (section, key) in all.chain([("models.order_summary", "enabled")]) {
            let is_shown = shown.contains(&(section.to_owned(), key.to_owned()));
            // The other three ways to say where an issuer's keys are stand in one remark.
            let remarked = ["jwks_url", "public_key_file", "secret_file"].contains(&key);
            assert!(is_shown || remarked, "vitrina.toml does not show [{section}] {key}");
        }
    }
}
