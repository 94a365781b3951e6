//! Two lanes of one generation, each with a partition and a connection of its own, that write at the same time. What they
//! tried is told in the order in which Postgres let them try it.

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Executor as _};
use vitrina_ingest::Partitioner;

use super::dice::Dice;
use super::events::Event;
use super::world::{Refused, Tried, World};
use crate::definition::Definition;
use crate::generation::stored::OWN;
use crate::names::{GenerationId, quote};

/// Numbers the attempts to move a position, those that fail, too: sequences are not rolled back.
pub(super) const ATTEMPTS: &str = "
    CREATE SEQUENCE public.attempt;
    CREATE SEQUENCE public.attempt_of_0;
    CREATE SEQUENCE public.attempt_of_1;
    CREATE FUNCTION public.attempted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM setval('public.attempt_of_' || NEW.partition, nextval('public.attempt'));
        RETURN NULL;
    END $$;";

pub(super) struct Lanes {
    pub(super) lanes: [World; 2],
    pool: PgPool,
    pub(super) schema: String,
}

/// Where a producer puts records.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placing {
    ByKey(Partitioner),
    AtRandom(u64),
}

impl Lanes {
    /// A generation of a model whose events come from one topic.
    ///
    /// # Errors
    /// What Postgres refuses of the tables or rules.
    pub(super) async fn open(
        options: &PgConnectOptions,
        definition: &Definition,
        number: i32,
    ) -> Result<Self, String> {
        let first = World::open(options, definition, number, true).await?;
        let second = World::beside(options, definition, number).await;
        let pool = PgPool::connect_lazy_with(options.clone());
        let topic = definition.topics().remove(0);
        let schema = quote(&GenerationId::new("law", number).schema());
        let own = format!(
            r#"BEGIN; SET LOCAL search_path = {schema}; {OWN}
               INSERT INTO "@position" SELECT '{topic}', p, '', 1, 0, 0 FROM generate_series(0, 1) AS p;
               INSERT INTO "@proof" (topic, partitions) VALUES ('{topic}', 2);
               CREATE TRIGGER attempted AFTER UPDATE OF next_offset ON "@position"
                   FOR EACH ROW EXECUTE FUNCTION public.attempted();
               COMMIT"#
        );
        pool.execute(AssertSqlSafe(own)).await.unwrap();
        Ok(Self { lanes: [first, second], pool, schema })
    }

    /// Writes the events, each lane its own in pieces of this length at most; what was tried, in order.
    pub(super) async fn write(
        &mut self,
        definition: &Definition,
        events: &[Event],
        placing: Placing,
        length: usize,
    ) -> Vec<Tried> {
        let lanes = placing.split(events);
        let [one, other] = &mut self.lanes;
        let (mut tried, others) = tokio::join!(
            one.write_lane(definition, 0, lanes[0].chunks(length)),
            other.write_lane(definition, 1, lanes[1].chunks(length)),
        );
        tried.extend(others);
        tried.sort_by_key(|tried| tried.attempt);
        tried
    }

    /// Whether the records have proven so far that a key lives in one partition.
    pub(super) async fn holds(&self) -> bool {
        let holds = format!(r#"SELECT one_writer_at IS NULL FROM {}."@proof""#, self.schema);
        sqlx::query_scalar(AssertSqlSafe(holds)).fetch_one(&self.pool).await.unwrap()
    }

    /// As if nothing had been written: no rows, and no record has proven anything.
    pub(super) async fn begin_again(&mut self, definition: &Definition) {
        self.empty(definition).await;
        let schema = &self.schema;
        let again = format!(
            r#"UPDATE {schema}."@proof" SET one_writer_at = NULL, partitioners = DEFAULT;
               UPDATE {schema}."@position" SET parked_version = parked_version + 1"#
        );
        self.pool.execute(AssertSqlSafe(again)).await.unwrap();
    }

    pub(super) async fn rows(&mut self, definition: &Definition) -> Vec<String> {
        self.lanes[0].rows(definition).await
    }

    pub(super) async fn empty(&mut self, definition: &Definition) {
        self.lanes[0].empty(definition).await;
    }

    pub(super) async fn close(self) {
        let [one, other] = self.lanes;
        other.leave().await;
        one.close().await;
        self.pool.close().await;
    }
}

impl Placing {
    fn split(self, events: &[Event]) -> [Vec<Event>; 2] {
        let mut lanes = [Vec::new(), Vec::new()];
        let mut dice = Dice::new(if let Self::AtRandom(seed) = self { seed } else { 0 });
        for event in events {
            let lane = match self {
                Self::ByKey(partitioner) => {
                    partitioner.partition(event.key.to_string().as_bytes(), 2) as usize
                }
                Self::AtRandom(_) => dice.below(2),
            };
            lanes[lane].push(event.clone());
        }
        lanes
    }
}

/// The refusals among what was tried, as they are told event by event.
pub(super) fn refused(tried: &[Tried]) -> Vec<Refused> {
    tried.iter().filter_map(|tried| tried.refused.clone()).collect()
}
