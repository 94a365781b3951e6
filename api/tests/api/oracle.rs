//! The law of lists: whatever is asked for, in whatever form, page by page or whole, it is what one plain statement of SQL
//! gives, in its order.

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::stage::{Answer, Stage};

/// Each order with the index that allows it, the filter that it needs, and as SQL writes it, tiebreak and all.
const ORDERS: [(&str, &str, &str, &str); 8] = [
    ("", "", "", "id"),
    ("", "", "order=id.desc", "id DESC"),
    ("(a, b DESC)", "", "order=a,b.desc", "a, b DESC, id DESC"),
    ("(a, b DESC)", "", "order=a.desc,b", "a DESC, b, id"),
    (
        "(b DESC NULLS LAST, c, a NULLS FIRST)",
        "",
        "order=b.desc.nullslast,c",
        "b DESC NULLS LAST, c, id",
    ),
    (
        "(b DESC NULLS LAST, c, a NULLS FIRST)",
        "",
        "order=b.asc.nullsfirst,c.desc,a.desc.nullslast",
        "b NULLS FIRST, c DESC, a DESC NULLS LAST, id DESC",
    ),
    ("(c, d DESC)", "c = 1", "and=(c.eq.1)&order=d.desc", "d DESC, id DESC"),
    ("(d NULLS FIRST, c DESC)", "", "order=d.nullsfirst", "d NULLS FIRST, id"),
];
const COLUMNS: [&str; 6] = ["id", "a", "b", "c", "d", "j"];
const TEXTS: [&str; 5] = ["a,\"", "", "é\r\n", "x)\\", "null"];
const JSON: [&str; 8] = [
    "[]",
    "null",
    r#""""#,
    r#"{"k": "a,\""}"#,
    r#"{"k": null, "n": 2}"#,
    r#"{"n": 10, "list": [{"k": "é"}, 1]}"#,
    r#"[{"k": ""}, {"k": "x)\\"}]"#,
    "7",
];
/// Rows of a table.
const MOST: usize = 40;

