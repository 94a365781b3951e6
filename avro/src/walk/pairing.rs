//! Whether one type's values may stand for another's, and the shapes to read them by. Nothing is made up on the way: a
//! pair either promotes in all its parts or is refused by the first that does not; defaults fill what is missing only
//! where the caller brings them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::schema::Schema;
use crate::schema::node::{Field, Node, NodeId, RecordType};
use crate::walk::scalar::Scalar;
use crate::walk::shape::{Member, Shape, ShapeId, Shapes};

/// What stands in the way of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Path of the field, in the version's names.
    pub(crate) field: String,
    pub(crate) what: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the field {} {}", self.field, self.what)
    }
}

/// A field's default as JSON text; none where it has none.
pub(crate) type Defaults<'a> = &'a dyn Fn(&Field) -> Option<String>;

/// Pairs the types of a writer's schema with those of a version's.
pub(crate) struct Pairing<'a> {
    writer: &'a Schema,
    version: &'a Schema,
    shapes: Vec<Shape>,
    /// Pairs that are done or under way.
    seen: HashMap<(NodeId, NodeId), ShapeId>,
    path: Vec<String>,
    /// Paths of the writer's fields that the version does not know.
    further: Vec<String>,
    /// What stands for the version's fields that the writer does not have.
    defaults: Defaults<'a>,
    /// Paths of the version's fields that it stands for.
    filled: Vec<String>,
}

/// What was found on the way, besides the shapes.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// Paths of the fields that only the writer has.
    pub(crate) further: Vec<String>,
    /// Paths of the fields that it lacks, and whose defaults are read instead.
    pub(crate) filled: Vec<String>,
}

impl<'a> Pairing<'a> {
    pub(crate) fn new(writer: &'a Schema, version: &'a Schema) -> Self {
        Self::with_defaults(writer, version, &|_| None)
    }

    pub(crate) fn with_defaults(
        writer: &'a Schema,
        version: &'a Schema,
        defaults: Defaults<'a>,
    ) -> Self {
        Self {
            writer,
            version,
            defaults,
            filled: Vec::new(),
            shapes: Vec::new(),
            seen: HashMap::new(),
            path: Vec::new(),
            further: Vec::new(),
        }
    }

    /// The shapes made so far, to walk the writer's values with, and in what its type differs.
    pub(crate) fn finish(self, writer: Arc<Schema>) -> (Shapes, Differences) {
        let differences = Differences { further: self.further, filled: self.filled };
        (Shapes { writer, shapes: self.shapes }, differences)
    }

    /// The shape of a pair.
    pub(crate) fn pair(&mut self, writer: NodeId, version: NodeId) -> Result<ShapeId, Mismatch> {
        if let Some(&id) = self.seen.get(&(writer, version)) {
            return Ok(id);
        }
        let id = self.shapes.len();
        self.shapes.push(Shape::Null);
        self.seen.insert((writer, version), id);
        self.shapes[id] = self.shape(writer, version)?;
        Ok(id)
    }

    fn shape(&mut self, writer: NodeId, version: NodeId) -> Result<Shape, Mismatch> {
        if let Node::Union(branches) = self.writer.node(writer) {
            let shapes = branches
                .iter()
                .map(|&branch| self.pair(branch, version))
                .collect::<Result<_, _>>()?;
            return Ok(Shape::Branches(shapes));
        }
        if let Node::Union(branches) = self.version.node(version) {
            return self.any_branch(writer, branches);
        }
        Ok(match (self.writer.node(writer), self.version.node(version)) {
            (Node::Null, Node::Null) => Shape::Null,
            (Node::Array(written), Node::Array(wanted)) => Shape::Array {
                items: self.pair(*written, *wanted)?,
                least: self.writer.least(*written),
            },
            (Node::Map(written), Node::Map(wanted)) => Shape::Map {
                values: self.pair(*written, *wanted)?,
                least: self.writer.least(*written),
            },
            (Node::Record(written), Node::Record(wanted)) if wanted.name.accepts(&written.name) => {
                Shape::Record(self.members(written, wanted)?)
            }
            (written, wanted) => {
                Shape::Scalar(Scalar::promote(written, wanted).ok_or_else(|| {
                    self.mismatch(does_not_become(&written.describe(), &wanted.describe()))
                })?)
            }
        })
    }

