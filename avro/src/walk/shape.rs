//! How a writer's value is read as a contract's: one shape for each pair of types, in a graph, so that types which
//! hold themselves are loops. What has no shape is passed over by the writer's schema.

use std::sync::Arc;

use crate::schema::Schema;
use crate::schema::node::NodeId;
use crate::value::Value;
use crate::walk::cursor::Cursor;
use crate::walk::fault::Parse;
use crate::walk::scalar::{Scalar, Sink};

/// The place of a shape among its [`Shapes`].
pub(crate) type ShapeId = usize;

#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Null,
    Scalar(Scalar),
    /// By the writer's branch.
    Branches(Vec<ShapeId>),
    /// In the writer's order.
    Record(Vec<Member>),
    /// `least` is the fewest bytes of an item.
    Array {
        items: ShapeId,
        least: usize,
    },
    Map {
        values: ShapeId,
        least: usize,
    },
}

/// A field of a nested record.
#[derive(Debug, Clone)]
pub(crate) enum Member {
    /// The contract's name for it.
    Read { name: String, shape: ShapeId },
    /// The writer's name for it.
    Skipped { name: String, node: NodeId },
    /// The writer has no such field: the contract's default as JSON text.
    Default { name: String, json: String },
}

/// The shapes of one writer's schema.
#[derive(Debug, Clone)]
pub(crate) struct Shapes {
    pub(crate) writer: Arc<Schema>,
    pub(crate) shapes: Vec<Shape>,
}

impl Shapes {
    /// The value of a scalar, a null, or a union of them.
    pub(crate) fn value<'a>(&'a self, id: ShapeId, cursor: &mut Cursor<'a>) -> Parse<Value<'a>> {
        let mut value = Value::Null;
        self.scalar(id, cursor, &mut value)?;
        Ok(value)
    }

    /// Hands on the value of a scalar, a null, or a union of them; a union's branches are no unions.
    #[inline]
    pub(crate) fn scalar<'a>(
        &'a self,
        id: ShapeId,
        cursor: &mut Cursor<'a>,
        sink: impl Sink<'a>,
    ) -> Parse<()> {
        let mut shape = &self.shapes[id];
        if let Shape::Branches(branches) = shape {
            shape = &self.shapes[branches[cursor.index(branches.len(), "branch")?]];
        }
        match shape {
            Shape::Scalar(scalar) => scalar.read(cursor, sink),
            Shape::Null => {
                sink.put(Value::Null);
                Ok(())
            }
            _ => Err(cursor.fault("a value of many parts where one is due")),
        }
    }
}
