//! All that one model decodes with. Bytes of a record go in, a row of one version's columns comes out, or the reason
//! why not; a record whose type no layout names is ignored by name, never in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::contract::tombstone::TOMBSTONE;
use crate::contract::{Contract, Contracts};
use crate::read::error::RecordError;
use crate::read::frame::{Framed, Record, SchemaRef};
use crate::read::key::{self, KeyReader};
use crate::read::layout::Layout;
use crate::read::matching::{self, Fit};
use crate::read::metadata::Envelope;
use crate::read::reader::RecordReader;
use crate::read::rows::{EventRows, Row, Rows};
use crate::schema::Schema;
use crate::schema::node::{Node, NodeId};
use crate::value::column::{Column, Values};
use crate::walk::cursor::Cursor;

/// Decodes the records of one model's topics.
#[derive(Debug)]
pub struct Decoder {
    layouts: Vec<Target>,
    writers: BTreeMap<SchemaRef, WriterSchema>,
    /// The layouts of tombstones: what their records are, of whatever topic.
    tombstones: Branch,
    /// The records' full names that some contract knows, by topic.
    known: BTreeMap<String, BTreeSet<String>>,
}

/// A layout, and where the events of each of its contracts come from.
#[derive(Debug)]
struct Target {
    layout: Layout,
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    contract: Arc<Contract>,
    topic: String,
    envelope: Envelope,
}

/// A writer's schema: one branch, or those of a union at the top.
#[derive(Debug)]
struct WriterSchema {
    union: bool,
    branches: Vec<Branch>,
    /// For each layout of tombstones: how they are keyed by it, or why they cannot be.
    keys: Vec<(usize, Result<KeyReader, String>)>,
}

#[derive(Debug)]
struct Branch {
    name: String,
    readers: Vec<Reader>,
    /// The topics none of whose contracts knows the name.
    unknown_on: Vec<Arc<UnknownName>>,
}

/// How a layout reads the branch's records on a topic.
#[derive(Debug)]
struct Reader {
    layout: usize,
    topic: String,
    /// The event relation that it reads.
    relation: String,
    /// Where among the layout's versions the rows go, and how they are read, or why they are not.
    way: Result<(usize, RecordReader), RecordError>,
}

/// Which schema wrote the key of a tombstone, and the column that it is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySchema<'d> {
    pub column: &'d str,
    pub schema: SchemaRef,
}

/// A record's full name that no contract of its topic knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    pub topic: String,
    pub name: String,
    /// The name that was probably meant.
    pub nearest: Option<String>,
}

/// A writer's record that is read with a version's defaults for what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaulted {
    /// Its full name.
    pub record: String,
    /// The event relation, and the number of the version.
    pub relation: String,
    pub version: u32,
    /// The paths of the fields that it lacks.
    pub fields: Vec<String>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodedRecord<'o> {
    /// Its rows are those of `out[layout][version]`.
    Event {
        rows: EventRows,
        /// By which duplicates are known; none where the event has no id.
        identity: Option<EventId<'o>>,
    },
    /// No layout of its topic names this type, and perhaps no contract either.
    Ignored { unknown: Option<&'o Arc<UnknownName>> },
}

/// What, with the record's key, tells whether two events are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId<'o> {
    /// Full name of the writer's record.
    pub record: &'o str,
    /// The event's id: bytes, which need not be a text.
    pub id: &'o [u8],
}

