//! API keys: `[keys.NAME]` with the SHA-256 of each. Invariant: only digests are held, and all of them are compared, each to its
//! end, so that the time taken tells nothing. The keys are random, so they need no slow hash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::reader::{Bearer, Reader};

type Digest = [u8; 32];

#[derive(Default)]
pub(super) struct ApiKeys(Vec<(Digest, Arc<Reader>)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: BTreeMap<String, toml::Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    sha256: String,
    #[serde(default)]
    roles: BTreeSet<String>,
    #[serde(default)]
    claims: toml::Table,
}

impl ApiKeys {
    /// Of `auth.api_keys_file`.
    pub(super) fn of_toml(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is not text".to_owned())?;
        let line = |offset: usize| {
            text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
                + 1
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(1, |span| line(span.start));
            format!("line {at}: {}", error.message().trim_end())
        })?;
        let mut keys: Vec<(Digest, Arc<Reader>)> = Vec::with_capacity(file.keys.len());
        let mut names: HashMap<Digest, String> = HashMap::new();
        for (name, entry) in file.keys {
            let at = line(entry.span().start);
            let Entry { sha256, roles, claims } = entry.into_inner();
            let digest = digest_of_hex(&sha256).ok_or_else(|| {
                format!(
                    "line {at}: sha256 of [keys.{name}] is not 64 hexadecimal digits: write what `printf %s KEY | sha256sum` gives"
                )
            })?;
            if let Some(other) = names.insert(digest, name.clone()) {
                return Err(format!("line {at}: [keys.{name}] and [keys.{other}] are one key"));
            }
            let claims = claims.into_iter().map(|(claim, value)| (claim, json(value))).collect();
            keys.push((
                digest,
                Arc::new(Reader { bearer: Some(Bearer::ApiKey(name)), roles, claims }),
            ));
        }
        Ok(Self(keys))
    }

    /// Whose key it is.
    pub(super) fn reader(&self, key: &str) -> Option<Arc<Reader>> {
        let given: Digest = Sha256::digest(key).into();
        let mut found = None;
        for (digest, reader) in &self.0 {
            if bool::from(given.ct_eq(digest)) {
                found = Some(reader);
            }
        }
        found.cloned()
    }
}

fn digest_of_hex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if text.len() != 2 * digest.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// Dates as their texts, as a token would have them.
fn json(value: toml::Value) -> Value {
    let object = |table: toml::Table| {
        table.into_iter().map(|(name, value)| (name, json(value))).collect::<Map<_, _>>()
    };
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => object(table).into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// SHA-256 of `key-1`.
    fn digest() -> String {
        Sha256::digest("key-1").iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_key_is_its_bearer_with_roles_and_claims() {
        let file = format!(
            "[keys.shop]\nsha256 = \"{}\"\nroles = [\"staff\"]\n[keys.shop.claims]\nsub = \"c-1\"\nregions = [1, 2]\nsince = 2026-01-02\n",
            digest().to_uppercase()
        );
        let keys = ApiKeys::of_toml(file.as_bytes()).unwrap();
        let shop = keys.reader("key-1").unwrap();
        assert_eq!(shop.bearer, Some(Bearer::ApiKey("shop".to_owned())));
        assert!(shop.roles.contains("staff"));
        let expected = json!({ "sub": "c-1", "regions": [1, 2], "since": "2026-01-02" });
        assert_eq!(Value::Object(shop.claims.clone()), expected);
        for wrong in ["key-", "key-11", "Key-1", "", "shop", &digest()] {
            assert!(keys.reader(wrong).is_none(), "{wrong}");
        }
        assert!(ApiKeys::of_toml(b"").unwrap().reader("").is_none());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_without_a_key() {
        let digest = digest();
        let of = |text: String| ApiKeys::of_toml(text.as_bytes()).err().unwrap();
        let short = of("\n[keys.a]\nsha256 = \"my-own-key\"\n".to_owned());
        assert!(
            short.starts_with("line 2: sha256 of [keys.a] is not 64") && !short.contains("my-own")
        );
        let twice =
            of(format!("[keys.a]\nsha256 = \"{digest}\"\n[keys.b]\nsha256 = \"{digest}\"\n"));
        assert_eq!(twice, "line 3: [keys.b] and [keys.a] are one key");
        let unknown = of(format!("[keys.a]\nsha256 = \"{digest}\"\nrole = \"x\"\n"));
        assert!(unknown.starts_with("line 3: unknown field `role`"), "{unknown}");
        assert!(of("[keys.a]\n".to_owned()).contains("missing field `sha256`"));
        assert!(of("[key.a]\n".to_owned()).starts_with("line 1: unknown field `key`"));
    }
}
