//! Postgres's own row level security is the oracle of ours; and what may not be seen changes no answer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::guarded::{Guarded, Known};
use crate::postgres;
use crate::stage::Answer;

const TABLES: &str = "
CREATE TABLE item (
    id     int PRIMARY KEY,
    owner  text,
    tenant text NOT NULL,
    level  int,
    code   text,
    secret text,
    at     timestamptz
);
CREATE INDEX ON item (level);
CREATE INDEX ON item (tenant, level DESC);
CREATE TABLE line (a text, b int, shown text, PRIMARY KEY (a, b));
CREATE INDEX ON line (shown)
";

const ROWS: &str = "
INSERT INTO item
SELECT n, (ARRAY['ann', 'bob', NULL, 'Ann'])[n % 4 + 1], (ARRAY['red', 'blue', 'green'])[n % 3 + 1], nullif(n % 5, 4),
       (ARRAY['1', '2', 'x', '', NULL])[n % 5 + 1], 's' || n % 2, timestamptz '2026-01-01 00:00:00Z' + n % 6 * interval '1 day'
FROM generate_series(1, 40) n;
INSERT INTO line SELECT chr(97 + n % 7), n, 'x' || n / 3 FROM generate_series(1, 20) n
";

const READERS: &[Known] = &[
    ("none", &[], "sub = \"ann\""),
    ("a", &["a"], "sub = \"ann\"\nlevel = 2\ntenants = [\"red\", \"blue\"]"),
    ("b", &["b"], "sub = \"bob\"\nlevel = \"two\"\ntenants = []"),
    ("ab", &["a", "b"], "level = \" 3 \"\ntenants = \"green\""),
    ("c", &["c"], "sub = 5\nlevel = 99999999999\ntenants = [\"red\", 7]"),
    ("abc", &["a", "b", "c", "d"], ""),
];

const COLUMNS: [&str; 7] = ["id", "owner", "tenant", "level", "code", "secret", "at"];
const ROLES: [&str; 4] = ["a", "b", "c", "PUBLIC"];

/// What conditions ask of claims and rows, and the same for Postgres, where it is said in another way.
const TESTS: [(&str, &str); 14] = [
    ("owner = claim('sub')", ""),
    ("lower(owner) = claim('sub')", ""),
    ("claim('sub') = item.owner", ""),
    ("tenant = ANY (claims('tenants'))", ""),
    ("level <= claim('level')::int", "level <= oracle.number(claim('level'))"),
    ("level = CAST((claim('level')) AS int)", "level = oracle.number(claim('level'))"),
    ("code::int = 1", "oracle.number(code) = 1"),
    ("level > 1", ""),
    ("secret = 's1'", ""),
    ("owner IS NULL", ""),
    ("tenant IN ('red', 'green')", ""),
    ("at > timestamptz '2026-01-03 00:00:00Z'", ""),
    ("true", ""),
    ("claim('nothing') IS NULL", ""),
];

const ORACLE: &str = "
CREATE SCHEMA oracle;
CREATE FUNCTION oracle.claim(name text) RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT current_setting('oracle.claims')::jsonb ->> name $$;
CREATE FUNCTION oracle.claims(name text) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT CASE jsonb_typeof(c -> name) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(c -> name))
                WHEN 'string' THEN ARRAY[c ->> name] END
    FROM (SELECT current_setting('oracle.claims')::jsonb AS c) x $$;
CREATE FUNCTION oracle.number(t text) RETURNS int LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN t ~ '^ *[0-9]{1,9} *$' THEN t::int END $$;
GRANT USAGE ON SCHEMA oracle, \"item@1\" TO PUBLIC;
SET search_path = oracle, pg_catalog";

/// A condition, for us and for Postgres.
type Condition = (String, String);

fn condition() -> impl Strategy<Value = Condition> {
    let test = prop::sample::select(TESTS.to_vec()).prop_map(|(ours, theirs)| {
        (ours.to_owned(), if theirs.is_empty() { ours } else { theirs }.to_owned())
    });
    test.prop_recursive(2, 6, 2, |inner| {
        let both = |(one, other): (Condition, Condition), word: &str| {
            let join = |one: &str, other: &str| format!("({one} {word} {other})");
            (join(&one.0, &other.0), join(&one.1, &other.1))
        };
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(move |pair| both(pair, "AND")),
            (inner.clone(), inner.clone()).prop_map(move |pair| both(pair, "OR")),
            inner.prop_map(|(ours, theirs)| (format!("NOT ({ours})"), format!("NOT ({theirs})"))),
        ]
    })
}

