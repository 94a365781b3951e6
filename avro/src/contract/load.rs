//! Contracts from their files. Everything that can be refused before a record arrives is refused here, all of it at
//! once, with file and line; a context comes back only if none of its findings is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use vitrina_sql::{Files, Finding};

use crate::contract::context;
use crate::contract::tombstone::TOMBSTONE;
use crate::contract::version::{self, MAX_NAME, VersionFile};
use crate::contract::{Context, Contract, Contracts};

/// Names that stand for something else in models or in Postgres.
const RESERVED: [&str; 3] = ["every", "vitrina", "public"];

#[derive(Default)]
struct Folder<'a> {
    context: Option<&'a str>,
    events: BTreeMap<&'a str, EventFiles<'a>>,
}

/// Schemas and upcasts by version.
#[derive(Default)]
struct EventFiles<'a> {
    schemas: BTreeMap<u32, VersionFile<'a>>,
    upcasts: BTreeMap<u32, VersionFile<'a>>,
}

impl Contracts {
    /// Reads all contracts below `root`, the shown folder: `root/CONTEXT/context.toml`, `root/CONTEXT/EVENT/vN.avsc`
    /// and `vN.sql`. All findings come at once; contexts without errors come back.
    pub fn load(files: &Files, root: &str) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut contracts = Self::default();
        for (name, folder) in folders(files, root, &mut findings) {
            let before = findings.len();
            let context = load_context(root, name, &folder, &mut findings);
            let accepted = !findings[before..].iter().any(Finding::is_error);
            contracts
                .contexts
                .extend(context.filter(|_| accepted).map(|context| (name.to_owned(), context)));
        }
        refuse_twins(&mut contracts, &mut findings);
        (contracts, findings)
    }
}

fn folders<'a>(
    files: &'a Files,
    root: &str,
    findings: &mut Vec<Finding>,
) -> BTreeMap<&'a str, Folder<'a>> {
    let mut folders: BTreeMap<&str, Folder> = BTreeMap::new();
    let prefix = format!("{}/", root.trim_end_matches('/'));
    for (path, text) in &files.0 {
        let Some(below) = path.strip_prefix(&prefix) else { continue };
        let place = match below.split('/').collect::<Vec<_>>()[..] {
            [context, "context.toml"] => {
                folders.entry(context).or_default().context = Some(text);
                continue;
            }
            [context, event, file] => version_number(file).map(|number| (context, event, number)),
            _ => None,
        };
        match place {
            Some((context, event, (number, schema))) => {
                let event = folders.entry(context).or_default().events.entry(event).or_default();
                let versions = if schema { &mut event.schemas } else { &mut event.upcasts };
                versions.insert(number, VersionFile { path, text });
            }
            None if [".avsc", ".sql", ".toml"]
                .iter()
                .any(|extension| below.ends_with(extension)) =>
            {
                let help = format!(
                    "contracts are {prefix}CONTEXT/context.toml and {prefix}CONTEXT/EVENT/v1.avsc, v2.avsc, v2.sql …"
                );
                findings.push(Finding::error(path, 1, "this file is no part of a contract", help));
            }
            None => {}
        }
    }
    folders
}

/// The version of `vN.avsc` (`true`) or `vN.sql`.
fn version_number(file: &str) -> Option<(u32, bool)> {
    let (stem, extension) = file.strip_prefix('v')?.split_once('.')?;
    let number = stem.parse().ok().filter(|number: &u32| number.to_string() == stem)?;
    match extension {
        "avsc" => Some((number, true)),
        "sql" => Some((number, false)),
        _ => None,
    }
}

