//! How one writer's record becomes rows of one version: made once for each writer's schema, then followed for every
//! record. The bytes are walked once, what is wanted is written where it will be bound from, the rest is passed over.

use crate::contract::every::{KIND, PAYLOAD, TYPE, VERSION};
use crate::contract::literal;
use crate::contract::{Contract, FACTS, Version};
use crate::read::error::RecordError;
use crate::read::frame::Record;
use crate::read::layout::VersionLayout;
use crate::read::matching::Fit;
use crate::read::metadata::{Envelope, Facts};
use crate::read::rows::Rows;
use crate::schema::node::{Field, NodeId};
use crate::value::Value;
use crate::value::column::ColumnType;
use crate::walk::budget::Budget;
use crate::walk::compile::Compiler;
use crate::walk::cursor::Cursor;
use crate::walk::fault::Parse;
use crate::walk::program::{Program, Step, Walk};
use crate::walk::shape::{Member, ShapeId, Shapes};

#[derive(Debug, Clone)]
pub(crate) struct RecordReader {
    /// Index of the version.
    pub(crate) version: usize,
    /// The paths of the fields that the writer lacks, and defaults stand for.
    pub(crate) filled: Vec<String>,
    shapes: Shapes,
    program: Program,
    /// In the order of the writer's fields.
    takes: Vec<Take>,
    /// The column of the whole event, and what shows it.
    whole: Option<(usize, Vec<Step>)>,
    /// Columns that the writer has nothing for, and what stands there. No fact of the envelope is ever made of a default:
    /// events that all had the same id would be duplicates.
    defaults: Vec<(usize, Option<Vec<u8>>)>,
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
        let layout = &layouts[fit.version];
        let place_of = |field: usize| layout.fields.iter().position(|&wanted| wanted == field);
        let defaults = fit.defaults.iter();
        let defaults = defaults.filter_map(|(at, value)| Some((place_of(*at)?, value.clone())));
        let (defaults, version) = (defaults.collect(), &contract.versions[fit.version]);
        Self::with(fit, node, (version, layout), place_of, None, defaults, envelope)
    }

    /// A reader of events that are shown as they are in `every.event`, whose own `layout` it is.
    pub(crate) fn of_every(
        fit: Fit,
        node: NodeId,
        contract: &Contract,
        layout: &VersionLayout,
        envelope: Envelope,
    ) -> Self {
        let version = &contract.versions[fit.version];
        let column_of = |name: &str| layout.columns.iter().position(|column| column.name == name);
        let known = [
            (TYPE, Some(contract.relation().into_bytes())),
            (VERSION, Some(version.number.to_be_bytes().to_vec())),
            (KIND, contract.kind.map(|kind| kind.as_bytes().to_vec())),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((column_of(name)?, value)));
        let (known, whole) = (known.collect(), column_of(PAYLOAD));
        Self::with(fit, node, (version, layout), |_| None, whole, known, envelope)
    }

    /// `column_of`: where a field of the version goes, and `whole`, where all of them go together.
    fn with(
        fit: Fit,
        node: NodeId,
        (version, layout): (&Version, &VersionLayout),
        column_of: impl Fn(usize) -> Option<usize>,
        whole: Option<usize>,
        defaults: Vec<(usize, Option<Vec<u8>>)>,
        envelope: Envelope,
    ) -> Self {
        let written = fit.shapes.writer.record(node).map_or(&[][..], |record| &record.fields);
        let mut compiler = Compiler::new(&fit.shapes);
        let whole =
            whole.map(|column| (column, compiler.members(&members(&fit, written, version))));
        let mut takes = Vec::new();
        for (field, read) in written.iter().zip(&fit.fields) {
            let wanted = read.and_then(|(place, shape)| {
                let facts =
                    envelope.wanted(&layout.metadata, |name| version.place(name) == Some(place));
                let json = version.columns[place].ty == ColumnType::Jsonb;
                Take::wanted(&field.name, (shape, json), column_of(place), facts, &mut compiler)
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
        // What is shown is walked over anyway.
        if whole.is_some() && takes.iter().all(|take| matches!(take, Take::Pass(_))) {
            takes.clear();
        }
        Self {
            version: fit.version,
            filled: fit.filled,
            takes,
            whole,
            defaults,
            program: compiler.finish(),
            shapes: fit.shapes,
            envelope,
            metadata: layout.metadata.clone(),
            payload: layout.fields.len(),
        }
    }

    /// Decodes one event into the next row, with `ordinal` as its place. On an error some columns may be longer than
    /// others: the caller takes the row back.
    pub(crate) fn decode<'a>(
        &'a self,
        record: &'a Record<'a>,
        cursor: &mut Cursor<'a>,
        ordinal: i64,
        rows: &mut Rows,
    ) -> Result<(), RecordError> {
        let mut facts = Facts { envelope: &self.envelope, record, fields: [Value::Null; FACTS] };
        let mut budget = Budget::new(cursor.left());
        let mut ahead = *cursor;
        for take in &self.takes {
            self.take(take, &mut ahead, &mut budget, rows, &mut facts.fields)?;
        }
        match &self.whole {
            Some((column, steps)) => {
                let mut budget = Budget::new(cursor.left());
                self.show(steps, *column, cursor, &mut budget, rows)?;
            }
            None => *cursor = ahead,
        }
        cursor.end()?;
        for (column, value) in &self.defaults {
            match value {
                Some(value) => rows.values[*column].push_bytes(value),
                None => rows.values[*column].push_null(),
            }
        }
        let row = rows.len();
        facts.write_identity(&mut rows.identities);
        let identity = rows.identities.get(row);
        for (&place, values) in self.metadata.iter().zip(&mut rows.values[self.payload..]) {
            facts.write(place, identity, values)?;
        }
        Value::Int8(ordinal).push(&mut rows.values[self.payload + self.metadata.len()]);
        Ok(())
    }

    /// Appends what the steps show, or null.
    fn show<'a>(
        &'a self,
        steps: &'a [Step],
        column: usize,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        rows: &mut Rows,
    ) -> Parse<()> {
        let values = &mut rows.values[column];
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
            Take::Json { steps, column } => self.show(steps, *column, cursor, budget, rows),
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

/// The version's fields by the names of their columns, in the writer's order; what the writer lacks comes last.
fn members(fit: &Fit, written: &[Field], version: &Version) -> Vec<Member> {
    let name = |place: usize| version.columns[place].name.clone();
    let read = written.iter().zip(&fit.fields).map(|(field, read)| match *read {
        Some((place, shape)) => Member::Read { name: name(place), shape },
        None => Member::Skipped { name: field.name.clone(), node: field.node },
    });
    let lacking = fit.defaults.iter().filter_map(|(place, _)| {
        let json = literal::json_default(&version.schema, &version.fields()[*place]).ok()?;
        Some(Member::Default { name: name(*place), json })
    });
    read.chain(lacking).collect()
}

impl Take {
    /// Takes a field to its column or as these facts, if either wants it; `shape` with whether it is shown as JSON.
    fn wanted(
        field: &str,
        (shape, json): (ShapeId, bool),
        column: Option<usize>,
        facts: [bool; FACTS],
        compiler: &mut Compiler<'_>,
    ) -> Option<Self> {
        let field = field.to_owned();
        if json {
            return column.map(|column| {
                let mut steps = Vec::new();
                compiler.show(shape, &field, &mut steps);
                Self::Json { steps, column }
            });
        }
        match column {
            _ if facts != [false; FACTS] => Some(Self::Fact { field, shape, column, facts }),
            Some(column) => Some(Self::Scalar { field, shape, column }),
            None => None,
        }
    }
}