fn roles() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(ROLES.to_vec(), 1..=2)
}

fn columns() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        2 => Just(Vec::new()),
        3 => prop::sample::subsequence(COLUMNS.to_vec(), 1..=6),
    ]
}

/// A model's rights: grants of columns (none: all) to roles, and policies.
#[derive(Debug, Clone)]
struct Case {
    grants: Vec<(Vec<&'static str>, Vec<&'static str>)>,
    policies: Vec<(Condition, Vec<&'static str>)>,
}

fn case() -> impl Strategy<Value = Case> {
    let grants = prop::collection::vec((columns(), roles()), 1..4);
    let policies = prop::collection::vec((condition(), roles()), 0..4);
    (grants, policies).prop_map(|(grants, policies)| Case { grants, policies })
}

impl Case {
    /// As the model's file has it, or as Postgres does with roles of its own.
    fn text(&self, ours: bool, role: impl Fn(&str) -> String, table: &str) -> String {
        let mut text = String::new();
        let to =
            |roles: &[&str]| roles.iter().map(|name| role(name)).collect::<Vec<_>>().join(", ");
        for (columns, roles) in &self.grants {
            let columns = if columns.is_empty() {
                String::new()
            } else {
                format!("({})", columns.join(", "))
            };
            text += &format!("GRANT SELECT {columns} ON {table} TO {};\n", to(roles));
        }
        for (number, (condition, roles)) in self.policies.iter().enumerate() {
            let using = if ours { &condition.0 } else { &condition.1 };
            text += &format!(
                "CREATE POLICY p{number} ON {table} FOR SELECT TO {} USING ({using});\n",
                to(roles)
            );
        }
        text
    }
}

/// Roles of Postgres's own, of this test alone.
struct Roles {
    prefix: String,
    postgres: PgConnection,
}

impl Roles {
    async fn new(guarded: &Guarded) -> Self {
        let prefix = format!("vt{}_{}", std::process::id(), rand_suffix());
        let mut roles =
            Self { prefix, postgres: PgConnection::connect(&guarded.stage.url).await.unwrap() };
        let mut script = ORACLE.to_owned();
        for name in ["a", "b", "c", "d"] {
            script += &format!("; CREATE ROLE {}", roles.role(name));
        }
        for (reader, has, _) in READERS {
            script += &format!("; CREATE ROLE {}", roles.reader(reader));
            for name in *has {
                script += &format!("; GRANT {} TO {}", roles.role(name), roles.reader(reader));
            }
        }
        postgres::run(&mut roles.postgres, &script).await;
        roles
    }

    fn role(&self, name: &str) -> String {
        if name == "PUBLIC" { name.to_owned() } else { format!("{}_{name}", self.prefix) }
    }

    fn reader(&self, name: &str) -> String {
        format!("{}_reader_{name}", self.prefix)
    }

    async fn allow(&mut self, case: &Case) {
        let table = "\"item@1\".item";
        let mut script = format!(
            "DO $$ DECLARE p record; BEGIN
                 FOR p IN SELECT polname FROM pg_policy WHERE polrelid = '{table}'::regclass LOOP
                     EXECUTE format('DROP POLICY %I ON {table}', p.polname);
                 END LOOP;
             END $$; REVOKE ALL ON {table} FROM PUBLIC;"
        );
        for name in ["a", "b", "c"] {
            let columns = COLUMNS.join(", ");
            script += &format!(
                "REVOKE SELECT, SELECT ({columns}) ON {table} FROM {}, PUBLIC;",
                self.role(name)
            );
        }
        let security = if case.policies.is_empty() { "DISABLE" } else { "ENABLE" };
        script += &format!("ALTER TABLE {table} {security} ROW LEVEL SECURITY;");
        let theirs = case.text(false, |name| self.role(name), table).replace("item.owner", "owner");
        postgres::run(&mut self.postgres, &(script + &theirs)).await;
    }