fn load_context(
    root: &str,
    name: &str,
    folder: &Folder<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Context> {
    let path = format!("{}/{name}/context.toml", root.trim_end_matches('/'));
    if let Some(why) = refused(name).or_else(|| {
        let reserved = RESERVED.contains(&name) || name.starts_with("pg_");
        reserved.then(|| "it is reserved".into())
    }) {
        let help = format!("rename the folder {}/{name}", root.trim_end_matches('/'));
        findings.push(Finding::error(
            &path,
            1,
            format!("`{name}` cannot be a context: {why}"),
            help,
        ));
    }
    let mut events = BTreeMap::new();
    for (event, files) in &folder.events {
        let contract = load_event(name, event, files, findings);
        events.extend(contract.map(|contract| ((*event).to_owned(), Arc::new(contract))));
    }
    let Some(text) = folder.context else {
        let help = "write it, with topic = \"…\" and key = \"…\"";
        findings.push(Finding::error(
            &path,
            1,
            format!("the context {name} has no context.toml"),
            help,
        ));
        return None;
    };
    let (mut context, file) = context::read(name, &path, text, findings)?;
    context.events = events;
    file.check(&context, findings);
    Some(context)
}

fn load_event(
    context: &str,
    event: &str,
    files: &EventFiles<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Contract> {
    let before = findings.len();
    let any = files.schemas.values().chain(files.upcasts.values()).next()?;
    let folder = any.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let reserved =
        || (event == TOMBSTONE).then(|| "it stands for records without a value".to_owned());
    if let Some(why) = refused(event).or_else(reserved) {
        let help = format!("rename the folder {folder}");
        findings.push(Finding::error(
            any.path,
            1,
            format!("`{event}` cannot be an event: {why}"),
            help,
        ));
    }
    check_numbers(folder, files, findings);
    let mut versions = Vec::new();
    for (&number, file) in &files.schemas {
        versions.extend(version::read(number, file, findings));
    }
    if findings[before..].iter().any(Finding::is_error) {
        return None;
    }
    let relation = format!("{context}.{event}");
    version::upcast(&relation, &mut versions, &files.upcasts, findings);
    let names = versions.iter().filter_map(|version| version.record()).map(|record| &record.name);
    let full_names: BTreeSet<String> =
        names.flat_map(|name| name.aliases.iter().chain([&name.full])).cloned().collect();
    let paths =
        files.schemas.values().chain(files.upcasts.values()).map(|file| file.path.to_owned());
    let accepted = !findings[before..].iter().any(Finding::is_error);
    accepted.then(|| Contract {
        context: context.to_owned(),
        name: event.to_owned(),
        full_names: full_names.into_iter().collect(),
        versions,
        files: paths.collect(),
    })
}

/// Versions count from 1 without gaps, and each but the first has its upcast.
fn check_numbers(folder: &str, files: &EventFiles<'_>, findings: &mut Vec<Finding>) {
    let newest = files.schemas.keys().next_back().copied().unwrap_or(0);
    if files.schemas.contains_key(&0) {
        findings.push(Finding::error(
            format!("{folder}/v0.avsc"),
            1,
            "versions count from 1",
            "call it v1.avsc",
        ));
    }
    for missing in (1..=newest).filter(|number| !files.schemas.contains_key(number)).take(3) {
        let what = format!("v{missing}.avsc is missing, though there is a v{newest}.avsc");
        let help = "write it, or number the versions from 1 without gaps";
        findings.push(Finding::error(format!("{folder}/v{missing}.avsc"), 1, what, help));
    }
    for &number in
        files.schemas.keys().filter(|&&number| number > 1 && !files.upcasts.contains_key(&number))
    {
        let old = number - 1;
        let help = format!(
            "write `SELECT … FROM v{old};`, naming what a v{number} has that a v{old} has not"
        );
        let path = format!("{folder}/v{number}.sql");
        findings.push(Finding::error(
            path,
            1,
            format!("nothing says how a v{old} becomes a v{number}"),
            help,
        ));
    }
    for (&number, file) in &files.upcasts {
        if number < 2 {
            findings.push(Finding::error(
                file.path,
                1,
                "there is no version before the first",
                "remove the file",
            ));
        } else if !files.schemas.contains_key(&number) {
            let help = format!("write v{number}.avsc, or remove the file");
            findings.push(Finding::error(
                file.path,
                1,
                format!("there is no v{number}.avsc"),
                help,
            ));
        }
    }
}

/// Why a folder's name cannot be a name in SQL that needs no quotes.
fn refused(name: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.bytes().all(legal) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Some(
            "a name has lower-case letters, digits and underscores, and begins with a letter"
                .into(),
        );
    }
    (name.len() > MAX_NAME).then(|| format!("it has more than {MAX_NAME} bytes"))
}

/// Takes out contexts that share a topic and a record's name with another: their events could not be told apart.
fn refuse_twins(contracts: &mut Contracts, findings: &mut Vec<Finding>) {
    let mut seen: HashMap<(String, String), String> = HashMap::new();
    let mut refused = BTreeSet::new();
    for context in contracts.contexts.values() {
        for event in context.events.values() {
            for name in &event.full_names {
                let first = seen
                    .entry((context.topic.clone(), name.clone()))
                    .or_insert_with(|| event.relation());
                if *first != event.relation() {
                    let what =
                        format!("the record {name} on topic {} is {first} already", context.topic);
                    let help = "give the records of one topic different names, or the contexts different topics";
                    findings.push(Finding::error(&event.files[0], 1, what, help));
                    refused.insert(context.name.clone());
                }
            }
        }
    }
    contracts.contexts.retain(|name, _| !refused.contains(name));
}
