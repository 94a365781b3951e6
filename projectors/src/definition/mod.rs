//! A definition: a model's text with those of the contracts that it uses, read and checked as far as that goes without
//! Postgres. What it means, not how it is written, decides whether a generation made from it may go on.

mod meaning;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vitrina_avro::{Contract, Contracts, Layout};
use vitrina_sql::{Files, Finding, MeaningPart, Model, Place, Rule};

use crate::definition::meaning::{digest, parts};

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
        let topics = topics(&layouts, contracts);
        let beside = contracts.contexts.values().filter(|context| topics.contains(&context.topic));
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

    /// The topics of the events that the rules run for.
    pub fn topics(&self) -> Vec<String> {
        topics(&self.layouts, &self.contracts).into_iter().collect()
    }

    /// The contracts of the events that the rules run for, each once.
    pub(crate) fn events(&self) -> Vec<Arc<Contract>> {
        let events = self.layouts.iter().flat_map(|layout| layout.contract.events());
        let named = events.map(|event| (event.relation(), Arc::clone(event)));
        named.collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

fn topics(layouts: &[Layout], contracts: &Contracts) -> BTreeSet<String> {
    let every = layouts.iter().any(|layout| layout.contract.is_every());
    let named = |name: &String| layouts.iter().any(|layout| layout.contract.context == *name);
    let contexts = contracts.contexts.values().filter(|context| every || named(&context.name));
    contexts.map(|context| context.topic.clone()).collect()
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
