#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use vitrina_sql::Files;

use crate::definition::{Definition, Definitions, Roots};

const EVENT: &str = r#"{"type":"record","name":"Up","namespace":"a","fields":[{"name":"k","type":"string"},
  {"name":"id","type":"string"},{"name":"at","type":"string"}]}"#;
const UP: &str = "INSERT INTO m SELECT e.k FROM a.up e ON CONFLICT (k) DO NOTHING;";
const OFF: &str = "DELETE FROM m USING a.tombstone e WHERE m.k = e._key;";

/// With two contexts on one topic; `toml` is for the first.
fn load(toml: &str, rules: &str) -> Definitions {
    let context = "topic = \"a\"\nkey = \"k\"\n";
    let files = [
        ("c/a/context.toml", format!("{context}{toml}")),
        ("c/a/up/v1.avsc", EVENT.to_owned()),
        ("c/b/context.toml", context.to_owned()),
        ("m/m.sql", format!("CREATE TABLE m (k text PRIMARY KEY);\n{rules}")),
    ];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text));
    Definitions::load(&Files(files.collect()), &Roots { contracts: "c".into(), models: "m".into() })
}

fn meaning(toml: &str, rules: &str) -> Vec<u8> {
    let loaded = load(toml, rules);
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    loaded.models[0].meaning.clone()
}

#[test]
fn tombstones_are_part_of_the_meaning_of_a_model_that_names_them() {
    let both = format!("{UP}{OFF}");
    assert_ne!(meaning("", UP), meaning("", &both));
    // A field is none of theirs, and a header is.
    for (toml, of_events, of_tombstones) in [
        ("event_id = \"id\"", true, false),
        ("event_id = \"header:x\"", true, true),
        // No rule reads the time.
        ("time = \"at\"", false, false),
        ("", false, false),
    ] {
        assert_eq!(meaning("", UP) != meaning(toml, UP), of_events, "{toml}");
        assert_eq!(meaning("", OFF) != meaning(toml, OFF), of_tombstones, "{toml}");
    }
}

#[test]
fn tombstones_of_one_topic_have_one_name_in_a_model() {
    let other = OFF.replace("a.tombstone", "b.tombstone");
    assert!(load("", &other).findings.is_empty(), "either name will do");
    let loaded = load("", &format!("{OFF}\n{other}"));
    assert!(loaded.models.is_empty());
    let told = loaded.broken["m"][0].to_string();
    assert!(told.starts_with("m/m.sql:3:1: `b.tombstone` is `a.tombstone` of line 2"), "{told}");
}

