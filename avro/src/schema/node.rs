//! The types of Avro, as nodes of a graph that know one another by number.

use serde_json::Value as Json;

use crate::value::calendar::Unit;
use crate::value::column::ColumnType;

/// The place of a node in its schema.
pub(crate) type NodeId = usize;

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
    Fixed(TypeName, usize),
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
    Record(RecordType),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
}

#[derive(Debug, Clone)]
pub(crate) struct TypeName {
    pub(crate) full: String,
    pub(crate) aliases: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Enumeration {
    pub(crate) name: TypeName,
    pub(crate) symbols: Vec<String>,
    pub(crate) default: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct RecordType {
    pub(crate) name: TypeName,
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

impl TypeName {
    /// Whether a writer's type of this name is the one meant here: by full name, alias, or the name without its
    /// namespace.
    pub(crate) fn accepts(&self, writer: &TypeName) -> bool {
        self.full == writer.full
            || self.aliases.contains(&writer.full)
            || self.short() == writer.short()
    }

    fn short(&self) -> &str {
        self.full.rsplit_once('.').map_or(&self.full, |(_, name)| name)
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
