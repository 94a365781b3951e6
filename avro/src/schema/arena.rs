//! From the parser's tree of named types to nodes that know one another by number: every type is defined once, and
//! every mention of its name or of an alias is its number.

use std::collections::HashMap;

use apache_avro::schema::{
    Alias, FixedSchema, InnerDecimalSchema, Name, RecordField, RecordSchema, Schema as Parsed,
    UuidSchema,
};

use vitrina_sql::Place;

use crate::schema::node::{Enumeration, Field, Node, NodeId, RecordType, TypeName};
use crate::value::calendar::Unit;

/// Why a text is not a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SchemaError {
    pub what: String,
    /// Where the JSON itself is broken.
    pub at: Option<Place>,
}

/// The nodes of a parsed schema, and which of them is the whole; `others` define types that it may mention.
pub(crate) fn nodes(
    parsed: &Parsed,
    others: &[Parsed],
) -> Result<(Vec<Node>, NodeId), SchemaError> {
    let mut arena = Arena { nodes: Vec::new(), names: HashMap::new(), others };
    let root = arena.node(parsed)?;
    Ok((arena.nodes, root))
}

struct Arena<'a> {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
    others: &'a [Parsed],
}

impl Arena<'_> {
    fn node(&mut self, parsed: &Parsed) -> Result<NodeId, SchemaError> {
        if let Parsed::Ref { name } = parsed {
            return self.mention(name);
        }
        // The place is taken first, so that a type may refer to itself.
        let id = self.nodes.len();
        self.nodes.push(Node::Null);
        if let Some(name) = parsed.name() {
            let named = named(name, parsed.aliases().map_or(&[], Vec::as_slice));
            for full in named.aliases.into_iter().chain([named.full]) {
                self.names.insert(full, id);
            }
        }
        let node = match parsed {
            Parsed::Record(record) => Node::Record(self.record(record)?),
            Parsed::Array(array) => Node::Array(self.node(&array.items)?),
            Parsed::Map(map) => Node::Map(self.node(&map.types)?),
            Parsed::Union(union) => Node::Union(
                union
                    .variants()
                    .iter()
                    .map(|branch| self.node(branch))
                    .collect::<Result<_, _>>()?,
            ),
            leaf => leaf_node(leaf),
        };
        self.nodes[id] = node;
        Ok(id)
    }

    fn mention(&mut self, name: &Name) -> Result<NodeId, SchemaError> {
        let full = name.fullname(None);
        if let Some(&id) = self.names.get(&full) {
            return Ok(id);
        }
        match self.others.iter().find(|other| other.name() == Some(name)) {
            Some(other) => self.node(other),
            None => Err(SchemaError { what: format!("nothing defines the name {full}"), at: None }),
        }
    }

    fn record(&mut self, record: &RecordSchema) -> Result<RecordType, SchemaError> {
        let field = |field: &RecordField| {
            Ok(Field {
                name: field.name.clone(),
                aliases: field.aliases.clone(),
                node: self.node(&field.schema)?,
                default: field.default.clone(),
            })
        };
        let fields = record.fields.iter().map(field).collect::<Result<_, _>>()?;
        Ok(RecordType {
            name: named(&record.name, record.aliases.as_deref().unwrap_or_default()),
            fields,
        })
    }
}

fn leaf_node(parsed: &Parsed) -> Node {
    match parsed {
        Parsed::Boolean => Node::Boolean,
        Parsed::Int => Node::Int,
        Parsed::Long => Node::Long,
        Parsed::Float => Node::Float,
        Parsed::Double => Node::Double,
        // The specification knows uuid on strings and fixed only, and ignores a logical type where it does not belong.
        Parsed::Bytes | Parsed::BigDecimal | Parsed::Uuid(UuidSchema::Bytes) => Node::Bytes,
        Parsed::String => Node::String,
        Parsed::Fixed(fixed) => fixed_node(fixed),
        Parsed::Enum(symbols) => Node::Enum(Enumeration {
            name: named(&symbols.name, symbols.aliases.as_deref().unwrap_or_default()),
            symbols: symbols.symbols.clone(),
            default: symbols.default.clone(),
        }),
        Parsed::Decimal(decimal) => {
            let size = match &decimal.inner {
                InnerDecimalSchema::Bytes => None,
                InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
            };
            Node::Decimal { size, precision: decimal.precision, scale: decimal.scale }
        }
        Parsed::Uuid(kind) => Node::Uuid { fixed: matches!(kind, UuidSchema::Fixed(_)) },
        Parsed::Date => Node::Date,
        Parsed::TimeMillis => Node::TimeMillis,
        Parsed::TimeMicros => Node::TimeMicros,
        Parsed::TimestampMillis => Node::Timestamp { unit: Unit::Millis, zoned: true },
        Parsed::TimestampMicros => Node::Timestamp { unit: Unit::Micros, zoned: true },
        Parsed::TimestampNanos => Node::Timestamp { unit: Unit::Nanos, zoned: true },
        Parsed::LocalTimestampMillis => Node::Timestamp { unit: Unit::Millis, zoned: false },
        Parsed::LocalTimestampMicros => Node::Timestamp { unit: Unit::Micros, zoned: false },
        Parsed::LocalTimestampNanos => Node::Timestamp { unit: Unit::Nanos, zoned: false },
        Parsed::Duration(_) => Node::Duration,
        _ => Node::Null,
    }
}

fn fixed_node(fixed: &FixedSchema) -> Node {
    Node::Fixed(named(&fixed.name, fixed.aliases.as_deref().unwrap_or_default()), fixed.size)
}

fn named(name: &Name, aliases: &[Alias]) -> TypeName {
    TypeName {
        full: name.fullname(None),
        aliases: aliases.iter().map(|alias| alias.fullname(None)).collect(),
    }
}
