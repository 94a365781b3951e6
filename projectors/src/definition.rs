//! A definition: a model's text with those of the contracts that it uses, read and checked as far as that goes without
//! Postgres. What it means, not how it is written, decides whether a generation made from it may go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use vitrina_avro::{Context, Contract, Contracts, Layout};
use vitrina_sql::{Files, Finding, MeaningPart, Model, Place, Rule};

/// One model, ready to run.
#[derive(Clone)]
pub struct Definition {
    /// The texts that it was read from.
    pub files: Files,
    pub model: Model,
    pub contracts: Arc<Contracts>,
    /// One for each contract that the rules name: the columns that any of them uses.
    pub layouts: Vec<Layout>,
    /// What its rows depend on.
    pub parts: Vec<MeaningPart>,
    /// SHA-256 of what the parts mean.
    pub meaning: Vec<u8>,
    /// SHA-256 of the texts, in hexadecimal digits.
    pub(crate) text_hash: String,
}

/// All that was found in the definitions' folders.
pub struct Definitions {
    pub contracts: Arc<Contracts>,
    pub models: Vec<Definition>,
    /// Without those that only follow from others.
    pub findings: Vec<Finding>,
    /// Models that cannot run, with their own findings.
    pub broken: BTreeMap<String, Vec<Finding>>,
}

/// Where contracts and models lie, as paths in [`Files`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    pub contracts: String,
    pub models: String,
}

impl Definitions {
    pub fn load(files: &Files, roots: &Roots) -> Self {
        let (contracts, mut findings) = Contracts::load(files, &roots.contracts);
        let contracts = Arc::new(contracts);
        let (mut models, mut broken) = (Vec::new(), BTreeMap::new());
        let prefix = format!("{}/", roots.models.trim_end_matches('/'));
        for (path, text) in &files.0 {
            let Some(name) = path.strip_prefix(&prefix).and_then(|file| file.strip_suffix(".sql"))
            else {
                continue;
            };
            let (model, mut found) = Model::parse(name, path, text, &*contracts);
            let unfit = model.as_ref().map(|model| unfit(model, &contracts)).unwrap_or_default();
            let model = model.filter(|_| unfit.is_empty());
            found.extend(unfit);
            match model {
                Some(model) => models.push(Definition::new(model, files, roots, &contracts)),
                None => {
                    broken.insert(
                        name.to_owned(),
                        found.iter().filter(|finding| finding.is_error()).cloned().collect(),
                    );
                }
            }
            findings.extend(found.into_iter().filter(|finding| !finding.follows));
        }
        Self { contracts, models, findings, broken }
    }
}

impl Definition {
    /// A model's definition from the texts that its generation keeps.
    ///
    /// # Errors
    /// The texts no longer load: the findings.
    pub(crate) fn stored(files: &Files, model: &str) -> Result<Self, String> {
        let folder_of = |ends: &str| {
            let path = files
                .0
                .keys()
                .find(|path| **path == ends || path.ends_with(&format!("/{ends}")))?;
            Some(path.strip_suffix(ends)?.trim_end_matches('/').to_owned())
        };
        let models = folder_of(&format!("{model}.sql")).unwrap_or_default();
        // A context's file lies in the context's folder, and that one among the contracts.
        let context = folder_of("context.toml").unwrap_or_default();
        let contracts = context.rsplit_once('/').map_or("", |(contracts, _)| contracts).to_owned();
        let loaded = Definitions::load(files, &Roots { contracts, models });
        let findings = || {
            let findings: Vec<String> = loaded.findings.iter().map(ToString::to_string).collect();
            format!("the generation's definition of {model} does not load: {}", findings.join("; "))
        };
        loaded
            .models
            .iter()
            .find(|definition| definition.model.name == model)
            .cloned()
            .ok_or_else(findings)
    }

    fn new(model: Model, files: &Files, roots: &Roots, contracts: &Arc<Contracts>) -> Self {
        let used = model.relations();
        let named = used.iter().filter_map(|(context, event)| contracts.relation(context, event));
        let layouts: Vec<Layout> = named.map(|contract| layout(&model, contract)).collect();
        // With all contexts of their topics, for of a record that no contract there knows it is said so.
        let topic_of =
            |context: &str| contracts.contexts.get(context).map(|context| &context.topic);
        let topics: Vec<&String> =
            used.iter().filter_map(|(context, _)| topic_of(context)).collect();
        let beside = contracts.contexts.values().filter(|context| topics.contains(&&context.topic));
        let contexts: BTreeSet<&str> = used
            .iter()
            .map(|(context, _)| context.as_str())
            .chain(beside.map(|context| context.name.as_str()))
            .collect();
        let contract_root = roots.contracts.trim_end_matches('/');
        let belongs = |path: &str| {
            path == model.file
                || contexts
                    .iter()
                    .any(|context| path.starts_with(&format!("{contract_root}/{context}/")))
        };
        let own = files
            .0
            .iter()
            .filter(|(path, _)| belongs(path))
            .map(|(path, text)| (path.clone(), text.clone()));
        let files = Files(own.collect());
        let parts = parts(&model, &layouts, contracts, &files, contract_root);
        let meaning = digest(parts.iter().map(|part| part.text.as_str())).to_vec();
        // Instances may have the same texts in other folders.
        let root = [contract_root, roots.models.trim_end_matches('/')];
        let below =
            |path: &str| root.iter().find_map(|root| path.strip_prefix(root)).map(str::to_owned);
        let texts = files.0.iter().map(|(path, text)| (below(path).unwrap_or_default(), text));
        let texts: BTreeMap<String, &String> = texts.collect();
        let text_hash =
            digest(texts.iter().flat_map(|(path, text)| [path.as_str(), text.as_str()]));
        let text_hash = text_hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { files, model, contracts: contracts.clone(), layouts, parts, meaning, text_hash }
    }

