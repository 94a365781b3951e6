//! What only Postgres can say of a definition: which functions, overloads and casts a text really calls. Everything is
//! created in a transaction that is rolled back; the functions are read from Postgres's own parse of the statement.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use vitrina_avro::{Contract, METADATA, lossy_cast};
use vitrina_sql::{Finding, Literal, LiteralStatement, Place, Rule, functions};

use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::schema::refusal::{Origin, Text};
use crate::generation::schema::rights;
use crate::generation::schema::tables::declarations;
use crate::sqlstate::Sqlstate;
use crate::{quote, session};

/// Inspects a definition that was read without an error.
///
/// # Errors
/// [`Fault`] where Postgres is away, or the role may not create a schema.
pub async fn inspect(
    options: &PgConnectOptions,
    definition: &Definition,
) -> Result<Vec<Finding>, Fault> {
    let schema = format!("{}@check", definition.model.name);
    let connection = session::writer(options, &schema, 0, session::STATEMENT).await?;
    let named = definition.layouts.iter().map(|layout| &layout.contract);
    let is_named = |event: &Arc<Contract>| named.clone().any(|known| Arc::ptr_eq(known, event));
    let upcast = definition.events().into_iter().filter(|event| event.versions.len() > 1);
    let contracts = named.clone().cloned().chain(upcast.filter(|event| !is_named(event))).collect();
    let findings = Vec::new();
    let mut inspection = Inspection { connection, definition, schema, contracts, findings };
    let done = inspection.run().await;
    let _ = inspection.connection.close().await;
    done.map(|()| inspection.findings)
}

struct Inspection<'a> {
    connection: PgConnection,
    definition: &'a Definition,
    /// The model's tables; the events' stubs are in `schema events`.
    schema: String,
    /// Those that rules name; for every event, also those of events that are upcast.
    contracts: Vec<Arc<Contract>>,
    findings: Vec<Finding>,
}