impl Decoder {
    /// `layouts`: the contracts that the model's rules name. One whose context is not among `contracts` never matches.
    pub fn new(contracts: &Contracts, layouts: Vec<Layout>) -> Self {
        let source = |contract: &Arc<Contract>| {
            let context = contracts.contexts.get(&contract.context)?;
            let (topic, envelope) = (context.topic.clone(), Envelope::new(context, contract));
            Some(Source { contract: Arc::clone(contract), topic, envelope })
        };
        let target = |layout: Layout| {
            let sources = layout.contract.events().iter().filter_map(source).collect();
            Target { sources, layout }
        };
        let layouts: Vec<Target> = layouts.into_iter().map(target).collect();
        let targets = layouts.iter().enumerate();
        let readers = targets.flat_map(|(index, target)| target.tombstones(index)).collect();
        let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for context in contracts.contexts.values() {
            let names = context.events.values().flat_map(|event| event.full_names.iter().cloned());
            known.entry(context.topic.clone()).or_default().extend(names);
        }
        let tombstones = Branch { name: TOMBSTONE.to_owned(), readers, unknown_on: Vec::new() };
        Self { layouts, writers: BTreeMap::new(), tombstones, known }
    }

    /// Which schema wrote the record, and its datum.
    ///
    /// # Errors
    /// A value that is null, empty, or not in the registry's wire format.
    pub fn frame<'a>(record: &Record<'a>) -> Result<Framed<'a>, RecordError> {
        Framed::read(record)
    }

    /// Whether the schema has been added.
    pub fn knows(&self, schema: &SchemaRef) -> bool {
        self.writers.contains_key(schema)
    }

    /// Finds the version and makes the reader for each record that the schema writes; those that lack what a default
    /// stands for come back.
    pub fn add_schema(&mut self, reference: SchemaRef, schema: &Arc<Schema>) -> Vec<Defaulted> {
        let union = matches!(schema.node(schema.root()), Node::Union(_));
        let branches: Vec<Branch> = schema
            .branches(schema.root())
            .into_iter()
            .map(|node| self.branch(schema, node))
            .collect();
        let defaulted = branches.iter().flat_map(Self::defaulted).collect();
        let keyed = self.layouts.iter().enumerate().filter(|(_, target)| target.key().is_some());
        let keys = keyed
            .map(|(index, target)| (index, KeyReader::new(schema, &target.layout.contract)))
            .collect();
        self.writers.insert(reference, WriterSchema { union, branches, keys });
        defaulted
    }

    fn defaulted(branch: &Branch) -> impl Iterator<Item = Defaulted> {
        let readers = branch.readers.iter();
        let ways = readers.filter_map(|reader| Some((&reader.relation, reader.way.as_ref().ok()?)));
        let filled = ways.filter(|(_, (_, reader))| !reader.filled.is_empty());
        filled.map(|(relation, (_, reader))| Defaulted {
            record: branch.name.clone(),
            relation: relation.clone(),
            version: reader.version as u32 + 1,
            fields: reader.filled.clone(),
        })
    }

    fn branch(&self, schema: &Arc<Schema>, node: NodeId) -> Branch {
        let Some(record) = schema.record(node) else {
            let name = schema.node(node).describe();
            let unknown_on = self.unknown_on(&name);
            return Branch { name, readers: Vec::new(), unknown_on };
        };
        let name = record.name.full.clone();
        let targets = self.layouts.iter().enumerate();
        let readers = targets
            .flat_map(|(index, target)| target.readers(index, &name, schema, node))
            .collect();
        let unknown_on = self.unknown_on(&name);
        Branch { name, readers, unknown_on }
    }

    fn unknown_on(&self, name: &str) -> Vec<Arc<UnknownName>> {
        let unknown = self.known.iter().filter(|(_, known)| !known.contains(name));
        let unknown = unknown.map(|(topic, known)| {
            let nearest = nearest(name, known).map(str::to_owned);
            Arc::new(UnknownName { topic: topic.clone(), name: name.to_owned(), nearest })
        });
        unknown.collect()
    }

    /// Empty rows, as `decode` fills them: by layout, then by version.
    pub fn rows(&self) -> Vec<Vec<Rows>> {
        self.layouts.iter().map(|target| target.layout.rows()).collect()
    }

    /// Decodes a record into the next row of its layout and version; on an error the rows are as before. The ordinal
    /// column counts the events of a layout over all versions, from 1.
    ///
    /// # Errors
    /// What is wrong with the record.
    pub fn decode<'o>(
        &'o self,
        record: &Record<'_>,
        framed: &Framed<'_>,
        out: &'o mut [Vec<Rows>],
    ) -> Result<DecodedRecord<'o>, RecordError> {
        let writer = self.writers.get(&framed.schema);
        let writer =
            writer.ok_or_else(|| RecordError::SchemaNotFetched(framed.schema.to_string()))?;
        let mut cursor = Cursor::new(framed.payload);
        let place = if writer.union { cursor.index(writer.branches.len(), "branch")? } else { 0 };
        self.decode_branch(&writer.branches[place], record, cursor, out)
    }

    /// The schema that must have been added before [`Self::tombstone`] is asked: that of the record's key, where a layout
    /// has a column that the key gives.
    ///
    /// # Errors
    /// A key whose framing names no schema.
    pub fn key_schema(&self, record: &Record<'_>) -> Result<Option<KeySchema<'_>>, RecordError> {
        let Some((_, column)) = self.keyed(record) else { return Ok(None) };
        let framed = key_frame(record, column)?;
        Ok(framed.map(|framed| KeySchema { column: &column.name, schema: framed.schema }))
    }

    /// The layout of the record, a tombstone, and its column that the key gives.
    fn keyed(&self, record: &Record<'_>) -> Option<(usize, &Column)> {
        let mut layouts = self.layouts.iter().enumerate();
        layouts.find_map(|(index, target)| {
            Some((index, target.key().filter(|_| target.is_on(record.topic))?))
        })
    }

    /// Takes a record without a value, as [`Self::decode`] one with a value.
    ///
    /// # Errors
    /// What is wrong with its key or headers.
    pub fn tombstone<'o>(
        &'o self,
        record: &Record<'_>,
        out: &'o mut [Vec<Rows>],
    ) -> Result<DecodedRecord<'o>, RecordError> {
        if let Some((layout, column)) = self.keyed(record) {
            // The first of the row's columns; the others follow, or all are taken back.
            self.write_key(record, layout, column, &mut out[layout][0].values[0])?;
        }
        self.decode_branch(&self.tombstones, record, Cursor::new(&[]), out)
    }

    fn write_key(
        &self,
        record: &Record<'_>,
        layout: usize,
        column: &Column,
        values: &mut Values,
    ) -> Result<(), RecordError> {
        let Some(key) = record.key else {
            values.push_null();
            return Ok(());
        };
        let written = match key_frame(record, column)? {
            None => key::write_text(column, key, values),
            Some(Framed { schema, payload }) => {
                let writer = self.writers.get(&schema);
                let reader = writer.and_then(|writer| {
                    writer.keys.iter().find_map(|(own, key)| (*own == layout).then_some(key))
                });
                let unknown = || RecordError::SchemaNotFetched(schema.to_string());
                let reader = reader.ok_or_else(unknown)?.as_ref();
                reader.map_err(Clone::clone).and_then(|reader| reader.write(payload, values))
            }
        };
        written.map_err(|what| RecordError::Key { column: column.name.clone(), what })
    }

    /// The rest of a record of this branch.
    fn decode_branch<'r, 'o: 'r>(
        &'o self,
        branch: &'o Branch,
        record: &'r Record<'r>,
        cursor: Cursor<'r>,
        out: &'o mut [Vec<Rows>],
    ) -> Result<DecodedRecord<'o>, RecordError> {
        let mut rows = EventRows::default();
        for reader in branch.readers.iter().filter(|reader| reader.topic == record.topic) {
            match reader.decode(record, cursor, &mut out[reader.layout]) {
                Ok(row) => rows.add(row),
                Err(error) => {
                    let written = rows.iter();
                    written.for_each(|row| out[row.layout][row.version].truncate(row.row as usize));
                    return Err(error);
                }
            }
        }
        let Some(row) = rows.iter().next() else {
            let unknown = branch.unknown_on.iter().find(|unknown| unknown.topic == record.topic);
            return Ok(DecodedRecord::Ignored { unknown });
        };
        let identity = out[row.layout][row.version].identities.get(row.row as usize);
        let identity = identity.map(|id| EventId { record: &branch.name, id });
        Ok(DecodedRecord::Event { rows, identity })
    }
}

