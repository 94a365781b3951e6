//! JSON to Avro, by the schema. Two dialects: plain, as people write it (untagged unions, decimals as numbers,
//! moments as ISO texts, bytes as base64), and Avro's own for defaults. What is not of its type is refused with its
//! path.

use serde_json::{Map, Value as Json};

use crate::hint::hint;
use crate::schema::Schema;
use crate::schema::node::{Field, Node, NodeId, RecordType};
use crate::walk::budget::MAX_DEPTH;
use crate::write::dialect::{Dialect, bytes, long};
use crate::write::error::{EncodeError, Encoded, found, wrong};

/// Encodes a value of one node.
pub(crate) fn encode(
    schema: &Schema,
    id: NodeId,
    json: &Json,
    dialect: Dialect,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    Encoder { schema, dialect }.value(id, json, &mut out, 0).map_err(|error| *error)?;
    Ok(out)
}

struct Encoder<'a> {
    schema: &'a Schema,
    dialect: Dialect,
}

impl Encoder<'_> {
    fn value(&self, id: NodeId, json: &Json, out: &mut Vec<u8>, depth: u32) -> Encoded {
        match (self.schema.node(id), json) {
            // What is deeper nobody could read. A default may hold itself: it ends here, too.
            (Node::Record(_) | Node::Array(_) | Node::Map(_), _) if depth > MAX_DEPTH => {
                Err(wrong(format!("values nest deeper than {MAX_DEPTH} levels")))
            }
            (Node::Union(branches), _) => self.union(branches, json, out, depth),
            (Node::Record(record), Json::Object(members)) => {
                self.record(record, members, out, depth)
            }
            (Node::Array(items), Json::Array(values)) => {
                block(out, values.len());
                for (place, value) in values.iter().enumerate() {
                    self.value(*items, value, out, depth + 1)
                        .map_err(|error| within(error, &format!("[{place}]")))?;
                }
                if !values.is_empty() {
                    out.push(0);
                }
                Ok(())
            }
            (Node::Map(values), Json::Object(members)) => {
                block(out, members.len());
                for (key, value) in members {
                    bytes(out, key.as_bytes());
                    self.value(*values, value, out, depth + 1)
                        .map_err(|error| within(error, &format!("[{key}]")))?;
                }
                if !members.is_empty() {
                    out.push(0);
                }
                Ok(())
            }
            (node, _) => self.dialect.scalar(node, json, out),
        }
    }

    fn record(
        &self,
        record: &RecordType,
        members: &Map<String, Json>,
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Encoded {
        if let Some(unknown) =
            members.keys().find(|key| !record.fields.iter().any(|field| field.name == **key))
        {
            let hint = hint(unknown, record.fields.iter().map(|field| field.name.as_str()));
            return Err(within(
                wrong(format!("{} has no such field{hint}", record.name.full)),
                unknown,
            ));
        }
        for field in &record.fields {
            self.field(field, members.get(&field.name), out, depth)
                .map_err(|error| within(error, &field.name))?;
        }
        Ok(())
    }

    fn field(&self, field: &Field, json: Option<&Json>, out: &mut Vec<u8>, depth: u32) -> Encoded {
        match (json, &field.default) {
            (Some(json), _) => self.value(field.node, json, out, depth + 1),
            (None, Some(json)) => Encoder { schema: self.schema, dialect: Dialect::Default }.value(
                field.node,
                json,
                out,
                depth + 1,
            ),
            (None, None) if self.schema.nullable(field.node) => {
                self.value(field.node, &Json::Null, out, depth + 1)
            }
            (None, None) => Err(wrong("is missing and has no default".into())),
        }
    }

    /// The first branch that takes the value.
    fn union(&self, branches: &[NodeId], json: &Json, out: &mut Vec<u8>, depth: u32) -> Encoded {
        let start = out.len();
        let mut errors = Vec::new();
        for (index, &branch) in branches.iter().enumerate() {
            long(out, index as i64);
            match self.value(branch, json, out, depth) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    out.truncate(start);
                    if !matches!(self.schema.node(branch), Node::Null) {
                        errors.push(error);
                    }
                }
            }
        }
        let only = if errors.len() == 1 { errors.pop() } else { None };
        Err(only.unwrap_or_else(|| {
            let branches: Vec<String> =
                branches.iter().map(|&branch| self.schema.node(branch).describe()).collect();
            wrong(format!("{} is none of {}", found(json), branches.join(", ")))
        }))
    }
}

fn within(mut error: Box<EncodeError>, name: &str) -> Box<EncodeError> {
    let dot = if error.field.is_empty() || error.field.starts_with('[') { "" } else { "." };
    error.field = format!("{name}{dot}{}", error.field);
    error
}

fn block(out: &mut Vec<u8>, count: usize) {
    long(out, count as i64);
}
