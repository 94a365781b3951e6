//! How a writer's value is read as a contract's: one shape for each pair of types, in a graph, so that types which
//! hold themselves are loops. A walk over the bytes follows the shapes; what has none is skipped by the writer's
//! schema.

use std::sync::Arc;

use crate::cursor::Cursor;
use crate::fault::Parse;
use crate::json;
use crate::scalar::Scalar;
use crate::schema::{Node, NodeId, Schema};
use crate::value::Value;

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
    Read {
        name: String,
        shape: ShapeId,
    },
    Skipped(NodeId),
}

/// The shapes of one writer's schema.
#[derive(Debug, Clone)]
pub(crate) struct Shapes {
    pub(crate) writer: Arc<Schema>,
    pub(crate) shapes: Vec<Shape>,
}

/// JSON text, and how long it may become.
struct Text<'o> {
    out: &'o mut Vec<u8>,
    limit: usize,
}

impl Shapes {
    /// The value of a scalar, a null, or a union of them.
    pub(crate) fn scalar<'a>(&'a self, id: ShapeId, cursor: &mut Cursor<'a>) -> Parse<Value<'a>> {
        match &self.shapes[id] {
            Shape::Null => Ok(Value::Null),
            Shape::Scalar(scalar) => scalar.read(cursor),
            Shape::Branches(branches) => {
                let branch = cursor.index(branches.len(), "branch")?;
                self.scalar(branches[branch], cursor)
            }
            Shape::Record(_) | Shape::Array { .. } | Shape::Map { .. } => {
                Err(cursor.fault("a value of many parts where one is due"))
            }
        }
    }

    /// Appends the value as JSON text, or says that it is null and appends nothing.
    pub(crate) fn json<'a>(&'a self, id: ShapeId, cursor: &mut Cursor<'a>, out: &mut Vec<u8>) -> Parse<bool> {
        let mut id = id;
        if let Shape::Branches(branches) = &self.shapes[id] {
            id = branches[cursor.index(branches.len(), "branch")?];
        }
        if matches!(self.shapes[id], Shape::Null) {
            return Ok(false);
        }
        let limit = out.len().saturating_add(cursor.json_allowance());
        self.write(id, cursor, &mut Text { out, limit })?;
        Ok(true)
    }

    fn write<'a>(&'a self, id: ShapeId, cursor: &mut Cursor<'a>, text: &mut Text<'_>) -> Parse<()> {
        match &self.shapes[id] {
            Shape::Null => Value::Null.write_json(text.out),
            Shape::Scalar(scalar) => scalar.read(cursor)?.write_json(text.out),
            Shape::Branches(branches) => {
                let branch = branches[cursor.index(branches.len(), "branch")?];
                return self.write(branch, cursor, text);
            }
            parts => {
                cursor.enter()?;
                match parts {
                    Shape::Record(members) => self.write_record(members, cursor, text)?,
                    Shape::Array { items, least } => self.write_array(*items, *least, cursor, text)?,
                    Shape::Map { values, least } => self.write_map(*values, *least, cursor, text)?,
                    Shape::Null | Shape::Scalar(_) | Shape::Branches(_) => {}
                }
                cursor.leave();
            }
        }
        if text.out.len() > text.limit {
            return Err(cursor.fault("as JSON the record becomes far longer than it is"));
        }
        Ok(())
    }

    fn write_record<'a>(&'a self, members: &'a [Member], cursor: &mut Cursor<'a>, text: &mut Text<'_>) -> Parse<()> {
        let mut separator = b'{';
        for member in members {
            match member {
                Member::Skipped(node) => skip(&self.writer, *node, cursor)?,
                Member::Read { name, shape } => {
                    text.out.push(separator);
                    separator = b',';
                    json::write_string(text.out, name);
                    text.out.push(b':');
                    self.write(*shape, cursor, text).map_err(|fault| fault.in_field(name))?;
                }
            }
        }
        if separator == b'{' {
            text.out.push(b'{');
        }
        text.out.push(b'}');
        Ok(())
    }

    fn write_array<'a>(
        &'a self,
        items: ShapeId,
        least: usize,
        cursor: &mut Cursor<'a>,
        text: &mut Text<'_>,
    ) -> Parse<()> {
        text.out.push(b'[');
        let mut place = 0usize;
        loop {
            let count = cursor.block(least)?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if place > 0 {
                    text.out.push(b',');
                }
                self.write(items, cursor, text).map_err(|fault| fault.in_item(place))?;
                place += 1;
            }
        }
        text.out.push(b']');
        Ok(())
    }

    fn write_map<'a>(
        &'a self,
        values: ShapeId,
        least: usize,
        cursor: &mut Cursor<'a>,
        text: &mut Text<'_>,
    ) -> Parse<()> {
        text.out.push(b'{');
        let mut first = true;
        loop {
            // A key takes a byte at least.
            let count = cursor.block(least.saturating_add(1))?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    text.out.push(b',');
                }
                let key = cursor.text()?;
                json::write_string(text.out, key);
                text.out.push(b':');
                self.write(values, cursor, text).map_err(|fault| fault.in_item(key))?;
            }
        }
        text.out.push(b'}');
        Ok(())
    }
}

/// Passes over a value; texts are not looked at, lengths are.
pub(crate) fn skip(schema: &Schema, id: NodeId, cursor: &mut Cursor<'_>) -> Parse<()> {
    match schema.node(id) {
        Node::Null => Ok(()),
        Node::Boolean => cursor.boolean().map(drop),
        Node::Int | Node::Date | Node::TimeMillis => cursor.int().map(drop),
        Node::Long | Node::TimeMicros | Node::Timestamp { .. } => cursor.long().map(drop),
        Node::Float => cursor.take(4).map(drop),
        Node::Double => cursor.take(8).map(drop),
        Node::Bytes | Node::String | Node::Decimal { size: None, .. } | Node::Uuid { fixed: false } => {
            cursor.bytes().map(drop)
        }
        Node::Fixed(_, size) | Node::Decimal { size: Some(size), .. } => cursor.take(*size).map(drop),
        Node::Uuid { fixed: true } => cursor.take(16).map(drop),
        Node::Duration => cursor.take(12).map(drop),
        Node::Enum(symbols) => cursor.index(symbols.symbols.len(), "symbol").map(drop),
        Node::Union(branches) => {
            let branch = cursor.index(branches.len(), "branch")?;
            skip(schema, branches[branch], cursor)
        }
        Node::Record(record) => {
            cursor.enter()?;
            for field in &record.fields {
                skip(schema, field.node, cursor).map_err(|fault| fault.in_field(&field.name))?;
            }
            cursor.leave();
            Ok(())
        }
        Node::Array(items) => skip_blocks(schema, *items, false, cursor),
        Node::Map(values) => skip_blocks(schema, *values, true, cursor),
    }
}

fn skip_blocks(schema: &Schema, items: NodeId, keyed: bool, cursor: &mut Cursor<'_>) -> Parse<()> {
    cursor.enter()?;
    let least = schema.least(items).saturating_add(usize::from(keyed));
    loop {
        let count = cursor.block(least)?;
        if count == 0 {
            break;
        }
        for _ in 0..count {
            if keyed {
                cursor.bytes()?;
            }
            skip(schema, items, cursor)?;
        }
    }
    cursor.leave();
    Ok(())
}
