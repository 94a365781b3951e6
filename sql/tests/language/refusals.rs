//! What is refused, by name, with its line and the way out.

use crate::shop::{ORDER_SUMMARY, Shop, TABLES, model, parse, refused, refused_rule};
use vitrina_sql::Model;

#[test]
fn the_documented_example_is_accepted_without_a_word() {
    let (model, findings) = parse(ORDER_SUMMARY);
    assert_eq!(findings, []);
    let model = model.unwrap();
    assert_eq!(model.rules.len(), 4);
    assert_eq!(model.tables[0].key, ["order_id"]);
    assert_eq!(model.tables[0].columns[4].ty, "numeric(12,2)");
    assert!(model.tables[0].columns[0].not_null);
    assert_eq!(model.relations().len(), 3);
}

#[test]
fn all_findings_come_at_once_with_their_lines() {
    let text = "CREATE TABLE t (id text PRIMARY KEY);\n\
                REVOKE SELECT ON t FROM bob;\n\
                INSERT INTO t SELECT (FROM;\n\
                INSERT INTO t SELECT e.order_id\nFROM orders.order_plcaed e;\n\
                INSERT INTO t SELECT\n now()::text FROM orders.order_placed";
    let (model, findings) = parse(text);
    assert!(model.is_none());
    assert_eq!(
        findings.iter().map(|finding| finding.line).collect::<Vec<_>>(),
        [2, 3, 5, 7],
        "{findings:#?}"
    );
    assert!(findings[2].help.contains("did you mean `orders.order_placed`?"));
    assert!(findings[3].help.contains("_time"));
}

