//! Cutting a decoded batch into waves: each event's keys are hashed, from the decoded bytes where they are the key, from
//! Postgres's answer where only it can tell. Equal keys have equal hashes; unequal ones with one hash only cost a wave.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use vitrina_avro::{EventRows, Layout, ORDINAL, Row, Rows};
use vitrina_sql::waves::{Cutter, KeyValue, Waves, combine};
use xxhash_rust::xxh3::xxh3_64;

use crate::batch::EventBatch;
use crate::definition::Definition;
use crate::rules::statement::Statement;

/// A batch's events by wave.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    /// Indices of the events that are no duplicates, wave after wave, in the batch's order within each.
    pub order: Vec<u32>,
    /// Where each wave ends in `order`.
    pub ends: Vec<usize>,
    /// Hashes of the events' keys, and where those of each row of each event of the batch begin.
    hashes: Vec<Option<u64>>,
    begins: Vec<[u32; 2]>,
}

/// How one model's batches are cut.
#[derive(Clone)]
pub(crate) struct Cutting {
    cutter: Cutter,
    relations: Vec<Relation>,
}

/// The keys of one contract's events.
#[derive(Clone)]
struct Relation {
    keys: Vec<Key>,
    /// For each version, where the ordinal lies.
    ordinals: Vec<usize>,
    /// Keys that Postgres computes.
    asked: Option<Statement>,
    /// Fields that an upcast computes, for events of the versions before it.
    computed: Option<Statement>,
}

#[derive(Clone)]
enum Key {
    /// For each version, where the field lies unchanged; else its place in the answer of `computed`.
    Field {
        stored: Vec<Option<usize>>,
        computed: usize,
    },
    Asked(usize),
    Fixed(Option<u64>),
}

/// Hashes of keys that were asked for, by ordinal.
type Answers = HashMap<i64, Vec<Option<u64>>>;

impl Cutting {
    pub(crate) fn new(definition: &Definition, waves: &Waves) -> Self {
        let relations = waves.relations.iter().zip(&definition.layouts).map(|(keys, layout)| {
            let asked = keys.asked("").map(|_| {
                let write = |relation: &str| keys.asked(relation).unwrap_or_default();
                Statement::new(layout, Some(&keys.asked_columns()), true, write)
            });
            Relation::new(layout, &keys.keys, asked)
        });
        Self { cutter: Cutter::new(waves), relations: relations.collect() }
    }

    /// Cuts the events of a batch that are to be applied.
    ///
    /// # Errors
    /// Those of the questions to Postgres.
    pub(crate) async fn cut(
        &mut self,
        connection: &mut PgConnection,
        batch: &EventBatch,
        events: &[u32],
    ) -> sqlx::Result<Cut> {
        let events: Vec<(u32, EventRows)> = events
            .iter()
            .filter_map(|event| Some((*event, batch.events[*event as usize].rows()?)))
            .collect();
        let mut answers = Vec::with_capacity(self.relations.len());
        for (layout, relation) in self.relations.iter().enumerate() {
            let mut picked: Vec<Vec<u32>> = vec![Vec::new(); batch.rows[layout].len()];
            for row in events.iter().filter_map(|(_, rows)| rows.of(layout)) {
                picked[row.version].push(row.row);
            }
            let rows = &batch.rows[layout];
            answers.push((
                ask(connection, rows, &picked, relation.asked.as_ref()).await?,
                ask(connection, rows, &picked, relation.computed_for(&picked)).await?,
            ));
        }
        let (mut hashes, mut bounds) = (Vec::new(), Vec::with_capacity(events.len()));
        let mut begins = vec![[0; 2]; batch.events.len()];
        for (event, rows) in &events {
            let mut held = [None, None];
            for (place, row) in rows.iter().enumerate() {
                let start = hashes.len();
                begins[*event as usize][place] = start as u32;
                let (asked, computed) = &answers[row.layout];
                let rows = &batch.rows[row.layout][row.version];
                self.relations[row.layout].hash(rows, row, asked, computed, &mut hashes);
                held[place] = Some((row.layout, start..hashes.len()));
            }
            bounds.push(held);
        }
        let mut waves = Vec::with_capacity(events.len());
        let keyed = bounds.into_iter().map(|held| {
            let keyed = |(layout, range)| (layout, &hashes[range]);
            held.map(|held| held.map(keyed)).into_iter().flatten()
        });
        let count = self.cutter.cut(keyed, &mut waves);
        let cut = Cut::new(events.into_iter().map(|(index, _)| index).zip(waves), count);
        Ok(Cut { hashes, begins, ..cut })
    }
}

impl Cut {
    fn new(events: impl Iterator<Item = (u32, u32)> + Clone, count: u32) -> Self {
        let mut ends = vec![0; count as usize];
        for (_, wave) in events.clone() {
            ends[wave as usize] += 1;
        }
        let mut next = Vec::with_capacity(ends.len());
        let mut total = 0;
        for end in &mut ends {
            next.push(total);
            total += *end;
            *end = total;
        }
        let mut order = vec![0; total];
        for (event, wave) in events {
            order[next[wave as usize]] = event;
            next[wave as usize] += 1;
        }
        Self { order, ends, ..Self::default() }
    }