impl Inspection<'_> {
    async fn run(&mut self) -> Result<(), Fault> {
        self.connection.execute("BEGIN").await?;
        if !self.declare().await? {
            return Ok(());
        }
        self.create_stubs().await?;
        self.inspect_upcasts().await?;
        self.inspect_rules().await?;
        self.inspect_literals().await?;
        self.inspect_tables().await?;
        let found = rights::inspect(&mut self.connection, &self.definition.model).await?;
        self.findings.extend(found);
        Ok(())
    }

    /// Creates what the model declares; false where Postgres refuses some of it.
    async fn declare(&mut self) -> Result<bool, Fault> {
        let (model, schema) = (&self.definition.model, quote(&self.schema));
        self.execute(format!(
            "CREATE SCHEMA {schema}; SET LOCAL search_path = {schema}, pg_catalog, pg_temp"
        ))
        .await?;
        for (at, sql) in declarations(model) {
            self.execute("SAVEPOINT declaration".into()).await?;
            match self.connection.execute(AssertSqlSafe(sql.to_owned())).await {
                Ok(_) => {}
                Err(sqlx::Error::Database(error)) => {
                    self.execute("ROLLBACK TO SAVEPOINT declaration".into()).await?;
                    let (file, origin) = (&model.file, Origin::Declaration(at));
                    let text = Text { file, sql: sql.to_owned(), origin };
                    self.findings.push(text.refused(&*error, ""));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.findings.is_empty())
    }

    fn function(&self) -> String {
        format!("{}.\"analysed\"()", quote(&format!("{} events", self.schema)))
    }

    fn stub(&self, contract: usize, version: usize) -> String {
        format!("{}.\"e{contract}v{version}\"", quote(&format!("{} events", self.schema)))
    }

    /// One table for each version of each contract, with its columns and the metadata.
    async fn create_stubs(&mut self) -> Result<(), Fault> {
        let schema = quote(&format!("{} events", self.schema));
        self.execute(format!("CREATE SCHEMA {schema}")).await?;
        for (index, contract) in self.contracts.clone().iter().enumerate() {
            for (place, version) in contract.versions.iter().enumerate() {
                let own = version.columns.iter().map(|column| (column.name.as_str(), column.ty));
                let columns: Vec<String> = own
                    .chain(METADATA)
                    .map(|(name, ty)| format!("{} {}", quote(name), ty.sql()))
                    .collect();
                self.execute(format!(
                    "CREATE TABLE {} ({})",
                    self.stub(index, place),
                    columns.join(", ")
                ))
                .await?;
            }
        }
        Ok(())
    }

    async fn inspect_upcasts(&mut self) -> Result<(), Fault> {
        for (index, contract) in self.contracts.clone().iter().enumerate() {
            for (before, version) in contract.versions.iter().skip(1).enumerate() {
                for item in &version.written {
                    let Some(column) =
                        version.columns.iter().find(|column| column.name == item.name)
                    else {
                        continue;
                    };
                    let (stub, ty) = (self.stub(index, before), column.ty.sql());
                    let select = |expr: &str| {
                        let opening = Text::ITEM;
                        format!("{opening}{expr}\n)::{ty} FROM {stub} AS v{}", before + 1)
                    };
                    let text = Text {
                        file: &version.upcast_file,
                        sql: select(&item.expr),
                        origin: Origin::Item(item),
                    };
                    let found = self.findings.len();
                    self.inspect_text(&text).await?;
                    if self.findings.len() == found && item.column.is_none() {
                        let from = self.type_of(&item.expr, &stub, before + 1).await?;
                        let lossy = from
                            .and_then(|from| lossy_cast(&version.upcast_file, item, &from, &ty));
                        self.findings.extend(lossy);
                    }
                    for literal in &item.literals {
                        let mut expr = item.expr.clone();
                        expr.replace_range(literal.span.clone(), NO_TIME);
                        if is_time_refused(&self.analyse(&select(&expr)).await) {
                            self.refuse_literal(&version.upcast_file, literal);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The type of an item's expression, before it is cast to its field's; none where no column could be of it.
    async fn type_of(
        &mut self,
        expr: &str,
        stub: &str,
        version: usize,
    ) -> Result<Option<String>, Fault> {
        let view = format!("{}.\"typed\"", quote(&format!("{} events", self.schema)));
        self.execute("SAVEPOINT typed".into()).await?;
        let create =
            format!("CREATE VIEW {view} AS SELECT ({expr}\n) AS x FROM {stub} AS v{version}");
        let ty = match self.connection.execute(AssertSqlSafe(create)).await {
            Ok(_) => {
                let ty = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                          WHERE attrelid = $1::regclass AND attnum = 1";
                sqlx::query_scalar(ty).bind(&view).fetch_optional(&mut self.connection).await?
            }
            Err(sqlx::Error::Database(_)) => None,
            Err(error) => return Err(error.into()),
        };
        self.execute("ROLLBACK TO SAVEPOINT typed".into()).await?;
        Ok(ty)
    }

    async fn inspect_rules(&mut self) -> Result<(), Fault> {
        let model = &self.definition.model;
        for rule in &model.rules {
            let Some(relation) = self.relation(rule) else { continue };
            let sql = rule.with_relation(&relation);
            let text = Text { file: &model.file, sql, origin: Origin::Rule(rule, relation) };
            let found = self.findings.len();
            self.inspect_text(&text).await?;
            if self.findings.len() == found {
                self.plan(&text).await?;
            }
        }
        Ok(())
    }

    /// Some refusals, such as of an ON CONFLICT that no index fits, come only when Postgres plans the statement.
    async fn plan(&mut self, text: &Text<'_>) -> Result<(), Fault> {
        self.execute("SAVEPOINT plan".into()).await?;
        let before = "EXPLAIN ";
        let planned = self.connection.execute(AssertSqlSafe(format!("{before}{}", text.sql))).await;
        self.execute("ROLLBACK TO SAVEPOINT plan".into()).await?;
        if let Err(sqlx::Error::Database(error)) = planned {
            self.findings.push(text.refused(&*error, before));
        }
        Ok(())
    }

    /// A literal like 'now' is read by the clock wherever Postgres takes it for a time; it does so where another text in
    /// its place is refused as one.
    async fn inspect_literals(&mut self) -> Result<(), Fault> {
        let model = &self.definition.model;
        for suspicious in model.suspicious_literals() {
            let taken_for_time = match suspicious.statement {
                LiteralStatement::Rule(rule) => {
                    let Some(relation) = self.relation(rule) else { continue };
                    is_time_refused(&self.analyse(&suspicious.replaced(NO_TIME, &relation)).await)
                }
                _ => is_time_refused(&self.try_declaration(suspicious.replaced(NO_TIME, "")).await),
            };
            if taken_for_time {
                self.refuse_literal(&model.file, suspicious.literal);
            }
        }
        Ok(())
    }

    fn refuse_literal(&mut self, file: &str, literal: &Literal) {
        let what =
            format!("'{}' is the clock's time here: two runs would give other rows", literal.word);
        let help = "use the event's time, e._time, or a field of the event";
        self.findings.push(Finding::error(file, literal.at, what, help));
    }

    /// Creates something in a schema of its own, and takes it back.
    async fn try_declaration(&mut self, sql: String) -> sqlx::Result<()> {
        self.connection.execute("SAVEPOINT declaration; CREATE SCHEMA \"vitrina@literal\"").await?;
        self.connection
            .execute("SET LOCAL search_path = \"vitrina@literal\", pg_catalog, pg_temp")
            .await?;
        let done = self.connection.execute(AssertSqlSafe(sql)).await.map(|_| ());
        self.connection.execute("ROLLBACK TO SAVEPOINT declaration").await?;
        done
    }

    /// A derived table over the stub of the rule's event.
    fn relation(&self, rule: &Rule) -> Option<String> {
        let named = |contract: &Arc<Contract>| {
            contract.context == rule.context && contract.name == rule.event
        };
        let index = self.contracts.iter().position(named)?;
        let newest = self.contracts[index].versions.len() - 1;
        Some(format!("(SELECT * FROM {})", self.stub(index, newest)))
    }

    /// Finds what Postgres refuses, and what it calls that is refused.
    async fn inspect_text(&mut self, text: &Text<'_>) -> Result<(), Fault> {
        let tree = match self.analyse(&text.sql).await {
            Ok(tree) => tree,
            Err(sqlx::Error::Database(error)) => {
                self.findings.push(text.refused(&*error, &create_prefix(&self.function())));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.judge_functions(&tree, text.file, text.begin()).await
    }

    /// Postgres's parse of a statement, as the body of a function that is gone again.
    async fn analyse(&mut self, sql: &str) -> sqlx::Result<String> {
        let name = self.function();
        self.connection.execute("SAVEPOINT analysis").await?;
        let create = format!("{}{sql}; END", create_prefix(&name));
        let analysed = match self.connection.execute(AssertSqlSafe(create)).await {
            Ok(_) => {
                let body = "SELECT prosqlbody::text FROM pg_proc WHERE oid = $1::regprocedure";
                sqlx::query_scalar(body).bind(&name).fetch_one(&mut self.connection).await
            }
            Err(error) => Err(error),
        };
        self.connection.execute("ROLLBACK TO SAVEPOINT analysis").await?;
        analysed
    }

    async fn inspect_tables(&mut self) -> Result<(), Fault> {
        let expressions: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT c.relname, 'the default or generated value of ' || a.attname, d.adbin::text
             FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum
             WHERE c.relnamespace = $1::regnamespace
             UNION ALL
             SELECT c.relname, 'the constraint ' || k.conname, k.conbin::text
             FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
             WHERE c.relnamespace = $1::regnamespace AND k.contype = 'c'",
        )
        .bind(quote(&self.schema))
        .fetch_all(&mut self.connection)
        .await?;
        let definition = self.definition;
        for (table, _, tree) in expressions {
            let at = definition
                .model
                .tables
                .iter()
                .find(|other| other.name == table)
                .map_or(Place::START, |table| table.at);
            self.judge_functions(&tree, &definition.model.file, at).await?;
        }
        Ok(())
    }

    async fn judge_functions(&mut self, tree: &str, file: &str, at: Place) -> Result<(), Fault> {
        let ids: Vec<i64> = function_ids(tree).into_iter().collect();
        let called: Vec<(String, String, String, i16)> = sqlx::query_as(
            "SELECT n.nspname, p.proname, p.provolatile::text, p.pronargs
             FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid::int8 = ANY($1) ORDER BY 1, 2",
        )
        .bind(ids)
        .fetch_all(&mut self.connection)
        .await?;
        for (schema, name, volatility, arguments) in called {
            let builtin = schema == "pg_catalog";
            let listed =
                functions::refused(&name).filter(|_| builtin && (name != "age" || arguments == 1));
            let (what, help) = if let Some(refusal) = listed {
                (format!("{name}(): {}", refusal.what), refusal.help.to_owned())
            } else if volatility == "v" {
                (
                    format!("{name}() is VOLATILE: two runs could give other rows"),
                    "compute it from the event".to_owned(),
                )
            } else if !builtin && volatility != "i" {
                let help =
                    "declare it IMMUTABLE if it is, or compute the value from the event".to_owned();
                (
                    format!("{schema}.{name}() is not IMMUTABLE: two runs could give other rows"),
                    help,
                )
            } else {
                continue;
            };
            self.findings.push(Finding::error(file, at, what, help));
        }
        Ok(())
    }

    async fn execute(&mut self, sql: String) -> Result<(), Fault> {
        self.connection.execute(AssertSqlSafe(sql)).await?;
        Ok(())
    }
}

/// No date and no time in any format.
pub(super) const NO_TIME: &str = "'not a time'";

fn is_time_refused<T>(analysed: &sqlx::Result<T>) -> bool {
    analysed.as_ref().err().and_then(Sqlstate::of) == Some(Sqlstate::Time)
}

fn create_prefix(name: &str) -> String {
    format!("CREATE FUNCTION {name} RETURNS void LANGUAGE sql BEGIN ATOMIC ")
}

/// The object ids of the functions, operators' functions and aggregates that a stored parse tree calls.
pub(super) fn function_ids(tree: &str) -> BTreeSet<i64> {
    let mut ids = BTreeSet::new();
    for mark in [":funcid ", ":opfuncid ", ":aggfnoid ", ":winfnoid "] {
        for (at, _) in tree.match_indices(mark) {
            let digits: String =
                tree[at + mark.len()..].chars().take_while(char::is_ascii_digit).collect();
            ids.extend(digits.parse::<i64>().ok().filter(|id| *id != 0));
        }
    }
    ids
}
