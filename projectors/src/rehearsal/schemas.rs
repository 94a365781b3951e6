//! The schemas of all versions of all contracts, numbered as a registry would, so that rehearsed records are framed and
//! learnt as those of a log are.

use std::collections::HashMap;
use std::sync::Arc;

use vitrina_avro::{Contract, Contracts, Schema, SchemaRef, Version};

/// Schemas by their number, which counts from 1.
#[derive(Debug, Default)]
pub struct Schemas {
    schemas: Vec<Arc<Schema>>,
    /// By context, event and version.
    numbers: HashMap<(String, String, u32), u32>,
}

impl Schemas {
    pub fn new(contracts: &Contracts) -> Self {
        let mut all = Self::default();
        for contract in contracts.contexts.values().flat_map(|context| context.events.values()) {
            for version in &contract.versions {
                all.schemas.push(version.schema.clone());
                let place = (contract.context.clone(), contract.name.clone(), version.number);
                all.numbers.insert(place, all.schemas.len() as u32);
            }
        }
        all
    }

    /// A value in Confluent's framing: 0, the schema's number, the datum.
    pub fn frame(&self, contract: &Contract, version: &Version, datum: &[u8]) -> Vec<u8> {
        let place = (contract.context.clone(), contract.name.clone(), version.number);
        let number = self.numbers.get(&place).copied().unwrap_or_default();
        [&[0], &number.to_be_bytes()[..], datum].concat()
    }

    pub(super) fn of(&self, reference: SchemaRef) -> Option<&Arc<Schema>> {
        let SchemaRef::Id(number) = reference else { return None };
        self.schemas.get(number.checked_sub(1)? as usize)
    }
}
