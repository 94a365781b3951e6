//! Where settings come from: one flat map from dotted key to text and place. Unknown keys are found here, against the one
//! list of those that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Every section and its keys; `models.*` has those of `model`, too.
const KEYS: &[(&str, &[&str])] = &[
    ("kafka", &["brokers", "group_prefix", "properties"]),
    ("registry", &["url", "username", "password", "token"]),
    ("postgres", &["url"]),
    ("definitions", &["contracts", "models"]),
    ("http", &["listen", "admin_listen"]),
    ("model", &["max_events", "max_bytes", "linger", "duplicate_window"]),
    ("models", &["enabled", "max_events", "max_bytes", "linger", "duplicate_window"]),
];

#[derive(Debug)]
pub(super) struct Source {
    /// Relative paths start here.
    pub(super) folder: PathBuf,
    pub(super) findings: Vec<String>,
    values: BTreeMap<String, (String, String)>,
}

impl Source {
    /// # Errors
    /// The file that was named cannot be read.
    pub(super) fn read(file: Option<&Path>) -> Result<Self, Vec<String>> {
        let named = file.map(Path::to_path_buf).or_else(|| std::env::var_os("VITRINA_CONFIG").map(PathBuf::from));
        let default = PathBuf::from("vitrina.toml");
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let path = match named {
            Some(path) => path,
            None if default.exists() => default,
            None => return Ok(Self::parse("", "", PathBuf::new(), environment)),
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            vec![format!(
                "{}: the configuration cannot be read: {error}; name another file with --config",
                path.display()
            )]
        })?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self::parse(&path.display().to_string(), &text, folder, environment))
    }

    pub(super) fn parse(
        file: &str,
        text: &str,
        folder: PathBuf,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let mut source = Self { folder, findings: Vec::new(), values: BTreeMap::new() };
        match DeTable::parse(text) {
            Ok(table) => source.take_table(file, text, "", table.get_ref()),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_at(text, span.start));
                source.findings.push(format!("{file}:{line}: not TOML: {}", error.message()));
            }
        }
        source.take_environment(environment.collect());
        source
    }

    fn take_table(&mut self, file: &str, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let place = format!("{file}:{}", line_at(text, key.span().start));
            let path =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            match value.get_ref() {
                DeValue::Table(inner) if self.known(&place, prefix, key.get_ref(), true) => {
                    self.take_table(file, text, &path, inner);
                }
                DeValue::Table(_) => {}
                value => {
                    if self.known(&place, prefix, key.get_ref(), false) {
                        self.values.insert(path, (scalar(value), place));
                    }
                }
            }
        }
    }

    /// Whether `key` may stand in section `prefix`; a finding where not.
    fn known(&mut self, place: &str, prefix: &str, key: &str, table: bool) -> bool {
        let sections: Vec<&str> = KEYS.iter().map(|(section, _)| *section).collect();
        let keys: &[&str] = match prefix {
            "" => &sections,
            "models" | "kafka.properties" => return true,
            _ if prefix.starts_with("models.") => keys_of("models"),
            section => keys_of(section),
        };
        if keys.contains(&key) && (prefix.is_empty() == table || key == "properties") {
            return true;
        }
        let nearest =
            keys.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key)).copied().unwrap_or_default();
        self.findings.push(if prefix.is_empty() {
            format!("{place}: unknown section [{key}]: did you mean [{nearest}]?")
        } else {
            format!("{place}: unknown key `{key}` in [{prefix}]: did you mean `{nearest}`?")
        });
        false
    }

    fn take_environment(&mut self, environment: BTreeMap<String, String>) {
        for (variable, key) in [("DATABASE_URL", "postgres.url"), ("DATABASE_URL_FILE", "postgres.url")] {
            if let Some(value) = environment.get(variable) {
                self.take_variable(variable, key, value);
            }
        }
        for (variable, value) in &environment {
            let Some(rest) = variable.strip_prefix("VITRINA_") else { continue };
            let Some((section, key)) = rest.rsplit_once("__") else { continue };
            let section = match section.split_once("__") {
                Some((first, rest)) => format!("{}.{}", first.to_lowercase(), rest.to_lowercase()),
                None => section.to_lowercase(),
            };
            let key = key.to_lowercase();
            let key = key.strip_suffix("_file").unwrap_or(&key);
            let first = section.split('.').next().unwrap_or_default();
            if self.known(variable, "", first, true) && self.known(variable, &section, key, false) {
                self.take_variable(variable, &format!("{section}.{key}"), value);
            }
        }
    }

    /// A variable's value, or what is in the file that it names.
    fn take_variable(&mut self, variable: &str, key: &str, value: &str) {
        let value = if variable.ends_with("_FILE") {
            match std::fs::read_to_string(value) {
                Ok(text) => text.trim_end_matches(['\n', '\r']).to_owned(),
                Err(error) => {
                    self.findings.push(format!("{variable}: {value} cannot be read: {error}"));
                    return;
                }
            }
        } else {
            value.to_owned()
        };
        self.values.insert(key.to_owned(), (value, variable.to_owned()));
    }

    pub(super) fn get<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, &'static str>) -> Option<T> {
        let (value, place) = self.values.get(key)?;
        match read(value) {
            Ok(value) => Some(value),
            Err(wanted) => {
                self.findings.push(format!("{place}: {key} is `{value}`; {wanted} is wanted"));
                None
            }
        }
    }

    pub(super) fn text(&self, key: &str, default: &str) -> String {
        self.values.get(key).map_or(default, |(value, _)| value).to_owned()
    }

    /// All keys below `section`, with the section's name taken off.
    pub(super) fn section(&self, section: &str) -> BTreeMap<String, String> {
        let prefix = format!("{section}.");
        let inside = self.values.iter().filter_map(|(key, (value, _))| Some((key.strip_prefix(&prefix)?, value)));
        inside.map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    pub(super) fn model_names(&self) -> BTreeSet<String> {
        self.section("models").into_keys().filter_map(|key| Some(key.split_once('.')?.0.to_owned())).collect()
    }

    pub(super) fn refuse(&mut self, key: &str, what: &str) {
        let place = self.values.get(key).map_or("", |(_, place)| place.as_str());
        self.findings.push(format!("{place}: {key} {what}"));
    }
}

fn keys_of(section: &str) -> &'static [&'static str] {
    KEYS.iter().find(|(known, _)| *known == section).map_or(&[], |(_, keys)| keys)
}

fn scalar(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        _ => String::new(),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
