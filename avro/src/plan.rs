//! How one writer's record becomes rows of one version: made once for each writer's schema, then followed for every
//! record. The bytes are walked once, what is wanted is written where it will be bound from, the rest is passed over.

use crate::column::ColumnType;
use crate::contract::{Contract, Origin};
use crate::cursor::Cursor;
use crate::fault::{Parse, RecordError};
use crate::frame::Record;
use crate::layout::VersionLayout;
use crate::matching::Fit;
use crate::metadata::{self, Envelope, FACTS, Facts};
use crate::rows::Rows;
use crate::schema::{Field, NodeId};
use crate::shape::{self, ShapeId, Shapes};
use crate::value::Value;

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Index of the version.
    pub(crate) version: usize,
    shapes: Shapes,
    /// One for each of the writer's fields.
    steps: Vec<Step>,
    envelope: Envelope,
    /// Places in `METADATA` of what is bound after the payload's columns.
    metadata: Vec<usize>,
    payload: usize,
}

#[derive(Debug, Clone)]
struct Step {
    field: String,
    take: Take,
}

#[derive(Debug, Clone)]
enum Take {
    Skip(NodeId),
    Json {
        shape: ShapeId,
        column: usize,
    },
    /// `facts`: which of the envelope's facts the field holds.
    Scalar {
        shape: ShapeId,
        column: Option<usize>,
        facts: [bool; FACTS],
    },
}

impl Plan {
    /// `node` is the writer's record that `fit` was found for.
    pub(crate) fn new(
        fit: Fit,
        node: NodeId,
        contract: &Contract,
        layouts: &[VersionLayout],
        envelope: Envelope,
    ) -> Self {
        let version = &contract.versions[fit.version];
        let layout = &layouts[fit.version];
        let written = fit.shapes.writer.record(node).map_or(&[][..], |record| &record.fields);
        let step = |(field, read): (&Field, &Option<(usize, ShapeId)>)| {
            let take = read.map_or(Take::Skip(field.node), |(place, shape)| {
                let column = layout.fields.iter().position(|&wanted| wanted == place);
                let holds =
                    |origin: &Origin| matches!(origin, Origin::Field(name) if version.place(name) == Some(place));
                let facts = std::array::from_fn(|fact| holds(&envelope.origins[fact]));
                match (version.columns[place].ty, column) {
                    (ColumnType::Jsonb, Some(column)) => Take::Json { shape, column },
                    (ColumnType::Jsonb, None) => Take::Skip(field.node),
                    (_, None) if facts == [false; FACTS] => Take::Skip(field.node),
                    _ => Take::Scalar { shape, column, facts },
                }
            });
            Step { field: field.name.clone(), take }
        };
        let steps = written.iter().zip(&fit.fields).map(step).collect();
        Self {
            version: fit.version,
            steps,
            shapes: fit.shapes,
            envelope,
            metadata: layout.metadata.clone(),
            payload: layout.fields.len(),
        }
    }

    /// Decodes one event into the next row, with `ordinal` as its place; gives its time in microseconds since 2000.
    /// On an error some columns may be longer than others: the caller takes the row back.
    pub(crate) fn decode<'a>(
        &'a self,
        record: &Record<'a>,
        cursor: &mut Cursor<'a>,
        ordinal: i64,
        rows: &mut Rows,
    ) -> Result<Option<i64>, RecordError> {
        let mut fields = [Value::Null; FACTS];
        for step in &self.steps {
            self.take(step, cursor, rows, &mut fields).map_err(|fault| fault.in_field(&step.field))?;
        }
        cursor.end()?;
        let facts = Facts { envelope: &self.envelope, record: *record, fields };
        let row = rows.len();
        facts.write_identity(&mut rows.identities);
        let identity = rows.identities.get(row);
        let time = facts.time()?;
        for (&place, values) in self.metadata.iter().zip(&mut rows.values[self.payload..]) {
            facts.write(place, identity, time, values)?;
        }
        metadata::push(&mut rows.values[self.payload + self.metadata.len()], Value::Int8(ordinal));
        Ok(time)
    }

    fn take<'a>(
        &'a self,
        step: &Step,
        cursor: &mut Cursor<'a>,
        rows: &mut Rows,
        found: &mut [Value<'a>; FACTS],
    ) -> Parse<()> {
        match &step.take {
            Take::Skip(node) => shape::skip(&self.shapes.writer, *node, cursor),
            Take::Json { shape, column } => self.take_json(*shape, *column, cursor, rows),
            Take::Scalar { shape, column, facts } => {
                let value = self.shapes.scalar(*shape, cursor)?;
                if let Some(column) = column {
                    metadata::push(&mut rows.values[*column], value);
                }
                for (found, holds) in found.iter_mut().zip(facts) {
                    if *holds {
                        *found = value;
                    }
                }
                Ok(())
            }
        }
    }

    fn take_json<'a>(&'a self, shape: ShapeId, column: usize, cursor: &mut Cursor<'a>, rows: &mut Rows) -> Parse<()> {
        let values = &mut rows.values[column];
        // The outer error is a fault, the inner one says null.
        let written = values.push(|out| {
            out.push(1);
            match self.shapes.json(shape, cursor, out) {
                Ok(true) => Ok(()),
                Ok(false) => Err(None),
                Err(fault) => Err(Some(fault)),
            }
        });
        match written {
            Ok(()) => Ok(()),
            Err(None) => {
                values.push_null();
                Ok(())
            }
            Err(Some(fault)) => Err(fault),
        }
    }
}
