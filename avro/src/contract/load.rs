//! Contracts from their files. Everything that can be refused before a record arrives is refused here, all of it at
//! once, with file and place. What has errors of its own does not come back, and is remembered as broken: an event, or a
//! whole context; what stands beside it goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use vitrina_sql::{Files, Finding, Place};

use crate::contract::context::{self, ContextFile};
use crate::contract::every::EVERY;
use crate::contract::sort::{self, Sort};
use crate::contract::tombstone::TOMBSTONE;
use crate::contract::version::{self, MAX_NAME, VersionFile};
use crate::contract::{Context, Contract, Contracts};

/// Names that stand for something else in models or in Postgres.
const RESERVED: [&str; 3] = [EVERY, "vitrina", "public"];

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
    /// and `vN.sql`. All findings come at once.
    pub fn load(files: &Files, root: &str) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut contracts = Self::default();
        for (name, folder) in folders(files, root, &mut findings) {
            contracts.load_context(root, name, &folder, &mut findings);
        }
        refuse_twins(&mut contracts, &mut findings);
        contracts.every = contracts.every_event();
        (contracts, findings)
    }

    fn load_context(
        &mut self,
        root: &str,
        name: &str,
        folder: &Folder<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let mut events = BTreeMap::new();
        for (event, files) in &folder.events {
            let before = findings.len();
            let contract = load_event(name, event, files, findings);
            self.note((name, Some(event)), &findings[before..]);
            events.extend(contract.map(|contract| ((*event).to_owned(), Arc::new(contract))));
        }
        let before = findings.len();
        let read = read_context(root, name, folder, findings);
        self.note((name, None), &findings[before..]);
        let Some((mut context, file)) = read.filter(|_| !self.is_broken(name, None)) else {
            return;
        };
        context.events = events;
        let before = findings.len();
        file.check_keys(&mut context, findings);
        for event in folder.events.keys().filter(|event| !context.events.contains_key(**event)) {
            self.note((name, Some(event)), &findings[before..]);
        }
        let key = context.key_type().ok().map(|node| (context.key.as_str(), node));
        context.tombstone = Arc::new(Contract::tombstone(name, key));
        let before = findings.len();
        let all = context.events.len() == folder.events.len();
        file.check_origins(&context, all, findings);
        self.note((name, None), &findings[before..]);
        if !self.is_broken(name, None) {
            self.contexts.insert(name.to_owned(), context);
        }
    }

    /// Remembers where the first of these errors is, if there is one.
    fn note(&mut self, (context, event): (&str, Option<&str>), findings: &[Finding]) {
        if let Some(first) = findings.iter().find(|finding| finding.is_error()) {
            let name = (context.to_owned(), event.map(str::to_owned));
            self.broken.entry(name).or_insert_with(|| first.address());
        }
    }

    fn is_broken(&self, context: &str, event: Option<&str>) -> bool {
        self.broken.contains_key(&(context.to_owned(), event.map(str::to_owned)))
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
                findings.push(Finding::error(
                    path,
                    Place::START,
                    "this file is no part of a contract",
                    help,
                ));
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

/// The context by its file, still without events.
fn read_context(
    root: &str,
    name: &str,
    folder: &Folder<'_>,
    findings: &mut Vec<Finding>,
) -> Option<(Context, ContextFile)> {
    let path = format!("{}/{name}/context.toml", root.trim_end_matches('/'));
    let reserved = || {
        let reserved = RESERVED.contains(&name) || name.starts_with("pg_");
        reserved.then(|| "it is reserved".to_owned())
    };
    if let Some(why) = refused(name).or_else(reserved) {
        let what = format!("`{name}` cannot be a context: {why}");
        let help = format!("rename the folder {}/{name}", root.trim_end_matches('/'));
        findings.push(Finding::error(&path, Place::START, what, help));
    }
    let Some(text) = folder.context else {
        let what = format!("the context {name} has no context.toml");
        let help = "write it, with topic = \"…\" and key = \"…\"";
        findings.push(Finding::error(&path, Place::START, what, help));
        return None;
    };
    context::read(name, &path, text, findings)
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
            Place::START,
            format!("`{event}` cannot be an event: {why}"),
            help,
        ));
    }
    check_numbers(folder, files, findings);
    let mut versions = Vec::new();
    let mut newest = Sort::default();
    for (&number, file) in &files.schemas {
        versions.extend(version::read(number, file, findings));
        newest = sort::read(file, findings);
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
        kind: newest.kind,
        purpose: newest.purpose,
        full_names: full_names.into_iter().collect(),
        versions,
        files: paths.collect(),
        stands_for: Vec::new(),
    })
}

/// Versions count from 1 without gaps, and each but the first has its upcast.
fn check_numbers(folder: &str, files: &EventFiles<'_>, findings: &mut Vec<Finding>) {
    let newest = files.schemas.keys().next_back().copied().unwrap_or(0);
    if files.schemas.contains_key(&0) {
        findings.push(Finding::error(
            format!("{folder}/v0.avsc"),
            Place::START,
            "versions count from 1",
            "call it v1.avsc",
        ));
    }
    for missing in (1..=newest).filter(|number| !files.schemas.contains_key(number)).take(3) {
        let what = format!("v{missing}.avsc is missing, though there is a v{newest}.avsc");
        let help = "write it, or number the versions from 1 without gaps";
        findings.push(Finding::error(
            format!("{folder}/v{missing}.avsc"),
            Place::START,
            what,
            help,
        ));
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
            Place::START,
            format!("nothing says how a v{old} becomes a v{number}"),
            help,
        ));
    }
    for (&number, file) in &files.upcasts {
        if number < 2 {
            findings.push(Finding::error(
                file.path,
                Place::START,
                "there is no version before the first",
                "remove the file",
            ));
        } else if !files.schemas.contains_key(&number) {
            let help = format!("write v{number}.avsc, or remove the file");
            findings.push(Finding::error(
                file.path,
                Place::START,
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

/// Takes out events that share a topic and a record's name with another: they could not be told apart.
fn refuse_twins(contracts: &mut Contracts, findings: &mut Vec<Finding>) {
    let mut seen: HashMap<(String, String), String> = HashMap::new();
    let mut twins = Vec::new();
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
                    let finding = Finding::error(&event.files[0], Place::START, what, help);
                    twins.push((context.name.clone(), event.name.clone(), finding));
                }
            }
        }
    }
    for (context, event, finding) in twins {
        contracts.note((&context, Some(&event)), std::slice::from_ref(&finding));
        if let Some(context) = contracts.contexts.get_mut(&context) {
            context.events.remove(&event);
        }
        findings.push(finding);
    }
}
