//! How one writer's record becomes rows of one version: made once for each writer's schema, then followed for every
//! record. The bytes are walked once, what is wanted is written where it will be bound from, the rest is passed over.

use crate::contract::{Contract, FACTS, Origin, Version};
use crate::read::error::RecordError;
use crate::read::frame::Record;
use crate::read::layout::VersionLayout;
use crate::read::matching::Fit;
use crate::read::metadata::{Envelope, Facts};
use crate::read::rows::Rows;
use crate::schema::node::NodeId;
use crate::value::Value;
use crate::value::column::ColumnType;
use crate::walk::budget::Budget;
use crate::walk::compile::Compiler;
use crate::walk::cursor::Cursor;
use crate::walk::fault::Parse;
use crate::walk::program::{Program, Step, Walk};
use crate::walk::shape::{ShapeId, Shapes};

#[derive(Debug, Clone)]
pub(crate) struct RecordReader {
    /// Index of the version.
    pub(crate) version: usize,
    shapes: Shapes,
    program: Program,
    /// In the order of the writer's fields.
    takes: Vec<Take>,
    envelope: Envelope,
    /// Places in `METADATA` of what is bound after the payload's columns.
    metadata: Vec<usize>,
    payload: usize,
}

#[derive(Debug, Clone)]
enum Take {
    /// Fields that nobody wants, one after another.
    Pass(Vec<Step>),
    Json {
        steps: Vec<Step>,
        column: usize,
    },
    Scalar {
        field: String,
        shape: ShapeId,
        column: usize,
    },
    /// A scalar that is one of the envelope's `facts`, or several.
    Fact {
        field: String,
        shape: ShapeId,
        column: Option<usize>,
        facts: [bool; FACTS],
    },
}

impl RecordReader {
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
        let mut compiler = Compiler::new(&fit.shapes);
        let mut takes = Vec::new();
        for (field, read) in written.iter().zip(&fit.fields) {
            let wanted = read.and_then(|(place, shape)| {
                let column = layout.fields.iter().position(|&wanted| wanted == place);
                Take::wanted(&field.name, shape, column, version, place, &envelope, &mut compiler)
            });
            match (wanted, takes.last_mut()) {
                (Some(take), _) => takes.push(take),
                (None, Some(Take::Pass(steps))) => compiler.pass(field.node, &field.name, steps),
                (None, _) => {
                    let mut steps = Vec::new();
                    compiler.pass(field.node, &field.name, &mut steps);
                    takes.push(Take::Pass(steps));
                }
            }
        }
        Self {
            version: fit.version,
            takes,
            program: compiler.finish(),
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
        record: &'a Record<'a>,
        cursor: &mut Cursor<'a>,
        ordinal: i64,
        rows: &mut Rows,
    ) -> Result<Option<i64>, RecordError> {
        let mut facts = Facts { envelope: &self.envelope, record, fields: [Value::Null; FACTS] };
        let mut budget = Budget::new(cursor.left());
        for take in &self.takes {
            self.take(take, cursor, &mut budget, rows, &mut facts.fields)?;
        }
        cursor.end()?;
        let row = rows.len();
        facts.write_identity(&mut rows.identities);
        let identity = rows.identities.get(row);
        let time = facts.time()?;
        for (&place, values) in self.metadata.iter().zip(&mut rows.values[self.payload..]) {
            facts.write(place, identity, time, values)?;
        }
        Value::Int8(ordinal).push(&mut rows.values[self.payload + self.metadata.len()]);
        Ok(time)
    }

    fn take<'a>(
        &'a self,
        take: &'a Take,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        rows: &mut Rows,
        found: &mut [Value<'a>; FACTS],
    ) -> Parse<()> {
        match take {
            Take::Pass(steps) => {
                Walk::new(&self.program, budget, &mut Vec::new()).steps(steps, cursor)
            }
            Take::Json { steps, column } => {
                let values = &mut rows.values[*column];
                // The outer error is a fault, the inner one says null.
                let written = values.push(|out| {
                    out.push(1);
                    match Walk::new(&self.program, budget, out).document(steps, cursor) {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(None),
                        Err(fault) => Err(Some(fault)),
                    }
                });
                match written {
                    Ok(()) => {}
                    Err(None) => values.push_null(),
                    Err(Some(fault)) => return Err(fault),
                }
                Ok(())
            }
            Take::Scalar { field, shape, column } => {
                let values = &mut rows.values[*column];
                self.shapes.scalar(*shape, cursor, values).map_err(|fault| fault.in_field(field))
            }
            Take::Fact { field, shape, column, facts } => {
                let value =
                    self.shapes.value(*shape, cursor).map_err(|fault| fault.in_field(field))?;
                if let Some(column) = column {
                    value.push(&mut rows.values[*column]);
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
}

impl Take {
    /// Takes a field that is the version's field at `place`, to its column or for the envelope, if either wants it.
    fn wanted(
        field: &str,
        shape: ShapeId,
        column: Option<usize>,
        version: &Version,
        place: usize,
        envelope: &Envelope,
        compiler: &mut Compiler<'_>,
    ) -> Option<Self> {
        let field = field.to_owned();
        if version.columns[place].ty == ColumnType::Jsonb {
            return column.map(|column| {
                let mut steps = Vec::new();
                compiler.show(shape, &field, &mut steps);
                Self::Json { steps, column }
            });
        }
        let holds = |origin: &Origin| matches!(origin, Origin::Field(name) if version.place(name) == Some(place));
        let facts = std::array::from_fn(|fact| holds(&envelope.origins[fact]));
        match column {
            _ if facts != [false; FACTS] => Some(Self::Fact { field, shape, column, facts }),
            Some(column) => Some(Self::Scalar { field, shape, column }),
            None => None,
        }
    }
}