impl Reader {
    /// Decodes what is left of a record into the next row.
    fn decode<'r>(
        &'r self,
        record: &'r Record<'r>,
        mut cursor: Cursor<'r>,
        out: &mut [Rows],
    ) -> Result<Row, RecordError> {
        let (version, reader) = self.way.as_ref().map_err(Clone::clone)?;
        let ordinal = 1 + out.iter().map(Rows::len).sum::<usize>() as i64;
        let rows = &mut out[*version];
        let row = rows.len();
        reader.decode(record, &mut cursor, ordinal, rows).inspect_err(|_| rows.truncate(row))?;
        Ok(Row { layout: self.layout, version: *version, row: row as u32 })
    }
}

impl Target {
    /// How records of this name are read, on each topic.
    fn readers(
        &self,
        layout: usize,
        name: &String,
        schema: &Arc<Schema>,
        node: NodeId,
    ) -> impl Iterator<Item = Reader> {
        let named =
            self.sources.iter().filter(move |source| source.contract.full_names.contains(name));
        named.map(move |source| source.reader(layout, self.way(source, schema, node)))
    }

    fn way(
        &self,
        source: &Source,
        schema: &Arc<Schema>,
        node: NodeId,
    ) -> Result<(usize, RecordReader), RecordError> {
        let Source { contract, envelope, .. } = source;
        let fit = matching::fit(contract, schema, node)?;
        let place = self.layout.place_of(contract, fit.version);
        let reader = match self.layout.source(place) {
            Some((layout, _)) => {
                RecordReader::new(fit, node, contract, layout.versions(), envelope.clone())
            }
            None => {
                let layout = &self.layout.versions()[place];
                RecordReader::of_every(fit, node, contract, layout, envelope.clone())
            }
        };
        Ok((place, reader))
    }

