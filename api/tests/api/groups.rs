//! Groups of conditions, and conditions on what is inside of a `jsonb` column: examples, and what is refused.

use serde_json::json;
use vitrina_sql::{Model, Relations};

use crate::stage::Stage;

/// Orders whose items are `jsonb`, with names that need care.
const ORDER: &str = r#"
CREATE TABLE "order" (id int PRIMARY KEY, customer text, total numeric, paid boolean, items jsonb, notes json,
                      "or" text, "a->b" text, "x.y" jsonb);
INSERT INTO "order" VALUES
  (1, 'Anna', 9.50, true, '[{"sku": "x", "count": 2}, {"sku": "y"}]', '{"by": "post"}', 'o', 'p', '{"d.e": {"0": "zero"}}'),
  (2, 'Ben, jr', 20, false, '[{"sku": "y", "count": 10}]', '{"by": null}', NULL, 'q', '{}'),
  (3, NULL, NULL, NULL, NULL, NULL, 'or', NULL, NULL),
  (4, 'a"b\c)', 20, true, '{"0": {"sku": "x"}, "gift": true, "wrap": null}', '[]', NULL, NULL, NULL);
"#;

async fn order() -> Stage {
    let mut stage = Stage::empty().await;
    stage.generation("order", 1, ORDER).await;
    stage
}

fn encoded(query: &str) -> String {
    query.replace('"', "%22").replace('>', "%3E").replace('\\', "%5C").replace(' ', "%20")
}

