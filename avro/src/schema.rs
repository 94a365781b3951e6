//! An Avro schema as a graph of nodes: every name is resolved to a node's number, so a type that holds itself is an
//! ordinary loop, and no later step looks a name up again.

mod arena;
pub(crate) mod canonical;

use apache_avro::Schema as Parsed;
use serde_json::Value as Json;

use crate::value::column::{Column, ColumnType};

/// The place of a node in its schema.
pub(crate) type NodeId = usize;

/// Why a text is not a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SchemaError {
    pub what: String,
    /// 1-based, where the JSON itself is broken.
    pub line: Option<usize>,
}

/// A schema whose names are resolved.
#[derive(Debug, Clone)]
pub struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
    /// The fewest bytes that a value of each node takes, or less.
    least: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(Named, usize),
    Enum(Enumeration),
    /// With a size where it is a fixed.
    Decimal {
        size: Option<usize>,
        precision: usize,
        scale: usize,
    },
    Uuid {
        fixed: bool,
    },
    Date,
    TimeMillis,
    TimeMicros,
    /// `zoned`: an instant, else a local time.
    Timestamp {
        unit: Unit,
        zoned: bool,
    },
    Duration,
    Record(Record),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) full: String,
    pub(crate) aliases: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Enumeration {
    pub(crate) name: Named,
    pub(crate) symbols: Vec<String>,
    pub(crate) default: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) name: Named,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) node: NodeId,
    pub(crate) default: Option<Json>,
}

