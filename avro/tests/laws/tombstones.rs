//! Records without a value: a relation of each context, of metadata alone, and of what a field cannot say.

use vitrina_avro::{Contracts, Layout};
use vitrina_sql::Relations;

use crate::common::{Bench, CONTEXT, Envelope, Row, contracts, placed, string};

const FIELDS: &str = "event_id = \"eid\"\ntime = \"at\"\ncorrelation_id = \"eid\"\n";

/// The shop, with these settings of its context.
fn shop(settings: &str) -> Contracts {
    let fields = r#"{"name":"eid","type":"string"},{"name":"at","type":"string"}"#;
    let toml = format!("{CONTEXT}{settings}");
    contracts(&[("shop/context.toml", &toml), ("shop/placed/v1.avsc", &placed(fields))])
}

fn layout(contracts: &Contracts, event: &str) -> Layout {
    Layout::new(contracts.relation("shop", event).unwrap(), None)
}

fn row(settings: &str, envelope: &Envelope<'_>) -> Result<Row, String> {
    let contracts = shop(settings);
    let mut bench = Bench::with(&contracts, vec![layout(&contracts, "tombstone")]);
    bench.tombstone(envelope).map(Option::unwrap).map_err(|error| error.to_string())
}

#[test]
fn its_columns_are_the_metadata_and_it_is_no_contract() {
    let contracts = shop("");
    let columns = contracts.columns("shop", "tombstone").unwrap();
    assert_eq!((&columns[0][..], &columns[2][..], columns.len()), ("_event_id", "_key", 10));
    assert_eq!(contracts.columns("shops", "tombstone"), None);
    assert!(contracts.contract("shop", "tombstone").is_none());
    let key = ["_key".to_owned()].into();
    let layout = Layout::new(contracts.relation("shop", "tombstone").unwrap(), Some(&key));
    let sql = r#"(SELECT "_key", "_ordinal" FROM unnest($3::text[], $4::int8[]) AS "v1"("_key", "_ordinal"))"#;
    assert_eq!(layout.relation_sql(3), sql);
}

#[test]
fn what_would_be_in_a_field_comes_from_headers_and_the_record() {
    let headers: &[(&str, Option<&[u8]>)] = &[
        ("ce_id", Some(b"t-1")),
        ("ce_time", Some(b"1970-01-01T00:00:02Z")),
        ("ce_correlationid", Some(b"c-1")),
        ("x", Some(b"x-1")),
    ];
    let envelope = Envelope { key: Some(b"o-1"), timestamp_ms: Some(9000), headers };
    let known = |id: &str| Some(("tombstone".to_owned(), id.as_bytes().to_vec()));
    for settings in ["", FIELDS] {
        let row = row(settings, &envelope).unwrap();
        assert_eq!(
            (row.version, &row.identity, row.time_micros()),
            (0, &known("t-1"), Some(2_000_000)),
            "{settings}"
        );
        let text = |column: &str| row.text(column).unwrap();
        assert_eq!(
            (text("_key"), text("_event_id"), text("_correlation_id")),
            ("o-1".into(), "t-1".into(), "c-1".into())
        );
        assert_eq!((text("_topic"), row.text("_causation_id")), ("shop.events".into(), None));
        assert_eq!(row.columns["_ordinal"], Some(1i64.to_be_bytes().to_vec()));
    }
    assert_eq!(row("event_id = \"header:x\"", &envelope).unwrap().identity, known("x-1"));
    let bare = Envelope { headers: &[], ..envelope };
    let bare = row(FIELDS, &bare).unwrap();
    assert_eq!(
        (bare.identity.clone(), bare.time_micros()),
        (None, Some(9_000_000)),
        "never a duplicate"
    );
    assert_eq!(bare.text("_event_id").as_deref(), Some("shop.events/3/1842"));
    let keyless = row("", &Envelope::default()).unwrap();
    assert_eq!(keyless.text("_key"), None);
    // Avro-framed, binary, and empty ones.
    for (key, text) in [(&b"\0\0\0\0\x07\x02a"[..], None), (b"\xff\0", None), (b"", Some(""))] {
        let row = row("", &Envelope { key: Some(key), ..Envelope::default() }).unwrap();
        assert_eq!(row.text("_key").as_deref(), text);
        assert_eq!(row.columns["_key_bytes"].as_deref(), Some(key));
    }
}

#[test]
fn they_go_to_their_topics_relation_and_nowhere_else() {
    let contracts = shop("");
    let schema = placed(r#"{"name":"eid","type":"string"},{"name":"at","type":"string"}"#);
    let datum = [string("o-1"), string("e-1"), string("")].concat();
    let mut events = Bench::with(&contracts, vec![layout(&contracts, "placed")]);
    assert_eq!(events.tombstone(&Envelope::default()), Ok(None), "no rule names them");
    let mut both = Bench::with(
        &contracts,
        vec![layout(&contracts, "placed"), layout(&contracts, "tombstone")],
    );
    both.writer(&schema);
    assert_eq!(both.decode(&datum).unwrap().unwrap().text("id").as_deref(), Some("o-1"));
    assert!(both.tombstone(&Envelope::default()).unwrap().is_some());
    assert_eq!((both.rows[0][0].len(), both.rows[1][0].len()), (1, 1));
    let mut alone = Bench::with(&contracts, vec![layout(&contracts, "tombstone")]);
    alone.writer(&schema);
    assert_eq!(alone.decode(&datum), Ok(None));
    let elsewhere = CONTEXT.replace("shop.events", "other.events");
    let elsewhere = self::contracts(&[("shop/context.toml", &elsewhere)]);
    let mut elsewhere = Bench::with(&elsewhere, vec![layout(&elsewhere, "tombstone")]);
    assert_eq!(elsewhere.tombstone(&Envelope::default()), Ok(None));
}