/// A condition, as a member of a group writes it, and as SQL does.
#[derive(Debug, Clone)]
struct Condition {
    query: String,
    sql: String,
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What can be compared: as a query and as SQL write it, with values of its type as SQL has them.
fn operand() -> impl Strategy<Value = (&'static str, &'static str, &'static str, Vec<String>)> {
    let texts = || TEXTS.map(str::to_owned).to_vec();
    let numbers = |cast: fn(u8) -> String| (0..3).map(cast).collect::<Vec<_>>();
    let json = || JSON.map(str::to_owned).to_vec();
    prop::sample::select(vec![
        ("id", "id", "int", numbers(|n| (n * 10).to_string())),
        ("a", "a", "text", texts()),
        ("b", "b", "float8", numbers(|n| (f64::from(n) / 3.0).to_string())),
        ("c", "c", "int", numbers(|n| n.to_string())),
        ("d", "d", "timestamptz", numbers(|n| format!("2026-01-01 00:00:0{n}.000001+00"))),
        ("j", "j", "jsonb", json()),
        ("j->n", "j -> 'n'", "jsonb", ["2", "10", "\"2\"", "null"].map(str::to_owned).to_vec()),
        ("j->>k", "j ->> 'k'", "text", texts()),
        ("j->0->>k", "j -> 0 ->> 'k'", "text", texts()),
        ("j->\"list\"->-2->>k", "j -> 'list' -> -2 ->> 'k'", "text", texts()),
    ])
}

fn leaf() -> impl Strategy<Value = Condition> {
    let comparisons =
        [("eq", "="), ("neq", "<>"), ("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")];
    let test = prop_oneof![
        6 => prop::sample::select(comparisons.to_vec()),
        2 => Just(("in", "IN")),
        1 => Just(("is", "IS")),
        1 => Just(("like", "LIKE")),
    ];
    let any = (operand(), test, any::<bool>(), any::<[prop::sample::Index; 2]>());
    any.prop_map(|((query, sql, cast, values), (operator, comparison), negated, chosen)| {
        let values = chosen.map(|index| index.get(&values).clone());
        let [first, second] = values.each_ref().map(|value| format!("{}::{cast}", literal(value)));
        let [one, two] = values.each_ref().map(|value| quoted(value));
        let (test, condition) = match operator {
            "in" => (format!("in.({one},{two})"), format!("({sql}) IN ({first}, {second})")),
            "is" => ("is.null".to_owned(), format!("({sql}) IS NULL")),
            "like" if cast == "text" => ("like.*,*".to_owned(), format!("({sql}) LIKE '%,%'")),
            "like" => ("is.null".to_owned(), format!("({sql}) IS NULL")),
            _ => (format!("{operator}.{one}"), format!("({sql}) {comparison} {first}")),
        };
        // A value that holds a comma is quoted; a pattern is none of them.
        let test = test.replace("like.*,*", "like.\"*,*\"");
        match negated {
            true => Condition {
                query: format!("{query}.not.{test}"),
                sql: format!("NOT ({condition})"),
            },
            false => Condition { query: format!("{query}.{test}"), sql: condition },
        }
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    leaf().prop_recursive(4, 16, 4, |inner| {
        let members = prop::collection::vec(inner, 1..4);
        let group =
            prop::sample::select(vec![("or", ""), ("and", ""), ("or", "not."), ("and", "not.")]);
        (members, group).prop_map(|(members, (junction, not))| {
            let query: Vec<_> = members.iter().map(|member| &*member.query).collect();
            let sql: Vec<_> = members.iter().map(|member| format!("({})", member.sql)).collect();
            let negation = if not.is_empty() { "" } else { "NOT " };
            Condition {
                query: format!("{not}{junction}({})", query.join(",")),
                sql: format!("{negation}({})", sql.join(&format!(" {junction} "))),
            }
        })
    })
}

/// As a parameter: a group as it is, another one as the only member of a group.
fn parameter(condition: &Condition) -> String {
    let (name, members) = condition.query.split_once('(').unwrap_or_default();
    match ["or", "and", "not.or", "not.and"].contains(&name) {
        true => format!("{name}={}", percent(&format!("({members}"))),
        false => format!("and={}", percent(&format!("({})", condition.query))),
    }
}

/// Or else no row; what is compared by `eq` in it need not be in the order's index.
fn varying(condition: &Condition) -> Condition {
    let Condition { query, sql } = condition;
    Condition { query: format!("or({query},id.lt.0)"), sql: format!("({sql}) OR id < 0") }
}

fn row() -> impl Strategy<Value = String> {
    let few = || prop::option::weighted(0.7, 0u8..3);
    let text = prop::option::weighted(0.8, prop::sample::select(TEXTS.to_vec()));
    let json = prop::option::weighted(0.8, prop::sample::select(JSON.to_vec()));
    (text, few(), 0u8..3, few(), json).prop_map(|(a, b, c, d, j)| {
        let [a, j] = [a, j].map(|text| text.map_or_else(|| "NULL".to_owned(), literal));
        let b = b.map_or_else(|| "NULL".to_owned(), |b| format!("{b}::float8 / 3"));
        let d = d.map_or_else(
            || "NULL".to_owned(),
            |d| format!("timestamptz '2026-01-01Z' + interval '{d}.000001 s'"),
        );
        format!("{a}, {b}, {c}, {d}, {j}::jsonb")
    })
}

async fn get(stage: &Stage, uri: &str, accept: &str) -> Answer {
    let request = Request::get(uri).header("accept", accept).header("prefer", "count=exact");
    let answer = stage.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200, "{uri}: {}", answer.text);
    answer
}

/// Every row of the list, page by page, each of which says how many rows there are.
async fn pages(stage: &Stage, uri: &str, limit: usize, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = json!(uri);
    while let Some(uri) = next.as_str() {
        let page = get(stage, uri, "application/json").await.json();
        let rows = page["data"].as_array().unwrap();
        assert!(rows.len() <= limit && (found.is_empty() || !rows.is_empty()), "{uri}: {page}");
        assert!(found.len() <= MOST, "{uri} goes round in circles");
        assert_eq!(page["page"]["count"], count, "{uri}");
        found.extend(rows.iter().cloned());
        next = page["page"]["next"].clone();
    }
    found
}

/// The same as lines of JSON, or of CSV, page by page.
async fn linked(stage: &Stage, uri: &str, accept: &str, count: usize) -> String {
    let (mut text, mut next) = (String::new(), Some(uri.to_owned()));
    while let Some(uri) = next {
        let answer = get(stage, &uri, accept).await;
        assert_eq!(answer.header("total-count"), count.to_string(), "{uri}");
        let lines = if text.is_empty() { 0 } else { usize::from(accept == "text/csv") };
        text.extend(answer.text.split_inclusive('\n').skip(lines));
        let link = answer.header("link");
        next = link
            .strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""))
            .map(str::to_owned);
        assert!(next.is_some() || link.is_empty(), "{link}");
    }
    text
}

