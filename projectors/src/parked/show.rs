//! Looking into a parked record: its bytes, what its writer's schema says, and its fields as each upcast makes them.

use std::sync::Arc;

use serde_json::Value;
use sqlx::AssertSqlSafe;
use vitrina_avro::{Decoder, Layout, Row};

use super::list::Parked;
use super::refusal::Refusal;
use super::store;
use super::workbench::{ParkedRecord, STORED, Workbench};
use crate::batch::{Reading, RecordReader};
use crate::rules::statement::Statement;

/// A parked record with its payload, which is personal data: for administrators only.
#[derive(Debug, Clone)]
pub struct ParkedDetail {
    pub parked: Parked,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
    /// The writer's schema as the registry names it.
    pub schema: Option<String>,
    pub writer_schema: Option<Value>,
    /// `CONTEXT.EVENT@vN`, where it decodes.
    pub event: Option<String>,
    /// The event relation's columns from the writer's version (`vN`) to the newest, or what is in the way there.
    pub versions: Vec<(String, Value)>,
}

impl Workbench {
    /// Looks into a parked record.
    ///
    /// # Errors
    /// Postgres is away.
    pub(crate) async fn show(&mut self, parked: Parked) -> Result<ParkedDetail, Refusal> {
        let sql = format!("{STORED} WHERE id = $1");
        let stored: ParkedRecord = sqlx::query_as(AssertSqlSafe(sql))
            .bind(parked.id)
            .fetch_one(&mut self.connection)
            .await?;
        let headers = stored.header_bytes();
        let record = stored.record(&headers);
        let mut shown = ParkedDetail {
            value: stored.value.clone(),
            headers: store::read_headers(&stored.headers),
            timestamp_ms: stored.timestamp_ms,
            schema: None,
            writer_schema: None,
            event: None,
            versions: Vec::new(),
            parked,
        };
        let Ok(framed) = Decoder::frame(&record) else { return Ok(shown) };
        shown.schema = Some(framed.schema.to_string());
        let Ok(schema) = self.registry.schema(&framed.schema).await else { return Ok(shown) };
        shown.writer_schema = Some(Value::String(schema.describe()));
        for contract in self.definition.events() {
            for newest in 1..=contract.versions.len() {
                let layout = Layout::new(&Arc::new(contract.until(newest)), None);
                let decoder = Decoder::new(&self.definition.contracts, vec![layout.clone()]);
                let mut reader = RecordReader::new(decoder);
                reader.add_schema(framed.schema, &schema);
                let mut rows = reader.rows();
                let read = reader.read_framed(&record, &framed, &mut rows);
                let Ok(Reading::Event(read, _)) = read else { continue };
                let Some(Row { version, .. }) = read.of(0) else { continue };
                shown
                    .event
                    .get_or_insert_with(|| format!("{}@v{}", contract.relation(), version + 1));
                let fields = self.fields(&layout, &rows[0], version).await?;
                shown.versions.push((format!("v{newest}"), fields));
            }
        }
        Ok(shown)
    }

    /// The event relation's columns; where an upcast refuses the event, what Postgres says.
    async fn fields(
        &mut self,
        layout: &Layout,
        rows: &[vitrina_avro::Rows],
        version: usize,
    ) -> Result<Value, Refusal> {
        let statement = Statement::new(layout, None, false, |relation| {
            format!("SELECT to_jsonb(e) FROM {relation} AS e")
        });
        let mut picked: Vec<&[u32]> = vec![&[]; rows.len()];
        picked[version] = &[0];
        let arguments = statement.arguments(rows, &picked).map_err(sqlx::Error::Encode)?;
        match sqlx::query_scalar_with(statement.sql(), arguments)
            .fetch_one(&mut self.connection)
            .await
        {
            Ok(fields) => Ok(fields),
            Err(sqlx::Error::Database(refused)) => {
                Ok(Value::String(format!("refused: {}", refused.message())))
            }
            Err(error) => Err(error.into()),
        }
    }
}
