//! The rules of a generation in file order, each in its two forms: over one event, which is the meaning, and over a wave.

pub(crate) mod bisect;
pub(crate) mod cutting;
pub(crate) mod origin;
pub(crate) mod run;
pub(crate) mod sift;
pub(crate) mod statement;

use std::collections::{BTreeSet, HashMap};

use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use vitrina_avro::{Contracts, EventRows, Layout, METADATA};
use vitrina_sql::Rule;
use vitrina_sql::waves::{
    EventKeys, KEY, KeyValue, Obstacle, Parallel, RecordKey, Runs, StoredType, Types, Waves,
};

use crate::definition::Definition;
use crate::fault::Fault;
use crate::metrics;
use crate::proof::Told;
use crate::rules::cutting::Cutting;
use crate::rules::statement::Statement;

/// One rule, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct RunnableRule {
    /// Index of the contract's layout.
    pub layout: usize,
    /// `file:line`, for whoever reads an error.
    pub place: String,
    /// The columns of the event that it uses; `None`: all.
    pub columns: Option<BTreeSet<String>>,
    pub single: Statement,
    pub wave: Statement,
    /// The form over events of which no two have the same key, where that is another one; merging has its price.
    pub plain: Option<Plain>,
}

#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub statement: Statement,
    /// The keys, among those of the layout's relation.
    pub keys: Vec<usize>,
}

/// All rules of a generation.
#[derive(Clone)]
pub(crate) struct Rules {
    pub rules: Vec<RunnableRule>,
    /// How batches are cut into waves; `None` where some rule's form over a wave is not one that Postgres takes.
    pub cutting: Option<Cutting>,
    /// What tells each layout's rows, where batches of different record keys may be written at once.
    pub told: Option<Vec<Told>>,
}

impl Rules {
    /// The rules of a definition whose tables are in schema `schema` of `connection`, and their search path is set.
    ///
    /// # Errors
    /// Postgres is away.
    pub(crate) async fn new(
        connection: &mut PgConnection,
        definition: &Definition,
        schema: &str,
    ) -> Result<Self, Fault> {
        let types = StoredTypes::read(connection, &definition.contracts, schema).await?;
        let waves = definition.model.waves(&types);
        let mut rules: Vec<RunnableRule> = runnable(definition, &waves);
        for (rule, waves) in rules.iter().zip(&waves.rules) {
            if let Runs::EventByEvent(why) = &waves.runs {
                metrics::event_by_event(&definition.model.name, &rule.place, &why.because);
            }
        }
        let mut cutting = Some(Cutting::new(definition, &waves));
        for rule in &mut rules {
            // A wave's forms are ours; where Postgres does not take one, the model is only slower.
            if let Some(error) = refused(connection, &rule.wave).await? {
                tracing::warn!(rule = %rule.place, error, "the model runs event by event");
                let because = "Postgres does not take its form over many events";
                metrics::event_by_event(&definition.model.name, &rule.place, because);
                cutting = None;
            }
            if let Some(plain) = &rule.plain
                && refused(connection, &plain.statement).await?.is_some()
            {
                rule.plain = None;
            }
        }
        let told = told(definition, &waves);
        Ok(Self { rules, cutting, told })
    }

    /// All but the one at this place in file order, event by event.
    pub(crate) fn without(&self, rule: usize) -> Self {
        let mut some = Self { cutting: None, ..self.clone() };
        some.rules.remove(rule);
        some
    }

    /// The rules that an event runs, in file order; only the one at `place`, where it is among them.
    pub(crate) fn of_event(&self, event: EventRows, place: Option<&str>) -> Vec<&RunnableRule> {
        let rules = || self.rules.iter().filter(move |rule| event.of(rule.layout).is_some());
        let named = rules().find(|rule| Some(&*rule.place) == place);
        named.map_or_else(|| rules().collect(), |rule| vec![rule])
    }
}

/// What Postgres says against a statement, if anything.
async fn refused(
    connection: &mut PgConnection,
    statement: &Statement,
) -> Result<Option<String>, Fault> {
    match connection.prepare(statement.sql()).await {
        Ok(_) => Ok(None),
        Err(sqlx::Error::Database(error)) => Ok(Some(error.message().to_owned())),
        Err(error) => Err(error.into()),
    }
}

