//! A rule as Postgres runs it: the user's text with the event relation spliced in as arrays of bound parameters. Any
//! number of events of any mixture of versions go into one call; which of them may go together is decided elsewhere.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::{Arguments, AssertSqlSafe, Postgres, SqlSafeStr, SqlStr, Type};
use vitrina_avro::{ColumnType, Contract, Layout, METADATA, Rows, Values};
use vitrina_sql::Rule;

/// One rule of one generation, ready to be prepared.
#[derive(Debug)]
pub(crate) struct Statement {
    sql: SqlStr,
    /// `file:line`, for whoever reads an error.
    pub place: String,
    /// For each version of the contract, where each parameter's values lie in the model's [`Rows`].
    parameters: Vec<Vec<usize>>,
}

impl Statement {
    /// `rule` over `stored`'s rows: it binds only the columns that the rule itself uses.
    pub(crate) fn new(rule: &Rule, file: &str, stored: &Layout) -> Self {
        let own = Layout::new(&stored.contract, rule.columns.as_ref());
        let columns: Vec<String> = relation_columns(&stored.contract)
            .filter(|name| rule.columns.as_ref().is_none_or(|columns| columns.contains(*name)))
            .map(crate::quote)
            .collect();
        let columns = if columns.is_empty() { "1 AS _".to_owned() } else { columns.join(", ") };
        let relation = format!("(SELECT {columns} FROM {} AS _batch)", own.relation_sql(1));
        let parameters = own
            .versions()
            .iter()
            .zip(stored.versions())
            .map(|(own, stored)| {
                let place = |name: &str| stored.columns.iter().position(|column| column.name == name);
                own.columns.iter().filter_map(|column| place(&column.name)).collect()
            })
            .collect();
        Self {
            sql: AssertSqlSafe(rule.with_relation(&relation)).into_sql_str(),
            place: format!("{file}:{}", rule.line),
            parameters,
        }
    }

    pub(crate) fn sql(&self) -> SqlStr {
        self.sql.clone()
    }

    /// Binds, for each version of the contract, the given rows.
    ///
    /// # Errors
    /// More bytes than one message to Postgres holds.
    pub(crate) fn arguments(&self, versions: &[Rows], picked: &[&[u32]]) -> Result<PgArguments, BoxDynError> {
        let mut arguments = PgArguments::default();
        for ((places, rows), picked) in self.parameters.iter().zip(versions).zip(picked) {
            for &place in places {
                arguments.add(Array { values: &rows.values[place], rows: picked })?;
            }
        }
        Ok(arguments)
    }
}

/// The event relation's columns in their order, which `e.*` shows.
fn relation_columns(contract: &Contract) -> impl Iterator<Item = &str> {
    let fields = contract.newest().columns.iter().map(|column| column.name.as_str());
    fields.chain(METADATA.iter().map(|(name, _)| *name))
}

/// Some rows of a column, as one binary array parameter.
struct Array<'a> {
    values: &'a Values,
    rows: &'a [u32],
}

impl Type<Postgres> for Array<'_> {
    /// Never asked: [`Encode::produces`] knows the column's own type.
    fn type_info() -> PgTypeInfo {
        array_type(ColumnType::Text)
    }
}

impl<'q> Encode<'q, Postgres> for Array<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.values.write_array(self.rows, buffer);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(array_type(self.values.column_type()))
    }
}

fn array_type(column: ColumnType) -> PgTypeInfo {
    PgTypeInfo::with_oid(Oid(column.oids().1))
}
