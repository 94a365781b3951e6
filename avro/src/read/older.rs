//! A version of an event within `every.event` that is not the newest: its fields are decoded for themselves, Postgres
//! brings them to the newest version and shows that one's row. Newest versions are shown while they are decoded.

use std::collections::BTreeSet;
use std::sync::Arc;

use vitrina_sql::quote_literal;

use crate::contract::every::{KIND, PAYLOAD, TYPE, VERSION};
use crate::contract::{Contract, METADATA};
use crate::read::layout::{Layout, ORDINAL, VersionLayout, quoted};

#[derive(Debug, Clone)]
pub(crate) struct OlderVersion {
    /// The event's own relation, with all that the payload shows.
    event: Arc<Layout>,
    /// Index of the version.
    version: usize,
}

impl OlderVersion {
    /// Those of all events that the contract stands for; `selected`: columns of its relation.
    pub(crate) fn all(every: &Contract, selected: &[String]) -> Vec<Self> {
        let is_selected = |name: &str| selected.iter().any(|selected| selected == name);
        let metadata = METADATA.iter().map(|(name, _)| *name).filter(|name| is_selected(name));
        let metadata: Vec<String> = metadata.map(str::to_owned).collect();
        let of_event = |event: &Arc<Contract>| {
            let fields = event.newest().columns.iter().map(|column| column.name.clone());
            let fields = fields.filter(|_| is_selected(PAYLOAD));
            let columns: BTreeSet<String> = fields.chain(metadata.iter().cloned()).collect();
            let versions = 0..event.versions.len() - 1;
            let layout = Arc::new(Layout::new(event, Some(&columns)));
            versions.map(move |version| Self { event: Arc::clone(&layout), version })
        };
        every
            .stands_for
            .iter()
            .filter(|event| event.versions.len() > 1)
            .flat_map(of_event)
            .collect()
    }

    /// What is decoded of it.
    pub(crate) fn layout(&self) -> &VersionLayout {
        &self.event.versions()[self.version]
    }

    pub(crate) fn source(&self) -> (&Layout, usize) {
        (&self.event, self.version)
    }

    pub(crate) fn is_of(&self, event: &Arc<Contract>, version: usize) -> bool {
        Arc::ptr_eq(&self.event.contract, event) && self.version == version
    }

    /// Its events as rows of `every.event`, their parameters numbered from `first`.
    pub(crate) fn branch(&self, first: usize, selected: &[String]) -> String {
        let event = &self.event.contract;
        let made = |name: &str| match name {
            TYPE => format!("{}::text", quote_literal(&event.relation())),
            VERSION => format!("{}::int4", self.version + 1),
            KIND => event.kind.map_or("NULL".into(), quote_literal) + "::text",
            PAYLOAD => self.payload(),
            metadata => format!("\"_event\".\"{metadata}\""),
        };
        let columns = selected.iter().map(|name| format!("{} AS \"{name}\"", made(name)));
        let columns: Vec<String> = columns.chain([format!("\"_event\".\"{ORDINAL}\"")]).collect();
        let rows = self.event.branch(self.version, first);
        format!("SELECT {} FROM ({rows}) AS \"_event\"", columns.join(", "))
    }

    /// The row of the newest version.
    fn payload(&self) -> String {
        let columns = self.event.contract.newest().columns.iter();
        let names: Vec<String> = columns
            .map(|column| format!("\"_event\".{}", quoted([column.name.as_str()].into_iter())))
            .collect();
        format!("(SELECT to_jsonb(_newest) FROM (SELECT {}) AS _newest)", names.join(", "))
    }
}
