//! What one model needs of one contract. Columns are worked out backwards through the upcasts, so a field that no rule
//! reads is never decoded, bound or carried; the SQL and the bound columns come from the same lists and always agree.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::contract::every::{PAYLOAD, TYPE, VERSION};
use crate::contract::{Contract, METADATA, Version};
use crate::read::older::OlderVersion;
use crate::read::rows::Rows;
use crate::value::column::{Column, ColumnType};

/// The column that tells events apart and keeps their order.
pub const ORDINAL: &str = "_ordinal";

/// The columns to be decoded of each version of a contract, and the SQL that makes one relation of them.
#[derive(Debug, Clone)]
pub struct Layout {
    pub contract: Arc<Contract>,
    versions: Vec<VersionLayout>,
    /// Columns of the relation, without the ordinal.
    selected: Vec<String>,
    /// All of them were asked for, as a whole.
    whole: bool,
    /// Of `every.event`, where rules show events: the last of `versions`, each a version of one event that upcasts bring
    /// to the newest. The first holds all others.
    older: Vec<OlderVersion>,
}

/// The columns to be bound for one version: payload, then metadata, then the ordinal.
#[derive(Debug, Clone)]
pub struct VersionLayout {
    pub number: u32,
    pub columns: Vec<Column>,
    /// For the payload columns, the places of the version's fields.
    pub(crate) fields: Vec<usize>,
    /// For the metadata columns, their places in [`METADATA`].
    pub(crate) metadata: Vec<usize>,
}

impl Layout {
    /// `columns`: names of the newest version's columns and of metadata that the rules use; `None` is all of them.
    pub fn new(contract: &Arc<Contract>, columns: Option<&BTreeSet<String>>) -> Self {
        let shows = columns.is_none_or(|columns| columns.contains(PAYLOAD));
        // Of every event it is kept which one it is, for where it is parked.
        let named: &[&str] = if contract.is_every() { &[TYPE, VERSION] } else { &[] };
        Self::of(contract, columns, shows, named)
    }

    /// The same events with fewer of their columns.
    pub fn narrow(&self, columns: Option<&BTreeSet<String>>) -> Self {
        Self::of(&self.contract, columns, !self.older.is_empty(), &[])
    }

    /// `apart`: events of older versions are kept by themselves; `named`: columns that are kept, whether wanted or not.
    fn of(
        contract: &Arc<Contract>,
        columns: Option<&BTreeSet<String>>,
        apart: bool,
        named: &[&str],
    ) -> Self {
        let wanted = |name: &str| columns.is_none_or(|columns| columns.contains(name));
        let newest = contract.newest().columns.iter().map(|column| column.name.as_str());
        let metadata = METADATA.iter().map(|(name, _)| *name);
        let selected: Vec<String> =
            newest.chain(metadata).filter(|name| wanted(name)).map(str::to_owned).collect();
        let mut needed: BTreeSet<&str> =
            selected.iter().map(String::as_str).chain(named.iter().copied()).collect();
        let mut needs = Vec::new();
        for version in contract.versions.iter().rev() {
            let before = before(version, &needed);
            needs.push(std::mem::replace(&mut needed, before));
        }
        // Metadata that an upcast reads is bound for the versions before it, and for all, which is simpler.
        let metadata: Vec<usize> = (0..METADATA.len())
            .filter(|&place| needs.iter().any(|needs| needs.contains(METADATA[place].0)))
            .collect();
        let older = if apart { OlderVersion::all(contract, &selected) } else { Vec::new() };
        let versions = contract
            .versions
            .iter()
            .zip(needs.iter().rev())
            .map(|(version, needs)| VersionLayout::new(version, needs, metadata.clone()))
            .chain(older.iter().map(|older| older.layout().clone()))
            .collect();
        Self { contract: Arc::clone(contract), versions, selected, whole: columns.is_none(), older }
    }

    /// The columns to be bound, by version; index 0 is version 1. Of `every.event` they are of several events.
    pub fn versions(&self) -> &[VersionLayout] {
        &self.versions
    }

    /// Columns of the relation, without the ordinal; in the order that they have, where rules take them as a whole.
    pub(crate) fn selected(&self) -> Vec<&str> {
        let mut selected: Vec<&str> = self.selected.iter().map(String::as_str).collect();
        if !self.whole {
            selected.sort_unstable();
        }
        selected
    }

    /// How many parameters the relation takes: one array a column, version after version.
    pub fn parameters(&self) -> usize {
        self.versions.iter().map(|version| version.columns.len()).sum()
    }

    /// Where, among a version's stored columns, the newest version's column lies unchanged: carried over from version to
    /// version with the same type, or metadata. `None` where some upcast computes it.
    pub fn carried(&self, version: usize, column: &str) -> Option<usize> {
        let place =
            self.versions[version].columns.iter().position(|stored| stored.name == column)?;
        let ty = self.versions[version].columns[place].ty;
        let metadata = METADATA.iter().any(|(name, _)| *name == column);
        let unchanged = |newer: &Version| {
            let same = newer.columns.iter().any(|other| other.name == column && other.ty == ty);
            same && !newer.written.iter().any(|item| item.name == column)
        };
        (metadata || self.contract.versions.iter().skip(version + 1).all(unchanged))
            .then_some(place)
    }

