//! Every event as one relation: what is said of an event, and the row of its newest version, made on the way where the
//! writer's is the newest and by Postgres where it is not.

use std::collections::BTreeSet;

use vitrina_avro::{Contracts, Layout};
use vitrina_sql::Relations;

use crate::common::{Bench, CONTEXT, Envelope, contracts, load, long, placed, record, string};

const AT: &str = r#"{"name":"At","type":{"type":"long","logicalType":"timestamp-millis"}}"#;
const LINES: &str = r#"{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
  {"name":"Sku","type":"string"},{"name":"n","type":"int"}]}}}"#;

/// The shop and the bank: `placed` has two versions, and `paid` a kind and its id in a field.
fn all() -> Contracts {
    let newest = placed(&format!(
        r#"{AT},{LINES},{{"name":"note","type":["null","string"],"default":null}}"#
    ));
    let paid = record("Paid", r#"{"name":"id","type":"string"},{"name":"eid","type":"string"}"#);
    let paid = paid.replacen('{', r#"{"kind":"integration","#, 1);
    contracts(&[
        ("bank/context.toml", "topic = \"shop.events\"\nkey = \"id\"\nevent_id = \"eid\"\n"),
        ("bank/paid/v1.avsc", &paid),
        ("shop/context.toml", CONTEXT),
        ("shop/placed/v1.avsc", &placed(r#"{"name":"when","type":"string"}"#)),
        ("shop/placed/v2.avsc", &newest),
        ("shop/placed/v2.sql", "SELECT \"when\"::timestamptz AS at, '[]'::jsonb AS lines FROM v1"),
    ])
}

fn columns(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn layout(contracts: &Contracts, names: &[&str]) -> Layout {
    Layout::new(contracts.relation("every", "event").unwrap(), Some(&columns(names)))
}

fn whole(contracts: &Contracts) -> Layout {
    Layout::new(contracts.relation("every", "event").unwrap(), None)
}

#[test]
fn it_has_what_is_said_of_events_and_the_metadata() {
    let contracts = all();
    let columns = contracts.columns("every", "event").unwrap();
    assert_eq!(columns[..5], ["_type", "_version", "_kind", "_payload", "_event_id"]);
    assert_eq!(columns.len(), 14);
    assert_eq!(contracts.columns("every", "tombstone"), None);
    assert!(contracts.names().contains(&"every.event".to_owned()));
    assert_eq!(contracts.topic("every"), "shop.events");
    let (none, _) = load(&[]);
    assert_eq!(none.columns("every", "event"), None, "there is no event");
}

#[test]
fn a_contract_that_does_not_load_is_in_its_way() {
    let (contracts, _) = load(&[
        ("shop/context.toml", CONTEXT),
        ("shop/placed/v1.avsc", &placed("")),
        ("shop/paid/v1.avsc", "{"),
    ]);
    assert_eq!(contracts.columns("every", "event"), None);
    assert_eq!(contracts.broken("every", "event").unwrap(), "c/shop/paid/v1.avsc:1:1");
    assert_eq!(contracts.broken("shop", "placed"), None, "what stands beside it goes on");
}

#[test]
fn older_versions_are_branches_where_something_is_shown() {
    let contracts = all();
    let types = layout(&contracts, &["_type", "_key"]);
    assert_eq!(
        types.narrow(Some(&columns(&["_type", "_key"]))).relation_sql(1),
        r#"(SELECT "_type", "_key", "_ordinal" FROM unnest($1::text[], $2::text[], $3::int8[]) AS "v1"("_type", "_key", "_ordinal"))"#
    );
    assert_eq!(types.versions().len(), 1);
    let shown = layout(&contracts, &["_type", "_version", "_kind", "_payload", "_key"]);
    assert_eq!(shown.versions().len(), 2);
    let sql = shown.narrow(Some(&columns(&["_version", "_kind", "_payload"]))).relation_sql(1);
    let payload = r#"(SELECT to_jsonb(_newest) FROM (SELECT "_event"."id", "_event"."at", "_event"."lines", "_event"."note") AS _newest) AS "_payload""#;
    assert!(
        sql.contains(&format!(r#"SELECT 1::int4 AS "_version", NULL::text AS "_kind", {payload}, "_event"."_ordinal" FROM ("#)),
        "{sql}"
    );
    assert!(sql.ends_with(" OFFSET 0)"), "{sql}");
    // A rule that shows nothing, beside one that does, still takes the older ones.
    let other = shown.narrow(Some(&columns(&["_key"])));
    assert_eq!((other.versions().len(), other.parameters()), (2, 4));
    assert!(!other.relation_sql(1).contains("to_jsonb"));
}

/// Datums of `placed` of version 2 and 1, and of `paid`.
fn datums() -> [Vec<u8>; 3] {
    let lines = [long(1), string("b\"1"), long(3), long(0)].concat();
    [
        [string("o-1"), long(1_500), lines, vec![0]].concat(),
        [string("o-2"), string("2026-03-01T12:00:00Z")].concat(),
        [string("o-1"), string("e-7")].concat(),
    ]
}

fn schema(contracts: &Contracts, context: &str, event: &str, version: usize) -> String {
    contracts.contract(context, event).unwrap().versions[version].json.clone()
}

#[test]
fn the_newest_version_is_shown_on_the_way() {
    let contracts = all();
    let [newest, oldest, paid] = datums();
    let mut bench = Bench::with(&contracts, vec![whole(&contracts)]);
    bench.writer(&schema(&contracts, "shop", "placed", 1));
    let row = bench.decode(&newest).unwrap().unwrap();
    assert_eq!(bench.places, [(0, 0)]);
    assert_eq!(row.text("_type").as_deref(), Some("shop.placed"));
    assert_eq!(row.columns["_version"], Some(2i32.to_be_bytes().to_vec()));
    assert_eq!(row.columns["_kind"], None);
    assert_eq!(
        row.json("_payload").unwrap(),
        r#"{"id":"o-1","at":"1970-01-01T00:00:01.5+00:00","lines":[{"Sku":"b\"1","n":3}],"note":null}"#
    );
    assert_eq!(bench.layouts[0].event(0, &bench.rows[0][0], 0), "shop.placed@v2");

    bench.writer(&schema(&contracts, "shop", "placed", 0));
    let row = bench.decode(&oldest).unwrap().unwrap();
    assert_eq!(bench.places, [(0, 1)]);
    assert_eq!(row.text("when").as_deref(), Some("2026-03-01T12:00:00Z"));
    assert_eq!(row.columns["_ordinal"], Some(2i64.to_be_bytes().to_vec()));
    assert_eq!(bench.layouts[0].event(1, &bench.rows[0][1], 0), "shop.placed@v1");

    bench.writer(&schema(&contracts, "bank", "paid", 0));
    let row = bench.decode(&paid).unwrap().unwrap();
    assert_eq!(row.identity, Some(("shop.Paid".into(), b"e-7".to_vec())), "from its own field");
    assert_eq!(row.text("_kind").as_deref(), Some("integration"));
    assert_eq!(row.json("_payload").unwrap(), r#"{"id":"o-1","eid":"e-7"}"#);
    assert_eq!(row.columns["_ordinal"], Some(3i64.to_be_bytes().to_vec()));
}

#[test]
fn what_the_writer_lacks_and_has_besides_is_shown_as_in_the_events_own_relation() {
    let contracts = all();
    let mut bench = Bench::with(&contracts, vec![whole(&contracts)]);
    // Other order, a field of its own, none of the one with a default.
    let other = placed(&format!(r#"{{"name":"own","type":"int"}},{LINES},{AT}"#));
    bench.writer(&other);
    let datum = [string("o-1"), long(9), long(0), long(0)].concat();
    let row = bench.decode(&datum).unwrap().unwrap();
    assert_eq!(
        row.json("_payload").unwrap(),
        r#"{"id":"o-1","lines":[],"at":"1970-01-01T00:00:00+00:00","note":null}"#
    );
}

#[test]
fn an_event_that_is_named_twice_is_in_both_relations_or_in_none() {
    let contracts = all();
    let own = columns(&["id"]);
    let own = Layout::new(contracts.relation("shop", "placed").unwrap(), Some(&own));
    for layouts in [vec![whole(&contracts), own.clone()], vec![own.clone(), whole(&contracts)]] {
        let mut bench = Bench::with(&contracts, layouts);
        bench.writer(&schema(&contracts, "shop", "placed", 1));
        let [newest, ..] = datums();
        bench.decode(&newest).unwrap().unwrap();
        assert_eq!(bench.places.len(), 2);
        // What is passed over in the one is no text, which the other shows.
        let mut broken = newest;
        let sku = broken.iter().position(|byte| *byte == b'"').unwrap();
        broken[sku] = 0xff;
        assert!(bench.decode(&broken).is_err());
        bench.writer(&schema(&contracts, "bank", "paid", 0));
        bench.decode(&datums()[2]).unwrap().unwrap();
        assert_eq!(bench.places.len(), 1);
    }
}

#[test]
fn tombstones_and_unknown_names_are_none_of_them() {
    let contracts = all();
    let mut bench = Bench::with(&contracts, vec![whole(&contracts)]);
    assert_eq!(bench.tombstone(&Envelope::default()), Ok(None));
    bench.writer(&record("Plaid", r#"{"name":"id","type":"string"}"#));
    assert_eq!(bench.decode(&string("o-1")), Ok(None));
    assert_eq!(bench.unknown.unwrap().name, "shop.Plaid");
}
