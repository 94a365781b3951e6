//! Records whose name no contract of their topic knows: counted by name in the transaction that moves the positions past
//! them, so that the counts are exact, and of the generation as its rows are.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;

use crate::batch::{EventBatch, Part};

/// Counts those of the part; `first`: its events are the first of the generation, as far as this writer knows.
///
/// # Errors
/// Postgres's.
pub(crate) async fn count(
    connection: &mut PgConnection,
    batch: &EventBatch,
    part: &Part,
    first: bool,
) -> sqlx::Result<()> {
    if first {
        sqlx::query(r#"UPDATE "@generation" SET has_events = true WHERE NOT has_events"#)
            .execute(&mut *connection)
            .await?;
    }
    // Sorted, so that no two writers wait for each other.
    let mut counts: BTreeMap<(&str, &str), (Option<&str>, i64)> = BTreeMap::new();
    for (span, offset, unknown) in &batch.unknown {
        let span = &part.spans[*span];
        if (span.from..span.to).contains(offset) {
            let name = (unknown.topic.as_str(), unknown.name.as_str());
            counts.entry(name).or_insert((unknown.nearest.as_deref(), 0)).1 += 1;
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    let (names, numbers): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
    let (topics, names): (Vec<&str>, Vec<&str>) = names.into_iter().unzip();
    let (nearest, numbers): (Vec<Option<&str>>, Vec<i64>) = numbers.into_iter().unzip();
    sqlx::query(
        r#"INSERT INTO "@ignored" AS i (topic, name, nearest, count)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[])
           ON CONFLICT (topic, name) DO UPDATE SET count = i.count + EXCLUDED.count, nearest = EXCLUDED.nearest"#,
    )
    .bind(topics)
    .bind(names)
    .bind(nearest)
    .bind(numbers)
    .execute(connection)
    .await?;
    Ok(())
}
