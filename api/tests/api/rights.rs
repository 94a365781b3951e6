//! What readers see, by the rights in the model's file.

use serde_json::{Value, json};

use crate::guarded::{Guarded, Known};

const TABLES: &str = "
CREATE TABLE note (
    id     int PRIMARY KEY,
    owner  text NOT NULL,
    tenant text NOT NULL,
    level  int NOT NULL,
    body   text,
    secret text,
    at     timestamptz
);
CREATE INDEX ON note (tenant, at DESC);
CREATE INDEX ON note (secret, level);
CREATE INDEX ON note (level, secret, at);
CREATE TABLE pair (a text, b int, shown text, PRIMARY KEY (a, b));
CREATE INDEX ON pair (shown);
CREATE TABLE _helper (id int PRIMARY KEY);
CREATE VIEW summary AS SELECT tenant, count(*) AS n, max(secret) AS top FROM note GROUP BY tenant
";

const ROWS: &str = "
INSERT INTO note VALUES
  (1, 'ann', 'red', 1, 'a', 's1', '2026-01-01T00:00:00Z'), (2, 'ann', 'red', 2, 'b', 's2', '2026-01-02T00:00:00Z'),
  (3, 'bob', 'red', 3, 'c', 's3', '2026-01-03T00:00:00Z'), (4, 'bob', 'blue', 1, 'd', 's4', '2026-01-04T00:00:00Z'),
  (5, 'cid', 'blue', 2, 'e', 's5', NULL);
INSERT INTO pair SELECT chr(97 + n % 7), n, 'x' || n / 3 FROM generate_series(1, 20) n
";

const READERS: &[Known] = &[
    ("ann", &["customer"], "sub = \"ann\"\ntenants = [\"red\"]\nlevel = 2"),
    ("bob", &["customer"], "sub = \"bob\"\ntenants = [\"red\", \"blue\"]\nlevel = \"two\""),
    ("cid", &["customer", "Auditor"], "sub = \"cid\"\ntenants = \"blue\""),
    ("dan", &["customer"], ""),
    ("eve", &["other"], "sub = \"ann\""),
    ("fay", &["staff"], ""),
];

async fn guarded() -> Guarded {
    Guarded::new("note", TABLES, ROWS, READERS).await
}

