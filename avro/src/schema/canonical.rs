//! A schema as one line of text, equal exactly when two schemas mean the same: field order, names, types, logical
//! types. Documentation and custom properties never count; aliases and defaults only where they are asked for.

use std::collections::HashSet;
use std::fmt::Write;

use crate::schema::Schema;
use crate::schema::node::{Node, NodeId, TypeName};

/// What of a schema is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What the bytes mean: two writers of equal text wrote alike.
    Wire,
    /// Aliases and defaults too: what a contract means to its readers.
    Meaning,
}

/// The text of a node and all that it holds.
pub(crate) fn text(schema: &Schema, node: NodeId, detail: Detail) -> String {
    let mut printer = Printer { schema, detail, seen: HashSet::new(), out: String::new() };
    printer.node(node);
    printer.out
}

impl Schema {
    /// What the bytes of a writer with this schema mean, as one line of text for people.
    pub fn describe(&self) -> String {
        text(self, self.root(), Detail::Wire)
    }
}

struct Printer<'a> {
    schema: &'a Schema,
    detail: Detail,
    seen: HashSet<NodeId>,
    out: String,
}

impl Printer<'_> {
    fn node(&mut self, id: NodeId) {
        match self.schema.node(id) {
            Node::Array(items) => {
                self.out.push_str("array ");
                self.node(*items);
            }
            Node::Map(values) => {
                self.out.push_str("map ");
                self.node(*values);
            }
            Node::Union(branches) => {
                self.out.push('[');
                for &branch in branches {
                    self.node(branch);
                    self.out.push(',');
                }
                self.out.push(']');
            }
            Node::Record(record) => {
                self.named("record", &record.name);
                if self.seen.insert(id) {
                    self.out.push('{');
                    for field in &record.fields {
                        let _ = write!(self.out, "{}:", field.name);
                        self.node(field.node);
                        if self.detail == Detail::Meaning {
                            let default = field.default.as_ref().map(ToString::to_string);
                            let _ = write!(
                                self.out,
                                " aliases {:?} default {default:?}",
                                field.aliases
                            );
                        }
                        self.out.push(',');
                    }
                    self.out.push('}');
                }
            }
            Node::Enum(symbols) => {
                self.named("enum", &symbols.name);
                let _ = write!(self.out, "{:?}", symbols.symbols);
                if self.detail == Detail::Meaning {
                    let _ = write!(self.out, " default {:?}", symbols.default);
                }
            }
            Node::Fixed(name, size) => {
                self.named("fixed", name);
                let _ = write!(self.out, "({size})");
            }
            Node::Decimal { size: Some(size), precision, scale } => {
                let _ = write!(self.out, "decimal({precision},{scale}) fixed({size})");
            }
            Node::Uuid { fixed: true } => self.out.push_str("uuid fixed(16)"),
            leaf => self.out.push_str(&leaf.describe()),
        }
    }

    fn named(&mut self, kind: &str, name: &TypeName) {
        let _ = write!(self.out, "{kind} {}", name.full);
        if self.detail == Detail::Meaning {
            let _ = write!(self.out, " aliases {:?}", name.aliases);
        }
    }
}
