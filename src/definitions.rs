//! Definitions from the folders of the configuration, or from the binary itself for the demo.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use include_dir::{Dir, include_dir};
use vitrina_projectors::{Definitions, Roots};
use vitrina_sql::{Files, Finding, Place};

use crate::config::Config;
use crate::failure::Failure;

static CONTRACTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/avro/contracts");
static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/projectors/models");

/// Reads the folders of the configuration; paths are shown as the working folder sees them.
///
/// # Errors
/// A folder that is not there, with the setting that names it.
pub(crate) fn from_folders(config: &Config) -> Result<Definitions, Failure> {
    let texts = Texts::read(config)?;
    Ok(texts.load())
}

/// The same without the models that are not enabled; `[models.NAME]` that names none is found.
///
/// # Errors
/// As [`from_folders`].
pub(crate) fn to_check(config: &Config) -> Result<Definitions, Failure> {
    let mut texts = Texts::read(config)?;
    let file = |name: &str| format!("{}/{name}.sql", texts.roots.models);
    let mut findings = Vec::new();
    for (name, place) in config.named_models_with_places() {
        if !texts.files.0.contains_key(&file(name)) {
            let what = format!(
                "[models.{name}]: there is no model of this name in {}",
                texts.roots.models
            );
            let help =
                "write the name of one, which is its file's without .sql, or take the setting out";
            let at = Place { line: place.line.unwrap_or(1), column: 1 };
            findings.push(Finding::warning(&place.name, at, what, help));
        }
    }
    let disabled: Vec<String> =
        config.named_models().filter(|name| config.model(name).is_none()).map(file).collect();
    texts.files.0.retain(|path, _| !disabled.contains(path));
    texts.unreadable.retain(|finding| !disabled.contains(&finding.file));
    let mut loaded = texts.load();
    loaded.findings.extend(findings);
    Ok(loaded)
}

/// What is found once these texts, by the paths that are shown, lie beside what the folders hold by now.
///
/// # Errors
/// A folder that is there and cannot be read.
pub(crate) fn foreseen(
    config: &Config,
    drafts: &BTreeMap<String, String>,
) -> Result<Vec<Finding>, Failure> {
    let roots = Roots { contracts: shown(&config.contracts), models: shown(&config.models) };
    let mut files = Files::default();
    for (folder, root) in [(&config.contracts, &roots.contracts), (&config.models, &roots.models)] {
        if folder.is_dir() {
            files.add(folder, root, CONTRACT_FILES)?;
        }
    }
    files.0.extend(drafts.clone());
    Ok(Definitions::load(&files, &roots).findings)
}

/// Contracts with their upcasts.
///
/// # Errors
/// As [`from_folders`].
pub(crate) fn contracts(
    config: &Config,
) -> Result<(vitrina_avro::Contracts, Vec<Finding>), Failure> {
    let root = shown(&config.contracts);
    let mut files = Files::default();
    let unreadable = files.add(&config.contracts, &root, CONTRACT_FILES);
    let mut unreadable =
        unreadable.map_err(|error| missing(config, "definitions.contracts", &error))?;
    let (contracts, findings) = vitrina_avro::Contracts::load(&files, &root);
    unreadable.extend(findings);
    Ok((contracts, unreadable))
}

const CONTRACT_FILES: &[&str] = &[".toml", ".avsc", ".sql"];

/// What lies in the two folders.
#[derive(Clone, PartialEq)]
pub(crate) struct Texts {
    files: Files,
    roots: Roots,
    unreadable: Vec<Finding>,
}

impl Texts {
    /// # Errors
    /// As [`from_folders`].
    pub(crate) fn read(config: &Config) -> Result<Self, Failure> {
        let roots = Roots { contracts: shown(&config.contracts), models: shown(&config.models) };
        let mut files = Files::default();
        let mut unreadable = files
            .add(&config.contracts, &roots.contracts, CONTRACT_FILES)
            .map_err(|error| missing(config, "definitions.contracts", &error))?;
        let mut models = Files::default();
        let found = models.add(&config.models, &roots.models, CONTRACT_FILES);
        unreadable.extend(found.map_err(|error| missing(config, "definitions.models", &error))?);
        let wrong = wrong_contracts(&files, &roots.contracts)
            .map(|why| ("definitions.contracts", why))
            .or_else(|| Some(("definitions.models", wrong_models(&models, &roots.models)?)));
        if let Some((setting, why)) = wrong {
            return Err(wrong_thing(config, setting, &why));
        }
        models.0.retain(|path, _| path.ends_with(".sql"));
        unreadable.retain(|finding| {
            files.0.contains_key(&finding.file) || models.0.contains_key(&finding.file)
        });
        files.0.append(&mut models.0);
        Ok(Self { files, roots, unreadable })
    }

    /// Whether there is a file here that the other ones lack.
    pub(crate) fn has_more_than(&self, other: &Self) -> bool {
        self.files.0.keys().any(|file| !other.files.0.contains_key(file))
    }

