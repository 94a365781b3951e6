//! A model for each line of `docs/contract.md` that can be left out: without that line, some batch of it gives other
//! rows or other refusals. Most are counterexamples that were run. The name is that of the line
//! (`sql/src/waves/sabotage.rs`).

pub(super) const MODELS: &[(&str, &str)] = &[
    (
        "Exists",
        "CREATE TABLE m (k int8 PRIMARY KEY); CREATE TABLE h (k int8 PRIMARY KEY, c int8);
         INSERT INTO m SELECT e.k FROM a.up e ON CONFLICT DO NOTHING;
         INSERT INTO h SELECT e.k, (SELECT count(*) FROM m) FROM a.off e ON CONFLICT (k) DO UPDATE SET c = EXCLUDED.c;",
    ),
    (
        "SecondAccess",
        "CREATE TABLE m (k int8 PRIMARY KEY, o int8);
         DELETE FROM m USING a.off e WHERE m.o = e.g;
         INSERT INTO m SELECT e.k, e.g FROM a.up e ON CONFLICT DO NOTHING;",
    ),
    (
        "MovedColumns",
        "CREATE TABLE m (k int8 PRIMARY KEY, o int8, n int8);
         INSERT INTO m SELECT e.k, e.g, 0 FROM a.up e ON CONFLICT DO NOTHING;
         UPDATE m SET n = m.n * 2 + e.g FROM b.tick e WHERE m.o = e.g;
         UPDATE m SET o = e.k FROM a.off e WHERE m.o = e.g;",
    ),
    (
        "Constraints",
        "CREATE TABLE m (k int8 PRIMARY KEY, x int8, o int8, CHECK (x <= o));
         INSERT INTO m SELECT e.k, 0, 1 FROM a.up e ON CONFLICT DO NOTHING;
         UPDATE m SET o = e.g FROM a.off e WHERE m.k = e.k;
         UPDATE m SET x = e.g FROM b.tick e WHERE m.k = e.k;",
    ),
    (
        "GeneratedColumns",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int8, x int8, y int8 GENERATED ALWAYS AS (n * 2) STORED);
         INSERT INTO m (k, n) SELECT e.k, 1 FROM a.up e ON CONFLICT DO NOTHING;
         UPDATE m SET n = e.g FROM a.off e WHERE m.k = e.k;
         UPDATE m SET x = m.y FROM b.tick e WHERE m.k = e.k;",
    ),
    (
        "UniqueWritten",
        "CREATE TABLE m (k int8 PRIMARY KEY, u int8 UNIQUE);
         INSERT INTO m SELECT e.k, NULL FROM b.tick e ON CONFLICT DO NOTHING;
         UPDATE m SET u = NULL FROM a.off e WHERE m.k = e.k;
         UPDATE m SET u = e.g FROM a.up e WHERE m.k = e.k;",
    ),
    (
        "EqualNulls",
        "CREATE TABLE m (k int8 PRIMARY KEY, u int8, UNIQUE NULLS NOT DISTINCT (u));
         INSERT INTO m SELECT e.k, CASE WHEN e.ok THEN e.g END FROM a.up e ON CONFLICT DO NOTHING;
         INSERT INTO m SELECT e.k, CASE WHEN e.ok THEN e.g END FROM a.off e ON CONFLICT DO NOTHING;",
    ),
    (
        "HashedByPostgres",
        "CREATE TABLE m (k numeric PRIMARY KEY, n int8);
         DELETE FROM m USING a.off e WHERE m.k = e.n;
         INSERT INTO m AS t SELECT e.amount, 1 FROM a.up e ON CONFLICT (k) DO UPDATE SET n = t.n * 2 + 1;",
    ),
    (
        "ConvertedFields",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int8);
         DELETE FROM m USING a.off e WHERE m.k = e.n;
         INSERT INTO m AS t SELECT e.k, 1 FROM a.up e ON CONFLICT (k) DO UPDATE SET n = t.n * 2 + 1;",
    ),
    (
        "Collations",
        "CREATE TABLE m (k text COLLATE public.blind PRIMARY KEY, n int8);
         DELETE FROM m USING a.off e WHERE m.k = e.tag;
         INSERT INTO m AS t SELECT e.word, 1 FROM a.off e WHERE e.word IS NOT NULL
         ON CONFLICT (k) DO UPDATE SET n = t.n * 2 + 1;",
    ),
    (
        "TopLevelAnd",
        "CREATE TABLE m (k int8 PRIMARY KEY, o int8, n int4);
         INSERT INTO m SELECT e.k, e.g, 0 FROM a.up e ON CONFLICT DO NOTHING;
         UPDATE m SET n = m.n * 2 + 1 FROM a.off e WHERE m.k = e.k OR m.o = e.g;",
    ),
    (
        "WholeRow",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int8, w text);
         INSERT INTO m SELECT e.k, 1 FROM a.up e ON CONFLICT DO NOTHING;
         UPDATE m SET n = e.g FROM a.off e WHERE m.k = e.k;
         UPDATE m SET w = to_jsonb(m) ->> 'n' FROM b.tick e WHERE m.k = e.k;",
    ),
    (
        "FloatCompared",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int8);
         DELETE FROM m USING a.off e WHERE m.k = e.big::float8;
         INSERT INTO m AS t SELECT e.big, 1 FROM a.up e WHERE e.big IS NOT NULL
         ON CONFLICT (k) DO UPDATE SET n = t.n * 2 + 1;",
    ),
    (
        "Views",
        "CREATE TABLE m (k int8 PRIMARY KEY); CREATE TABLE h (k int8 PRIMARY KEY, c int8);
         CREATE VIEW v AS SELECT count(*) AS c FROM m;
         INSERT INTO m SELECT e.k FROM a.up e ON CONFLICT DO NOTHING;
         INSERT INTO h SELECT e.k, (SELECT c FROM v) FROM a.off e ON CONFLICT (k) DO UPDATE SET c = EXCLUDED.c;",
    ),
    (
        "AdditionsMeetReads",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int4 NOT NULL DEFAULT 0); CREATE TABLE h (k int8 PRIMARY KEY, c int8);
         INSERT INTO m AS t SELECT e.k, 1 FROM a.up e ON CONFLICT (k) DO UPDATE SET n = t.n + 1;
         INSERT INTO h SELECT e.k, (SELECT sum(q.n) FROM m AS q WHERE q.k = e.k) FROM a.off e
         ON CONFLICT (k) DO UPDATE SET c = EXCLUDED.c;",
    ),
    (
        "NotBefore",
        "CREATE TABLE h (k int8 PRIMARY KEY, n int8); CREATE TABLE m (k int8 PRIMARY KEY, x int8);
         INSERT INTO h AS t SELECT e.g, 1 FROM a.up e ON CONFLICT (k) DO UPDATE SET n = t.n * 2 + 1;
         INSERT INTO m SELECT e.k, e.n FROM a.up e ON CONFLICT (k) DO UPDATE SET x = EXCLUDED.x;",
    ),
    (
        "AllRelations",
        "CREATE TABLE h (k int8 PRIMARY KEY, n int8); CREATE TABLE m (k int8 PRIMARY KEY, n int8 NOT NULL);
         INSERT INTO h SELECT e.k, 1 FROM a.up e ON CONFLICT DO NOTHING;
         INSERT INTO m SELECT e.g, 0 FROM a.off e ON CONFLICT DO NOTHING;
         UPDATE m SET n = m.n * 2 + 1 FROM every.event e WHERE m.k = (e._payload ->> 'g')::int8;",
    ),
    (
        "FloatSums",
        "CREATE TABLE m (k int8 PRIMARY KEY, f float8 NOT NULL DEFAULT 0);
         INSERT INTO m AS t SELECT e.k, e.f FROM a.up e ON CONFLICT (k) DO UPDATE SET f = t.f + EXCLUDED.f;",
    ),
    (
        "NullableSums",
        "CREATE TABLE m (k int8 PRIMARY KEY, x int8);
         INSERT INTO m AS t SELECT e.k, CASE WHEN e.g > 0 THEN e.g END FROM a.up e
         ON CONFLICT (k) DO UPDATE SET x = t.x + EXCLUDED.x;",
    ),
    (
        "Room",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int4 NOT NULL DEFAULT 0);
         INSERT INTO m AS t SELECT e.g, CASE WHEN e.ok THEN 2147483647 ELSE -2147483647 END FROM a.up e
         ON CONFLICT (k) DO UPDATE SET n = t.n + EXCLUDED.n;",
    ),
    (
        "RoomForSeveral",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int4 NOT NULL DEFAULT 0);
         UPDATE m SET n = 1000000000 FROM b.tick e WHERE m.k = e.g;
         INSERT INTO m AS t SELECT e.g, -1000000000 FROM a.off e ON CONFLICT (k) DO UPDATE SET n = t.n + EXCLUDED.n;
         INSERT INTO m AS t SELECT e.g, 1200000000 FROM a.up e ON CONFLICT (k) DO UPDATE SET n = t.n + 1200000000;",
    ),
    (
        "ZeroDefaults",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int4 NOT NULL DEFAULT 0, x int4 NOT NULL DEFAULT 5);
         INSERT INTO m AS t (k, n) SELECT e.k, 1 FROM a.up e ON CONFLICT (k) DO UPDATE SET n = t.n + 1;
         INSERT INTO m AS t (k, x) SELECT e.k, 1 FROM a.off e ON CONFLICT (k) DO UPDATE SET x = t.x + 1;",
    ),
    (
        "ConflictCondition",
        "CREATE TABLE m (k int8 PRIMARY KEY, x int8);
         INSERT INTO m AS t SELECT e.k, e.g FROM a.up e ON CONFLICT (k) DO UPDATE SET x = EXCLUDED.x WHERE t.x < 2;",
    ),
    (
        "MergedTies",
        "CREATE TABLE m (k int8 PRIMARY KEY, x int8 CHECK (x < 3));
         INSERT INTO m SELECT e.k, e.n FROM a.up e ON CONFLICT (k) DO UPDATE SET x = EXCLUDED.x;",
    ),
    (
        "MergedUnique",
        "CREATE TABLE m (k int8 PRIMARY KEY, u int8 UNIQUE);
         INSERT INTO m SELECT e.k, e.g FROM a.up e ON CONFLICT DO NOTHING;
         DELETE FROM m USING a.off e WHERE m.k = e.k;",
    ),
    (
        "MergedReads",
        "CREATE TABLE m (k int8 PRIMARY KEY, x int8);
         INSERT INTO m SELECT e.k, e.g FROM a.off e ON CONFLICT DO NOTHING;
         DELETE FROM m USING a.up e WHERE m.k = e.k AND (SELECT count(*) FROM m AS q) > 2;",
    ),
    (
        "OneRow",
        "CREATE TABLE h (k int8 PRIMARY KEY, o int8); CREATE TABLE m (k int8 PRIMARY KEY, x int8);
         INSERT INTO h SELECT e.g, e.k % 2 FROM a.off e ON CONFLICT DO NOTHING;
         INSERT INTO m SELECT e.k, q.k FROM a.up e JOIN h AS q ON q.o = e.k % 2
         ON CONFLICT (k) DO UPDATE SET x = EXCLUDED.x;",
    ),
    (
        "OneForm",
        "CREATE TABLE m (k numeric PRIMARY KEY, w text);
         INSERT INTO m SELECT CASE WHEN e.ok THEN 1.00 ELSE 1 END, e.word FROM a.up e
         ON CONFLICT (k) DO UPDATE SET w = EXCLUDED.w;
         DELETE FROM m USING a.off e WHERE e.k = 0;",
    ),
    (
        "StoredCasts",
        "CREATE TABLE m (k int8 PRIMARY KEY, w varchar(3));
         INSERT INTO m SELECT e.k, e.word FROM a.up e ON CONFLICT (k) DO UPDATE SET w = EXCLUDED.w;",
    ),
    (
        "Ordered",
        "CREATE TABLE m (k int8 PRIMARY KEY, z numeric);
         INSERT INTO m AS t SELECT e.k, CASE WHEN e.ok THEN 1 ELSE 1.00 END FROM a.up e
         ON CONFLICT (k) DO UPDATE SET z = GREATEST(t.z, EXCLUDED.z);",
    ),
    (
        "NotNull",
        "CREATE TABLE m (k int8 PRIMARY KEY, o int8 NOT NULL);
         INSERT INTO m AS t SELECT e.k, e.big FROM a.up e ON CONFLICT (k) DO UPDATE SET o = COALESCE(EXCLUDED.o, t.o);",
    ),
    (
        "Proof",
        "CREATE TABLE m (k int8 PRIMARY KEY, n int8 NOT NULL);
         INSERT INTO m SELECT e.k, coalesce(t.n, 0) + 1 FROM a.up e LEFT JOIN m AS t ON t.k = e.k
         ON CONFLICT (k) DO UPDATE SET n = EXCLUDED.n;",
    ),
    (
        // Not one of the lines: rules of one event in two relations, which read one another's work in file order.
        "file order",
        "CREATE TABLE h (k text PRIMARY KEY, n int8 NOT NULL, last text, c int8);
         CREATE TABLE m (k int8 PRIMARY KEY, c int8);
         INSERT INTO h AS t SELECT e._type, 1, e._payload ->> 'tag', e._version FROM every.event e
         ON CONFLICT (k) DO UPDATE SET n = t.n + 1, last = EXCLUDED.last, c = EXCLUDED.c;
         INSERT INTO m SELECT e.k, (SELECT h.n FROM h WHERE h.k = 'a.up') FROM a.up e
         ON CONFLICT (k) DO UPDATE SET c = EXCLUDED.c;
         UPDATE h SET c = (SELECT sum(m.c) FROM m WHERE m.k = (e._payload ->> 'k')::int8) FROM every.event e
         WHERE h.k = e._type;
         DELETE FROM m USING b.tick e WHERE m.k = e.k;",
    ),
    (
        // Not one of the lines: literals without a type in the form that runs event by event in one statement.
        "literals",
        "CREATE TABLE m (k int8, p int8, at timestamptz, w varchar(3), PRIMARY KEY (k, p));
         INSERT INTO m SELECT e.k, i.p, '2026-01-01', NULL FROM a.up e, generate_series(1, e.g) AS i(p)
         GROUP BY e.k, i.p ON CONFLICT DO NOTHING;
         INSERT INTO m (k, p, at) SELECT e.k, '7', NULL FROM a.off e ORDER BY e.k LIMIT 1
         ON CONFLICT (k, p) DO UPDATE SET w = EXCLUDED.w;",
    ),
];