    /// The topics of the contracts that the rules name.
    pub fn topics(&self) -> Vec<String> {
        let contexts = self.layouts.iter().map(|layout| &layout.contract.context);
        let mut topics: Vec<String> = contexts
            .filter_map(|context| self.contracts.contexts.get(context))
            .map(|context| context.topic.clone())
            .collect();
        topics.sort();
        topics.dedup();
        topics
    }
}

/// Why a model that was read cannot run.
fn unfit(model: &Model, contracts: &Contracts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if model.rules.is_empty() {
        let help = "write one (INSERT … SELECT … FROM context.event), or take the file away";
        findings.push(Finding::error(
            &model.file,
            Place::START,
            "the model has no rule, so its tables would stay empty",
            help,
        ));
    }
    // A record without a value does not say which of its topic's contexts it belongs to.
    let mut named: BTreeMap<&str, &Rule> = BTreeMap::new();
    for rule in &model.rules {
        let Some(context) = contracts.contexts.get(&rule.context) else { continue };
        if rule.event != context.tombstone.name {
            continue;
        }
        let first = *named.entry(&context.topic).or_insert(rule);
        if first.context != rule.context {
            let (own, other, topic) =
                (context.tombstone.relation(), &first.context, &context.topic);
            let what = format!(
                "`{own}` is `{other}.{}` of line {}, for both are of topic {topic}",
                first.event, first.at.line
            );
            let help = format!("name the context `{other}` here, too");
            findings.push(Finding::error(&model.file, rule.at, what, help));
        }
    }
    findings
}

/// The columns of the contract that any rule of the model uses.
fn layout(model: &Model, contract: &Arc<Contract>) -> Layout {
    let rules = model
        .rules
        .iter()
        .filter(|rule| rule.context == contract.context && rule.event == contract.name);
    let columns = rules
        .map(|rule| rule.columns.clone())
        .reduce(|all, more| Some(all?.into_iter().chain(more?).collect()))
        .flatten();
    Layout::new(contract, columns.as_ref())
}

/// SHA-256 of texts of which none can be taken for a piece of another.
fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// What rows depend on: the model's statements, the contracts as far as the rules use them, and where a record says what
/// the rules use besides its fields.
fn parts(
    model: &Model,
    layouts: &[Layout],
    contracts: &Contracts,
    files: &Files,
    contract_root: &str,
) -> Vec<MeaningPart> {
    let mut parts = model.meaning();
    for layout in layouts {
        parts.extend(layout.meaning());
        let Some(context) = contracts.contexts.get(&layout.contract.context) else { continue };
        let file = format!("{contract_root}/{}/context.toml", context.name);
        let text = files.0.get(&file).map_or("", String::as_str);
        for (setting, value) in sources(context, layout) {
            let sets = |line: &str| line.trim_start().starts_with(setting);
            parts.push(MeaningPart {
                file: file.clone(),
                at: Place { line: 1 + text.lines().position(sets).unwrap_or(0), column: 1 },
                what: format!("{setting} of {}", context.name),
                text: format!("{} {setting} {value}", layout.contract.relation()),
            });
        }
    }
    parts
}

/// The settings of a context that a model depends on. Duplicates are told by the id, whether a rule reads it or not.
fn sources(context: &Context, layout: &Layout) -> Vec<(&'static str, String)> {
    let [id, time, correlation_id, causation_id] = context.origins(&layout.contract);
    let key = context.key.to_ascii_lowercase();
    let read = [
        ("time", layout.uses("_time"), format!("{time:?}")),
        ("correlation_id", layout.uses("_correlation_id"), format!("{correlation_id:?}")),
        ("causation_id", layout.uses("_causation_id"), format!("{causation_id:?}")),
        ("key", layout.uses(&key), key),
    ];
    let always = [("topic", context.topic.clone()), ("event_id", format!("{id:?}"))];
    let read = read.into_iter().filter(|(_, used, _)| *used);
    always.into_iter().chain(read.map(|(setting, _, value)| (setting, value))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
        Definitions::load(
            &Files(files.collect()),
            &Roots { contracts: "c".into(), models: "m".into() },
        )
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
        assert!(
            told.starts_with("m/m.sql:3:1: `b.tombstone` is `a.tombstone` of line 2"),
            "{told}"
        );
    }

    /// Three versions: `b` is computed from `a`, then both are carried on beside `c`.
    fn versions(model: &str, newest: &[(&str, &str)]) -> Definition {
        let record = |fields: &[&str]| {
            let fields: Vec<String> = fields
                .iter()
                .map(|name| format!(r#"{{"name":"{name}","type":"string","default":""}}"#))
                .collect();
            format!(
                r#"{{"type":"record","name":"E","namespace":"a","fields":[{}]}}"#,
                fields.join(",")
            )
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
        format!(
            "{TABLE}INSERT INTO m SELECT e.k, e.{column} FROM a.e e ON CONFLICT (k) DO NOTHING;\n"
        )
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
                let (before, after) =
                    (versions(&reads(column), &[]), versions(&reads(column), change));
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
}