    /// The branch that is the writer's type, else the first that it promotes to.
    fn any_branch(&mut self, writer: NodeId, branches: &'a [NodeId]) -> Result<Shape, Mismatch> {
        let written = self.writer.node(writer).describe();
        let mut candidates = branches.to_vec();
        candidates.sort_by_key(|&branch| self.version.node(branch).describe() != written);
        let mut first = None;
        for branch in candidates {
            let (shapes, depth) = (self.shapes.len(), self.path.len());
            let (further, filled) = (self.further.len(), self.filled.len());
            match self.shape(writer, branch) {
                Ok(shape) => return Ok(shape),
                Err(mismatch) => {
                    self.shapes.truncate(shapes);
                    self.further.truncate(further);
                    self.filled.truncate(filled);
                    self.path.truncate(depth);
                    self.seen.retain(|_, id| *id < shapes);
                    first.get_or_insert(mismatch);
                }
            }
        }
        let values: Vec<String> =
            branches.iter().map(|&branch| self.version.node(branch).describe()).collect();
        let deeper = first.filter(|mismatch| mismatch.field.len() > self.path.join(".").len());
        Err(deeper
            .unwrap_or_else(|| self.mismatch(does_not_become(&written, &values.join(" or ")))))
    }

    fn members(
        &mut self,
        written: &'a RecordType,
        wanted: &'a RecordType,
    ) -> Result<Vec<Member>, Mismatch> {
        let read = self.record(written, wanted)?;
        let member = |(field, read): (&Field, Option<(usize, ShapeId)>)| match read {
            Some((place, shape)) => Member::Read { name: wanted.fields[place].name.clone(), shape },
            None => Member::Skipped { name: field.name.clone(), node: field.node },
        };
        let missing = wanted.fields.iter().enumerate().filter(|(place, _)| !has(&read, *place));
        let missing = missing.filter_map(|(_, field)| {
            Some(Member::Default { name: field.name.clone(), json: (self.defaults)(field)? })
        });
        let missing: Vec<Member> = missing.collect();
        Ok(written.fields.iter().zip(read).map(member).chain(missing).collect())
    }

    /// For each field of the writer's record: the place of the version's field that it is, and their shape. A field of the
    /// version that is none of them has a default.
    pub(crate) fn record(
        &mut self,
        written: &'a RecordType,
        wanted: &'a RecordType,
    ) -> Result<Vec<Option<(usize, ShapeId)>>, Mismatch> {
        let mut read = vec![None; written.fields.len()];
        for (place, field) in wanted.fields.iter().enumerate() {
            self.path.push(field.name.clone());
            let from = source(written, wanted, field).filter(|&from| read[from].is_none());
            match from {
                Some(from) => {
                    read[from] = Some((place, self.pair(written.fields[from].node, field.node)?));
                }
                None if (self.defaults)(field).is_some() => self.filled.push(self.path.join(".")),
                None => return Err(self.mismatch("is missing".into())),
            }
            self.path.pop();
        }
        for (field, _) in written.fields.iter().zip(&read).filter(|(_, read)| read.is_none()) {
            let path: Vec<&str> =
                self.path.iter().map(String::as_str).chain([field.name.as_str()]).collect();
            self.further.push(path.join("."));
        }
        Ok(read)
    }

    fn mismatch(&self, what: String) -> Mismatch {
        Mismatch { field: self.path.join("."), what }
    }
}

/// Whether one of the writer's fields is the version's at `place`.
pub(crate) fn has(read: &[Option<(usize, ShapeId)>], place: usize) -> bool {
    read.iter().flatten().any(|(known, _)| *known == place)
}

fn does_not_become(written: &str, wanted: &str) -> String {
    format!("is written as {written}, which does not promote to {wanted}")
}

/// The place of the field that `wanted` is in an older or foreign record: by name, else by one of its aliases, unless
/// that name is a field of its own.
pub(crate) fn source(written: &RecordType, version: &RecordType, wanted: &Field) -> Option<usize> {
    let by_name = |field: &Field| field.name == wanted.name;
    let by_alias = |field: &Field| {
        wanted.aliases.contains(&field.name)
            && !version.fields.iter().any(|own| own.name == field.name)
    };
    let fields = &written.fields;
    fields.iter().position(by_name).or_else(|| fields.iter().position(by_alias))
}
