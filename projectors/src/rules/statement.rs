//! A statement over events as Postgres runs it: the event relation is spliced in as arrays of bound parameters. Any number
//! of events of any mixture of versions go into one call; which of them may go together is decided elsewhere.

use std::collections::BTreeSet;

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::{Arguments, AssertSqlSafe, Postgres, SqlSafeStr, SqlStr, Type};
use vitrina_avro::{ColumnType, Contract, Layout, METADATA, ORDINAL, Rows, Values, VersionLayout};

/// A statement over events of one contract, ready to be prepared.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    sql: SqlStr,
    /// For versions of the contract, where each parameter's values lie in the model's [`Rows`].
    parameters: Vec<(usize, Vec<usize>)>,
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
        let own = stored.narrow(columns);
        let wanted = relation_columns(&stored.contract);
        let wanted = wanted.filter(|name| columns.is_none_or(|all| all.contains(*name)));
        let mut selected: Vec<String> = wanted.map(crate::quote).collect();
        if ordinal || selected.is_empty() {
            selected.push(crate::quote(ORDINAL));
        }
        let relation =
            format!("(SELECT {} FROM {} AS _batch)", selected.join(", "), own.relation_sql(1));
        let versions = own.versions().iter().zip(stored.versions());
        let parameters = versions.map(|(own, stored)| places(own, stored)).enumerate().collect();
        Self { sql: AssertSqlSafe(write(&relation)).into_sql_str(), parameters }
    }

    /// A look at the column that events of one version have in `newer`, a layout of it alone, which may lack the newest
    /// versions; `place`: of the version among those of `stored`.
    pub(crate) fn of_column(newer: &Layout, version: usize, stored: &Layout, place: usize) -> Self {
        let sql = format!("SELECT * FROM ({}) AS e", newer.branch(version, 1));
        let places = places(&newer.versions()[version], &stored.versions()[place]);
        Self { sql: AssertSqlSafe(sql).into_sql_str(), parameters: vec![(place, places)] }
    }

    pub(crate) fn sql(&self) -> SqlStr {
        self.sql.clone()
    }

    /// Binds, for versions of the contract, the given rows.
    ///
    /// # Errors
    /// More bytes than one message to Postgres holds.
    pub(crate) fn arguments<P: AsRef<[u32]>>(
        &self,
        versions: &[Rows],
        picked: &[P],
    ) -> Result<PgArguments, BoxDynError> {
        let mut arguments = PgArguments::default();
        for (version, places) in &self.parameters {
            let (values, rows) = (&versions[*version].values, picked[*version].as_ref());
            for &place in places {
                arguments.add(Array { values: &values[place], rows })?;
            }
        }
        Ok(arguments)
    }
}

/// Where the columns of `own` lie among those that are stored.
fn places(own: &VersionLayout, stored: &VersionLayout) -> Vec<usize> {
    let place = |name: &str| stored.columns.iter().position(|column| column.name == name);
    own.columns.iter().filter_map(|column| place(&column.name)).collect()
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
