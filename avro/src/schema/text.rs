//! A schema's JSON before it is a schema. Of a contract's every word counts, so nothing may be said twice; of a writer's,
//! which others wrote and Java took, only what the bytes hang on is kept.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

/// Reads JSON in which no object says a key twice: readers disagree about which of the two counts.
///
/// # Errors
/// What is not JSON, or the key that is said twice, with the line and column of it.
pub fn parse_json(text: &str) -> serde_json::Result<Json> {
    let text = without_mark(text);
    let mut keys = serde_json::Deserializer::from_str(text);
    KeysOnce.deserialize(&mut keys)?;
    serde_json::from_str(text)
}

/// The text without the byte order mark that some editors and clients put first.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Takes out of a writer's schema what its bytes do not hang on and what Java never looks at: defaults, which are for
/// readers, and logical types that are no names.
pub(super) fn keep_what_was_written(schema: &mut Json) {
    match schema {
        Json::Array(parts) => parts.iter_mut().for_each(keep_what_was_written),
        Json::Object(members) => {
            members.remove("default");
            if members.get("logicalType").is_some_and(|logical| !logical.is_string()) {
                members.remove("logicalType");
            }
            for part in ["type", "fields", "items", "values"] {
                members.get_mut(part).into_iter().for_each(keep_what_was_written);
            }
        }
        _ => {}
    }
}

/// The type itself, where it is wrapped as `{"type": {…}}`.
pub(super) fn unwrapped(mut schema: Json) -> Json {
    while let Some(inner) = schema.get_mut("type").filter(|inner| inner.is_object()) {
        schema = inner.take();
    }
    schema
}

/// Passes over a value and refuses a key that is there twice.
struct KeysOnce;

impl<'de> DeserializeSeed<'de> for KeysOnce {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeysOnce {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format!("the key {key:?} is said twice")));
            }
            keys.insert(key);
            members.next_value_seed(Self)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}