impl Field {
    /// The field's column, as Postgres folds an unquoted name.
    pub(crate) fn column(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

impl Named {
    /// Whether a writer's type of this name is the one meant here: by full name, alias, or the name without its
    /// namespace.
    pub(crate) fn accepts(&self, writer: &Named) -> bool {
        self.full == writer.full
            || self.aliases.contains(&writer.full)
            || self.short() == writer.short()
    }

    fn short(&self) -> &str {
        self.full.rsplit_once('.').map_or(&self.full, |(_, name)| name)
    }
}

impl Schema {
    /// Reads an `.avsc` text.
    ///
    /// # Errors
    /// What is not JSON or not Avro, with the line where that is known.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let json: Json = serde_json::from_str(text).map_err(|error| SchemaError {
            what: format!("not JSON: {error}"),
            line: Some(error.line()),
        })?;
        let parsed = Parsed::parse(&json)
            .map_err(|error| SchemaError { what: format!("not Avro: {error}"), line: None })?;
        Self::resolve(&parsed, &[])
    }

    /// Reads a schema that refers to types which `others` define.
    ///
    /// # Errors
    /// As for [`Schema::parse`], and a name that none of them defines.
    pub fn parse_with(text: &str, others: &[String]) -> Result<Self, SchemaError> {
        let (parsed, others) = Parsed::parse_str_with_list(text, others)
            .map_err(|error| SchemaError { what: format!("not Avro: {error}"), line: None })?;
        Self::resolve(&parsed, &others)
    }

    /// A record that has no fields.
    pub(crate) fn empty_record(name: &str) -> Self {
        let name = Named { full: name.to_owned(), aliases: Vec::new() };
        Self {
            nodes: vec![Node::Record(Record { name, fields: Vec::new() })],
            root: 0,
            least: vec![0],
        }
    }

    fn resolve(parsed: &Parsed, others: &[Parsed]) -> Result<Self, SchemaError> {
        let (nodes, root) = arena::nodes(parsed, others)?;
        let mut schema = Self { least: vec![0; nodes.len()], nodes, root };
        schema.measure();
        Ok(schema)
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// The fewest bytes that a value of the node takes: never too many, so that a count may be checked with it.
    pub(crate) fn least(&self, id: NodeId) -> usize {
        self.least[id]
    }

    pub(crate) fn record(&self, id: NodeId) -> Option<&Record> {
        match &self.nodes[id] {
            Node::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The branches of a union; of any other node the node itself.
    pub(crate) fn branches(&self, id: NodeId) -> Vec<NodeId> {
        match &self.nodes[id] {
            Node::Union(branches) => branches.clone(),
            _ => vec![id],
        }
    }

    pub(crate) fn nullable(&self, id: NodeId) -> bool {
        self.branches(id).iter().any(|&branch| matches!(self.nodes[branch], Node::Null))
    }

    /// The only branch that is not null, if there is only one.
    pub(crate) fn single(&self, id: NodeId) -> Option<NodeId> {
        let mut values = self
            .branches(id)
            .into_iter()
            .filter(|&branch| !matches!(self.nodes[branch], Node::Null))
            .fuse();
        values.next().filter(|_| values.next().is_none())
    }

    /// The column that a field of this node is.
    pub(crate) fn column(&self, field: &Field) -> Column {
        let ty = self
            .single(field.node)
            .map_or(ColumnType::Jsonb, |node| self.nodes[node].column_type());
        Column { name: field.column(), ty, nullable: self.nullable(field.node) }
    }

    /// From below, so that every intermediate result is a valid bound; a type that holds itself never settles, and
    /// need not.
    fn measure(&mut self) {
        for _ in 0..64 {
            let next: Vec<usize> = self.nodes.iter().map(|node| self.least_of(node)).collect();
            if next == self.least {
                return;
            }
            self.least = next;
        }
    }

    fn least_of(&self, node: &Node) -> usize {
        match node {
            Node::Null => 0,
            Node::Float => 4,
            Node::Double => 8,
            Node::Duration => 12,
            Node::Fixed(_, size) | Node::Decimal { size: Some(size), .. } => *size,
            Node::Uuid { fixed: true } => 16,
            Node::Record(record) => record
                .fields
                .iter()
                .fold(0, |sum: usize, field| sum.saturating_add(self.least[field.node])),
            Node::Union(branches) => branches
                .iter()
                .map(|&branch| self.least[branch])
                .min()
                .unwrap_or(0)
                .saturating_add(1),
            _ => 1,
        }
    }
}

impl Node {
    /// The type of a column that holds this node's values.
    pub(crate) fn column_type(&self) -> ColumnType {
        match self {
            Self::Boolean => ColumnType::Boolean,
            Self::Int => ColumnType::Int4,
            Self::Long => ColumnType::Int8,
            Self::Float => ColumnType::Float4,
            Self::Double => ColumnType::Float8,
            Self::Bytes | Self::Fixed(..) => ColumnType::Bytea,
            Self::String | Self::Enum(_) => ColumnType::Text,
            Self::Decimal { precision, scale, .. } => {
                ColumnType::Numeric(narrow(*precision), narrow(*scale))
            }
            Self::Uuid { .. } => ColumnType::Uuid,
            Self::Date => ColumnType::Date,
            Self::TimeMillis | Self::TimeMicros => ColumnType::Time,
            Self::Timestamp { zoned: true, .. } => ColumnType::Timestamptz,
            Self::Timestamp { zoned: false, .. } => ColumnType::Timestamp,
            Self::Duration => ColumnType::Interval,
            Self::Null | Self::Record(_) | Self::Array(_) | Self::Map(_) | Self::Union(_) => {
                ColumnType::Jsonb
            }
        }
    }

    /// The type as a person calls it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Boolean => "boolean".into(),
            Self::Int => "int".into(),
            Self::Long => "long".into(),
            Self::Float => "float".into(),
            Self::Double => "double".into(),
            Self::Bytes => "bytes".into(),
            Self::String => "string".into(),
            Self::Fixed(name, size) => format!("fixed({size}) {}", name.full),
            Self::Enum(symbols) => format!("enum {}", symbols.name.full),
            Self::Decimal { precision, scale, .. } => format!("decimal({precision},{scale})"),
            Self::Uuid { .. } => "uuid".into(),
            Self::Date => "date".into(),
            Self::TimeMillis => "time-millis".into(),
            Self::TimeMicros => "time-micros".into(),
            Self::Timestamp { unit, zoned } => {
                let local = if *zoned { "" } else { "local-" };
                format!("{local}timestamp-{}", format!("{unit:?}").to_lowercase())
            }
            Self::Duration => "duration".into(),
            Self::Record(record) => format!("record {}", record.name.full),
            Self::Array(_) => "array".into(),
            Self::Map(_) => "map".into(),
            Self::Union(_) => "union".into(),
        }
    }
}

/// Numeric's limits are below this; what is beyond is refused when a contract loads.
pub(crate) fn narrow(digits: usize) -> u16 {
    u16::try_from(digits).unwrap_or(u16::MAX)
}
