//! What becomes of the records that a schema writes, told before the first of them comes, by the matching that reads them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::contract::{Contract, Contracts};
use crate::read::decoder::nearest;
use crate::read::matching::{self, Unfit};
use crate::schema::Schema;

/// What becomes of one of a schema's records on one topic.
#[derive(Debug, Clone)]
pub enum Outlook {
    /// It is read as this version; defaults stand for these fields.
    Read { contract: Arc<Contract>, version: u32, defaults: Vec<String> },
    /// No version of its contract fits.
    Parked { contract: Arc<Contract>, unfit: Unfit },
    /// No contract of the topic knows its name.
    Ignored { nearest: Option<String> },
}

impl Contracts {
    /// For each record that `writer` may write, its full name and what becomes of it on the topic.
    pub fn outlook(&self, topic: &str, writer: &Arc<Schema>) -> Vec<(String, Outlook)> {
        let contexts = self.contexts.values().filter(|context| context.topic == topic);
        let events: Vec<&Arc<Contract>> =
            contexts.flat_map(|context| context.events.values()).collect();
        let known: BTreeSet<String> =
            events.iter().flat_map(|event| event.full_names.iter().cloned()).collect();
        let branches = writer.branches(writer.root()).into_iter();
        let record = |node| {
            let name = match writer.record(node) {
                Some(record) => record.name.full.clone(),
                None => writer.node(node).describe(),
            };
            let Some(contract) = events.iter().find(|event| event.full_names.contains(&name))
            else {
                let nearest = nearest(&name, &known).map(str::to_owned);
                return (name, Outlook::Ignored { nearest });
            };
            let contract = Arc::clone(contract);
            let outlook = match matching::fit(&contract, writer, node) {
                Ok(fit) => {
                    let version = contract.versions[fit.version].number;
                    Outlook::Read { contract, version, defaults: fit.filled }
                }
                Err(unfit) => Outlook::Parked { contract, unfit },
            };
            (name, outlook)
        };
        branches.map(record).collect()
    }
}