#[tokio::test]
async fn groups_and_paths_mean_what_sql_means() {
    let stage = order().await;
    for (query, expected) in [
        ("or=(id.eq.1,id.eq.3)", "1 3"),
        ("or=(id.eq.1,and(total.gt.10,paid.is.true))", "1 4"),
        ("or=(id.eq.1,and(total.gt.10,customer.is.null))", "1"),
        ("and=(id.gte.2,id.lt.4)", "2 3"),
        ("not.and=(id.gte.2,id.lt.4)", "1 4"),
        // NOT of what is unknown is unknown.
        ("not.or=(total.eq.20,id.eq.1)", ""),
        ("not.or=(paid.is.true,id.eq.2)", "3"),
        ("or=(not.or(paid.is.true,id.eq.2),not.and(id.gt.1,id.gt.0))", "1 3"),
        ("or=(id.eq.1,id.eq.3)&or=(id.eq.3,id.eq.4)", "3"),
        ("or=(id.eq.1,id.eq.3)&id=gt.1&id=lt.4", "3"),
        ("or=(id.in.(1,2),customer.is.null)", "1 2 3"),
        (r#"or=(customer.in.("Ben, jr","a\"b\\c)"),id.not.gt.1)"#, "1 2 4"),
        (r#"or=(customer.eq."Ben, jr")"#, "2"),
        (r#"or=(customer.eq.Anna,customer.eq."a\"b\\c)")"#, "1 4"),
        (r#"or=(customer.like.A*,customer.ilike."*, J*")"#, "1 2"),
        ("or=(customer.eq.,id.eq.2)", "2"),
        (r#"and=("or".eq.or)"#, "3"),
        ("and=(or.eq.or)", "3"),
        (r#"or="#, "bad"),
        (r#""or"=eq.o"#, "1"),
        (r#"or=("a->b".eq.q,a->b.eq.p)"#, "bad"),
        (r#"or=("a->b".eq.q)"#, "2"),
        ("a->b=eq.p", "1"),
        (r#""a->b"=eq.p"#, "1"),
        ("items->0->>sku=eq.x", "1"),
        (r#"items->"0"->>sku=eq.x"#, "4"),
        ("items->-1->>sku=eq.y", "1 2"),
        ("items->0->>sku=in.(x,y)", "1 2"),
        ("items->0->>sku=like.*", "1 2"),
        ("items->0->>count=gt.2", ""),
        ("items->0->count=gt.2", "2"),
        ("items->0->count=gte.2", "1 2"),
        ("items->gift=eq.true", "4"),
        ("items->>gift=eq.true", "4"),
        ("items->wrap=is.null", "1 2 3"),
        ("items->wrap=eq.null", "4"),
        ("items->>wrap=is.null", "1 2 3 4"),
        (r#"items->0=eq.{"sku": "y", "count": 10}"#, "2"),
        ("or=(items->0->>sku.eq.x,items->gift.eq.true)", "1 4"),
        ("not.or=(items->0->>sku.eq.x,id.gt.2)", "2"),
        ("notes->>by=eq.post", "1"),
        (r#""x.y"->d.e->>0=is.null"#, "1 2 3 4"),
        (r#""x.y"->d.e->>"0"=eq.zero"#, "1"),
        (r#"or=("x.y"->"d.e"->>"0".eq.zero)"#, "1"),
    ] {
        let uri = format!("/v1/views/order?{}", encoded(query));
        if expected == "bad" {
            stage.problem(&uri, 400, "bad-value").await;
            continue;
        }
        let expected: Vec<_> =
            expected.split_whitespace().map(|id| json!(id.parse::<i32>().unwrap())).collect();
        assert_eq!(stage.column(&uri, "id").await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_group_that_is_none_is_refused_with_what_it_would_be() {
    let stage = order().await;
    let deep = |depth| format!("or={}id.eq.1{}", "(and".repeat(depth) + "(", ")".repeat(depth + 1));
    let many = |number| format!("or=({})", vec!["id.eq.1"; number].join(","));
    let [too_deep, too_many] = [deep(10), many(101)];
    let steps = |number| format!("items{}=is.null", "->a".repeat(number));
    let too_long = steps(21);
    for (query, parameter, word) in [
        ("or=()", "or", "or=("),
        ("or=(id.eq.1", "or", "its end"),
        ("or=(id.eq.1,)", "or", "`)`"),
        ("or=(id.eq.1)x", "or", "`x`"),
        ("or=id.eq.1", "or", "`id.eq.1`"),
        ("or=(id)", "or", "`)`"),
        ("or=(id.1)", "or", "operator"),
        ("or=(id.eq)", "or", "operator"),
        ("or=(id.is.5)", "or", "is.null"),
        ("or=(id.in.1)", "or", "in.(a,b)"),
        ("or=(id.in.(1,2)", "or", "its end"),
        (r#"or=(customer.eq."a)"#, "or", "quote"),
        ("or=(colour.eq.1)", "or", "no column"),
        ("or=(customer.eq.null)", "or", "`is.null`"),
        ("not.and=(and(id.like.1*))", "not.and", "only text"),
        ("or=(id.eq.soon)", "or", "integer"),
        ("or=(id.eq.1,items->0.eq.{)", "or", "jsonb"),
        ("xor=(id.eq.1)", "xor", "`or`"),
        (&too_deep, "or", "more than 10"),
        (&too_many, "or", "at most 100 conditions"),
        (&too_long, &format!("items{}", "->a".repeat(21)), "at most 20 steps"),
        ("items->>sku->x=eq.1", "items->>sku->x", "ends a path"),
        ("items->=eq.1", "items->", "key"),
        ("customer->x=eq.1", "customer->x", "only a `jsonb` column"),
        ("colour->x=eq.1", "colour->x", "not a parameter"),
        (r#"items->"a"b=eq.1"#, r#"items->"a"b"#, "not a parameter"),
        ("items->>sku=eq.null", "items->>sku", "`is.null`"),
        ("items->gift=is.true", "items->gift", "boolean"),
        ("items->gift=like.t*", "items->gift", "only text"),
        ("order=items->gift", "order", "whole columns"),
    ] {
        let answer = stage.get(&format!("/v1/views/order?{}", encoded(query))).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{query}: {problem}");
    }
    for query in [deep(9), many(100), steps(20)] {
        let answer = stage.get(&format!("/v1/views/order?{}", encoded(&query))).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    }
}

/// What a group holds together is as if its members were parameters, also for the order.
#[tokio::test]
async fn what_holds_in_any_case_is_constant_for_an_order() {
    let stage = Stage::flight().await;
    for query in [
        "and=(carrier.eq.KL)",
        "or=(carrier.eq.KL)",
        "and=(and(carrier.eq.KL),or(delay.gt.1,delay.is.null))",
    ] {
        let uri = format!("/v1/views/flight?{query}&order=departs_at");
        assert_eq!(stage.column(&uri, "flight_id").await, ["F1", "F2"], "{query}");
    }
    for query in ["not.and=(carrier.eq.KL)", "or=(carrier.eq.KL,carrier.eq.BA)"] {
        let uri = format!("/v1/views/flight?{query}&order=departs_at");
        stage.problem(&uri, 400, "order-needs-index").await;
    }
}

/// There are no events here.
struct Nothing;

impl Relations for Nothing {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn columns(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }
}

#[tokio::test]
async fn the_index_that_would_help_is_named() {
    let mut stage = order().await;
    stage.run(r#"BEGIN; LOCK "order@1"."order""#).await;
    for (query, indexes) in [
        ("items->0->>sku=eq.x", r#"CREATE INDEX ON "order" ((items -> 0 ->> 'sku'), id);"#),
        (
            "items->it's=gt.1&customer=like.*a",
            r#"CREATE INDEX ON "order" ((items -> 'it''s'), id);"#,
        ),
        ("total=gt.1&customer=eq.a", r#"CREATE INDEX ON "order" (customer, id);"#),
        ("and=(customer.eq.a,paid.is.true)", r#"CREATE INDEX ON "order" (customer, id);"#),
        (
            "or=(customer.eq.a,items->>sku.in.(a,b))",
            r#"CREATE INDEX ON "order" (customer); CREATE INDEX ON "order" ((items ->> 'sku'));"#,
        ),
        ("or=(customer.eq.a,total.neq.1)", r#"CREATE INDEX ON "order" (id);"#),
    ] {
        let uri = format!("/v1/views/order?{}", encoded(query));
        let problem = stage.problem(&uri, 400, "too-expensive").await;
        assert!(problem["detail"].as_str().unwrap().ends_with(indexes), "{query}: {problem}");
        // It is of use only where a model's file may hold it.
        let table = "CREATE TABLE \"order\" (id int PRIMARY KEY, customer text, total numeric, paid boolean, items jsonb);";
        let (model, findings) =
            Model::parse("order", "order.sql", &format!("{table} {indexes}"), &Nothing);
        assert!(model.is_some() && findings.is_empty(), "{indexes}: {findings:?}");
    }
}
