//! Which version did a writer use? The one that its schema is; else the newest that it holds wholly, unless it also
//! holds what only a newer one knows, because then it is neither; else, as Avro's own readers have it, the newest of which
//! it lacks nothing but what has a default. Never the nearest: what fits no version is parked.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::contract::literal;
use crate::contract::{Contract, Version};
use crate::read::error::RecordError;
use crate::schema::Schema;
use crate::schema::canonical::{self, Detail};
use crate::schema::node::{Field, Node, NodeId, RecordType};
use crate::walk::pairing::{self, Differences, Pairing};
use crate::walk::shape::{ShapeId, Shapes};

/// What keeps one version from reading a writer's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    pub version: u32,
    /// Path of the first field in the way; empty where it is the whole record.
    pub field: String,
    pub what: String,
}

/// Why no version reads a writer's record; the newest version's obstacle first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    pub contract: String,
    pub record: String,
    pub obstacles: Vec<Obstacle>,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |one: &Obstacle| format!("v{}: {}", one.version, one.what);
        let said: Vec<String> = self.obstacles.iter().map(said).collect();
        f.write_str(&said.join("; "))
    }
}

impl From<Unfit> for RecordError {
    fn from(unfit: Unfit) -> Self {
        let reasons = unfit.to_string();
        Self::NoVersion { contract: unfit.contract, record: unfit.record, reasons }
    }
}

/// The version that a writer's record is, and how to read it.
pub(crate) struct Fit {
    /// Index of the version.
    pub(crate) version: usize,
    /// For each field of the writer: the version's field that it is, and its shape.
    pub(crate) fields: Vec<Option<(usize, ShapeId)>>,
    pub(crate) shapes: Shapes,
    /// The version's fields that the writer does not have, and the values that stand for them, as they are bound.
    pub(crate) defaults: Vec<(usize, Option<Vec<u8>>)>,
    /// The paths of all fields, nested ones too, for which a default stands.
    pub(crate) filled: Vec<String>,
}

impl Fit {
    /// Of a record that has no bytes, to the only version.
    pub(crate) fn of_nothing(writer: &Arc<Schema>) -> Self {
        let (shapes, _) = Pairing::new(writer, writer).finish(Arc::clone(writer));
        let (fields, defaults, filled) = Default::default();
        Self { version: 0, fields, shapes, defaults, filled }
    }
}

/// Finds the version of a writer's record.
pub(crate) fn fit(contract: &Contract, writer: &Arc<Schema>, id: NodeId) -> Result<Fit, Unfit> {
    let unfit = |record: &str, obstacles| Unfit {
        contract: contract.relation(),
        record: record.to_owned(),
        obstacles,
    };
    let Some(record) = writer.record(id) else {
        let no_record = Obstacle::new(contract.newest(), "", "it is not a record".to_owned());
        return Err(unfit(&writer.node(id).describe(), vec![no_record]));
    };
    let unfit = |obstacles| unfit(&record.name.full, obstacles);
    let wire = canonical::text(writer, id, Detail::Wire);
    let is_equal = |version: &&Version| {
        canonical::text(&version.schema, version.schema.root(), Detail::Wire) == wire
    };
    if let Some(equal) = contract.versions.iter().rev().find(is_equal) {
        return read(equal, writer, record, false)
            .map(|(fit, _)| fit)
            .map_err(|obstacle| unfit(vec![obstacle]));
    }
    let newest = |defaults: bool| {
        let mut obstacles = Vec::new();
        for version in contract.versions.iter().rev() {
            let newer = &contract.versions[version.number as usize..];
            match read(version, writer, record, defaults)
                .and_then(|(fit, further)| half_way(version, newer, &further).map(|()| fit))
            {
                Ok(fit) => return Ok(fit),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        Err(unfit(obstacles))
    };
    newest(false).or_else(|without| newest(true).map_err(|_| without))
}

/// How the version reads the writer's record, with its `defaults` for what the writer lacks or without; and the paths of
/// the fields that only the writer has.
fn read(
    version: &Version,
    writer: &Arc<Schema>,
    record: &RecordType,
    defaults: bool,
) -> Result<(Fit, Vec<String>), Obstacle> {
    let obstacle = |field: &str, what: String| Obstacle::new(version, field, what);
    let Some(wanted) = version.record() else {
        return Err(obstacle("", "it is not a record".to_owned()));
    };
    let default = |field: &Field| literal::json_default(&version.schema, field).ok();
    let mut pairing = match defaults {
        true => Pairing::with_defaults(writer, &version.schema, &default),
        false => Pairing::new(writer, &version.schema),
    };
    let fields = pairing
        .record(record, wanted)
        .map_err(|mismatch| obstacle(&mismatch.field, mismatch.to_string()))?;
    let (shapes, Differences { further, filled }) = pairing.finish(Arc::clone(writer));
    let missing = wanted.fields.iter().enumerate();
    let missing = missing.filter(|(place, _)| !pairing::has(&fields, *place));
    let binary = |field: &Field| {
        literal::binary(&version.schema, field).map_err(|what| obstacle(&field.name, what))
    };
    let defaults: Result<_, Obstacle> =
        missing.map(|(place, field)| Ok((place, binary(field)?))).collect();
    let version = version.number as usize - 1;
    Ok((Fit { version, fields, shapes, defaults: defaults?, filled }, further))
}

/// Refuses a writer that has a part of a newer version's fields.
fn half_way(version: &Version, newer: &[Version], further: &[String]) -> Result<(), Obstacle> {
    let known = paths(&version.schema);
    for path in further.iter().filter(|path| !known.contains(*path)) {
        if let Some(newer) = newer.iter().find(|newer| paths(&newer.schema).contains(path)) {
            let what = format!("the writer's field {path} belongs to v{}", newer.number);
            return Err(Obstacle::new(version, path, what));
        }
    }
    Ok(())
}

/// The paths of all fields, by their names and aliases; a type within itself is not followed.
fn paths(schema: &Schema) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    collect(schema, schema.root(), "", &mut Vec::new(), &mut paths);
    paths
}

fn collect(
    schema: &Schema,
    id: NodeId,
    prefix: &str,
    above: &mut Vec<NodeId>,
    paths: &mut BTreeSet<String>,
) {
    match schema.node(id) {
        Node::Array(inner) | Node::Map(inner) => collect(schema, *inner, prefix, above, paths),
        Node::Union(branches) => {
            branches.iter().for_each(|&branch| collect(schema, branch, prefix, above, paths))
        }
        Node::Record(record) if !above.contains(&id) => {
            above.push(id);
            for field in &record.fields {
                paths.extend(field.aliases.iter().map(|alias| format!("{prefix}{alias}")));
                paths.insert(format!("{prefix}{}", field.name));
                collect(schema, field.node, &format!("{prefix}{}.", field.name), above, paths);
            }
            above.pop();
        }
        _ => {}
    }
}

impl Obstacle {
    fn new(version: &Version, field: &str, what: String) -> Self {
        Self { version: version.number, field: field.to_owned(), what }
    }
}