fn runnable(definition: &Definition, waves: &Waves) -> Vec<RunnableRule> {
    let model = &definition.model;
    let layout_of = |rule: &Rule| {
        definition.layouts.iter().position(|layout| {
            layout.contract.context == rule.context && layout.contract.name == rule.event
        })
    };
    let rules = model
        .rules
        .iter()
        .zip(&waves.rules)
        .filter_map(|(rule, waves)| Some((rule, waves, layout_of(rule)?)));
    rules
        .map(|(rule, waves, layout)| {
            let (stored, columns) = (&definition.layouts[layout], rule.columns.as_ref());
            let single =
                Statement::new(stored, columns, false, |relation| rule.with_relation(relation));
            let wave = match &waves.runs {
                Runs::Waves { merge: Some(merge) } => {
                    Statement::new(stored, columns, true, |relation| merge.statement(relation))
                }
                Runs::Waves { merge: None } => {
                    Statement::new(stored, columns, false, |relation| rule.with_batch(relation))
                }
                // Each of its waves is one event.
                Runs::EventByEvent(_) => {
                    Statement::new(stored, columns, false, |relation| rule.with_relation(relation))
                }
            };
            let plain = waves.told_apart_by(model, rule).map(|keys| {
                let statement =
                    Statement::new(stored, columns, false, |relation| rule.with_batch(relation));
                Plain { statement, keys }
            });
            RunnableRule {
                layout,
                place: format!("{}:{}", model.file, rule.at.line),
                columns: rule.columns.clone(),
                single,
                wave,
                plain,
            }
        })
        .collect()
}

/// How each rule runs and what it touches, by the declarations alone.
pub fn waves(definition: &Definition) -> Waves {
    definition.model.waves(&StoredTypes::offline(&definition.contracts))
}

/// Whether a definition's batches may be written at once, split by record key; `waves` is its analysis.
///
/// # Errors
/// The first access in the way.
pub(crate) fn parallel(definition: &Definition, waves: &Waves) -> Result<Parallel, Obstacle> {
    waves.parallel(&definition.model, &|relation| record_key(definition, relation))
}

/// What tells the rows of each layout's events, where it is the record key.
fn told(definition: &Definition, waves: &Waves) -> Option<Vec<Told>> {
    let keys = parallel(definition, waves).ok()?.keys;
    let relations = waves.relations.iter().zip(&definition.layouts).zip(keys);
    let one = |((relation, layout), key): ((&EventKeys, &Layout), usize)| {
        let KeyValue::Field(field) = &relation.keys[key] else { return None };
        if field == KEY {
            return Some(Told::ByKey);
        }
        let places = (0..layout.versions().len()).map(|version| layout.carried(version, field));
        Some(Told::ByField(field.clone(), places.collect::<Option<_>>()?))
    };
    relations.map(one).collect()
}

/// The record key of a relation's events; those of all contexts have none in common. A field that some upcast makes is not what the record is keyed by.
fn record_key(definition: &Definition, relation: &EventKeys) -> RecordKey {
    let Some(context) = definition.contracts.contexts.get(&relation.context) else {
        return RecordKey { topic: None, column: None };
    };
    let layout = definition.layouts.iter().find(|layout| {
        (&layout.contract.context, &layout.contract.name) == (&relation.context, &relation.event)
    });
    let column = layout.and_then(|layout| {
        let column = context.key.to_ascii_lowercase();
        let carried = |version: usize| layout.carried(version, &column).is_some();
        (0..layout.versions().len()).all(carried).then_some(column)
    });
    RecordKey { topic: Some(context.topic.clone()), column }
}

/// The types of events' columns, and of the generation's tables as Postgres has them.
pub(crate) struct StoredTypes<'a> {
    contracts: &'a Contracts,
    columns: HashMap<(String, String), (String, bool)>,
}

impl<'a> StoredTypes<'a> {
    /// Without tables: their declarations count.
    fn offline(contracts: &'a Contracts) -> Self {
        Self { contracts, columns: HashMap::new() }
    }

    pub(crate) async fn read(
        connection: &mut PgConnection,
        contracts: &'a Contracts,
        schema: &str,
    ) -> Result<Self, Fault> {
        let found: Vec<(String, String, String, bool)> = sqlx::query_as(
            "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
                    coalesce(l.collisdeterministic, true)
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_collation l ON l.oid = a.attcollation
             WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped",
        )
        .bind(crate::quote(schema))
        .fetch_all(connection)
        .await?;
        let columns =
            found.into_iter().map(|(table, column, sql, fixed)| ((table, column), (sql, fixed)));
        Ok(Self { contracts, columns: columns.collect() })
    }
}

impl Types for StoredTypes<'_> {
    fn event(&self, context: &str, event: &str, column: &str) -> Option<String> {
        let newest = self.contracts.relation(context, event)?.newest();
        let field = newest.columns.iter().find(|known| known.name == column).map(|known| known.ty);
        let metadata = || METADATA.iter().find(|(name, _)| *name == column).map(|(_, ty)| *ty);
        field.or_else(metadata).map(|ty| ty.sql())
    }

    fn table(&self, table: &str, column: &str) -> Option<StoredType> {
        let (sql, deterministic) = self.columns.get(&(table.to_owned(), column.to_owned()))?;
        Some(StoredType { sql: sql.clone(), deterministic: *deterministic })
    }
}
