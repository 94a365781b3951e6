//! A schema's own values (defaults, keys) as Postgres would write them. They take the same way as events: encoded,
//! then decoded, so a default and an event with the same value never differ.

use std::sync::Arc;

use vitrina_sql::quote_literal;

use crate::schema::Schema;
use crate::schema::node::{Field, NodeId};
use crate::value::Value;
use crate::value::column::{ColumnType, Values};
use crate::walk::budget::Budget;
use crate::walk::compile::Compiler;
use crate::walk::cursor::Cursor;
use crate::walk::pairing::Pairing;
use crate::walk::program::Walk;
use crate::walk::shape::{ShapeId, Shapes};
use crate::write::dialect::Dialect;
use crate::write::encode;

/// A field's default as an SQL expression of the column's type.
///
/// # Errors
/// What is wrong with the default, or that there is none.
pub(crate) fn sql(schema: &Arc<Schema>, field: &Field) -> Result<String, String> {
    let column = schema.column(field);
    let datum = default(schema, field)?;
    let text = if column.ty == ColumnType::Jsonb {
        json(schema, field.node, &datum)?
    } else {
        text(schema, field.node, &datum)?
    };
    Ok(format!("{}::{}", text.map_or("NULL".into(), |text| quote_literal(&text)), column.ty.sql()))
}

/// A nested field's default as JSON text.
///
/// # Errors
/// What is wrong with the default, or that there is none.
pub(crate) fn json_default(schema: &Arc<Schema>, field: &Field) -> Result<String, String> {
    let datum = default(schema, field)?;
    Ok(json(schema, field.node, &datum)?.unwrap_or_else(|| "null".into()))
}

/// A field's default as Postgres reads it, the binary form of its column; `None` for null.
///
/// # Errors
/// What is wrong with the default, or that there is none.
pub(crate) fn binary(schema: &Arc<Schema>, field: &Field) -> Result<Option<Vec<u8>>, String> {
    let column = schema.column(field);
    let datum = default(schema, field)?;
    if column.ty == ColumnType::Jsonb {
        let text = json(schema, field.node, &datum)?;
        return Ok(text.map(|text| [&[1], text.as_bytes()].concat()));
    }
    let (shapes, id) = itself(schema, field.node)?;
    let mut values = Values::new(column.ty);
    let mut cursor = Cursor::new(&datum);
    shapes.scalar(id, &mut cursor, &mut values).map_err(|fault| fault.what)?;
    Ok(values.get(0).map(<[u8]>::to_vec))
}

/// The text of a scalar datum, as a cast to text writes it; `None` for null.
///
/// # Errors
/// A value that is not a scalar, or that Postgres cannot hold.
pub(crate) fn text(
    schema: &Arc<Schema>,
    node: NodeId,
    datum: &[u8],
) -> Result<Option<String>, String> {
    let (shapes, id) = itself(schema, node)?;
    let mut cursor = Cursor::new(datum);
    let value = shapes.value(id, &mut cursor).map_err(|fault| fault.what)?;
    let mut out = Vec::new();
    value.write_text(&mut out);
    Ok((value != Value::Null).then(|| String::from_utf8_lossy(&out).into_owned()))
}

fn default(schema: &Schema, field: &Field) -> Result<Vec<u8>, String> {
    let default = field.default.as_ref().ok_or("it has no default")?;
    encode::encode(schema, field.node, default, Dialect::Default).map_err(|error| error.to_string())
}

fn json(schema: &Arc<Schema>, node: NodeId, datum: &[u8]) -> Result<Option<String>, String> {
    let (shapes, id) = itself(schema, node)?;
    let mut out = Vec::new();
    let mut compiler = Compiler::new(&shapes);
    let steps = compiler.showing(id);
    let (program, mut budget) = (compiler.finish(), Budget::new(datum.len()));
    let written =
        Walk::new(&program, &mut budget, &mut out).document(&steps, &mut Cursor::new(datum));
    let some = written.map_err(|fault| fault.what)?;
    Ok(some.then(|| String::from_utf8_lossy(&out).into_owned()))
}

fn itself(schema: &Arc<Schema>, node: NodeId) -> Result<(Shapes, ShapeId), String> {
    let mut pairing = Pairing::new(schema, schema);
    let id = pairing.pair(node, node).map_err(|mismatch| mismatch.to_string())?;
    Ok((pairing.finish(Arc::clone(schema)).0, id))
}