async fn ids(guarded: &Guarded, reader: &str, uri: &str) -> Vec<i64> {
    let rows = guarded.all(reader, uri).await;
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn what_nobody_was_granted_nobody_reads() {
    let mut guarded = guarded().await;
    guarded
        .allow("GRANT SELECT ON note, summary TO staff; GRANT SELECT (shown) ON pair TO PUBLIC")
        .await;
    for uri in ["/v1/views/note.summary", "/v1/schemas/note.summary", "/v1/views/note.summary/red"]
    {
        let hidden = guarded.ask("ann", uri).await.problem(uri, 404, "unknown-view").to_string();
        let missing = uri.replace("summary", "sommary");
        let missing = guarded.ask("ann", &missing).await.problem(uri, 404, "unknown-view");
        assert_eq!(hidden.replace("summary", "sommary"), missing.to_string());
        for name in ["summary", "sommary", "_helper"] {
            let uri = uri.replace("summary", name);
            let answer = guarded.ask("", &uri).await;
            answer.problem(&uri, 401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        let near = guarded.ask("ann", &uri.replace("summary", "summar")).await;
        assert!(!near.text.contains("summary"), "{}", near.text);
    }
    assert_eq!(guarded.ask("fay", "/v1/views/note.summary").await.status, 200);
    for (reader, views) in
        [("fay", "note note.pair note.summary"), ("ann", "note.pair"), ("", "note.pair")]
    {
        let catalogue = guarded.ask(reader, "/v1/views").await.json();
        let views_seen = catalogue["data"].as_array().unwrap().iter();
        let names: Vec<&str> = views_seen.map(|view| view["view"].as_str().unwrap()).collect();
        assert_eq!(names.join(" "), views, "{reader}");
        let row = guarded.ask(reader, "/v1/views/note.pair?limit=1").await.json();
        assert_eq!(row["data"][0].as_object().unwrap().len(), 1, "{reader}: {row}");
    }
}

#[tokio::test]
async fn a_column_without_a_right_is_unknown() {
    let mut guarded = guarded().await;
    guarded
        .allow(
            "GRANT SELECT (id, tenant, at) ON note TO customer; GRANT SELECT (body) ON note TO customer, PUBLIC;
             GRANT SELECT ON note TO staff",
        )
        .await;
    let row = guarded.ask("ann", "/v1/views/note/1").await.json();
    assert_eq!(
        row["data"],
        json!({"id": 1, "tenant": "red", "at": "2026-01-01T00:00:00+00:00", "body": "a"})
    );
    let catalogue = guarded.ask("ann", "/v1/views").await.json();
    let names: Vec<_> = catalogue["data"][0]["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| &column["name"])
        .collect();
    assert_eq!(names, ["id", "tenant", "body", "at"]);
    assert_eq!(catalogue["data"][0]["indexes"], json!([["tenant", "at.desc"]]));
    let schema = guarded.ask("ann", "/v1/schemas/note").await.json();
    assert!(
        schema["properties"].get("secret").is_none() && schema["properties"].get("body").is_some()
    );
    for uri in [
        "/v1/views/note?secret=eq.s1",
        "/v1/views/note?secret=nonsense",
        "/v1/views/note?select=id,secret",
        "/v1/views/note?order=secret",
        "/v1/views/note?order=secret.desc.nullslast",
        "/v1/views/note/1?select=secret",
        "/v1/views/note?tenant=eq.red&order=level",
        "/v1/views/note?order=level,secret,at",
        "/v1/views/note?order=at",
        "/v1/views/note?order=id&limit=x",
    ] {
        let hidden = guarded.ask("ann", uri).await;
        assert_eq!(hidden.status, 400, "{uri}: {}", hidden.text);
        let (other, name) =
            if uri.contains("secret") { ("sekret", "secret") } else { ("lefel", "level") };
        let misspelt = guarded.ask("ann", &uri.replace(name, other)).await.text;
        assert_eq!(hidden.text.replace(name, other), misspelt, "{uri}");
        for column in ["owner", "level", "secret"] {
            let told = hidden.text.contains(column) && !uri.contains(column);
            assert!(!told, "{uri} tells of {column}: {}", hidden.text);
        }
    }
    assert_eq!(guarded.ask("fay", "/v1/views/note?secret=eq.s1&order=level").await.status, 200);
    // Who may read a part of the key finds no row by it.
    guarded.allow("GRANT SELECT (b, shown) ON pair TO customer").await;
    guarded.ask("ann", "/v1/views/note.pair/b/1").await.problem("pair", 404, "not-found");
    let catalogue = guarded.ask("ann", "/v1/views").await.json();
    assert_eq!(catalogue["data"][0]["key"], json!([]));
}

#[tokio::test]
async fn rows_are_those_of_any_policy_of_the_readers_roles() {
    let mut guarded = guarded().await;
    let grants = "GRANT SELECT ON note TO customer, staff;";
    for (policies, expected) in [
        (
            "",
            [
                vec![1, 2, 3, 4, 5],
                vec![1, 2, 3, 4, 5],
                vec![1, 2, 3, 4, 5],
                vec![1, 2, 3, 4, 5],
                vec![1, 2, 3, 4, 5],
            ],
        ),
        (
            "CREATE POLICY own ON note FOR SELECT TO customer USING (owner = claim('sub'))",
            [vec![1, 2], vec![3, 4], vec![5], vec![], vec![]],
        ),
        (
            r#"CREATE POLICY own ON note FOR SELECT TO customer USING (owner = claim('sub'));
               CREATE POLICY seen ON note FOR SELECT TO "Auditor", staff USING (level = 1)"#,
            [vec![1, 2], vec![3, 4], vec![1, 4, 5], vec![], vec![1, 4]],
        ),
        (
            "CREATE POLICY team ON note FOR SELECT TO customer USING (tenant = ANY(claims('tenants')))",
            [vec![1, 2, 3], vec![1, 2, 3, 4, 5], vec![4, 5], vec![], vec![]],
        ),
        // What does not read as a number is missing.
        (
            "CREATE POLICY high ON note FOR SELECT TO customer USING (level >= claim('level')::int)",
            [vec![2, 3, 5], vec![], vec![], vec![], vec![]],
        ),
        (
            "CREATE POLICY high ON note FOR SELECT TO customer USING (level >= claim('level')::int OR tenant = 'blue')",
            [vec![2, 3, 4, 5], vec![4, 5], vec![4, 5], vec![4, 5], vec![]],
        ),
        (
            "CREATE POLICY none ON note FOR SELECT TO customer USING (body::int = 1)",
            [vec![], vec![], vec![], vec![], vec![]],
        ),
        (
            "CREATE POLICY every ON note FOR SELECT TO PUBLIC USING (true)",
            [
                vec![1, 2, 3, 4, 5],
                vec![1, 2, 3, 4, 5],
                vec![1, 2, 3, 4, 5],
                vec![1, 2, 3, 4, 5],
                vec![1, 2, 3, 4, 5],
            ],
        ),
    ] {
        guarded.allow(&format!("{grants}{policies}")).await;
        for (reader, expected) in ["ann", "bob", "cid", "dan", "fay"].into_iter().zip(expected) {
            assert_eq!(
                ids(&guarded, reader, "/v1/views/note").await,
                expected,
                "{reader}: {policies}"
            );
            for id in 1..=5 {
                let status =
                    guarded.ask(reader, &format!("/v1/views/note/{id}")).await.status.as_u16();
                assert_eq!(status == 200, expected.contains(&id), "{reader} {id}: {policies}");
            }
        }
    }
}

#[tokio::test]
async fn both_the_file_and_the_generations_text_must_allow() {
    let mut guarded = guarded().await;
    let wide = "GRANT SELECT ON note TO customer; CREATE POLICY team ON note FOR SELECT TO customer USING (tenant = 'red')";
    let narrow = "GRANT SELECT (id, body, level) ON note TO customer; CREATE POLICY low ON note FOR SELECT TO customer USING (level < 3)";
    for (proposed, own) in [(wide, narrow), (narrow, wide)] {
        guarded.allow_by(0, proposed).await;
        guarded.allow_by(1, own).await;
        guarded.restart();
        assert_eq!(ids(&guarded, "ann", "/v1/views/note").await, [1, 2]);
        assert_eq!(guarded.ask("ann", "/v1/views/note?select=secret").await.status, 400);
    }
    guarded.allow_by(0, "").await;
    guarded.restart();
    assert_eq!(guarded.ask("ann", "/v1/views/note").await.status, 404);
    // A policy over a column that this generation does not have meets no row of it.
    let tables = guarded.tables.replace("owner  text", "owner text, region text");
    guarded
        .allow_of(0, &tables, "GRANT SELECT ON note TO customer; CREATE POLICY r ON note FOR SELECT TO customer USING (region IS NULL)")
        .await;
    guarded.restart();
    assert_eq!(ids(&guarded, "ann", "/v1/views/note").await, [0i64; 0]);
    guarded.stage.run("DELETE FROM vitrina.rights WHERE generation = 1").await;
    guarded.allow_by(0, wide).await;
    guarded.restart();
    assert_eq!(
        guarded.ask("ann", "/v1/views/note").await.status,
        404,
        "a generation without rights"
    );
}

#[tokio::test]
async fn rights_are_taken_up_within_a_second_or_two() {
    let mut guarded = guarded().await;
    guarded.allow("GRANT SELECT ON note TO customer").await;
    assert_eq!(guarded.ask("ann", "/v1/views/note").await.status, 200);
    guarded.allow_by(0, "").await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while guarded.ask("ann", "/v1/views/note").await.status != 404 {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_tag_is_for_who_sees_the_same() {
    let mut guarded = guarded().await;
    guarded
        .allow("GRANT SELECT ON note TO customer; CREATE POLICY own ON note FOR SELECT TO customer USING (owner = claim('sub'))")
        .await;
    let uri = "/v1/views/note";
    let answer = guarded.ask("ann", uri).await;
    let tag = answer.header("etag").to_owned();
    assert!(answer.header("cache-control").starts_with("private"));
    let vary: Vec<_> = answer
        .headers
        .get_all("vary")
        .iter()
        .map(|vary| vary.to_str().unwrap().to_lowercase())
        .collect();
    assert!(
        vary.join(",").contains("authorization") && vary.join(",").contains("x-api-key"),
        "{vary:?}"
    );
    let held = [("if-none-match", tag.as_str())];
    assert_eq!(guarded.ask_with("ann", uri, &held).await.status, 304);
    assert_eq!(guarded.ask_with("bob", uri, &held).await.status, 200);
    assert_eq!(guarded.ask_with("", uri, &held).await.status, 401);
    guarded.allow("GRANT SELECT (id, body) ON note TO customer; CREATE POLICY own ON note FOR SELECT TO customer USING (owner = claim('sub'))").await;
    assert_eq!(guarded.ask_with("ann", uri, &held).await.status, 200);
}

#[tokio::test]
async fn every_page_is_reached_and_no_cursor_is_anothers() {
    let mut guarded = guarded().await;
    let rows = "shown";
    for (grant, columns) in [
        ("GRANT SELECT (shown) ON pair TO customer", rows),
        ("GRANT SELECT (b, shown) ON pair TO customer", "b, shown"),
        ("GRANT SELECT (a, shown) ON pair TO customer", "a, shown"),
    ] {
        guarded.allow(grant).await;
        let expected: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT jsonb_agg(x ORDER BY x::text) FROM (SELECT {columns} FROM \"note@1\".pair) x"
        )))
        .fetch_one(&mut guarded.stage.postgres)
        .await
        .unwrap();
        for uri in ["limit=1", "limit=3", "limit=7&order=shown", "limit=2&order=shown.desc"] {
            let mut found = guarded.all("ann", &format!("/v1/views/note.pair?{uri}")).await;
            found.sort_by_key(Value::to_string);
            let mut expected = expected.as_array().unwrap().clone();
            expected.sort_by_key(Value::to_string);
            assert_eq!(found, expected, "{grant} {uri}");
        }
    }
    let first = guarded.ask("ann", "/v1/views/note.pair?limit=3").await;
    let next = first.json()["page"]["next"].as_str().unwrap().to_owned();
    assert_eq!(first.text, guarded.ask("ann", "/v1/views/note.pair?limit=3").await.text);
    assert_eq!(guarded.ask("ann", &next).await.status, 200);
    guarded.ask("bob", &next).await.problem(&next, 400, "cursor-mismatch");
    let (_, cursor) = next.split_once("cursor=").unwrap();
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("version"), "it is sealed");
    // Nor does one go on that was made by hand, or when all could be read.
    guarded.allow("GRANT SELECT ON pair TO customer").await;
    let open = guarded.ask("ann", "/v1/views/note.pair?limit=3").await.json()["page"]["next"]
        .as_str()
        .unwrap()
        .to_owned();
    guarded.ask("ann", &next).await.problem(&next, 400, "cursor-mismatch");
    guarded.allow("GRANT SELECT (a, shown) ON pair TO customer").await;
    guarded.ask("ann", &open).await.problem(&open, 400, "cursor-mismatch");
}

#[tokio::test]
async fn an_index_is_walked_behind_what_the_policy_settles() {
    let mut guarded = guarded().await;
    let grants = "GRANT SELECT (id, body, at) ON note TO customer;";
    let policy = |using: &str| {
        format!("{grants} CREATE POLICY p ON note FOR SELECT TO customer USING ({using})")
    };
    guarded.allow(&policy("tenant = claim('sub') OR tenant = 'red'")).await;
    guarded.ask("ann", "/v1/views/note?order=at.desc").await.problem(
        "at",
        400,
        "order-needs-index",
    );
    guarded.allow(&policy("tenant = 'red' AND level > 0")).await;
    assert_eq!(ids(&guarded, "ann", "/v1/views/note?order=at.desc&limit=1").await, [3, 2, 1]);
    let catalogue = guarded.ask("ann", "/v1/views").await.json();
    assert_eq!(catalogue["data"][0]["indexes"], json!([["at.desc"]]));
}

/// A type whose comparison fails on one value.
const TOUCHY: &str = "
CREATE TYPE public.touchy;
CREATE FUNCTION public.touchy_in(cstring) RETURNS public.touchy LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION public.touchy_out(public.touchy) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE public.touchy (INPUT = public.touchy_in, OUTPUT = public.touchy_out, LIKE = text);
CREATE FUNCTION public.touchy_eq(a public.touchy, b public.touchy) RETURNS bool LANGUAGE plpgsql IMMUTABLE COST 1 AS $$
BEGIN
    IF textin(public.touchy_out(a)) = 'bomb' THEN RAISE division_by_zero; END IF;
    RETURN textin(public.touchy_out(a)) = textin(public.touchy_out(b));
END $$;
CREATE OPERATOR public.= (LEFTARG = public.touchy, RIGHTARG = public.touchy, FUNCTION = public.touchy_eq);
";

#[tokio::test]
async fn no_filter_fails_on_a_row_that_may_not_be_read() {
    let tables =
        "CREATE TABLE mark (id int PRIMARY KEY, touchy public.touchy, at timestamptz, day date);
        CREATE TABLE odd (id int PRIMARY KEY, doc json, area circle);
        CREATE TABLE bare (id int PRIMARY KEY, touchy public.touchy);
        CREATE VIEW calm AS SELECT id, touchy FROM bare WHERE (id::text || 'x') || 'y' <> '2xy'";
    let rows = r#"INSERT INTO mark VALUES (1, 'calm', now(), NULL), (2, 'bomb', now(), NULL);
        INSERT INTO bare VALUES (1, 'calm'), (2, 'bomb');
        INSERT INTO odd VALUES (1, '{"k": "a"}', '<(0,0),1>'), (2, '{"k": "\u0000"}', '<(0,0),1e300>')"#;
    let mut guarded = Guarded::prepared("mark", TOUCHY, tables, rows, READERS).await;
    // Dearer than the comparison, so that the planner would put it last.
    let rights = "GRANT SELECT ON mark TO customer, staff, other;
        CREATE POLICY open ON mark FOR SELECT TO customer USING ((id::text || 'x') || 'y' <> '2xy');
        CREATE POLICY every ON mark FOR SELECT TO staff USING (true);
        GRANT SELECT ON calm TO customer;
        GRANT SELECT ON odd TO customer, staff;
        CREATE POLICY open ON odd FOR SELECT TO customer USING ((id::text || 'x') || 'y' <> '2xy');
        CREATE POLICY every ON odd FOR SELECT TO staff USING (true)";
    guarded.allow(rights).await;
    // A view leaves out the other one.
    assert_eq!(ids(&guarded, "ann", "/v1/views/mark.calm?touchy=eq.calm").await, [1]);
    // Types of Postgres's own, too, have values that cannot be compared.
    for query in ["doc->>k=eq.a", "area=eq.<(0,0),1>", "or=(doc->>k.eq.a,area.gt.%22<(0,0),2>%22)"]
    {
        let uri = format!("/v1/views/mark.odd?{}", query.replace('<', "%3C").replace('>', "%3E"));
        assert_eq!(ids(&guarded, "ann", &uri).await, [1], "{uri}");
        assert_eq!(guarded.ask("fay", &uri).await.status, 500, "{uri}, or nothing was tested");
    }
    assert_eq!(ids(&guarded, "ann", "/v1/views/mark?touchy=eq.calm").await, [1]);
    assert_eq!(ids(&guarded, "ann", "/v1/views/mark?touchy=not.eq.bomb&id=lt.5").await, [1]);
    let staffs = guarded.ask("fay", "/v1/views/mark?touchy=eq.calm").await.status;
    assert_eq!(staffs, 500, "or nothing was tested");
    assert!(ids(&guarded, "eve", "/v1/views/mark").await.is_empty(), "no policy is hers");
    // A value that is none is refused whatever rows there are.
    for query in ["at=eq.nonsense", "id=eq.7&at=gt.nonsense", "day=lt.2026-99-01", "id=in.(1,x)"] {
        let uri = format!("/v1/views/mark?{query}");
        let before = guarded.ask("ann", &uri).await;
        assert_eq!(before.status, 400, "{uri}: {}", before.text);
        // Nor does it matter whether any row may be read.
        assert_eq!(guarded.ask("eve", &uri).await.text, before.text, "{uri}");
        guarded
            .stage
            .run(r#"CREATE TABLE aside AS SELECT * FROM "mark@1".mark; DELETE FROM "mark@1".mark"#)
            .await;
        assert_eq!(guarded.ask("ann", &uri).await.text, before.text, "{uri}");
        guarded
            .stage
            .run(r#"INSERT INTO "mark@1".mark SELECT * FROM aside; DROP TABLE aside"#)
            .await;
    }
}

/// A pattern that goes through a long text for seconds takes no time where that text may not be read.
#[tokio::test]
async fn no_pattern_is_tried_on_a_row_that_may_not_be_read() {
    let tables = "CREATE TABLE mark (id int PRIMARY KEY, owner text, team text, body text)";
    // Nothing interrupts Postgres within a row, so there are many.
    let rows = "INSERT INTO mark VALUES (1, 'ann', 'red', 'short');
        INSERT INTO mark SELECT n, 'bob', 'blue', repeat('a', 400000) FROM generate_series(2, 99) n";
    let mut guarded = Guarded::new("mark", tables, rows, READERS).await;
    // Two comparisons are dearer than a pattern, as the planner sees it.
    let rights = "GRANT SELECT ON mark TO customer, staff;
        CREATE POLICY own ON mark FOR SELECT TO customer USING (owner = claim('sub') OR team = claim('sub'));
        CREATE POLICY every ON mark FOR SELECT TO staff USING (true)";
    guarded.allow(rights).await;
    let pattern = format!("*{}b*", "a".repeat(900));
    for filter in ["body=like.", "body=not.ilike.", "or=(id.eq.7,body.like."] {
        let end = if filter.starts_with("or") { ")" } else { "" };
        let uri = format!("/v1/views/mark?{filter}{pattern}{end}");
        assert_eq!(guarded.ask("ann", &uri).await.status, 200, "{filter}");
    }
    let uri = format!("/v1/views/mark?body=like.{pattern}");
    guarded.ask("fay", &uri).await.problem("or nothing was tested", 400, "too-expensive");
    let uri = uri.replace("like.*", &format!("like.{}*", "a".repeat(100)));
    guarded.ask("fay", &uri).await.problem("a longer pattern", 400, "bad-value");
}

/// Postgres's planner guesses by what stands in hidden columns and rows, and in the tables behind a view.
#[tokio::test]
async fn an_estimate_knows_no_more_than_its_reader() {
    let mut guarded = guarded().await;
    let tables =
        format!("{TABLES}; CREATE VIEW red AS SELECT id, body FROM note WHERE tenant = 'red'");
    guarded.stage.run(r#"CREATE VIEW "note@1".red AS SELECT id, body FROM "note@1".note WHERE tenant = 'red'"#).await;
    guarded.tables = tables;
    guarded.allow("GRANT SELECT (shown) ON pair TO customer; GRANT SELECT ON pair TO staff; GRANT SELECT ON red TO customer").await;
    let count = async |guarded: &Guarded, reader, uri| {
        let answer = guarded.ask_with(reader, uri, &[("prefer", "count=estimated")]).await;
        answer.json()["page"]["count"].as_i64().unwrap()
    };
    let (pairs, reds) =
        ("/v1/views/note.pair?limit=1", "/v1/views/note.red?limit=1&or=(body.eq.hidden,id.lt.3)");
    for _ in 0..2 {
        assert_eq!(count(&guarded, "ann", pairs).await, 20);
        assert_eq!(count(&guarded, "ann", reds).await, 2);
        let hidden = r#"INSERT INTO "note@1".note SELECT n, 'x', 'blue', 1, 'hidden' FROM generate_series(100, 999) n;
            ANALYZE "note@1".note; UPDATE "note@1".pair SET a = a || repeat(md5(b::text), 40)"#;
        guarded.stage.run(hidden).await;
        guarded.stage.run(r#"DELETE FROM "note@1".note WHERE id > 99"#).await;
    }
    assert_ne!(count(&guarded, "fay", pairs).await, 20, "who sees all of it is told a guess");
}
