//! What is parked, as operators see it: of the live generations only. What a record waits behind is the head of its
//! queue, the record with the smallest id.

use serde::{Serialize, Serializer};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::refusal::Refusal;
use crate::generation::live::{Live, over_live};
use crate::names::{GenerationId, quote};

/// A parked record, without its payload; serialized as the admin API and `vitrina parked --json` tell it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub struct Parked {
    pub id: i64,
    pub model: String,
    #[serde(skip)]
    pub generation: i32,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Told as [`Self::key_text`].
    #[serde(serialize_with = "as_text")]
    pub key: Option<Vec<u8>>,
    pub reason: String,
    pub sqlstate: Option<String>,
    /// `file:line`.
    pub rule: Option<String>,
    /// The id of the record that it waits for.
    pub behind: Option<i64>,
    /// RFC 3339.
    pub at: String,
    /// Retries that failed.
    pub attempts: i32,
}

impl Parked {
    pub(crate) fn generation(&self) -> GenerationId {
        GenerationId::new(&self.model, self.generation)
    }

    /// The record's key as text; what is not UTF-8 as Postgres writes bytes, `\x…`.
    pub fn key_text(&self) -> Option<String> {
        self.key.as_deref().map(text)
    }
}

fn text(key: &[u8]) -> String {
    String::from_utf8(key.to_vec()).unwrap_or_else(|_| {
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\\x{digits}")
    })
}

fn as_text<S: Serializer>(key: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_deref().map(text).serialize(serializer)
}

/// The records of one live generation that `condition` picks.
fn listed(live: &[Live], condition: &str) -> Option<String> {
    Live::union(live, |model, schema| {
        format!(
            r#"SELECT p.id, {model} AS model, (SELECT generation FROM {schema}."@generation") AS generation,
                p.topic, p.partition, p."offset", p.key, p.sqlstate, p.rule, p.attempts,
                nullif(h.head, p.id) AS behind,
                coalesce(p.reason, CASE WHEN h.head < p.id THEN 'waits behind ' || h.head
                                        ELSE 'waited behind a record that is gone: retry it' END) AS reason,
                to_char(p.parked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
            FROM (SELECT * FROM {schema}."@parked" {condition}) p
            CROSS JOIN LATERAL (
                SELECT CASE WHEN p.queue IS NULL THEN p.id ELSE (
                    SELECT q.id FROM {schema}."@parked" q WHERE q.queue = p.queue ORDER BY q.queue, q.id LIMIT 1) END AS head
            ) h"#
        )
    })
}

/// Up to `limit` parked records with ids above `after`, of one model or of all, by id.
///
/// # Errors
/// Postgres's; a model that does not exist, with the names of those that do.
pub async fn list(
    pool: &PgPool,
    model: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<Parked>, Refusal> {
    if let Some(model) = model {
        known(pool, model).await?;
    }
    let select = |live: &[Live]| {
        let own: Vec<Live> = live
            .iter()
            .filter(|live| model.is_none_or(|model| model == live.model))
            .cloned()
            .collect();
        let page =
            listed(&own, &format!("WHERE id > ({after}) ORDER BY id LIMIT greatest({limit}, 0)"))?;
        Some(format!("SELECT * FROM ({page}) p ORDER BY id LIMIT greatest({limit}, 0)"))
    };
    let mut connection = pool.acquire().await?;
    Ok(over_live(&mut connection, select).await?)
}

/// The parked records of these ids, by id.
///
/// # Errors
/// Postgres's; ids that are not parked, with some that are.
pub(crate) async fn by_ids(pool: &PgPool, ids: &[i64]) -> Result<Vec<Parked>, Refusal> {
    let found = still_parked(pool, ids).await?;
    let missing: Vec<String> = ids
        .iter()
        .filter(|id| !found.iter().any(|parked| parked.id == **id))
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let moved = moved(pool, &missing).await?;
    if !moved.is_empty() {
        return Err(Refusal::Unknown(moved.join("; ")));
    }
    let some = list(pool, None, 0, 10).await?;
    let some: Vec<String> =
        some.iter().map(|parked| format!("{} ({})", parked.id, parked.model)).collect();
    let known = match some.len() {
        0 => "nothing is parked".to_owned(),
        _ => format!("parked are {}{}", some.join(", "), if some.len() == 10 { ", …" } else { "" }),
    };
    Err(Refusal::Unknown(format!("no record is parked as {}: {known}", missing.join(", "))))
}

/// What became of ids that a retired generation gave, whose high half is its serial: the live one calls the record by another.
async fn moved(pool: &PgPool, ids: &[String]) -> Result<Vec<String>, Refusal> {
    let mut moved = Vec::new();
    for id in ids.iter().filter_map(|id| id.parse::<i64>().ok()) {
        let retired: Option<(String, i32, i32)> = sqlx::query_as(
            "SELECT model, g.generation, m.live FROM vitrina.generation g JOIN vitrina.model m USING (model)
             WHERE serial = $1 AND state = 'retired' AND m.live IS NOT NULL",
        )
        .bind((id - 1) >> 32)
        .fetch_optional(pool)
        .await?;
        let Some((model, retired, live)) = retired else { continue };
        let (retired, live) = (GenerationId::new(&model, retired), GenerationId::new(&model, live));
        let find = format!(
            r#"SELECT (SELECT p.id FROM {1}."@parked" p
                       WHERE (p.topic, p.partition, p."offset") = (o.topic, o.partition, o."offset"))
               FROM (SELECT topic, partition, "offset" FROM {0}."@parked" WHERE id = $1
                     UNION ALL SELECT topic, partition, "offset" FROM {0}."@verdict" WHERE parked = $1) o"#,
            quote(&retired.schema()),
            quote(&live.schema())
        );
        let found: Option<Option<i64>> =
            sqlx::query_scalar(AssertSqlSafe(find)).bind(id).fetch_optional(pool).await?;
        moved.extend(found.map(|now| match now {
            Some(now) => {
                format!("{id} was parked by {retired}, which {live} has replaced: it is {now} now")
            }
            None => format!(
                "{id} was parked by {retired}, which {live} has replaced: it is not parked any more"
            ),
        }));
    }
    Ok(moved)
}

/// Those of these ids that are parked, by id.
///
/// # Errors
/// Postgres's.
pub(crate) async fn still_parked(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<Parked>> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let select = |live: &[Live]| {
        let records = listed(live, &format!("WHERE id = ANY('{{{}}}'::int8[])", ids.join(",")))?;
        Some(format!("SELECT * FROM ({records}) p ORDER BY id"))
    };
    let mut connection = pool.acquire().await?;
    over_live(&mut connection, select).await
}

/// How many records each live generation has parked.
///
/// # Errors
/// Postgres's.
pub async fn count(connection: &mut PgConnection) -> sqlx::Result<Vec<(String, i64)>> {
    let select = |live: &[Live]| {
        Live::union(live, |model, schema| {
            format!(r#"SELECT {model}, (SELECT count(*) FROM {schema}."@parked")"#)
        })
    };
    over_live(connection, select).await
}

/// # Errors
/// There is no such model: the names of those that there are.
pub(crate) async fn known(pool: &PgPool, model: &str) -> Result<(), Refusal> {
    let names: Vec<String> = sqlx::query_scalar("SELECT model FROM vitrina.model ORDER BY model")
        .fetch_all(pool)
        .await?;
    if names.iter().any(|name| name == model) {
        return Ok(());
    }
    let known = if names.is_empty() {
        "there are none yet".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    };
    Err(Refusal::Unknown(format!("there is no model {model}: {known}")))
}