    async fn columns(&mut self, reader: &str) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '\"item@1\".item'::regclass AND attnum > 0
             AND has_column_privilege($1, attrelid, attnum, 'SELECT') ORDER BY attnum",
        )
        .bind(self.reader(reader))
        .fetch_all(&mut self.postgres)
        .await
        .unwrap()
    }

    /// The rows that meet `filter`, as this reader.
    async fn rows(
        &mut self,
        reader: &str,
        claims: &Value,
        columns: &[String],
        filter: &str,
    ) -> Vec<String> {
        let (reader, columns) = (self.reader(reader), columns.join(", "));
        let mut transaction = self.postgres.begin().await.unwrap();
        sqlx::query("SELECT set_config('oracle.claims', $1, true)")
            .bind(claims.to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!(
            "SET LOCAL TimeZone = 'UTC'; SET LOCAL ROLE {reader}"
        )))
        .execute(&mut *transaction)
        .await
        .unwrap();
        let select = format!(
            "SELECT to_jsonb(x) FROM (SELECT {columns} FROM \"item@1\".item WHERE {filter}) x"
        );
        let rows: Vec<Value> =
            sqlx::query_scalar(AssertSqlSafe(select)).fetch_all(&mut *transaction).await.unwrap();
        transaction.rollback().await.unwrap();
        let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
        rows.sort();
        rows
    }

    async fn leave(mut self) {
        let readers = READERS.iter().map(|(name, ..)| self.reader(name));
        let all: Vec<String> =
            readers.chain(["a", "b", "c", "d"].map(|name| self.role(name))).collect();
        let all = all.join(", ");
        postgres::run(&mut self.postgres, &format!("DROP OWNED BY {all}; DROP ROLE {all}")).await;
    }
}

/// Of another test in this process.
fn rand_suffix() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// A reader's claims as the token would have them.
fn claims(toml: &str) -> Value {
    let pairs = toml.lines().map(|line| {
        let (name, value) = line.split_once(" = ").unwrap();
        (name.to_owned(), serde_json::from_str::<Value>(value).unwrap())
    });
    Value::Object(pairs.collect())
}

/// Filters on a column, as they are asked and as they are meant.
const FILTERS: [(&str, &str, &str); 9] = [
    ("id", "id=gt.10", "id > 10"),
    ("owner", "owner=in.(ann)", "owner = 'ann'"),
    ("owner", "owner=not.is.null", "owner IS NOT NULL"),
    ("tenant", "tenant=in.(red,blue)", "tenant IN ('red', 'blue')"),
    ("level", "level=lte.2", "level <= 2"),
    ("code", "code=like.*1*", "code LIKE '%1%'"),
    ("secret", "secret=in.(s1)", "secret = 's1'"),
    ("at", "at=lt.2026-01-04T00:00:00Z", "at < timestamptz '2026-01-04 00:00:00Z'"),
    ("", "", "true"),
];

const CASES: u32 = 24;

