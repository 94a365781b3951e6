//! Lists: bodies, filters, orders, and what is refused, with the way out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Stage, golden};

#[tokio::test]
async fn the_body_of_a_list_is_as_to_jsonb_writes_it() {
    let mut stage = Stage::flight().await;
    let list = stage.get("/v1/views/flight").await;
    golden("list", &list.json());
    stage.run(r#"SET timezone = 'UTC'; SET extra_float_digits = 1"#).await;
    let rows: String = sqlx::query_scalar(
        r#"SELECT jsonb_agg(to_jsonb(f) ORDER BY flight_id)::text FROM "flight@1".flight f"#,
    )
    .fetch_one(&mut stage.postgres)
    .await
    .unwrap();
    assert_eq!(list.json()["data"], serde_json::from_str::<Value>(&rows).unwrap());
    let chosen = stage.get("/v1/views/flight?select=seal,flight_id&limit=1").await;
    assert!(chosen.text.starts_with(r#"{"data":[{"seal":"\\x00ff","flight_id":"F1"}],"page":{"limit":1,"next":"/v1/views/flight?select=seal,flight_id&limit=1&cursor="#), "{}", chosen.text);
}

#[tokio::test]
async fn filters_mean_what_sql_means() {
    let stage = Stage::flight().await;
    for (filter, expected) in [
        ("flight_id=eq.F1", "F1"),
        ("flight_id=neq.F1", "F2 F3"),
        ("gate=neq.A1", "F3"),
        ("gate=not.eq.A1", "F3"),
        ("delay=gt.5", "F3"),
        ("delay=gte.5", "F1 F3"),
        ("delay=gte.5&delay=lt.90", "F1"),
        ("delay=lte.5", "F1"),
        ("fare=gt.10.004", "F1 F3"),
        ("fare=eq.99.5", "F1"),
        ("flight_id=in.(F1,F3,F9)", "F1 F3"),
        ("flight_id=not.in.(F1,F3)", "F2"),
        ("flight_id=in.()", ""),
        (r#"gate=in.("B,2\"")"#, "F3"),
        ("delay=in.(5,90)", "F1 F3"),
        ("delay=is.null", "F2"),
        ("delay=not.is.null", "F1 F3"),
        ("boarding=is.true", "F1"),
        ("boarding=is.false", "F3"),
        ("boarding=not.is.true", "F2 F3"),
        ("carrier=like.K*", "F1 F2"),
        ("carrier=ilike.k%25", "F1 F2"),
        ("carrier=not.like.K*", "F3"),
        ("code=eq.ab", "F1"),
        ("code=eq.abc", ""),
        ("code=eq.ab%20", "F1"),
        ("code=like.x*", "F3"),
        ("departs_at=gte.2026-03-02", "F3"),
        ("departs_at=eq.2026-03-01T11:00:00.25%2B01:00", "F1"),
        ("stops=eq.%5B%7B%22at%22:%20%22AMS%22%7D%5D", "F1"),
        (r#"tags=eq.%7Ba,"b%20c"%7D"#, "F1"),
        ("seal=eq.%5Cx00ff", "F1"),
        ("score=eq.NaN", "F2"),
        ("%22order%22=eq.2", "F2"),
        ("%22gate%22=eq.A1", "F1"),
        ("gate=eq.%27%20OR%20true--", ""),
    ] {
        let found = stage
            .column(
                &format!("/v1/views/flight?{}", filter.replace('"', "%22").replace('\\', "%5C")),
                "flight_id",
            )
            .await;
        let expected: Vec<_> = expected.split_whitespace().map(|id| json!(id)).collect();
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_name() {
    let stage = Stage::flight().await;
    for (query, slug, parameter) in [
        ("delay=eq.soon", "bad-value", "delay"),
        ("carrier=eq.KL&delay=in.(5,soon)", "bad-value", "delay"),
        ("delay=eq.99999999999", "bad-value", "delay"),
        ("departs_at=gt.2026-02-30", "bad-value", "departs_at"),
        ("departs_at=gt.tuesday-ish", "bad-value", "departs_at"),
        ("departs_at=gt.now", "bad-value", "departs_at"),
        ("departs_at=not.lte.Today%2012:00", "bad-value", "departs_at"),
        ("departs_at=in.(2026-03-01,YESTERDAY)", "bad-value", "departs_at"),
        ("stops=eq.%7B", "bad-value", "stops"),
        ("tags=eq.a", "bad-value", "tags"),
        ("seal=eq.%5Cxz", "bad-value", "seal"),
        ("boarding=eq.perhaps", "bad-value", "boarding"),
        ("delay=5", "bad-value", "delay"),
        ("delay=eq", "bad-value", "delay"),
        ("delay=is.5", "bad-value", "delay"),
        ("delay=eq.null", "bad-value", "delay"),
        ("gate=eq.null", "bad-value", "gate"),
        ("gate=not.neq.NULL", "bad-value", "gate"),
        ("gate=in.(A1,null)", "bad-value", "gate"),
        ("delay=is.true", "bad-value", "delay"),
        ("delay=like.5*", "bad-value", "delay"),
        ("stops=like.5*", "bad-value", "stops"),
        ("carrier=like.K%5C", "bad-value", "carrier"),
        ("carrier=in.KL", "bad-value", "carrier"),
        ("carrier=in.(KL,)", "bad-value", "carrier"),
        ("carrier=in.(%22KL)", "bad-value", "carrier"),
        ("carier=eq.KL", "unknown-parameter", "carier"),
        ("select=flight_id,colour", "bad-value", "select"),
        ("select=flight_id,flight_id", "bad-value", "select"),
        ("select=", "bad-value", "select"),
        ("select=*", "bad-value", "select"),
        ("order=colour", "bad-value", "order"),
        ("order=delay.down", "bad-value", "order"),
        ("order=delay,delay", "bad-value", "order"),
        ("limit=0", "bad-value", "limit"),
        ("limit=-1", "bad-value", "limit"),
        ("limit=ten", "bad-value", "limit"),
        ("limit=", "bad-value", "limit"),
        ("limit=1&limit=2", "repeated-parameter", "limit"),
        ("order=flight_id&order=delay", "repeated-parameter", "order"),
        ("cursor=nonsense", "cursor-mismatch", "cursor"),
    ] {
        let problem = stage.problem(&format!("/v1/views/flight?{query}"), 400, slug).await;
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}: {problem}");
    }
    for query in [
        "carrier=eq.%",
        "carrier=eq.%f",
        "carrier=eq.%zz",
        "carrier=eq.%ff",
        "carrier=eq.a%00",
        "%c3=eq.x",
    ] {
        stage.problem(&format!("/v1/views/flight?{query}"), 400, "bad-encoding").await;
    }
    let long = format!("/v1/views/flight?delay=in.({})", vec!["123456"; 1001].join(","));
    let problem = stage.problem(&long, 400, "bad-value").await["detail"].to_string();
    assert!(problem.contains("more than 1000 values") && problem.len() < 300, "{problem}");
    // Words of the clock are words like others in a text, and fixed words of time are no clock's.
    for query in ["carrier=eq.now", "departs_at=lt.infinity", "departs_at=gt.epoch"] {
        assert_eq!(stage.get(&format!("/v1/views/flight?{query}")).await.status, 200, "{query}");
    }
    for query in ["gate=eq.null", "gate=neq.Null", "delay=eq.null", "delay=in.(null)"] {
        let problem = stage.problem(&format!("/v1/views/flight?{query}"), 400, "bad-value").await;
        assert!(problem["detail"].as_str().unwrap().contains("`is.null`"), "{problem}");
    }
    for query in ["gate=in.(%22null%22)", "stops=eq.null", "gate=eq.nullify", "gate=like.null"] {
        assert_eq!(stage.get(&format!("/v1/views/flight?{query}")).await.status, 200, "{query}");
    }
    golden("bad-value", &stage.problem("/v1/views/flight?delay=eq.soon", 400, "bad-value").await);
    golden(
        "unknown-parameter",
        &stage.problem("/v1/views/flight?carier=eq.KL", 400, "unknown-parameter").await,
    );
}

#[tokio::test]
async fn an_order_needs_its_index() {
    let stage = Stage::flight().await;
    for (query, expected) in [
        ("", "F1 F2 F3"),
        ("order=flight_id.desc", "F3 F2 F1"),
        ("carrier=eq.KL&order=departs_at.desc", "F2 F1"),
        ("carrier=eq.KL&order=departs_at", "F1 F2"),
        ("carrier=eq.KL&order=carrier,departs_at.asc.nullslast", "F1 F2"),
        ("order=carrier,departs_at.desc", "F3 F2 F1"),
        ("order=carrier.desc,departs_at", "F1 F2 F3"),
        ("order=delay.desc.nullslast", "F3 F1 F2"),
        ("order=delay.asc.nullsfirst,fare.desc", "F2 F1 F3"),
        // No NULL can be there, so it does not matter where they would go.
        ("order=delay.desc.nullslast,fare.asc.nullsfirst", "F3 F1 F2"),
        ("flight_id=eq.F2", "F2"),
        ("limit=1000000000000000000000", "F1 F2 F3"),
    ] {
        let found = stage.column(&format!("/v1/views/flight?{query}"), "flight_id").await;
        let expected: Vec<_> = expected.split_whitespace().map(|id| json!(id)).collect();
        assert_eq!(found, expected, "{query}");
    }
    for (query, index) in [
        ("order=departs_at", "flight (departs_at)"),
        ("order=gate", "flight (gate)"),
        ("order=score", "flight (score)"),
        ("order=code", "flight (code)"),
        ("order=delay.desc", "flight (delay DESC)"),
        ("order=delay.desc.nullslast,fare.desc", "flight (delay DESC NULLS LAST, fare DESC)"),
        ("carrier=not.eq.KL&order=departs_at.desc", "flight (departs_at DESC)"),
        (
            "carrier=eq.KL&gate=eq.A1&order=departs_at.desc",
            "flight (carrier, gate, departs_at DESC)",
        ),
        ("carrier=eq.KL&order=%22order%22", r#"flight (carrier, "order")"#),
    ] {
        let problem =
            stage.problem(&format!("/v1/views/flight?{query}"), 400, "order-needs-index").await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("CREATE INDEX ON {index};")), "{query}: {detail}");
    }
    golden(
        "order-needs-index",
        &stage.problem("/v1/views/flight?order=gate", 400, "order-needs-index").await,
    );
}

#[tokio::test]
async fn the_index_that_a_problem_names_is_the_one_that_helps() {
    let mut stage = Stage::flight().await;
    let uri = "/v1/views/flight?%22order%22=eq.1&order=gate.desc.nullslast";
    let problem = stage.problem(uri, 400, "order-needs-index").await;
    let detail = problem["detail"].as_str().unwrap();
    let index = &detail[detail.find("CREATE INDEX").unwrap()..];
    stage.run(&format!(r#"SET search_path = "flight@1"; {index}"#)).await;
    let followed = async { while stage.get(uri).await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(1), followed)
        .await
        .expect("a new index is followed within a second");
    assert_eq!(stage.column(uri, "flight_id").await, [json!("F1")]);
}

#[tokio::test]
async fn a_sql_view_is_filtered_and_ordered_freely() {
    let stage = Stage::flight().await;
    let list =
        stage.get("/v1/views/flight.late?order=hours.desc,delay&carrier=in.(KL,BA)&limit=5").await;
    golden("sql-view", &list.json());
    assert!(!list.headers.contains_key("etag"));
    stage.problem("/v1/views/flight.late?cursor=x", 400, "cursor-mismatch").await;
    stage.problem("/v1/views/flight.late/F1", 404, "not-found").await;
}

#[tokio::test]
async fn a_query_without_end_is_too_expensive_and_names_an_index() {
    let mut stage = Stage::flight().await;
    stage.generation("slow", 1, "CREATE TABLE slow (id int PRIMARY KEY, kind text); CREATE VIEW endless AS SELECT a FROM generate_series(1, 100000000000) a").await;
    let view = stage.problem("/v1/views/slow.endless?order=a.desc", 400, "too-expensive").await;
    assert!(view["detail"].as_str().unwrap().contains("(a)"), "{view}");
    // A lock waits as a slow scan does.
    stage.run(r#"BEGIN; LOCK "slow@1".slow"#).await;
    let table = stage.problem("/v1/views/slow?kind=eq.a", 400, "too-expensive").await;
    assert!(
        table["detail"].as_str().unwrap().contains("CREATE INDEX ON slow (kind, id);"),
        "{table}"
    );
}

#[tokio::test]
async fn names_and_types_that_need_care() {
    let mut stage = Stage::empty().await;
    let columns: Vec<_> =
        (0..150).map(|number| format!("c{number} int DEFAULT {number}")).collect();
    let definition = format!(
        r#"CREATE TABLE "Odd.Name" ("a.b" int, d text, t text, m text, "select" text, "q""uote" text, p json, {}, PRIMARY KEY ("a.b"));
        CREATE INDEX ON "Odd.Name" ("q""uote" DESC);
        INSERT INTO "Odd.Name" VALUES (1, 'd', 't', 'm', 's', 'q', '{{"z": 1, "a": 2}}')"#,
        columns.join(", ")
    );
    stage.generation("odd", 1, &definition).await;
    let row =
        stage.get("/v1/views/odd.Odd.Name/1?select=%22q%22%22uote%22,%22a.b%22,d,t,m,c149").await;
    assert!(
        row.text
            .starts_with(r#"{"data":{"q\"uote":"q","a.b":1,"d":"d","t":"t","m":"m","c149":149},"#),
        "{}",
        row.text
    );
    let found = stage
        .column("/v1/views/odd.Odd.Name?order=%22q%22%22uote%22.desc&%22q%22%22uote%22=gt.a", "d")
        .await;
    assert_eq!(found, [json!("d")]);
    assert_eq!(
        stage.column("/v1/views/odd.Odd.Name?%22select%22=eq.s", "c149").await,
        [json!(149)]
    );
    stage.problem("/v1/views/odd.Odd.Name?p=eq.%7B%7D", 400, "bad-value").await;
}

#[tokio::test]
async fn a_star_stands_for_any_text_and_an_escaped_one_for_itself() {
    let mut stage = Stage::empty().await;
    let texts = ["a*b", "ab", "a%b", "a_b", r"a\b", "*"];
    let rows: Vec<_> = texts.iter().map(|text| format!("('{text}')")).collect();
    stage
        .generation(
            "word",
            1,
            &format!(
                "CREATE TABLE word (t text PRIMARY KEY); INSERT INTO word VALUES {}",
                rows.join(", ")
            ),
        )
        .await;
    for (pattern, expected) in [
        (r"a\*b", vec!["a*b"]),
        (r"\*", vec!["*"]),
        ("*", texts.to_vec()),
        (r"*\**", vec!["*", "a*b"]),
        (r"a\%b", vec!["a%b"]),
        (r"a\_b", vec!["a_b"]),
        (r"a\\b", vec![r"a\b"]),
        (r"a\\*", vec![r"a\b"]),
        ("a_b", vec!["a%b", "a*b", r"a\b", "a_b"]),
    ] {
        let encoded = pattern.replace('%', "%25").replace('\\', "%5C");
        let mut found = stage.column(&format!("/v1/views/word?t=like.{encoded}"), "t").await;
        let mut expected: Vec<_> = expected.into_iter().map(|text| json!(text)).collect();
        found.sort_by_key(Value::to_string);
        expected.sort_by_key(Value::to_string);
        assert_eq!(found, expected, "{pattern}");
    }
}

#[tokio::test]
async fn a_limit_that_is_not_kept_is_told() {
    let stage = Stage::flight().await;
    for limit in ["501", "1000", "99999999999999999999999"] {
        let page =
            stage.get(&format!("/v1/views/flight?limit={limit}")).await.json()["page"].clone();
        assert_eq!(page["limit"], 500, "{page}");
        let note = page["note"].as_str().unwrap();
        assert!(note.contains(limit) && note.contains("500"), "{page}");
    }
    for limit in ["", "limit=1", "limit=500"] {
        let page = stage.get(&format!("/v1/views/flight?{limit}")).await.json()["page"].clone();
        assert!(page.get("note").is_none(), "{page}");
    }
}
