//! Whether a generation that has come as far as the live one may take its place: it is compared first, then the settings
//! say; an operator's word asks for no comparison. Where equal rows decide, one that failed is no comparison: it is made
//! again, later each time, and until then only an operator's word counts. Elsewhere it informs, and holds nobody up: after a
//! few tries it is kept as one that failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};
use vitrina_avro::Registry;

use crate::fault::Fault;
use crate::generation::stored::Generation;
use crate::generation::swap::attempt::Leave;
use crate::generation::swap::comparison::{self, Compared, TableComparison};
use crate::generation::swap::distance::is_near;
use crate::generation::swap::losses::refused;
use crate::names::{GenerationId, quote};
use crate::parked::repeat::repeat_retries;
use crate::settings::Swap;

/// What a comparison came to, as it is kept.
type Kept = Json<Vec<TableComparison>>;

/// How soon a comparison that has failed is made again, and how late at most: it costs what one costs that has not.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

/// How often it is tried where it only informs.
const TRIES: u32 = 3;

/// Why it is not live yet, or who lets it go.
pub(crate) enum Readiness {
    NotYet(String),
    Ready(Leave),
}

/// A generation that is built, on its way to the swap.
pub(crate) struct Candidate {
    pub generation: Generation,
    swap: Swap,
    pool: PgPool,
    postgres: PgConnectOptions,
    registry: Arc<Registry>,
    put_off: Option<PutOff>,
    /// How long a comparison may look at all rows.
    at_most: Duration,
}

/// Why nothing is compared for now.
struct PutOff {
    why: String,
    until: Instant,
    /// In a row.
    times: u32,
}

impl Candidate {
    pub(crate) fn new(
        generation: Generation,
        swap: Swap,
        (pool, postgres, registry): (&PgPool, &PgConnectOptions, &Arc<Registry>),
    ) -> Self {
        let (pool, postgres, registry) = (pool.clone(), postgres.clone(), registry.clone());
        let at_most = comparison::AT_MOST;
        Self { generation, swap, pool, postgres, registry, put_off: None, at_most }
    }

    /// Looks at it, and compares it with the live one where nobody has.
    ///
    /// # Errors
    /// Postgres's.
    pub(crate) async fn readiness(&mut self, live: &GenerationId) -> Result<Readiness, Fault> {
        let id = &self.generation.id;
        let mut connection = self.pool.acquire().await?;
        if !is_near(&mut connection, live, &self.generation).await? {
            return Ok(Readiness::NotYet(format!("it has not come as far as {live}")));
        }
        if let Some(why) = broken(&mut connection, id).await? {
            return Ok(Readiness::NotYet(format!("its breaker is open: {why}")));
        }
        let row: Option<(Option<Kept>, Option<String>)> = sqlx::query_as(
            "SELECT comparison, swap_by FROM vitrina.generation WHERE model = $1 AND generation = $2 AND state = 'building'",
        )
        .bind(&id.model)
        .bind(id.number)
        .fetch_optional(&mut *connection)
        .await?;
        let (comparison, by) = row.unwrap_or_default();
        if let Some(by) = by {
            return Ok(Readiness::Ready(Leave::Operator(by)));
        }
        if let Some(put_off) = self.put_off.as_ref().filter(|one| Instant::now() < one.until) {
            return Ok(Readiness::NotYet(put_off.why.clone()));
        }
        let way = self.way();
        let Some(Json(comparison)) = comparison else {
            drop(connection);
            return self.compare(live).await;
        };
        let world = (&self.pool, &self.postgres, &self.registry);
        repeat_retries(world, live, id)
            .await
            .map_err(|refusal| Fault::world(refusal.to_string()))?;
        if let Some(refused) = refused(&mut connection, live, id).await? {
            return Ok(Readiness::NotYet(format!("{refused}; {way}")));
        }
        Ok(match self.swap {
            Swap::ByHand => Readiness::NotYet(format!("it is built: {way}")),
            Swap::WhenEqual if !comparison::is_equal(&comparison) => {
                let words = comparison::in_words(&comparison);
                Readiness::NotYet(format!("it is not equal to {live}: {words}; {way}"))
            }
            Swap::WhenEqual | Swap::Auto => Readiness::Ready(Leave::Settings(self.swap)),
        })
    }

    fn way(&self) -> String {
        format!("`vitrina swap {}` lets it go live as it is", self.generation.id.model)
    }

    /// At the swap it turned out not to be equal, or it could not be told: it is compared anew, not at once, for the live
    /// generation stands still while that is found out. Why, for people.
    ///
    /// # Errors
    /// Postgres's.
    pub(crate) async fn put_off(&mut self, why: String) -> Result<String, Fault> {
        let id = &self.generation.id;
        sqlx::query(
            "UPDATE vitrina.generation SET comparison = NULL
             WHERE model = $1 AND generation = $2 AND state = 'building'",
        )
        .bind(&id.model)
        .bind(id.number)
        .execute(&self.pool)
        .await?;
        Ok(self.wait(format!("{why}; {}", self.way())))
    }

    fn wait(&mut self, why: String) -> String {
        let times = self.tried() + 1;
        let pause = AGAIN.saturating_mul(2u32.saturating_pow(times - 1)).min(AGAIN_AT_MOST);
        self.put_off = Some(PutOff { why: why.clone(), until: Instant::now() + pause, times });
        why
    }

    fn tried(&self) -> u32 {
        self.put_off.as_ref().map_or(0, |put_off| put_off.times)
    }