    /// Of a tombstone nothing is read but the metadata: it has no bytes.
    fn tombstones(&self, layout: usize) -> Option<Reader> {
        let source = self.sources.first().filter(|_| self.layout.contract.is_tombstone())?;
        let schema = Arc::new(Schema::record_of(TOMBSTONE, None));
        let (fit, root) = (Fit::of_nothing(&schema), schema.root());
        let (contract, versions) = (&source.contract, self.layout.versions());
        let reader = RecordReader::new(fit, root, contract, versions, source.envelope.clone());
        Some(source.reader(layout, Ok((0, reader))))
    }

    fn is_on(&self, topic: &str) -> bool {
        self.sources.iter().any(|source| source.topic == topic)
    }

    /// The column of tombstones that their key gives, where a rule uses it.
    fn key(&self) -> Option<&Column> {
        let version = &self.layout.versions()[0];
        let is_used = self.layout.contract.is_tombstone() && !version.fields.is_empty();
        version.columns.first().filter(|_| is_used)
    }
}

impl Source {
    fn reader(&self, layout: usize, way: Result<(usize, RecordReader), RecordError>) -> Reader {
        let (topic, relation) = (self.topic.clone(), self.contract.relation());
        Reader { layout, topic, relation, way }
    }
}

fn key_frame<'a>(record: &Record<'a>, column: &Column) -> Result<Option<Framed<'a>>, RecordError> {
    Framed::read_key(record)
        .map_err(|error| RecordError::Key { column: column.name.clone(), what: error.to_string() })
}

/// The known name that was probably meant: of another namespace, else one with a slip of the pen in it.
pub(crate) fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    let short = |name: &'_ str| name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let own = short(name);
    let known = || known.iter().map(String::as_str);
    let namesake = known().find(|known| short(known) == own);
    namesake.or_else(|| vitrina_sql::nearest(name, known())).or_else(|| {
        known().find(|known| vitrina_sql::nearest(&own, [short(known).as_str()]).is_some())
    })
}