    /// Sorts events by whether another one among them has the same values of these keys of a layout's: first those that
    /// stand alone, then the others, each in their order. How many stand alone.
    pub(crate) fn alone_first(
        &self,
        batch: &EventBatch,
        events: &mut [u32],
        layout: usize,
        keys: &[usize],
    ) -> usize {
        // Equal keys have equal hashes, so one that is alone in its hash is alone; two that only share a hash are merged,
        // which costs time and changes nothing. A key that is NULL meets nobody.
        let hash = |event: u32| {
            let event = event as usize;
            let place = batch.events[event].rows()?.iter().position(|row| row.layout == layout)?;
            combine(keys, &self.hashes[self.begins[event][place] as usize..])
        };
        let mut counts: HashMap<u64, u32> = HashMap::with_capacity(events.len());
        events
            .iter()
            .filter_map(|event| hash(*event))
            .for_each(|hash| *counts.entry(hash).or_default() += 1);
        let alone = |event: &u32| hash(*event).is_none_or(|hash| counts[&hash] == 1);
        events.sort_by_cached_key(|event| !alone(event));
        events.partition_point(alone)
    }

    /// The events of each wave.
    pub(crate) fn waves(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.order[start..*end])
    }
}

impl Relation {
    fn new(layout: &Layout, keys: &[KeyValue], asked: Option<Statement>) -> Self {
        let versions = 0..layout.versions().len();
        let (mut computed, mut asked_keys) = (Vec::new(), 0..);
        let keys: Vec<Key> = keys
            .iter()
            .map(|key| match key {
                KeyValue::Field(name) => {
                    let stored: Vec<Option<usize>> =
                        versions.clone().map(|version| layout.carried(version, name)).collect();
                    let place = computed.len();
                    if stored.contains(&None) {
                        computed.push(name.clone());
                    }
                    Key::Field { stored, computed: place }
                }
                KeyValue::Asked { .. } => Key::Asked(asked_keys.next().unwrap_or_default()),
                KeyValue::Constant(bytes) => Key::Fixed(Some(xxh3_64(bytes))),
                KeyValue::Null => Key::Fixed(None),
            })
            .collect();
        let place = |version: usize| {
            let columns = &layout.versions()[version].columns;
            columns.iter().position(|column| column.name == ORDINAL).unwrap_or_default()
        };
        let computed = (!computed.is_empty()).then(|| {
            let list: Vec<String> = computed.iter().map(|name| crate::quote(name)).collect();
            let columns: BTreeSet<String> = computed.into_iter().collect();
            Statement::new(layout, Some(&columns), true, |relation| {
                format!(
                    "SELECT {}, {} FROM {relation} AS e",
                    crate::quote(ORDINAL),
                    list.join(", ")
                )
            })
        });
        Self { keys, ordinals: versions.map(place).collect(), asked, computed }
    }

    /// The question for computed fields, where an event is of a version that needs it.
    fn computed_for(&self, picked: &[Vec<u32>]) -> Option<&Statement> {
        let needs = |version: usize| {
            self.keys
                .iter()
                .any(|key| matches!(key, Key::Field { stored, .. } if stored[version].is_none()))
        };
        let asked =
            picked.iter().enumerate().any(|(version, rows)| !rows.is_empty() && needs(version));
        self.computed.as_ref().filter(|_| asked)
    }

    fn hash(
        &self,
        rows: &Rows,
        event: Row,
        asked: &Answers,
        computed: &Answers,
        out: &mut Vec<Option<u64>>,
    ) {
        let bytes = |place: usize| rows.values[place].get(event.row as usize);
        let ordinal = bytes(self.ordinals[event.version]).and_then(|bytes| bytes.try_into().ok());
        let ordinal = ordinal.map_or(0, i64::from_be_bytes);
        let answer =
            |answers: &Answers, place: usize| answers.get(&ordinal).and_then(|keys| keys[place]);
        for key in &self.keys {
            out.push(match key {
                Key::Field { stored, computed: place } => match stored[event.version] {
                    Some(place) => bytes(place).map(xxh3_64),
                    None => answer(computed, *place),
                },
                Key::Asked(place) => answer(asked, *place),
                Key::Fixed(hash) => *hash,
            });
        }
    }
}

/// Asks Postgres for the keys of the picked rows.
async fn ask(
    connection: &mut PgConnection,
    rows: &[Rows],
    picked: &[Vec<u32>],
    question: Option<&Statement>,
) -> sqlx::Result<Answers> {
    let mut answers = Answers::new();
    let Some(question) = question else { return Ok(answers) };
    if picked.iter().all(Vec::is_empty) {
        return Ok(answers);
    }
    let arguments = question.arguments(rows, picked).map_err(sqlx::Error::Encode)?;
    for row in sqlx::query_with(question.sql(), arguments).fetch_all(connection).await? {
        let keys =
            (1..row.len()).map(|column| hash_of(&row, column)).collect::<sqlx::Result<_>>()?;
        answers.insert(row.try_get(0)?, keys);
    }
    Ok(answers)
}

fn hash_of(row: &PgRow, column: usize) -> sqlx::Result<Option<u64>> {
    let value = row.try_get_raw(column)?;
    if sqlx::ValueRef::is_null(&value) {
        return Ok(None);
    }
    Ok(Some(xxh3_64(value.as_bytes().map_err(sqlx::Error::Decode)?)))
}
