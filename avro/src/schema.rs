//! An Avro schema as a graph of nodes: every name is resolved to a node's number, so a type that holds itself is an
//! ordinary loop, and no later step looks a name up again.

mod arena;
pub(crate) mod canonical;
pub(crate) mod node;
mod spelling;
mod text;

use apache_avro::Schema as Parsed;
use vitrina_sql::Place;

use crate::value::column::{Column, ColumnType};
pub use arena::SchemaError;
use node::{Field, Node, NodeId, RecordType, TypeName};
pub use text::parse_json;

/// A schema whose names are resolved.
#[derive(Debug, Clone)]
pub struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
    /// The fewest bytes that a value of each node takes, or less.
    least: Vec<usize>,
}

impl Schema {
    /// Reads the text of a contract's `.avsc`.
    ///
    /// # Errors
    /// What is not JSON or not Avro, with the line where that is known.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        spelling::teach();
        let json = parse_json(text).map_err(|error| not_json(&error, text))?;
        let parsed = Parsed::parse(&json).map_err(not_avro)?;
        Self::resolve(&parsed, &[])
    }

    /// Reads the schema that a record was written with; it may refer to types which `others` define. Only what the bytes
    /// hang on is looked at.
    ///
    /// # Errors
    /// What is not JSON or not Avro, and a name that none of them defines.
    pub fn of_writer(text: &str, others: &[String]) -> Result<Self, SchemaError> {
        spelling::teach();
        let written = |text: &str| {
            let mut json = serde_json::from_str(text::without_mark(text))
                .map_err(|error| not_json(&error, text))?;
            text::keep_what_was_written(&mut json);
            Ok(json)
        };
        let others: Result<Vec<String>, SchemaError> =
            others.iter().map(|other| Ok(text::unwrapped(written(other)?).to_string())).collect();
        let (parsed, others) =
            Parsed::parse_str_with_list(&written(text)?.to_string(), others?).map_err(not_avro)?;
        Self::resolve(&parsed, &others)
    }

    /// A record of one nullable scalar, or of nothing.
    pub(crate) fn record_of(name: &str, field: Option<(&str, Node)>) -> Self {
        let name = TypeName { full: name.to_owned(), aliases: Vec::new() };
        let (fields, types) = match field {
            None => (Vec::new(), Vec::new()),
            Some((name, scalar)) => {
                let (name, aliases) = (name.to_owned(), Vec::new());
                let field = Field { name, aliases, node: 1, default: None };
                (vec![field], vec![Node::Union(vec![2, 3]), Node::Null, scalar])
            }
        };
        let mut nodes = vec![Node::Record(RecordType { name, fields })];
        nodes.extend(types);
        let mut schema = Self { least: vec![0; nodes.len()], nodes, root: 0 };
        schema.measure();
        schema
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

    pub(crate) fn record(&self, id: NodeId) -> Option<&RecordType> {
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

/// The reader's words, and its place as a place of ours: it counts bytes.
fn not_json(error: &serde_json::Error, text: &str) -> SchemaError {
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    let words = words.replace("recursion limit exceeded", "values nest deeper than 127 levels");
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let Place { column, .. } = Place::of(line, error.column().saturating_sub(1));
    SchemaError {
        what: format!("not JSON: {words}"),
        at: Some(Place { line: error.line().max(1), column }),
    }
}

fn not_avro(error: apache_avro::Error) -> SchemaError {
    SchemaError { what: format!("not Avro: {error}"), at: None }
}
