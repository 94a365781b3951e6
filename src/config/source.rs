//! Where settings come from: one flat map from dotted key to text and place. Unknown keys are found while it is filled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys;

/// The file that is read where no other one is named.
const DEFAULT: &str = "vitrina.toml";

/// Where a setting stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// A file, or a variable of the environment.
    pub(crate) name: String,
    /// 1-based, in a file.
    pub(crate) line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[derive(Debug)]
struct Setting {
    text: String,
    /// Whether it is a text in the file, too, not a number or a truth value.
    quoted: bool,
    place: Place,
}

#[derive(Debug)]
pub(super) struct Source {
    /// The file that was read; none where only defaults and the environment hold.
    pub(super) file: Option<PathBuf>,
    /// Relative paths start here.
    pub(super) folder: PathBuf,
    pub(super) findings: Vec<String>,
    values: BTreeMap<String, Setting>,
    /// Where each table of the file begins.
    tables: BTreeMap<String, Place>,
}

impl Source {
    /// # Errors
    /// The file that was named cannot be read.
    pub(super) fn read(file: Option<&Path>) -> Result<Self, Vec<String>> {
        let named = file
            .map(Path::to_path_buf)
            .or_else(|| std::env::var_os("VITRINA_CONFIG").map(PathBuf::from));
        let default = PathBuf::from(DEFAULT);
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
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
        let source = Self::parse(&path.display().to_string(), &text, folder, environment);
        Ok(Self { file: Some(path), ..source })
    }

    /// Whether there is neither a file nor a variable to read settings from.
    pub(super) fn is_unsaid() -> bool {
        let is_setting = |name: &str| {
            name == "VITRINA_CONFIG"
                || name.starts_with("DATABASE_URL")
                || name.starts_with("VITRINA_") && name.contains("__")
        };
        let is_said = std::env::vars_os().any(|(name, _)| name.to_str().is_some_and(is_setting));
        !is_said && !Path::new(DEFAULT).exists()
    }

