//! A statement over events as Postgres runs it: the event relation is spliced in as arrays of bound parameters. Any number
//! of events of any mixture of versions go into one call; which of them may go together is decided elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::{Arguments, AssertSqlSafe, Postgres, SqlSafeStr, SqlStr, Type};
use vitrina_avro::{ColumnType, Contract, Layout, METADATA, ORDINAL, Rows, Values};

/// A statement over events of one contract, ready to be prepared.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    sql: SqlStr,
    /// For each version of the contract, where each parameter's values lie in the model's [`Rows`].
    parameters: Vec<Vec<usize>>,
}

impl Statement {
    /// What `write` makes of the derived table that holds `columns` of the events (`None`: all) and, where `ordinal`,
    /// their ordinal; over rows stored as in `stored`. Nothing but those columns is bound.
    pub(crate) fn new(
        stored: &Layout,
        columns: Option<&BTreeSet<String>>,
        ordinal: bool,
        write: impl FnOnce(&str) -> String,
    ) -> Self {
        Self::over(&stored.contract, stored, columns, ordinal, write)
    }

    /// The same over `contract`, which may lack the newest of the stored one's versions.
    pub(crate) fn over(
        contract: &Arc<Contract>,
        stored: &Layout,
        columns: Option<&BTreeSet<String>>,
        ordinal: bool,
        write: impl FnOnce(&str) -> String,
    ) -> Self {
        let own = Layout::new(contract, columns);
        let wanted =
            relation_columns(contract).filter(|name| columns.is_none_or(|all| all.contains(*name)));
        let mut selected: Vec<String> = wanted.map(crate::quote).collect();
        if ordinal || selected.is_empty() {
            selected.push(crate::quote(ORDINAL));
        }
        let relation =
            format!("(SELECT {} FROM {} AS _batch)", selected.join(", "), own.relation_sql(1));
        let parameters = own
            .versions()
            .iter()
            .zip(stored.versions())
            .map(|(own, stored)| {
                let place =
                    |name: &str| stored.columns.iter().position(|column| column.name == name);
                own.columns.iter().filter_map(|column| place(&column.name)).collect()
            })
            .collect();
        Self { sql: AssertSqlSafe(write(&relation)).into_sql_str(), parameters }
    }

    pub(crate) fn sql(&self) -> SqlStr {
        self.sql.clone()
    }

    /// Binds, for each version of the contract, the given rows.
    ///
    /// # Errors
    /// More bytes than one message to Postgres holds.
    pub(crate) fn arguments<P: AsRef<[u32]>>(
        &self,
        versions: &[Rows],
        picked: &[P],
    ) -> Result<PgArguments, BoxDynError> {
        let mut arguments = PgArguments::default();
        for ((places, rows), picked) in self.parameters.iter().zip(versions).zip(picked) {
            for &place in places {
                arguments.add(Array { values: &rows.values[place], rows: picked.as_ref() })?;
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
