//! Whether events of different record keys never touch the same row. Then batches of different keys may be written at
//! once, in any order: no two of them read or write, nor wait for, the same row.

use std::collections::{BTreeMap, BTreeSet};

use super::access::{Access, KeyPart, Obstacle};
use super::keys::{EventKeys, KeyValue};
use super::runs::Waves;
use crate::finding::place::Place;
use crate::model::Model;

/// Where the events of a relation come from, and what all events of one record have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// None: they come from several.
    pub topic: Option<String>,
    /// The relation's column that is the record key's field, the same in all its versions; `None`: there is none, so only
    /// [`KEY`] counts.
    pub column: Option<String>,
}

const SPLIT: &str = "only what comes from one topic can be split by its record key";

/// The record key itself, as text, among a relation's columns.
pub const KEY: &str = "_key";

/// Batches may be written at once, split by the values of these keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parallel {
    pub topic: String,
    /// For each of [`Waves::relations`]: index into its keys of the one that tells all rows apart. Events with equal
    /// values must not be split; where it is NULL, an event touches no row by it.
    pub keys: Vec<usize>,
}

impl Waves {
    /// Whether all rows that the model touches are told by the record key of one topic: each table's by one column, and
    /// every access of it by that column.
    ///
    /// # Errors
    /// The first access in the way.
    pub fn parallel(
        &self,
        model: &Model,
        record_key: &dyn Fn(&EventKeys) -> RecordKey,
    ) -> Result<Parallel, Obstacle> {
        let records: Vec<RecordKey> = self.relations.iter().map(record_key).collect();
        let judgement = Judgement { waves: self, model, records: &records };
        let topic = judgement.one_topic()?;
        let keys = judgement.keys();
        let mut columns: BTreeMap<usize, (BTreeSet<usize>, Place)> = BTreeMap::new();
        for (rule, access) in judgement.accesses() {
            let own = judgement.columns(rule, access, &keys)?;
            let at = model.rules[rule].at;
            let (left, since) = columns.entry(access.table).or_insert_with(|| (own.clone(), at));
            left.retain(|column| own.contains(column));
            if left.is_empty() {
                return Err(judgement.two_columns(at, *since, access.table));
            }
        }
        let keys: Option<Vec<usize>> = keys.into_iter().collect();
        // A relation without a key has no rules, or an access of one was in the way.
        keys.map(|keys| Parallel { topic, keys }).ok_or_else(|| judgement.idle())
    }
}

struct Judgement<'a> {
    waves: &'a Waves,
    model: &'a Model,
    /// For each relation.
    records: &'a [RecordKey],
}

impl<'a> Judgement<'a> {
    fn one_topic(&self) -> Result<String, Obstacle> {
        let mut topic: Option<&str> = None;
        for (rule, waves) in self.waves.rules.iter().enumerate() {
            let at = self.model.rules[rule].at;
            let Some(own) = &self.records[waves.relation].topic else {
                return Err(Obstacle {
                    because: "its events come from the topics of all contexts".into(),
                    at,
                    help: SPLIT.into(),
                });
            };
            match topic {
                Some(first) if first != own => {
                    return Err(Obstacle {
                        because: format!("its events come from the topics `{first}` and `{own}`"),
                        at,
                        help: SPLIT.into(),
                    });
                }
                _ => topic = Some(own),
            }
        }
        topic.map(str::to_owned).ok_or_else(|| self.idle())
    }

    /// For each relation, which of its keys is the record's: the key's field, or else the key itself.
    fn keys(&self) -> Vec<Option<usize>> {
        let place = |keys: &EventKeys, column: &str| {
            keys.keys
                .iter()
                .position(|key| matches!(key, KeyValue::Field(field) if field == column))
        };
        let relations = self.waves.relations.iter().zip(self.records);
        relations
            .map(|(keys, record)| {
                let field = record.column.as_ref().and_then(|column| place(keys, column));
                field.or_else(|| place(keys, KEY))
            })
            .collect()
    }

    /// A new row's columns are also known of the row that its unique index may hold already: that access speaks for both.
    fn accesses(&self) -> impl Iterator<Item = (usize, &'a Access)> {
        let rules = self.waves.rules.iter().enumerate();
        let all =
            rules.flat_map(|(rule, waves)| waves.accesses.iter().map(move |access| (rule, access)));
        all.filter(|(_, access)| !access.new_row)
    }

    /// The columns that equal the record key in all rows of an access.
    fn columns(
        &self,
        rule: usize,
        access: &Access,
        keys: &[Option<usize>],
    ) -> Result<BTreeSet<usize>, Obstacle> {
        let key = keys[self.waves.rules[rule].relation];
        let parts = access.rows.parts().iter().filter(|part| Some(part.key) == key);
        let columns: BTreeSet<usize> = parts.map(|part| part.column).collect();
        if columns.is_empty() { Err(self.in_the_way(rule, access, key)) } else { Ok(columns) }
    }

    fn in_the_way(&self, rule: usize, access: &Access, key: Option<usize>) -> Obstacle {
        if let Some(obstacle) = &access.obstacle {
            return obstacle.clone();
        }
        let table = &self.model.tables[access.table];
        let relation = self.waves.rules[rule].relation;
        let found =
            |part: &KeyPart| format!("`{} = {}`", table.columns[part.column].name, part.text);
        let found: Vec<String> = access.rows.parts().iter().map(found).collect();
        let wanted = match key.map(|key| &self.waves.relations[relation].keys[key]) {
            Some(KeyValue::Field(field)) => field,
            _ => self.records[relation].column.as_deref().unwrap_or(KEY),
        };
        let found = found.join(" and ");
        Obstacle {
            because: format!(
                "rows of `{}` are told by {found}, not by the record key `{wanted}`",
                table.name
            ),
            at: self.model.rules[rule].at,
            help: format!(
                "tell them by `column = e.{wanted}` in every rule, the column being of the field's own type"
            ),
        }
    }

    fn two_columns(&self, at: Place, since: Place, table: usize) -> Obstacle {
        let table = &self.model.tables[table].name;
        Obstacle {
            because: format!(
                "the record key tells rows of `{table}` by another column than in line {}",
                since.line
            ),
            at,
            help: "tell a table's rows by one and the same column in every rule".into(),
        }
    }

    /// Nothing touches a row.
    fn idle(&self) -> Obstacle {
        let because = "no rule touches a row by the record key".to_owned();
        Obstacle { because, at: Place::START, help: "write one that does".into() }
    }
}
