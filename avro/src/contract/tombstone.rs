//! Records without a value, as an event relation of their context: a contract of one version, so that whatever runs
//! contracts runs them, too. Its only field is the context's key, which the record key gives. It stands beside a context's
//! events and is none: nothing is written by it.

use std::sync::Arc;

use crate::contract::{Context, Contract, Version};
use crate::schema::Schema;
use crate::schema::node::Node;
use crate::value::column::ColumnType;

/// The relation's name within its context, which no event may bear.
pub(crate) const TOMBSTONE: &str = "tombstone";

impl Contract {
    /// The records without a value of a context, whose key is of this type where it has one.
    pub(crate) fn tombstone(context: &str, key: Option<(&str, Node)>) -> Self {
        let schema = Schema::record_of(TOMBSTONE, key);
        let fields = schema.record(schema.root()).map_or(&[][..], |record| &record.fields);
        let version = Version {
            number: 1,
            columns: fields.iter().map(|field| schema.column(field)).collect(),
            schema: Arc::new(schema),
            json: String::new(),
            upcast_file: String::new(),
            written: Vec::new(),
            upcast: Vec::new(),
        };
        Self {
            context: context.to_owned(),
            name: TOMBSTONE.to_owned(),
            kind: None,
            purpose: None,
            full_names: Vec::new(),
            versions: vec![version],
            files: Vec::new(),
            stands_for: Vec::new(),
        }
    }

    /// Whether its events are the records without a value.
    pub fn is_tombstone(&self) -> bool {
        self.name == TOMBSTONE
    }
}

impl Context {
    /// The type of the column that is the key in the newest versions of the context's events.
    ///
    /// # Errors
    /// It is not one type: why not.
    pub(crate) fn key_type(&self) -> Result<Node, String> {
        let mut known: Option<(String, ColumnType, Node)> = None;
        for event in self.events.values() {
            let version = event.newest();
            let Some(place) = version.place(&self.key) else { continue };
            let ty = version.columns[place].ty;
            match &known {
                Some((first, first_type, _)) if *first_type != ty => {
                    let (one, other) = (first_type.sql(), ty.sql());
                    return Err(format!(
                        "`{}` is {one} in {first} and {other} in {}",
                        self.key,
                        event.relation()
                    ));
                }
                Some(_) => {}
                None => {
                    let node = version.schema.single(version.fields()[place].node);
                    let node = node.map(|node| of_column(version.schema.node(node)));
                    known = node.map(|node| (event.relation(), ty, node));
                }
            }
        }
        let none = || format!("no event of `{}` says what type `{}` has", self.name, self.key);
        known.map(|(_, _, node)| node).ok_or_else(none)
    }
}

/// The type whose values are all those of a column of this one: an enum's column is any text.
fn of_column(node: &Node) -> Node {
    match node {
        Node::Enum(_) => Node::String,
        Node::Fixed(..) => Node::Bytes,
        other => other.clone(),
    }
}