#[test]
fn rows_are_those_of_row_level_security() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut guarded = runtime.block_on(Guarded::new("item", TABLES, ROWS, READERS));
    let mut roles = runtime.block_on(Roles::new(&guarded));
    let (mut seen, mut partial, mut refused, mut nothing) = (0, 0, 0, 0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..Default::default()
    });
    let state = std::cell::RefCell::new((
        &mut guarded,
        &mut roles,
        &mut seen,
        &mut partial,
        &mut refused,
        &mut nothing,
    ));
    let filters = prop::sample::subsequence(FILTERS.to_vec(), 2);
    let outcome = runner.run(&(case(), filters, 5..20u32), |(case, filters, limit)| {
        let mut state = state.borrow_mut();
        let (guarded, roles, seen, partial, refused, nothing) = &mut *state;
        runtime.block_on(async {
            guarded.allow(&case.text(true, str::to_owned, "item")).await;
            roles.allow(&case).await;
            for (reader, _, known) in READERS {
                let (columns, known) = (roles.columns(reader).await, claims(known));
                for (column, asked, meant) in &filters {
                    let uri = format!("/v1/views/item?limit={limit}&{asked}");
                    if columns.is_empty() {
                        let status = guarded.ask(reader, &uri).await.status;
                        prop_assert_eq!(status, 404, "{} {}", reader, uri);
                        **nothing += 1;
                    } else if !column.is_empty() && !columns.iter().any(|known| known == column) {
                        let answer = guarded.ask(reader, &uri).await;
                        prop_assert_eq!(answer.status, 400, "{} {}: {}", reader, uri, answer.text);
                        **refused += 1;
                    } else {
                        let expected = roles.rows(reader, &known, &columns, meant).await;
                        let orders: &[&str] = match columns.iter().any(|name| name == "level") {
                            true => &["", "&order=level", "&order=level.desc"],
                            false => &[""],
                        };
                        for order in orders {
                            let found = guarded.all(reader, &format!("{uri}{order}")).await;
                            let mut found: Vec<String> =
                                found.iter().map(Value::to_string).collect();
                            found.sort();
                            prop_assert_eq!(&found, &expected, "{} {}{}", reader, uri, order);
                        }
                        **seen += 1;
                        **partial += u32::from(!expected.is_empty() && expected.len() < 40);
                    }
                }
            }
            Ok(())
        })
    });
    runtime.block_on(roles.leave());
    outcome.unwrap();
    // Or the generator would test nothing.
    println!(
        "lists {seen}, of some rows {partial}, refused columns {refused}, refused views {nothing}"
    );
    assert!(seen > CASES && partial > CASES / 2 && refused > CASES / 4 && nothing > CASES / 8);
}

/// Rights under which two readers see a part each; the second one no whole key.
const PARTS: &str = "
GRANT SELECT (id, tenant, level, at) ON item TO a;
CREATE POLICY team ON item FOR SELECT TO a USING (tenant = ANY (claims('tenants')) OR code::int = 77);
GRANT SELECT (tenant, level) ON item TO b;
CREATE POLICY red ON item FOR SELECT TO b USING (tenant = 'red');
GRANT SELECT (shown) ON line TO a, b;
";

/// New values for whatever the reader may not see, and another number of rows that it may not see.
const HIDDEN: [(&str, &str); 2] = [
    (
        "a",
        r#"UPDATE "item@1".item SET owner = md5(random()::text), code = md5(random()::text), secret = random()::text;
           DELETE FROM "item@1".item WHERE tenant = 'green';
           INSERT INTO "item@1".item SELECT 1000 * random() * n + 100, 'x', 'green', 9 * random(), 'y', 's1', now()
           FROM generate_series(1, (12 * random())::int) n ON CONFLICT DO NOTHING;
           UPDATE "item@1".line SET a = md5(random()::text), b = (1000000 * random())::int"#,
    ),
    (
        "b",
        r#"UPDATE "item@1".item SET owner = md5(random()::text), secret = random()::text, at = now() - random() * interval '9 days';
           DELETE FROM "item@1".item WHERE tenant <> 'red';
           INSERT INTO "item@1".item SELECT (SELECT max(id) FROM "item@1".item) + n, 'x', (ARRAY['blue', 'green'])[n % 2 + 1], 9 * random(), 'y', 's1', now()
           FROM generate_series(1, (30 * random())::int) n;
           UPDATE "item@1".item i SET id = x.n + (SELECT max(id) FROM "item@1".item)
           FROM (SELECT id, row_number() OVER (ORDER BY random()) AS n FROM "item@1".item) x WHERE x.id = i.id;
           UPDATE "item@1".line SET a = md5(random()::text), b = (1000000 * random())::int"#,
    ),
];