fn lines(text: &str) -> Vec<Value> {
    text.split_inclusive('\n')
        .map(|line| serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap())
        .collect()
}

/// Each value as CSV has it.
fn csv_of(rows: &[Value]) -> Vec<Vec<String>> {
    let value = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    rows.iter().map(|row| COLUMNS.iter().map(|column| value(&row[column])).collect()).collect()
}

/// By another's reader; JSON texts without the spaces that Postgres writes in them.
fn csv_read(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
    let records = reader.records().map(|record| {
        let mut record: Vec<_> = record.unwrap().iter().map(str::to_owned).collect();
        if let Ok(json) = serde_json::from_str::<Value>(&record[5])
            && !json.is_string()
        {
            record[5] = json.to_string();
        }
        record
    });
    records.collect()
}

#[test]
fn a_list_is_what_sql_gives() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(async {
        let mut stage = Stage::empty().await;
        let indexes: String = ORDERS
            .iter()
            .filter(|order| !order.0.is_empty())
            .map(|order| format!("CREATE INDEX ON item {};", order.0))
            .collect();
        let table = "CREATE TABLE item (id int PRIMARY KEY, a text COLLATE \"C\", b float8, c int NOT NULL, d timestamptz, j jsonb);";
        stage.generation("item", 1, &format!("{table}{indexes}")).await;
        tokio::sync::Mutex::new(stage)
    });
    let rows = prop::collection::vec(row(), 0..MOST);
    let conditions = prop::collection::vec(prop::collection::vec(condition(), 0..3), ORDERS.len());
    proptest!(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() }, |(rows in rows, conditions in conditions, limit in 1usize..9)| {
        runtime.block_on(async {
            let mut stage = stage.lock().await;
            let rows: String = rows.iter().enumerate().map(|(id, row)| format!("INSERT INTO item VALUES ({id}, {row});")).collect();
            stage.run(&format!(r#"SET search_path = "item@1"; SET timezone = 'UTC'; TRUNCATE item; {rows}"#)).await;
            for ((_, needed, order, order_by), conditions) in ORDERS.iter().zip(&conditions) {
                let varying = conditions.iter().map(varying).collect();
                let conditions = if order.is_empty() { conditions } else { &varying };
                let mut tests: Vec<_> = conditions.iter().map(|condition| format!("({})", condition.sql)).collect();
                tests.push(if needed.is_empty() { "true" } else { needed }.to_owned());
                let sql = format!("SELECT to_jsonb(item) FROM item WHERE {} ORDER BY {order_by}", tests.join(" AND "));
                let expected: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_all(&mut stage.postgres).await.unwrap();
                let parameters: Vec<_> = conditions.iter().map(parameter).collect();
                let uri = format!("/v1/views/item?{order}&{}", parameters.join("&"));
                let paged = format!("{uri}&limit={limit}");
                assert_eq!(pages(&stage, &paged, limit, expected.len()).await, expected, "{paged}\n{sql}");
                for uri in [&paged, &format!("{uri}&limit=all")] {
                    assert_eq!(lines(&linked(&stage, uri, "application/x-ndjson", expected.len()).await), expected, "{uri}\n{sql}");
                    assert_eq!(csv_read(&linked(&stage, uri, "text/csv", expected.len()).await), csv_of(&expected), "{uri}\n{sql}");
                }
            }
        });
    });
}
