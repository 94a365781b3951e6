//! Contracts from what is registered: the versions of each record as its writers have them, and the upcasts between them as
//! far as the schemas say.

use serde_json::Value;
use vitrina_avro::{Registered, draft_upcast, parse_json};
use vitrina_sql::Finding;

use crate::new::drafts::Drafts;

/// The records that a subject's versions hold, and in words what cannot be taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) records: Vec<Record>,
    pub(crate) left_out: Vec<String>,
}

/// One record by its full name, and the texts of its schemas, the oldest first.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) texts: Vec<String>,
}

/// Each branch of a union is a record of its own.
pub(crate) fn records(subject: &str, versions: &[Registered]) -> Taken {
    let mut taken = Taken::default();
    for Registered { version, json, schema, .. } in versions {
        let place = format!("version {version} of {subject} is left out");
        if let Err(why) = schema {
            taken.left_out.push(format!("{place}: {why}"));
            continue;
        }
        let parts = match parse_json(json) {
            Ok(Value::Array(branches)) => branches,
            Ok(one) => vec![one],
            Err(error) => {
                taken.left_out.push(format!("{place}: {error}"));
                continue;
            }
        };
        let whole = parts.len() == 1;
        for part in parts {
            let Some(name) = full_name(&part) else {
                taken.left_out.push(format!("{place}: it holds more than records"));
                continue;
            };
            let text = match (whole, serde_json::to_string_pretty(&part)) {
                (false, Ok(text)) => text,
                _ => json.clone(),
            };
            let text = text.trim_end().to_owned() + "\n";
            match taken.records.iter_mut().find(|record| record.name == name) {
                Some(record) => record.texts.push(text),
                None => taken.records.push(Record { name, texts: vec![text] }),
            }
        }
    }
    taken
}

fn full_name(schema: &Value) -> Option<String> {
    let name = schema.get("name")?.as_str().filter(|_| schema["type"] == "record")?;
    match schema.get("namespace").and_then(Value::as_str) {
        Some(space) if !name.contains('.') && !space.is_empty() => Some(format!("{space}.{name}")),
        _ => Some(name.to_owned()),
    }
}

impl Record {
    /// `v1.avsc`, `v2.avsc`, `v2.sql` … of `folder`.
    pub(crate) fn draft(&self, folder: &str, drafts: &mut Drafts) {
        for (place, text) in self.texts.iter().enumerate() {
            let number = place + 1;
            drafts.add(format!("{folder}/v{number}.avsc"), text.clone());
            if let Some(before) = place.checked_sub(1) {
                // A schema that no contract may have is told by `check`, at its own place.
                let drafted = draft_upcast(number as u32, &self.texts[before], text);
                let sql =
                    drafted.map_or_else(|_| format!("SELECT FROM v{place};\n"), |draft| draft.sql);
                drafts.add(format!("{folder}/v{number}.sql"), sql);
            }
        }
    }

    /// The name of an event for it: `OrderPlaced` is `order_placed`.
    pub(crate) fn event(&self) -> String {
        let short = self.name.rsplit('.').next().unwrap_or_default();
        let letters: Vec<char> = short.chars().collect();
        let mut name = String::new();
        for (place, letter) in letters.iter().enumerate() {
            let before = place.checked_sub(1).map(|before| letters[before]);
            let after = letters.get(place + 1);
            let begins = letter.is_uppercase()
                && before.is_some_and(|before| {
                    !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
                });
            if begins && !name.ends_with('_') {
                name.push('_');
            }
            match letter.to_ascii_lowercase() {
                plain @ ('a'..='z' | '0'..='9') => name.push(plain),
                _ if name.ends_with('_') || name.is_empty() => {}
                _ => name.push('_'),
            }
        }
        match name.trim_end_matches('_') {
            "tombstone" => "tombstone_event".to_owned(),
            name if name.starts_with(|first: char| first.is_ascii_lowercase()) => name.to_owned(),
            name => format!("event_{name}"),
        }
    }
}

/// What is left to a person: where `check` will point, in these drafts and in the context's file.
pub(crate) fn open(found: &[Finding], drafts: &Drafts, context: &str) -> Vec<String> {
    let own = found.iter().filter(|one| drafts.has(&one.file) || one.file == context);
    let mut said: Vec<String> = own.map(ToString::to_string).collect();
    if said.is_empty() {
        said.push("next: vitrina check".to_owned());
    } else {
        said.insert(0, "left to you, where `vitrina check` will point:".to_owned());
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_names_become_events_names() {
        for (record, event) in [
            ("orders.OrderPlaced", "order_placed"),
            ("HTTPRequestSeen", "http_request_seen"),
            ("a.b.order-placed", "order_placed"),
            ("x.Order_Placed$V2", "order_placed_v2"),
            ("Tombstone", "tombstone_event"),
            ("x._1st", "event_1st"),
            ("Größe", "gr_e"),
        ] {
            let record = Record { name: record.to_owned(), texts: Vec::new() };
            assert_eq!(record.event(), event, "{}", record.name);
        }
    }

    #[test]
    fn versions_are_told_apart_by_their_record() {
        let of = |version, json: &str| Registered {
            version,
            id: 10 + version,
            json: json.to_owned(),
            schema: vitrina_avro::Schema::of_writer(json, &[])
                .map(std::sync::Arc::new)
                .map_err(|error| error.to_string()),
        };
        let one = r#"{"type":"record","name":"One","namespace":"a","fields":[{"name":"id","type":"int"}]}"#;
        let both = r#"[{"type":"record","name":"One","namespace":"a","fields":[{"name":"id","type":"long"}]},
                       {"type":"record","name":"a.Two","fields":[]}, "string"]"#;
        let taken = records("s", &[of(1, one), of(2, both), of(3, "nothing")]);
        let told: Vec<_> =
            taken.records.iter().map(|one| (one.name.as_str(), one.texts.len())).collect();
        assert_eq!(told, [("a.One", 2), ("a.Two", 1)]);
        assert_eq!(taken.records[0].texts[0], format!("{one}\n"));
        assert_eq!(taken.left_out[0], "version 2 of s is left out: it holds more than records");
        assert!(taken.left_out[1].starts_with("version 3 of s is left out: not JSON"));
        let mut drafts = Drafts::default();
        taken.records[0].draft("c/a/one", &mut drafts);
        for file in ["v1.avsc", "v2.avsc", "v2.sql"] {
            assert!(drafts.has(&format!("c/a/one/{file}")), "{file}");
        }
    }
}