#[test]
fn statements_that_are_no_part_of_a_model() {
    for (statement, named) in [
        ("CREATE TABLE a (id serial PRIMARY KEY)", "sequence"),
        ("CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)", "identity"),
        ("CREATE TABLE a (id int PRIMARY KEY, b text REFERENCES t)", "foreign key"),
        (
            "CREATE TABLE a (id int PRIMARY KEY, b text, FOREIGN KEY (b) REFERENCES t (id))",
            "foreign key",
        ),
        ("CREATE TABLE a (id int PRIMARY KEY, EXCLUDE USING gist (id WITH =))", "EXCLUDE"),
        ("CREATE TABLE a (id int PRIMARY KEY DEFERRABLE)", "deferrable"),
        ("CREATE TABLE a (id int PRIMARY KEY, b int, UNIQUE (b) INITIALLY DEFERRED)", "deferrable"),
        ("CREATE TABLE a (id int PRIMARY KEY) INHERITS (t)", "inheritance"),
        ("CREATE TABLE a (id int PRIMARY KEY) PARTITION BY RANGE (id)", "partitioning"),
        ("CREATE TABLE a PARTITION OF t FOR VALUES IN (1)", "partitioning"),
        ("CREATE TABLE a (LIKE t INCLUDING ALL)", "LIKE"),
        ("CREATE TABLE a AS SELECT 1 AS id", "CREATE TABLE … AS"),
        ("CREATE TABLE IF NOT EXISTS a (id int PRIMARY KEY)", "IF NOT EXISTS"),
        ("CREATE TABLE a (id int PRIMARY KEY) WITH (fillfactor = 70)", "option"),
        ("CREATE TABLE a (id int)", "no primary key"),
        ("CREATE TABLE s.a (id int PRIMARY KEY)", "schema"),
        ("CREATE TABLE t (id int PRIMARY KEY)", "created in line"),
        ("CREATE TABLE pg_class (id int PRIMARY KEY)", "catalogue"),
        ("CREATE TABLE a (id int PRIMARY KEY, at timestamptz DEFAULT now())", "clock"),
        ("CREATE TABLE a (id int PRIMARY KEY, at date CHECK (at < current_date))", "clock"),
        ("CREATE TABLE a (id int PRIMARY KEY, b uuid DEFAULT gen_random_uuid())", "random"),
        ("CREATE TEMP TABLE a (id int PRIMARY KEY)", "temporary"),
        ("CREATE UNLOGGED TABLE a (id int PRIMARY KEY)", "unlogged"),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1", "materialised"),
        ("CREATE RULE r AS ON INSERT TO t DO NOTHING", "Postgres rule"),
        ("CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "trigger"),
        ("REVOKE SELECT ON t FROM staff", "REVOKE"),
        ("CREATE ROLE staff", "a role"),
        ("CREATE SEQUENCE s", "sequence"),
        ("ALTER TABLE t ADD COLUMN b int", "ALTER"),
        ("TRUNCATE t", "TRUNCATE"),
        ("SELECT 1", "bare SELECT"),
        ("VACUUM t", "`VACUUM t`"),
        ("CREATE INDEX CONCURRENTLY i ON t (n)", "CONCURRENTLY"),
        ("CREATE INDEX i ON nowhere (n)", "no table `nowhere`"),
        ("CREATE INDEX v ON t (n)", "created in line"),
        ("CREATE VIEW w AS SELECT * FROM orders.order_placed", "event relation"),
        ("CREATE VIEW w AS SELECT * FROM pg_catalog.pg_class", "no event relation"),
        (
            "CREATE VIEW w AS SELECT * FROM w2; CREATE VIEW w2 AS SELECT * FROM t",
            "no table or view `w2`",
        ),
        ("CREATE VIEW w AS SELECT nextval('s')", "sequence"),
        ("COMMENT ON FUNCTION f IS 'x'", "COMMENT"),
        ("COMMENT ON COLUMN t.nothing IS 'x'", "no column `t.nothing`"),
    ] {
        let findings = refused_rule(statement);
        assert!(findings.contains(named), "{statement}: {findings}");
    }
}

#[test]
fn rules_that_are_refused() {
    for (statement, named) in [
        ("INSERT INTO t SELECT 'a'", "no event relation"),
        ("INSERT INTO t VALUES ('a')", "fixed values"),
        (
            "INSERT INTO t SELECT e.order_id FROM orders.order_placed e, orders.order_shipped s",
            "2 event relations",
        ),
        ("INSERT INTO v SELECT e.order_id FROM orders.order_placed e", "is a view"),
        ("INSERT INTO s.t SELECT e.order_id FROM orders.order_placed e", "cannot be written"),
        ("INSERT INTO tt SELECT e.order_id FROM orders.order_placed e", "did you mean `t`?"),
        ("INSERT INTO t SELECT e.order_id FROM orders.order_placed e RETURNING id", "RETURNING"),
        ("INSERT INTO t SELECT e.ordr_id FROM orders.order_placed e", "did you mean `order_id`?"),
        (
            "INSERT INTO t SELECT orders.order_placed.order_id FROM orders.order_placed",
            "too many parts",
        ),
        ("INSERT INTO t SELECT e.a FROM orders.order_placed AS e (a)", "renames columns"),
        (
            "INSERT INTO t SELECT e.order_id FROM orders.order_placed e TABLESAMPLE SYSTEM (10)",
            "TABLESAMPLE",
        ),
        ("INSERT INTO t SELECT e.order_id FROM orders.order_placed e FOR UPDATE", "FOR UPDATE"),
        (
            "CREATE VIEW a AS SELECT now() AS n; CREATE VIEW b AS SELECT n FROM a; \
          INSERT INTO t SELECT e.order_id FROM orders.order_placed e, b",
            "view `b` reads the clock",
        ),
        (
            "INSERT INTO t SELECT e._type FROM every.events e",
            "there is no event relation `every.events`",
        ),
        (
            "DELETE FROM t USING ordres.tombstone e WHERE id = e._key",
            "no context `ordres`, whose tombstones `ordres.tombstone` would be: did you mean `orders`? the contexts are",
        ),
        (
            "DELETE FROM t USING orders.tombstone e WHERE id = e.order_id",
            "`orders.tombstone` has no column `order_id`",
        ),
        (
            "INSERT INTO t SELECT e.order_id, m.n FROM orders.order_placed e, other_model.t m",
            "other models' tables",
        ),
        (
            "INSERT INTO t SELECT relname FROM pg_class, orders.order_placed e",
            "no table or view `pg_class`",
        ),
        ("INSERT INTO t SELECT t.ctid FROM orders.order_placed e, t", "system column"),
        ("INSERT INTO t SELECT $1 FROM orders.order_placed e", "parameter"),
        (
            "INSERT INTO t WITH d AS (DELETE FROM _l RETURNING *) SELECT d.order_id FROM d, orders.order_placed",
            "changes data",
        ),
        (
            "WITH d AS (SELECT 1) INSERT INTO t SELECT e.order_id FROM orders.order_placed e",
            "WITH before",
        ),
        (
            "INSERT INTO t SELECT e.order_id FROM orders.order_placed e \
          ON CONFLICT (id) DO UPDATE SET n = (SELECT count(*) FROM orders.order_placed)",
            "ON CONFLICT mentions",
        ),
        (
            "INSERT INTO t SELECT e.order_id FROM orders.order_placed e ON CONFLICT (lower(id)) DO NOTHING",
            "not supported",
        ),
        (
            "INSERT INTO t SELECT e.order_id FROM orders.order_placed e ON CONFLICT (id) WHERE n > 0 DO NOTHING",
            "not supported",
        ),
        (
            "INSERT INTO t SELECT x FROM orders.order_placed e, ROWS FROM (unnest(e.items)) x",
            "ROWS FROM",
        ),
        ("UPDATE ONLY t SET n = 1 FROM orders.order_shipped e WHERE id = e.order_id", "ONLY"),
        (
            "UPDATE t SET n = 1 WHERE id IN (SELECT order_id FROM orders.order_shipped)",
            "plain item of FROM",
        ),
        (
            "UPDATE t SET n = 1 FROM (SELECT * FROM orders.order_shipped) e WHERE id = e.order_id",
            "plain item of FROM",
        ),
        (
            "UPDATE t SET n = 1 FROM _c RIGHT JOIN orders.order_shipped e ON true WHERE id = e.order_id",
            "plain item of FROM",
        ),
        (
            "DELETE FROM t USING _c LEFT JOIN orders.order_shipped e ON true WHERE id = e.order_id",
            "plain item of USING",
        ),
        (
            "DELETE FROM t USING orders.order_shipped e, orders.order_shipped f WHERE id = e.order_id",
            "plain item of USING",
        ),
        ("DELETE FROM t WHERE n > 3", "no event relation"),
        ("INSERT INTO t SELECT 'a' 'b' FROM orders.order_placed", "side by side"),
        ("INSERT INTO t SELECT a.order_id FROM orders.order_placed a, _vitrina_batch", "reserved"),
        ("INSERT INTO t SELECT e.order_id FROM orders.order_placed e, \"@position\"", "reserved"),
    ] {
        let findings = refused_rule(statement);
        assert!(findings.contains(named), "{statement}: {findings}");
    }
}

#[test]
fn columns_that_are_not_there_or_not_brought() {
    let tables = "CREATE TABLE r (id text PRIMARY KEY, a int NOT NULL, b int NOT NULL DEFAULT 1, c int NOT NULL GENERATED ALWAYS AS (a) STORED, d int);\n";
    let told = |rule: &str| {
        let (_, findings) = parse(&format!("{tables}{rule}"));
        findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let file = "projectors/models/order_summary.sql";
    for (rule, place, what) in [
        (
            "INSERT INTO r (id, d) SELECT e.order_id, 1 FROM orders.order_placed e",
            "2:13",
            "`r.a` is NOT NULL and has no default, and this INSERT leaves it out: insert a value for it, or give it a DEFAULT",
        ),
        (
            "INSERT INTO r SELECT e.order_id FROM orders.order_placed e",
            "2:13",
            "`r.a` is NOT NULL and has no default",
        ),
        (
            "INSERT INTO r (id, d) SELECT e.* FROM orders.order_placed e",
            "2:13",
            "`r.a` is NOT NULL and has no default",
        ),
        (
            "INSERT INTO r (id, a) SELECT e.order_id, NULL::int FROM orders.order_placed e",
            "2:13",
            "`r.a` is NOT NULL, and NULL is inserted",
        ),
        (
            "INSERT INTO r (id, aa) SELECT e.order_id, 1 FROM orders.order_placed e",
            "2:20",
            "`r` has no column `aa`: did you mean `a`? its columns are id, a, b, c, d",
        ),
        (
            "INSERT INTO r (id, a) SELECT e.order_id FROM orders.order_placed e",
            "2:13",
            "2 columns are named, and 1 values selected",
        ),
        (
            "UPDATE r SET d = 1,\n  é = 2 FROM orders.order_placed e WHERE r.id = e.order_id",
            "3:3",
            "`r` has no column `é`",
        ),
        (
            "INSERT INTO r (id, a) SELECT e.order_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET x = 1",
            "2:102",
            "`r` has no column `x`",
        ),
        (
            "INSERT INTO r (id, a) SELECT e.order_id, 1 FROM orders.order_placed e ON CONFLICT (iid) DO NOTHING",
            "2:84",
            "`r` has no column `iid`: did you mean `id`?",
        ),
        (
            "INSERT INTO r AS s (id, a) SELECT e.order_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET a = s.x",
            "2:113",
            "`r` has no column `x`",
        ),
        (
            "INSERT INTO r (id, a) SELECT e.order_id, 1 FROM orders.order_placed e ON CONFLICT (id) DO UPDATE SET a = EXCLUDED.x",
            "2:115",
            "`r` has no column `x`",
        ),
        (
            "INSERT INTO r (id, a) SELECT e.order_id, o.x FROM orders.order_placed e JOIN r o ON o.id = e.order_id",
            "2:44",
            "`r` has no column `x`",
        ),
        (
            "UPDATE r SET d = r.x FROM orders.order_placed e WHERE r.id = e.order_id",
            "2:20",
            "`r` has no column `x`",
        ),
        (
            "DELETE FROM r o USING orders.order_placed e WHERE o.id = e.order_id AND o.x = 1",
            "2:75",
            "`r` has no column `x`",
        ),
        (
            "DELETE FROM r o USING orders.order_placed e WHERE id = order_id AND dd = 1",
            "2:69",
            "nothing in this statement has a column `dd`: did you mean `d`? write a column of e, o;",
        ),
        (
            "INSERT INTO r (id, a) SELECT order_id, \"PLACED\" FROM orders.order_placed e",
            "2:40",
            "nothing in this statement has a column `PLACED`",
        ),
        ("CREATE INDEX ON r (d, x)", "2:23", "`r` has no column `x`"),
        ("CREATE VIEW w AS SELECT r.id, r.x FROM r", "2:33", "`r` has no column `x`"),
    ] {
        let told = told(rule);
        assert!(
            told.iter().any(|told| told.starts_with(&format!("{file}:{place}: {what}"))),
            "{rule}: {told:#?}"
        );
    }
    for rule in [
        "INSERT INTO r (id, a) SELECT e.order_id, 1 FROM orders.order_placed e",
        "INSERT INTO r SELECT e.order_id, 1 FROM orders.order_placed e",
        "INSERT INTO r SELECT e.* FROM orders.order_placed e",
        "UPDATE r SET d = DEFAULT, b = d + 1 FROM orders.order_placed WHERE id = order_id AND r IS NOT NULL",
        "INSERT INTO r (id, a) SELECT order_id AS o, 1 FROM orders.order_placed GROUP BY o ON CONFLICT (id) DO UPDATE SET d = \
         r.d + 1, a = EXCLUDED.a",
        "CREATE VIEW w AS SELECT a + 1 AS more FROM r ORDER BY more; CREATE VIEW z AS SELECT more, nothing FROM w",
    ] {
        assert_eq!(told(rule), [""; 0], "{rule}");
    }
}

#[test]
fn slips_are_told_where_they_are() {
    let tables = "CREATE TABLE r (id text PRIMARY KEY)";
    let rule = "INSERT INTO r SELECT e.order_id FROM orders.order_placed e ON CONFLICT DO NOTHING";
    let told = |text: &str| {
        let (_, findings) = parse(text);
        findings
            .iter()
            .map(|finding| format!("{}:{}: {}", finding.line, finding.column, finding.what))
            .collect::<Vec<_>>()
    };
    for (text, expected) in [
        (format!("{tables}\n{rule};"), vec!["1:37: here a semicolon is missing"]),
        (
            format!("{tables};\n{rule}\nCREATE INDEX ON r (id)\n{rule}"),
            vec!["2:82: here a semicolon is missing", "3:23: here a semicolon is missing"],
        ),
        (
            format!("\\d r\n{tables};\n  \\i x.sql\n{rule};"),
            vec![
                "1:1: `\\d` is a command of psql, not SQL",
                "3:3: `\\i` is a command of psql, not SQL",
            ],
        ),
        (
            format!("{tables};\nINSERT INTO r SELEC e.order_id FROM orders.order_placed e"),
            vec!["2:21: expected SELECT, VALUES, or a subquery in the query body, found `e`"],
        ),
        (format!("{tables};\nINSERT INTO r SELECT FROM"), vec!["2:26: the statement ends where"]),
    ] {
        let told = told(&text);
        assert_eq!(told.len(), expected.len(), "{text}: {told:#?}");
        for (told, expected) in told.iter().zip(&expected) {
            assert!(
                told.replace("Vitrina cannot read this: ", "").starts_with(expected),
                "{text}: {told}"
            );
        }
    }
    // A SET or an UPDATE that begins a line is no statement of its own.
    assert_eq!(
        told(&format!(
            "{tables};\n{}",
            rule.replace("DO NOTHING", "(id) DO\nUPDATE\nSET id = EXCLUDED.id")
        )),
        [""; 0]
    );
}

#[test]
fn what_reads_clock_session_catalogue_or_sequence() {
    for expression in [
        "now()",
        "NOW()",
        "pg_catalog.now()",
        "\"now\"()",
        "clock_timestamp()",
        "CURRENT_TIMESTAMP",
        "current_timestamp(3)",
        "current_date",
        "localtime",
        "LOCALTIMESTAMP",
        "current_user",
        "session_user",
        "user",
        "current_schema",
        "current_catalog",
        "current_role",
        "age(e.placed_at)",
        "random()",
        "gen_random_uuid()",
        "nextval('s')",
        "current_setting('x')",
        "pg_sleep(1)",
        "txid_current()",
        "'now'::timestamp",
        "timestamp 'today'",
        "CAST(('tomorrow') AS date)",
        "'Yesterday 10:00'::pg_catalog.timestamptz",
        "'t'::regclass",
        "to_regclass('t')",
        "information_schema._pg_truetypid(1)",
        "version()",
        "(SELECT max(now()) FROM t)",
        "a.b.c(1)",
        "count(*) OVER (ORDER BY now())",
        "coalesce(e.placed_at, now())",
        "'{now}'::date[]",
    ] {
        let findings = refused_rule(&format!(
            "INSERT INTO t SELECT e.order_id, {expression} FROM orders.order_placed e"
        ));
        let named = [
            "clock",
            "session",
            "catalogue",
            "sequence",
            "random",
            "outside of the model",
            "not a function's name",
        ];
        assert!(named.iter().any(|named| findings.contains(named)), "{expression}: {findings}");
    }
    model(&format!(
        "{TABLES}CREATE VIEW w AS SELECT now(), current_date, age(n::text::date), 'now'::date FROM t"
    ));
    for expression in [
        "age(e.placed_at, e._time)",
        "date_trunc('day', e.placed_at)",
        "e.\"order_id\"",
        "my.immutable(e.amount)",
        "e.items -> 'x' ->> 'y'",
        "e.items['x']",
        "@ -5",
        "'2020-01-01'::date",
        "extract(epoch FROM e.placed_at)",
        "$x$now$x$",
    ] {
        model(&format!(
            "{TABLES}INSERT INTO t SELECT e.order_id, {expression} FROM orders.order_placed e"
        ));
    }
}

#[test]
fn literals_that_only_postgres_can_judge_are_listed_and_can_be_replaced() {
    let text = format!(
        "{TABLES}INSERT INTO t SELECT e.order_id, 'é', greatest(e.placed_at, ' NOW ') FROM orders.order_placed e"
    );
    let model = model(&text);
    let [found] = &model.suspicious_literals()[..] else { panic!() };
    assert_eq!(found.literal.at.line, 6);
    assert_eq!(
        found.replaced("'epoch'", "(SELECT 1)"),
        "INSERT INTO t SELECT e.order_id, 'é', greatest(e.placed_at, 'epoch') FROM (SELECT 1) e"
    );
}

#[test]
fn a_broken_table_hides_no_finding_and_makes_none() {
    let text = "CREATE TABLE t (id text PRIMARY KEY,,);\nINSERT INTO t SELECT e.order_id, random() FROM orders.order_placed e;";
    let (_, findings) = parse(text);
    assert_eq!(
        findings.iter().map(|finding| finding.line).collect::<Vec<_>>(),
        [1, 2],
        "{findings:#?}"
    );
    assert!(findings[0].what.contains("cannot read"), "{findings:#?}");
    assert!(refused("SELECT 'open").contains("close what was opened"));
}

#[test]
fn names_are_bounded() {
    let long = "x".repeat(64);
    assert!(
        refused_rule(&format!("CREATE TABLE {long} (id int PRIMARY KEY)"))
            .contains("longer than 63 bytes")
    );
    assert!(Model::parse("pg_x", "pg_x.sql", TABLES, &Shop).0.is_none());
    assert!(Model::parse("x", "x.sql", TABLES, &Shop).0.is_some());
}