    async fn compare(&mut self, live: &GenerationId) -> Result<Readiness, Fault> {
        let Generation { id, definition, .. } = &self.generation;
        let (topics, at_most) = (definition.topics(), self.at_most);
        let tables = match comparison::compare(&self.postgres, live, id, topics, at_most).await {
            Ok(Compared::Tables(tables)) => tables,
            Ok(Compared::Elsewhere) => {
                return Ok(Readiness::NotYet("another instance compares it".to_owned()));
            }
            Err(fault) if self.swap != Swap::WhenEqual && self.tried() + 1 >= TRIES => {
                let tables = definition.model.tables.iter().map(|table| table.name.clone());
                comparison::failed(tables, &fault.to_string())
            }
            Err(fault) => {
                let why =
                    format!("it cannot be compared with {live}, which is tried again: {fault}");
                return Ok(Readiness::NotYet(self.wait(format!("{why}; {}", self.way()))));
            }
        };
        sqlx::query(
            "UPDATE vitrina.generation SET comparison = $3
             WHERE model = $1 AND generation = $2 AND state = 'building' AND comparison IS NULL",
        )
        .bind(&id.model)
        .bind(id.number)
        .bind(Json(tables))
        .execute(&self.pool)
        .await?;
        Ok(Readiness::NotYet(format!("it was compared with {live} just now")))
    }
}

/// Why its breaker is open, on any instance.
async fn broken(connection: &mut PgConnection, id: &GenerationId) -> sqlx::Result<Option<String>> {
    let broken = format!(
        r#"SELECT coalesce(reason, '') FROM {}."@report"
           WHERE state = 'breaker_open' AND updated_at > now() - interval '10 seconds' LIMIT 1"#,
        quote(&id.schema())
    );
    sqlx::query_scalar(AssertSqlSafe(broken)).fetch_optional(connection).await
}

/// Writes down why it is not live yet.
///
/// # Errors
/// Postgres's.
pub(crate) async fn tell(pool: &PgPool, id: &GenerationId, why: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE vitrina.generation SET waits_for = $3
         WHERE model = $1 AND generation = $2 AND state = 'building' AND waits_for IS DISTINCT FROM $3",
    )
    .bind(&id.model)
    .bind(id.number)
    .bind(why)
    .execute(pool)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sqlx::Executor as _;
    use vitrina_avro::RegistrySettings;
    use vitrina_sql::Files;

    use super::*;
    use crate::definition::{Definition, Definitions, Roots};
    use crate::generation::lock::lock_model;
    use crate::generation::start::open;
    use crate::generation::stored::{self, Beginning};
    use crate::{law, session};

    fn definition() -> Definition {
        let event = r#"{"type":"record","name":"Up","namespace":"a","fields":[{"name":"k","type":"long"}]}"#;
        let model = "CREATE TABLE m (k bigint PRIMARY KEY);
                     INSERT INTO m SELECT e.k FROM a.up e ON CONFLICT DO NOTHING;";
        let context = "topic = \"a\"\nkey = \"k\"\n";
        let files = [("c/a/context.toml", context), ("c/a/up/v1.avsc", event), ("m/m.sql", model)];
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
        let roots = Roots { contracts: "c".into(), models: "m".into() };
        Definitions::load(&Files(files.collect()), &roots).models.remove(0)
    }

    async fn why(candidate: &mut Candidate) -> Option<String> {
        match candidate.readiness(&GenerationId::new("m", 1)).await.unwrap() {
            Readiness::NotYet(why) => Some(why),
            Readiness::Ready(_) => None,
        }
    }

    /// Two generations with so many rows that they are not compared in a moment.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_comparison_that_takes_too_long_or_fails_holds_only_those_up_whom_it_decides() {
        let Some(options) = law::database().await else { return };
        let (pool, definition) = (session::control_pool(&options, 4), definition());
        open::open(&pool, &definition, 0, None).await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        lock_model(&mut connection, "m").await.unwrap();
        let beginning = Beginning::Building;
        let id =
            stored::create(&mut connection, &definition, 0, beginning, "a test").await.unwrap();
        let rows = r#"INSERT INTO "m@1".m SELECT generate_series(1, 100000);
                      INSERT INTO "m@2".m SELECT generate_series(1, 100000); COMMIT"#;
        connection.execute(rows).await.unwrap();
        drop(connection);
        let generation = Generation::load(&pool, &id).await.unwrap();
        let settings = RegistrySettings { url: "http://localhost:1".into(), ..Default::default() };
        let registry = Arc::new(Registry::new(&settings).unwrap());
        let cramped = options.clone().options([("work_mem", "64"), ("temp_file_limit", "200")]);
        let candidate =
            |swap, postgres| Candidate::new(generation.clone(), swap, (&pool, postgres, &registry));

        // It fails again and again.
        let mut patient = candidate(Swap::WhenEqual, &cramped);
        let mut auto = candidate(Swap::Auto, &cramped);
        for time in 1..=TRIES {
            for candidate in [&mut patient, &mut auto] {
                if let Some(put_off) = &mut candidate.put_off {
                    put_off.until = Instant::now();
                }
            }
            let told = why(&mut patient).await.unwrap();
            assert!(told.contains("which is tried again"), "{told}");
            let told = why(&mut auto).await.unwrap();
            assert_eq!(told.contains("which is tried again"), time < TRIES, "{told}");
        }
        assert_eq!(why(&mut auto).await, None);

        // There is no time for it.
        sqlx::query("UPDATE vitrina.generation SET comparison = NULL")
            .execute(&pool)
            .await
            .unwrap();
        let mut auto = candidate(Swap::Auto, &options);
        auto.at_most = Duration::from_millis(1);
        assert_eq!(why(&mut auto).await.unwrap(), "it was compared with m@1 just now");
        assert_eq!(why(&mut auto).await, None);
        let told = why(&mut candidate(Swap::WhenEqual, &options)).await.unwrap();
        assert!(told.contains("m was not compared: there was no time for it within 1ms"), "{told}");
    }
}
