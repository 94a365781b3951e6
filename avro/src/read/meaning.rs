//! What a contract means to one model: how each field that the model uses is made, from what its writers wrote. A version
//! that only carries the used fields over is no part of it, so a field that nobody reads changes nothing.

use vitrina_sql::{MeaningPart, Place};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::contract::every::{KIND, PAYLOAD, VERSION};
use crate::contract::version::place_of;
use crate::contract::{Contract, Version};
use crate::read::layout::{Layout, VersionLayout};
use crate::schema::canonical::{self, Detail};

impl Layout {
    /// Whether a column, metadata too, is used of any version.
    pub fn uses(&self, column: &str) -> bool {
        let used = |version: &VersionLayout| version.columns.iter().any(|used| used.name == column);
        self.versions().iter().any(used)
    }

    /// Equal for two contracts exactly when a model that uses these columns cannot tell them apart.
    pub fn meaning(&self) -> Vec<MeaningPart> {
        let contract = &*self.contract;
        let columns = part(contract, format!("columns {:?}", self.selected()));
        if contract.is_every() {
            let of_event = |event| self.meaning_of(event).into_iter();
            let events = contract.stands_for.iter().flat_map(of_event);
            let within = |part: MeaningPart| {
                let text = format!("{} {}", contract.relation(), part.text);
                MeaningPart { text, ..part }
            };
            return [columns].into_iter().chain(events.map(within)).collect();
        }
        let mut parts = vec![names(contract), columns];
        let mut step = 0;
        let mut before: Option<&Version> = None;
        for (version, used) in contract.versions.iter().zip(self.versions()) {
            let changed = changed(before, version, used);
            step += usize::from(!changed.is_empty());
            parts.extend(
                changed.into_iter().map(|field| field_part(contract, version, field, step)),
            );
            before = Some(version);
        }
        parts
    }

    /// What one event means to a model that takes every event: that there is it, and what is shown of it.
    fn meaning_of(&self, event: &Arc<Contract>) -> Vec<MeaningPart> {
        let selected = self.selected();
        let mut parts = vec![names(event)];
        if selected.contains(&KIND) {
            parts.push(part(event, format!("kind {:?}", event.kind)));
        }
        if selected.contains(&VERSION) {
            // Which version a record is read as depends on all fields of all of them.
            let whole = |version: &Version| {
                let fields = (0..version.columns.len()).map(|field| wire(version, field));
                part(event, format!("v{} {:?}", version.number, fields.collect::<Vec<_>>()))
            };
            parts.extend(event.versions.iter().map(whole));
        }
        if selected.contains(&PAYLOAD) {
            let fields = event.newest().columns.iter().map(|column| column.name.clone());
            let fields: BTreeSet<String> = fields.collect();
            parts.extend(Self::new(event, Some(&fields)).meaning());
        }
        parts
    }
}

fn part(contract: &Contract, text: String) -> MeaningPart {
    MeaningPart {
        file: contract.schema_file(contract.newest()).to_owned(),
        at: Place::START,
        what: contract.relation(),
        text: format!("{} {text}", contract.relation()),
    }
}

/// The records that are its events.
fn names(contract: &Contract) -> MeaningPart {
    let mut names: Vec<&str> = contract.full_names.iter().map(String::as_str).collect();
    names.sort_unstable();
    part(contract, format!("names {names:?}"))
}

/// The used fields of a version that are not simply those of the one before, by name.
fn changed(before: Option<&Version>, version: &Version, used: &VersionLayout) -> Vec<usize> {
    let carried = |field: usize| {
        let name = &version.columns[field].name;
        before.is_some_and(|before| {
            version.upcast[field].sql == format!("\"{name}\"")
                && before
                    .place(name)
                    .is_some_and(|place| wire(before, place) == wire(version, field))
        })
    };
    let mut changed: Vec<usize> =
        used.fields.iter().copied().filter(|field| !carried(*field)).collect();
    changed.sort_by_key(|field| &version.columns[*field].name);
    changed
}

/// What the bytes of a field mean to a reader of this version.
fn wire(version: &Version, place: usize) -> String {
    let field = &version.fields()[place];
    let ty = canonical::text(&version.schema, field.node, Detail::Meaning);
    let default = field.default.as_ref().map(ToString::to_string);
    format!("{} {ty} aliases {:?} default {default:?}", field.name, field.aliases)
}

fn field_part(contract: &Contract, version: &Version, field: usize, step: usize) -> MeaningPart {
    let (relation, column) = (contract.relation(), &version.columns[field]);
    let source = version.upcast.get(field).map_or_else(String::new, |source| respaced(&source.sql));
    let text = format!("{relation} {step} {} = {source}", wire(version, field));
    let written = version.written.iter().find(|item| item.name == column.name);
    let (file, at) = match written {
        Some(item) => (version.upcast_file.as_str(), item.at),
        None => {
            (contract.schema_file(version), place_of(&version.json, &version.fields()[field].name))
        }
    };
    let what = format!("{relation} v{}.{}", version.number, column.name);
    MeaningPart { file: file.to_owned(), at, what, text }
}

/// The expression with single spaces outside of its literals; as it is where literals cannot be told by their quotes,
/// which at worst makes one meaning two.
fn respaced(sql: &str) -> String {
    if ["$", "\\", "--", "/*"].iter().any(|mark| sql.contains(mark)) {
        return sql.to_owned();
    }
    let respace = |(place, part): (usize, &str)| {
        let edge = |blank: bool| if blank { " " } else { "" };
        let words: Vec<&str> = part.split_whitespace().collect();
        let (starts, ends) =
            (part.starts_with(char::is_whitespace), part.ends_with(char::is_whitespace));
        match place % 2 {
            0 => format!("{}{}{}", edge(starts), words.join(" "), edge(ends)),
            _ => part.to_owned(),
        }
    };
    sql.split('\'').enumerate().map(respace).collect::<Vec<_>>().join("'")
}