    /// What is said of the empty text that stands for an unreadable file gives way to why it cannot be read.
    pub(crate) fn load(self) -> Definitions {
        let mut loaded = Definitions::load(&self.files, &self.roots);
        loaded
            .findings
            .retain(|finding| !self.unreadable.iter().any(|unread| unread.file == finding.file));
        for findings in loaded.broken.values_mut() {
            for finding in findings {
                if let Some(unread) =
                    self.unreadable.iter().find(|unread| unread.file == finding.file)
                {
                    finding.clone_from(unread);
                }
            }
        }
        loaded.findings.extend(self.unreadable);
        loaded
    }
}

/// What a folder that is not one of contracts is, as far as that can be told.
fn wrong_contracts(files: &Files, root: &str) -> Option<String> {
    let paths = || files.0.keys().filter_map(|path| path.strip_prefix(root)?.strip_prefix('/'));
    if paths().any(|path| path.matches('/').count() == 1 && path.ends_with("/context.toml")) {
        return None;
    }
    if paths().any(|path| path == "context.toml") {
        return Some("is one context's; name the folder above it".to_owned());
    }
    if let Some(model) = paths().find(|path| !path.contains('/') && path.ends_with(".sql")) {
        return Some(format!("holds models, such as {model}; name the folder of contexts"));
    }
    let deeper = paths().find_map(|path| path.strip_suffix("/context.toml"));
    deeper.map(|context| {
        let folder = context.rsplit_once('/').map_or(context, |(folder, _)| folder);
        format!("holds no context itself; name {root}/{folder}")
    })
}

/// The same of models.
fn wrong_models(files: &Files, root: &str) -> Option<String> {
    let paths = || files.0.keys().filter_map(|path| path.strip_prefix(root)?.strip_prefix('/'));
    if paths().any(|path| !path.contains('/') && path.ends_with(".sql")) {
        return None;
    }
    let contract = |path: &&str| path.ends_with("context.toml") || path.ends_with(".avsc");
    if let Some(contract) = paths().find(contract) {
        return Some(format!("holds contracts, such as {contract}; name the folder of models"));
    }
    let deeper = paths().find(|path| path.ends_with(".sql"))?.rsplit_once('/')?.0;
    Some(format!("holds no model itself; name {root}/{deeper}"))
}

fn wrong_thing(config: &Config, setting: &str, why: &str) -> Failure {
    Failure::Usage(match (config.place(setting), &config.file) {
        (Some(place), _) => format!("{place}: the folder that {setting} names {why}"),
        (None, Some(file)) => {
            format!("{}: the default folder of {setting} {why}", file.display())
        }
        (None, None) => format!("the default folder of {setting} {why}, in a vitrina.toml"),
    })
}

/// A folder that cannot be read, by the setting that names it.
fn missing(config: &Config, setting: &str, error: &std::io::Error) -> Failure {
    let way = match (config.place(setting), &config.file) {
        (Some(place), _) => {
            format!("{place}: the folder that {setting} names cannot be read: {error}")
        }
        (None, Some(file)) => {
            let file = file.display();
            format!(
                "{error}: this is the default of {setting}; set it in {file} to the folder that you mean"
            )
        }
        (None, None) => format!(
            "{error}: ./vitrina.toml was not found here, so this default of {setting} holds; go to the folder of your \
             vitrina.toml, or name the file with --config"
        ),
    };
    Failure::Usage(way)
}

/// Writes the reference set, which is part of the binary, to a folder: its contracts, these of its models, and the others where
/// they are not read; beside each model its tests.
///
/// # Errors
/// The folder's.
pub(crate) fn write(folder: &Path, models: &[String]) -> io::Result<()> {
    let [contracts, shown, others] =
        ["contracts", "models", "more-models"].map(|name| folder.join(name));
    fs::create_dir(&contracts)?;
    for folder in [&shown, &others] {
        fs::create_dir_all(folder.join("tests"))?;
    }
    CONTRACTS.extract(&contracts)?;
    let tests = MODELS.get_dir("tests").into_iter().flat_map(Dir::files);
    for file in MODELS.files().chain(tests) {
        let is_shown = file
            .path()
            .file_stem()
            .is_some_and(|stem| models.iter().any(|name| stem == name.as_str()));
        fs::write((if is_shown { &shown } else { &others }).join(file.path()), file.contents())?;
    }
    Ok(())
}

/// A path as the working folder sees it.
pub(crate) fn shown(folder: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let relative = match folder.is_absolute() {
        true => relative(folder, &here),
        false => folder.to_path_buf(),
    };
    relative.display().to_string().trim_start_matches("./").to_owned()
}

/// The way from one folder to another, both absolute.
fn relative(to: &Path, from: &Path) -> PathBuf {
    let common = to.components().zip(from.components()).take_while(|(to, from)| to == from).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}
