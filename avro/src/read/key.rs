//! The context's key field from a record's key: the one text of a value, or an Avro datum whose schema is of the field's
//! type or a record that has the field. What gives no value is an error of the record, never a guess.

use std::sync::Arc;

use crate::contract::Contract;
use crate::read::error::RecordError;
use crate::read::metadata::as_text;
use crate::schema::Schema;
use crate::schema::node::Field;
use crate::value::Value;
use crate::value::column::{Column, Values};
use crate::value::text;
use crate::walk::budget::Budget;
use crate::walk::compile::Compiler;
use crate::walk::cursor::Cursor;
use crate::walk::fault::Parse;
use crate::walk::pairing::Pairing;
use crate::walk::program::{Program, Step, Walk};
use crate::walk::shape::{ShapeId, Shapes};

/// How the keys that one schema writes give the field.
#[derive(Debug)]
pub(crate) struct KeyReader {
    shapes: Shapes,
    program: Program,
    shape: ShapeId,
    /// What a record has before and after the field.
    before: Vec<Step>,
    after: Vec<Step>,
}

impl KeyReader {
    /// `tombstone` has the key's field.
    ///
    /// # Errors
    /// The schema does not give the field: why.
    pub(crate) fn new(schema: &Arc<Schema>, tombstone: &Contract) -> Result<Self, String> {
        let wanted = tombstone.newest();
        let [field] = wanted.fields() else { return Err("its type is not known".into()) };
        let written = schema.record(schema.root()).map_or(&[][..], |record| &record.fields);
        let named = |other: &Field| other.column() == field.column();
        let (before, node, after) = match written.iter().position(named) {
            Some(place) => (&written[..place], written[place].node, &written[place + 1..]),
            None => (&[][..], schema.root(), &[][..]),
        };
        let ty = schema.single(node).map(|node| schema.node(node).column_type());
        let itself = ty == Some(wanted.columns[0].ty);
        let (version, own) = if itself { (schema, node) } else { (&wanted.schema, field.node) };
        let mut pairing = Pairing::new(schema, version);
        let shape = pairing.pair(node, own).map_err(|_| {
            let (is, ty) = (schema.node(node).describe(), wanted.columns[0].ty.sql());
            format!("it is written as {is}, which is no {ty}")
        })?;
        let (shapes, _) = pairing.finish(Arc::clone(schema));
        let mut compiler = Compiler::new(&shapes);
        let mut passing = |fields: &[Field]| {
            let mut steps = Vec::new();
            fields.iter().for_each(|field| compiler.pass(field.node, &field.name, &mut steps));
            steps
        };
        let (before, after) = (passing(before), passing(after));
        Ok(Self { program: compiler.finish(), shapes, shape, before, after })
    }

    fn value<'a>(&'a self, datum: &'a [u8]) -> Parse<Value<'a>> {
        let (mut cursor, mut budget) = (Cursor::new(datum), Budget::new(datum.len()));
        let mut nothing = Vec::new();
        let mut walk = Walk::new(&self.program, &mut budget, &mut nothing);
        walk.steps(&self.before, &mut cursor)?;
        let value = self.shapes.value(self.shape, &mut cursor)?;
        walk.steps(&self.after, &mut cursor)?;
        cursor.end()?;
        Ok(value)
    }

    /// Appends the field's value from the datum of a key.
    ///
    /// # Errors
    /// What is wrong with the datum; null is no value of a key.
    pub(crate) fn write(&self, datum: &[u8], values: &mut Values) -> Result<(), String> {
        let value = self.value(datum).map_err(|fault| RecordError::from(fault).to_string())?;
        if value == Value::Null {
            return Err("it is null there".into());
        }
        value.push(values);
        Ok(())
    }
}

/// Appends the value whose text the key is.
///
/// # Errors
/// It is the text of none.
pub(crate) fn write_text(column: &Column, key: &[u8], values: &mut Values) -> Result<(), String> {
    let ty = column.ty.sql();
    let text = as_text(key).ok_or("it is neither a text nor framed as Avro")?;
    text::push(text, values).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        format!("{shown:?} is not what Postgres writes for any value of type {ty}")
    })
}