const ASKED: [&str; 40] = [
    "",
    "limit=1",
    "limit=2&order=level",
    "limit=3&order=level.desc",
    "tenant=eq.red&limit=2",
    "tenant=eq.green",
    "tenant=not.eq.red&limit=3",
    "tenant=eq.red&order=level.desc&limit=2",
    "level=gt.1&order=level&limit=2",
    "level=eq.x",
    "level=in.(1,2,x)",
    "secret=eq.s1",
    "secret=gt.zzz",
    "order=secret",
    "order=tenant,level.desc&limit=3",
    "order=at",
    "select=tenant,secret",
    "select=tenant&limit=2",
    "owner=is.null",
    "code=like.*",
    "at=eq.nonsense",
    "at=gt.2026-01-02T00:00:00Z&limit=2",
    "id=lt.20&order=level&limit=2",
    "limit=0",
    "or=(secret.eq.s1,level.eq.1)",
    "or=(level.eq.1,and(tenant.eq.red,not.or(level.gt.2,at.is.null)))&limit=2",
    "not.and=(tenant.eq.green,level.eq.1)&limit=3",
    "select=hidden:secret",
    "select=secret::text",
    "select=level::text,t:tenant&limit=2",
    "select=*",
    "%22secret%22=eq.s1",
    "secret-%3Ek=eq.1",
    "tenant-%3E%3Ek=eq.1",
    "item.secret=eq.s1",
    "ctid=eq.(0,1)",
    "tenant=like.*r*&limit=2",
    "tenant=ilike.GR*",
    "cursor=eyJ2ZXJzaW9uIjoyfQ",
    "limit=2&order=level.desc.nullslast",
];

/// A whole answer.
fn line(uri: &str, answer: &Answer) -> String {
    let headers = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}"));
    let headers: BTreeSet<String> = headers.collect();
    format!("{uri}: {} {headers:?} {}", answer.status, answer.text)
}

/// All that the reader is told: statuses, headers and bodies, page by page.
async fn told(guarded: &Guarded, reader: &str) -> Vec<String> {
    let lists = ASKED
        .iter()
        .flat_map(|asked| ["item", "line"].map(|view| format!("/v1/views/{view}?{asked}")));
    let lists = lists.map(|uri| uri.replace("views/line", "views/item.line"));
    let rows = (1..=45).map(|id| format!("/v1/views/item/{id}"));
    let others = ["/v1/views", "/v1/schemas/item", "/v1/views/item.line/b/1", "/v1/schemas/line"];
    let others = others.into_iter().chain(["/openapi.json", "/docs", "/v1/views/item/a/b"]);
    let rows = rows.filter(|_| reader == "a").chain(others.map(str::to_owned));
    let mut told = Vec::new();
    for uri in lists.chain(rows) {
        let mut next = Some(uri);
        while let Some(uri) = next {
            let answer = guarded.ask(reader, &uri).await;
            next = answer.json_or_null()["page"]["next"].as_str().map(str::to_owned);
            told.push(line(&uri, &answer));
        }
    }
    for asked in ["", "tenant=eq.red", "level=gt.1", "at=eq.nonsense", "level=eq.9&level=gt.x"] {
        for (limit, accept, prefer) in [
            ("2", "application/json", "count=exact"),
            ("2", "application/json", "count=estimated"),
            ("all", "application/x-ndjson", "count=estimated"),
            ("all", "text/csv", "count=exact"),
        ] {
            let uri = format!("/v1/views/item?limit={limit}&{asked}");
            let headers = [("accept", accept), ("prefer", prefer)];
            told.push(line(&uri, &guarded.ask_with(reader, &uri, &headers).await));
            let uri = format!("/v1/views/item.line?limit={limit}&shown=gt.x2");
            told.push(line(&uri, &guarded.ask_with(reader, &uri, &headers).await));
        }
    }
    for after in ["nowhere=1", "nowhere/0=1", "event=\"s1\"", "event=\"\"", "item", ""] {
        let headers = [("read-after", after), ("prefer", "wait=0")];
        told.push(line(after, &guarded.ask_with(reader, "/v1/views/item", &headers).await));
    }
    told
}

#[tokio::test]
async fn what_may_not_be_seen_changes_no_byte() {
    let mut guarded = Guarded::new("item", TABLES, ROWS, READERS).await;
    guarded.allow(PARTS).await;
    for (reader, change) in HIDDEN {
        let before = told(&guarded, reader).await;
        let found = before.iter().filter(|line| line.contains(": 200 OK")).count();
        assert!(found > 40 && before.len() > found + 10, "{found} of {}", before.len());
        for round in 1..=5 {
            let seed = f64::from(round) / 10.0;
            guarded
                .stage
                .run(&format!("SELECT setseed({seed}); {change}; ANALYZE \"item@1\".item"))
                .await;
            for (before, after) in before.iter().zip(told(&guarded, reader).await) {
                assert_eq!(*before, after, "{reader}, round {round}");
            }
        }
    }
}