    /// The contract and the version, from 0, whose columns a version of the relation is made of; none where it shows
    /// events as they are.
    pub fn source(&self, version: usize) -> Option<(&Layout, usize)> {
        match version.checked_sub(self.versions.len() - self.older.len()) {
            Some(place) => Some(self.older[place].source()),
            None => (!self.contract.is_every()).then_some((self, version)),
        }
    }

    /// Which of the versions holds the events of this contract's.
    pub(crate) fn place_of(&self, event: &Arc<Contract>, version: usize) -> usize {
        let first = self.versions.len() - self.older.len();
        let found = self.older.iter().position(|older| older.is_of(event, version));
        match found {
            Some(place) => first + place,
            None if self.contract.is_every() => 0,
            None => version,
        }
    }

    /// Which event a row is of, as `context.event@vN`.
    pub fn event(&self, version: usize, rows: &Rows, row: usize) -> String {
        if let Some((layout, version)) = self.source(version) {
            return format!("{}@v{}", layout.contract.relation(), version + 1);
        }
        let columns = &self.versions[version].columns;
        let value = |name: &str| {
            let place = columns.iter().position(|column| column.name == name)?;
            rows.values[place].get(row)
        };
        let relation = String::from_utf8_lossy(value(TYPE).unwrap_or_default()).into_owned();
        let number = value(VERSION).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
        format!("{relation}@v{}", number.unwrap_or_default())
    }

    /// Empty rows for each version.
    pub fn rows(&self) -> Vec<Rows> {
        self.versions.iter().map(|version| Rows::new(&version.columns)).collect()
    }

    /// The event relation as a derived table without alias, its parameters numbered from `first`. Besides the columns
    /// that were asked for it has [`ORDINAL`].
    ///
    /// Several versions end in `OFFSET 0`, which keeps Postgres from flattening them. Their branches would carry no row
    /// mark then, and an `UPDATE` or `DELETE` that waits for a locked row would drop every later event that has to wait.
    pub fn relation_sql(&self, first: usize) -> String {
        let mut parameter = first;
        let mut branches = Vec::new();
        let first_older = self.versions.len() - self.older.len();
        for (place, version) in self.versions.iter().enumerate() {
            branches.push(match place.checked_sub(first_older) {
                Some(older) => self.older[older].branch(parameter, &self.selected),
                None => self.branch(place, parameter),
            });
            parameter += version.columns.len();
        }
        let fence = if branches.len() > 1 { " OFFSET 0" } else { "" };
        format!("({}{fence})", branches.join(" UNION ALL "))
    }

    /// One version's events, brought to the newest: a query with the columns that were asked for, and [`ORDINAL`].
    pub fn branch(&self, place: usize, first: usize) -> String {
        let version = &self.versions[place];
        let arrays: Vec<String> = version
            .columns
            .iter()
            .enumerate()
            .map(|(column, Column { ty, .. })| format!("${}::{}", first + column, array(*ty)))
            .collect();
        let names = quoted(version.columns.iter().map(|column| column.name.as_str()));
        let mut from = format!("unnest({}) AS \"v{}\"({names})", arrays.join(", "), version.number);
        for (newer, layout) in self.contract.versions.iter().zip(&self.versions).skip(place + 1) {
            let older = newer.number - 1;
            let made = layout.fields.iter().map(|&field| {
                format!("{} AS \"{}\"", newer.upcast[field].sql, newer.columns[field].name)
            });
            let passed = layout.columns[layout.fields.len()..]
                .iter()
                .map(|column| format!("\"v{older}\".\"{}\"", column.name));
            let list: Vec<String> = made.chain(passed).collect();
            from = format!("(SELECT {} FROM {from}) AS \"v{}\"", list.join(", "), newer.number);
        }
        let selected = quoted(self.selected.iter().map(String::as_str).chain([ORDINAL]));
        format!("SELECT {selected} FROM {from}")
    }
}

impl VersionLayout {
    fn new(version: &Version, needs: &BTreeSet<&str>, metadata: Vec<usize>) -> Self {
        let fields: Vec<usize> = (0..version.columns.len())
            .filter(|&field| needs.contains(version.columns[field].name.as_str()))
            .collect();
        let ordinal = Column { name: ORDINAL.into(), ty: ColumnType::Int8, nullable: false };
        let known = metadata.iter().map(|&place| {
            let (name, ty) = METADATA[place];
            Column { name: name.into(), ty, nullable: true }
        });
        let columns = fields
            .iter()
            .map(|&field| version.columns[field].clone())
            .chain(known)
            .chain([ordinal])
            .collect();
        Self { number: version.number, columns, fields, metadata }
    }
}

/// What the version before must have, so that `version` has what is needed.
fn before<'a>(version: &'a Version, needed: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let is_metadata = |name: &&&str| METADATA.iter().any(|(known, _)| *known == **name);
    let sources = version.columns.iter().zip(&version.upcast);
    let read = sources
        .filter(|(column, _)| needed.contains(column.name.as_str()))
        .flat_map(|(_, source)| source.reads.iter().map(String::as_str));
    needed.iter().filter(is_metadata).copied().chain(read).collect()
}

/// Arrays carry no precision; the values do.
fn array(ty: ColumnType) -> String {
    match ty {
        ColumnType::Numeric(..) => "numeric[]".into(),
        other => format!("{}[]", other.sql()),
    }
}

pub(crate) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}