/// Three versions: `b` is computed from `a`, then both are carried on beside `c`.
fn versions(model: &str, newest: &[(&str, &str)]) -> Definition {
    let record = |fields: &[&str]| {
        let fields: Vec<String> = fields
            .iter()
            .map(|name| format!(r#"{{"name":"{name}","type":"string","default":""}}"#))
            .collect();
        format!(r#"{{"type":"record","name":"E","namespace":"a","fields":[{}]}}"#, fields.join(","))
    };
    let mut files = BTreeMap::from([
        ("c/a/context.toml".to_owned(), "topic = \"t\"\nkey = \"k\"\n".to_owned()),
        ("c/a/e/v1.avsc".to_owned(), record(&["k", "a"])),
        ("c/a/e/v2.avsc".to_owned(), record(&["k", "a", "b"])),
        ("c/a/e/v2.sql".to_owned(), "SELECT upper(a) AS b FROM v1".to_owned()),
        ("c/a/e/v3.avsc".to_owned(), record(&["k", "a", "b", "c"])),
        ("c/a/e/v3.sql".to_owned(), "SELECT lower(a) AS c FROM v2".to_owned()),
        ("m/m.sql".to_owned(), model.to_owned()),
    ]);
    for (file, text) in newest {
        let text = match text.strip_prefix("fields ") {
            Some(fields) => record(&fields.split(' ').collect::<Vec<_>>()),
            None => (*text).to_owned(),
        };
        files.insert((*file).to_owned(), text);
    }
    let loaded =
        Definitions::load(&Files(files), &Roots { contracts: "c".into(), models: "m".into() });
    assert!(loaded.findings.iter().all(|finding| !finding.is_error()), "{:?}", loaded.findings);
    loaded.models[0].clone()
}

const TABLE: &str = "CREATE TABLE m (k text PRIMARY KEY, v text);\n";

fn reads(column: &str) -> String {
    format!("{TABLE}INSERT INTO m SELECT e.k, e.{column} FROM a.e e ON CONFLICT (k) DO NOTHING;\n")
}

#[test]
fn a_contract_counts_where_the_expression_of_a_field_in_use_changes() {
    let v4 = "c/a/e/v4.avsc";
    let carried: &[(&str, &str)] =
        &[(v4, "fields c b a k d"), ("c/a/e/v4.sql", "SELECT 'x' AS d FROM v3")];
    let computed: &[(&str, &str)] =
        &[(v4, "fields k a b c"), ("c/a/e/v4.sql", "SELECT b || '!' AS b FROM v3")];
    let upcast: &[(&str, &str)] = &[("c/a/e/v2.sql", "SELECT lower(a) AS b FROM v1")];
    let spaced: &[(&str, &str)] =
        &[("c/a/e/v2.sql", "-- loud\r\nSELECT  upper(a)  AS b\r\nFROM v1;")];
    let gone: &[(&str, &str)] = &[(v4, "fields k a b"), ("c/a/e/v4.sql", "SELECT FROM v3")];
    let renamed: &[(&str, &str)] = &[(
        "c/a/e/v3.avsc",
        r#"{"type":"record","name":"E","namespace":"a","aliases":["Old"],"fields":[
        {"name":"k","type":"string","default":""},{"name":"a","type":"string","default":""},
        {"name":"b","type":"string","default":""},{"name":"c","type":"string","default":""}]}"#,
    )];
    for (what, change, of_a, of_b) in [
        ("a version with a field that nobody reads", carried, false, false),
        ("a version that computes b anew", computed, false, true),
        ("another upcast of b", upcast, false, true),
        ("spaces in an upcast", spaced, false, false),
        ("a version without a field that nobody reads", gone, false, false),
        ("records of another name count", renamed, true, true),
        ("nothing", &[], false, false),
    ] {
        for (column, changes) in [("a", of_a), ("b", of_b)] {
            let (before, after) = (versions(&reads(column), &[]), versions(&reads(column), change));
            assert_eq!(before.meaning != after.meaning, changes, "{what}, read: {column}");
            let text = change.is_empty() || before.text_hash != after.text_hash;
            assert!(text, "{what} is another text");
        }
    }
}

#[test]
fn what_rows_do_not_depend_on_is_no_part_of_the_meaning() {
    let model = reads("b");
    let meaning = |text: &str| versions(text, &[]).meaning;
    let original = meaning(&model);
    for same in [
        model.replace('\n', "\r\n"),
        model.replace(' ', "  "),
        format!("-- what it is for\n{model}"),
        format!("{model}CREATE INDEX ON m (v);"),
        format!("{model}CREATE VIEW open AS SELECT k FROM m;"),
        format!("{model}COMMENT ON TABLE m IS 'rows';"),
    ] {
        assert!(meaning(&same) == original, "{same}");
    }
    for other in [
        model.replace("e.b", "e.b || ''"),
        model.replace("v text", "v text NOT NULL"),
        model.replace("v text", "v text CHECK (v <> '')"),
        model.replace("v text", "w text"),
        model.replace("DO NOTHING", "DO UPDATE SET v = EXCLUDED.v"),
        format!("{model}CREATE UNIQUE INDEX ON m (v);"),
        format!("{model}DELETE FROM m USING a.tombstone e WHERE m.k = e._key;"),
    ] {
        assert!(meaning(&other) != original, "{other}");
    }
}

#[test]
fn a_source_counts_where_a_rule_reads_it() {
    for (setting, with_time, with_a) in [
        ("time = \"header:x\"", true, false),
        ("causation_id = \"header:x\"", false, false),
        // Duplicates are told by it, whatever the rules read.
        ("event_id = \"header:x\"", true, true),
    ] {
        let toml = format!("topic = \"t\"\nkey = \"k\"\n{setting}\n");
        for (column, changes) in [("_time::text", with_time), ("a", with_a)] {
            let model = reads(column);
            let (before, after) =
                (versions(&model, &[]), versions(&model, &[("c/a/context.toml", &toml)]));
            assert_eq!(before.meaning != after.meaning, changes, "{setting}, read: {column}");
        }
        let time = versions(&reads("_time::text"), &[("c/a/context.toml", &toml)]);
        if with_time {
            let part = time
                .parts
                .iter()
                .find(|part| part.text.contains("header") || part.text.contains("Header"));
            assert_eq!(
                part.map(|part| (part.file.as_str(), part.at.line)),
                Some(("c/a/context.toml", 3))
            );
        }
    }
    let other = "topic = \"u\"\nkey = \"k\"\n";
    let (before, after) =
        (versions(&reads("a"), &[]), versions(&reads("a"), &[("c/a/context.toml", other)]));
    assert!(before.meaning != after.meaning, "another topic");
}

/// What `every.event` means to a model that uses these columns, with these files besides.
fn every(columns: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let model = format!(
        "CREATE TABLE m (k text PRIMARY KEY, v text);
         INSERT INTO m SELECT e._key, concat({columns}) FROM every.event e ON CONFLICT DO NOTHING;"
    );
    versions(&model, files).meaning
}

#[test]
fn every_event_is_part_of_the_meaning_and_of_each_as_much_as_is_used() {
    let record = |name: &str, kind: &str| {
        format!(
            r#"{{"type":"record","name":"{name}","namespace":"a",{kind}"fields":[{{"name":"k","type":"string"}}]}}"#
        )
    };
    let (other, sorted) = (record("F", ""), record("F", r#""kind":"domain","#));
    let event = ("c/a/f/v1.avsc", other.as_str());
    let context = [("c/b/context.toml", "topic = \"b\"\nkey = \"k\"\n"), ("c/b/f/v1.avsc", &other)];
    let version =
        [("c/a/e/v4.avsc", "fields k a b c d"), ("c/a/e/v4.sql", "SELECT a AS d FROM v3")];
    for (columns, sees_versions, sees_kinds) in [
        ("e._type", false, false),
        ("e._kind", false, true),
        ("e._version", true, false),
        ("e._payload", true, false),
    ] {
        let before = every(columns, &[]);
        assert_ne!(before, every(columns, &[event]), "{columns}: a new event");
        assert_ne!(before, every(columns, &context), "{columns}: a new context");
        assert_eq!(before != every(columns, &version), sees_versions, "{columns}: a new version");
        let kinds = every(columns, &[event]) != every(columns, &[("c/a/f/v1.avsc", &sorted)]);
        assert_eq!(kinds, sees_kinds, "{columns}: a kind");
    }
    let before = every("e._payload", &[]);
    let upcast = [("c/a/e/v3.sql", "SELECT upper(a) AS c FROM v2")];
    assert_ne!(before, every("e._payload", &upcast), "an upcast");
    assert_eq!(every("e._type", &[]), every("e._type", &upcast));
    let time = [("c/a/context.toml", "topic = \"t\"\nkey = \"k\"\ntime = \"a\"\n")];
    assert_ne!(every("e._time", &[]), every("e._time", &time));
    assert_eq!(before, every("e._payload", &time));
    let plain = "CREATE TABLE m (k text PRIMARY KEY);\nINSERT INTO m SELECT e.k FROM a.e e ON CONFLICT DO NOTHING;";
    assert_eq!(versions(plain, &[]).meaning, versions(plain, &[event]).meaning, "no other model");
}