    pub(super) fn parse(
        file: &str,
        text: &str,
        folder: PathBuf,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let (values, tables) = (BTreeMap::new(), BTreeMap::new());
        let mut source = Self { file: None, folder, findings: Vec::new(), values, tables };
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
            let place =
                Place { name: file.to_owned(), line: Some(line_at(text, key.span().start)) };
            let path = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let inner = match value.get_ref() {
                DeValue::Table(inner) => Some(inner),
                _ => None,
            };
            if !self.known(&place, prefix, key.get_ref(), inner.is_some()) {
                continue;
            }
            match (inner, scalar(value.get_ref())) {
                (Some(inner), _) => {
                    self.tables.insert(path.clone(), place);
                    self.take_table(file, text, &path, inner);
                }
                (None, Some(scalar)) => {
                    let quoted = matches!(value.get_ref(), DeValue::String(_));
                    self.values.insert(path, Setting { text: scalar, quoted, place });
                }
                (None, None) if keys::is_list(&path) => match texts(value.get_ref()) {
                    Some(text) => {
                        _ = self.values.insert(path, Setting { text, quoted: true, place })
                    }
                    None => self.findings.push(format!(
                        "{place}: {path} is a list of other things than texts; write [\"…\", \"…\"]"
                    )),
                },
                (None, None) => self
                    .findings
                    .push(format!("{place}: {path} is a list or a date; write one text")),
            }
        }
    }

    /// Whether `key` may stand in section `prefix`; a finding where not.
    fn known(&mut self, place: &Place, prefix: &str, key: &str, table: bool) -> bool {
        let Err(all) = keys::known(prefix, key, table) else { return true };
        let nearest = vitrina_sql::nearest(key, all.iter().copied());
        let all = || all.iter().copied().collect::<Vec<_>>().join(", ");
        self.findings.push(match (prefix, nearest) {
            ("", Some(nearest)) => {
                format!("{place}: unknown section [{key}]: did you mean [{nearest}]?")
            }
            ("", None) => format!("{place}: unknown section [{key}]; the sections are {}", all()),
            (_, Some(nearest)) => {
                format!("{place}: unknown key `{key}` in [{prefix}]: did you mean `{nearest}`?")
            }
            (_, None) => {
                format!("{place}: unknown key `{key}` in [{prefix}]; the keys are {}", all())
            }
        });
        false
    }

    /// Whether each table on the way to `section` may be there.
    fn known_section(&mut self, place: &Place, section: &str) -> bool {
        let mut above = String::new();
        section.split('.').all(|table| {
            let known = self.known(place, &above, table, true);
            above = if above.is_empty() { table.to_owned() } else { format!("{above}.{table}") };
            known
        })
    }

    fn take_environment(&mut self, environment: BTreeMap<String, String>) {
        for (variable, is_file) in [("DATABASE_URL", false), ("DATABASE_URL_FILE", true)] {
            if let Some(value) = environment.get(variable) {
                self.take_variable(variable, "postgres.url", value, is_file);
            }
        }
        for (variable, value) in &environment {
            let Some(rest) = variable.strip_prefix("VITRINA_") else { continue };
            let Some((section, key)) = rest.rsplit_once("__") else { continue };
            let section = keys::section_of_variable(section);
            let (key, is_file) = keys::key_of_variable(&section, key);
            let place = Place { name: variable.clone(), line: None };
            if self.known_section(&place, &section) && self.known(&place, &section, &key, false) {
                self.take_variable(variable, &format!("{section}.{key}"), value, is_file);
            }
        }
    }

    /// A variable's value, or what is in the file that it names.
    fn take_variable(&mut self, variable: &str, key: &str, value: &str, is_file: bool) {
        let value = if is_file {
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
        let place = Place { name: variable.to_owned(), line: None };
        self.values.insert(key.to_owned(), Setting { text: value, quoted: true, place });
    }

    /// The setting as `read` takes it; a finding where it does not.
    pub(super) fn get<T>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let Setting { text, place, .. } = self.values.get(key)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(wanted) => {
                self.findings.push(format!("{place}: {key} is `{text}`; {wanted} is wanted"));
                None
            }
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let Setting { text, quoted, .. } = self.values.get(key)?;
        if *quoted && !text.trim().is_empty() {
            return Some(text.clone());
        }
        let what = match quoted {
            true => "is empty; write a text, or take the line out for the default".to_owned(),
            false => format!("is `{text}`, not a text: write it between quotes"),
        };
        self.refuse(key, &what);
        None
    }

    /// The texts of a list; in a variable, with commas between them.
    pub(super) fn list(&self, key: &str) -> Option<Vec<String>> {
        let texts = self.values.get(key)?.text.split(',').map(str::trim);
        Some(texts.filter(|text| !text.is_empty()).map(str::to_owned).collect())
    }

    /// Whether a section or a key is written anywhere, even wrongly.
    pub(super) fn names(&self, key: &str) -> bool {
        let below = |name: &String| {
            name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.values.keys().chain(self.tables.keys()).any(below)
    }

    /// A URL of one of these schemes. It is not told again: it may hold a password.
    pub(super) fn url(&mut self, key: &str, schemes: &[&str]) -> Option<String> {
        let url = self.text(key)?;
        if schemes.iter().any(|scheme| url.starts_with(&format!("{scheme}://"))) {
            return Some(url);
        }
        let found = match url.split_once("://") {
            Some((scheme, _)) => format!("begins with `{scheme}://`"),
            None => "is not a URL".to_owned(),
        };
        let wanted: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        self.refuse(key, &format!("{found}; write one that begins with {}", wanted.join(" or ")));
        None
    }

    /// All keys below `section`, with the section's name taken off.
    pub(super) fn section(&self, section: &str) -> BTreeMap<String, String> {
        let prefix = format!("{section}.");
        let inside = self
            .values
            .iter()
            .filter_map(|(key, setting)| Some((key.strip_prefix(&prefix)?, &setting.text)));
        inside.map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    /// The names under `[models]`, whether anything is set there or not.
    pub(super) fn model_names(&self) -> BTreeSet<String> {
        let below = self
            .values
            .keys()
            .chain(self.tables.keys())
            .filter_map(|key| key.strip_prefix("models."));
        below.filter_map(|key| key.split('.').next()).map(str::to_owned).collect()
    }

    /// Where each setting and each table stands.
    pub(super) fn places(&self) -> BTreeMap<String, Place> {
        let values = self.values.iter().map(|(key, setting)| (key.clone(), setting.place.clone()));
        values.chain(self.tables.clone()).collect()
    }

    pub(super) fn refuse(&mut self, key: &str, what: &str) {
        let place = self.values.get(key).map(|setting| &setting.place);
        let place = place.or_else(|| self.tables.get(key));
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        self.findings.push(format!("{place}{key} {what}"));
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// What [`Source::list`] reads.
fn texts(value: &DeValue<'_>) -> Option<String> {
    let DeValue::Array(values) = value else { return None };
    let text = |value: &toml::Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    Some(values.iter().map(text).collect::<Option<Vec<_>>>()?.join(","))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
