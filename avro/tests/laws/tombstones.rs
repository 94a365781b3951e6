//! Records without a value: a relation of each context, of metadata, of the key's field, and of what a field cannot say.

use vitrina_avro::{ColumnType, Contracts, Layout};
use vitrina_sql::Relations;

use crate::common::{
    Bench, CONTEXT, Envelope, Row, borrowed, contracts, long, placed, record, string,
};

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
fn its_columns_are_the_key_and_the_metadata_and_it_is_no_contract() {
    let contracts = shop("");
    let columns = contracts.columns("shop", "tombstone").unwrap();
    assert_eq!(
        (&columns[..2], &columns[3][..], columns.len()),
        (&["id".to_owned(), "_event_id".to_owned()][..], "_key", 11)
    );
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
    let contracts = shop("");
    let columns = ["_key".to_owned(), "_key_bytes".to_owned()].into();
    let metadata = Layout::new(contracts.relation("shop", "tombstone").unwrap(), Some(&columns));
    for (key, text) in [(&b"\0\0\0\0\x07\x02a"[..], None), (b"\xff\0", None), (b"", Some(""))] {
        let mut bench = Bench::with(&contracts, vec![metadata.clone()]);
        let key = Some(key);
        let row = bench.tombstone(&Envelope { key, ..Envelope::default() }).unwrap().unwrap();
        assert_eq!(row.text("_key").as_deref(), text);
        assert_eq!(row.columns["_key_bytes"].as_deref(), key);
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

const UUID: &str = r#"{"type":"string","logicalType":"uuid"}"#;
const TEXT: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// What a key gives for a field of a type: Avro types as JSON, and the schema that the key was written with, of number 1.
fn key(
    field: &str,
    schema: &str,
    key: &[u8],
    headers: &[(&str, Option<&[u8]>)],
) -> Result<Option<Vec<u8>>, String> {
    let event = record("Placed", &format!(r#"{{"name":"orderId","type":{field}}}"#));
    let toml = CONTEXT.replace("\"id\"", "\"orderId\"");
    let contracts = contracts(&[("shop/context.toml", &toml), ("shop/placed/v1.avsc", &event)]);
    let mut bench = Bench::with(&contracts, vec![layout(&contracts, "tombstone")]);
    bench.writer(schema);
    let row = bench.tombstone(&Envelope { key: Some(key), headers, ..Envelope::default() });
    let row = row.map_err(|error| error.to_string())?.unwrap();
    assert_eq!(row.columns["_key_bytes"].as_deref(), Some(key));
    Ok(row.columns["orderid"].clone())
}

fn framed(datum: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, 1], datum].concat()
}

fn of_record(fields: &str) -> String {
    record("Key", fields)
}

#[test]
fn a_key_gives_its_field_as_text_and_as_avro() {
    let bytes = 0x00112233_4455_6677_8899_aabbccddeeff_u128.to_be_bytes();
    let seven = 7i64.to_be_bytes();
    let fixed = r#"{"type":"fixed","name":"F","size":2}"#;
    let symbols = r#"{"type":"enum","name":"E","symbols":["A","B"]}"#;
    let wide = r#"{"name":"tags","type":{"type":"array","items":"string"}},{"name":"orderId","type":"long"},
        {"name":"region","type":["null","string"]}"#;
    let in_wide = [&[2, 2, b't', 0][..], &long(7), &[2, 2, b'r']].concat();
    let cases: [(&str, &str, &[u8], &[u8]); 14] = [
        (r#""string""#, r#""string""#, b"a-1", b"a-1"),
        (r#""string""#, r#""string""#, b"", b""),
        (r#""string""#, r#""string""#, &framed(&string("a-1")), b"a-1"),
        (
            r#""string""#,
            r#"["null","string"]"#,
            &framed(&[&[2][..], &string("a-1")].concat()),
            b"a-1",
        ),
        (r#""string""#, symbols, &framed(&[2]), b"B"),
        (symbols, r#""string""#, &framed(&string("C")), b"C"),
        (r#""bytes""#, fixed, &framed(&[7, 8]), &[7, 8]),
        (UUID, r#""string""#, TEXT.as_bytes(), &bytes),
        (UUID, UUID, &framed(&string(TEXT)), &bytes),
        (UUID, r#""string""#, &framed(&string(TEXT)), &bytes),
        (r#""long""#, r#""int""#, b"7", &seven),
        (r#"["null","long"]"#, r#""int""#, &framed(&long(7)), &seven),
        (r#""long""#, &of_record(wide), &framed(&in_wide), &seven),
        (r#""long""#, &of_record(r#"{"name":"ORDERID","type":"long"}"#), &framed(&long(7)), &seven),
    ];
    for (field, schema, bytes, value) in cases {
        let given = key(field, schema, bytes, &[]);
        assert_eq!(given, Ok(Some(value.to_vec())), "{field} from {schema} {bytes:?}");
    }
    // The header says which schema it is.
    let headers: &[(&str, Option<&[u8]>)] = &[("__key_schema_id", Some(&[0, 0, 0, 0, 1]))];
    assert_eq!(key(r#""long""#, r#""long""#, &long(7), headers), Ok(Some(seven.to_vec())));
    assert_eq!(key(r#""string""#, r#""string""#, &string("a"), headers), Ok(Some(b"a".to_vec())));
}

#[test]
fn a_key_that_gives_no_value_is_an_error_that_names_the_column() {
    let cases: [(&str, &str, &[u8], &str); 14] = [
        (
            r#""long""#,
            r#""long""#,
            b"07",
            r#""07" is not what Postgres writes for any value of type int8"#,
        ),
        (r#""long""#, r#""long""#, b"", r#""" is not what"#),
        (
            UUID,
            UUID,
            &TEXT.to_uppercase().into_bytes(),
            "is not what Postgres writes for any value of type uuid",
        ),
        (r#""string""#, r#""string""#, b"a\0", "neither a text nor framed as Avro"),
        (r#""string""#, r#""string""#, b"\xff", "neither a text nor framed as Avro"),
        (r#""long""#, r#""long""#, &[0, 0, 0, 7], "the key has 4 bytes"),
        (
            r#""long""#,
            r#""long""#,
            &7i64.to_be_bytes(),
            "the schema 0 of this record has not been fetched",
        ),
        (
            r#""long""#,
            r#""string""#,
            &framed(&string("7")),
            "it is written as string, which is no int8",
        ),
        (r#""int""#, r#""long""#, &framed(&long(7)), "it is written as long, which is no int4"),
        (
            r#""long""#,
            &of_record(r#"{"name":"id","type":"long"}"#),
            &framed(&long(7)),
            "it is written as record shop.Key",
        ),
        (r#""long""#, r#"["null","long"]"#, &framed(&[0]), "it is null there"),
        (r#""long""#, r#""long""#, &framed(&[]), "byte 0 of the payload"),
        (r#""long""#, r#""long""#, &framed(&[14, 14]), "byte 1 of the payload"),
        (UUID, UUID, &framed(&string("x")), "is not a uuid"),
    ];
    for (field, schema, bytes, what) in cases {
        let error = key(field, schema, bytes, &[]).unwrap_err();
        assert!(error.contains(what), "{field} from {schema} {bytes:?}: {error}");
        let named = error.starts_with("the key does not give `orderid`: ");
        assert!(named || error.starts_with("the schema 0"), "{error}");
    }
    let headers: &[(&str, Option<&[u8]>)] = &[("__key_schema_id", Some(&[3]))];
    let error = key(r#""long""#, r#""long""#, &long(7), headers).unwrap_err();
    assert!(error.contains("the header __key_schema_id has 1 bytes"), "{error}");
}

#[test]
fn the_key_has_a_column_where_all_events_agree_on_its_type() {
    let event = |name: &str, ty: &str| record(name, &format!(r#"{{"name":"id","type":{ty}}}"#));
    let of = |types: &[&str]| {
        let schemas = types
            .iter()
            .enumerate()
            .map(|(place, ty)| (format!("shop/e{place}/v1.avsc"), event(&format!("E{place}"), ty)));
        let context = [("shop/context.toml".to_owned(), CONTEXT.to_owned())];
        let texts: Vec<(String, String)> = context.into_iter().chain(schemas).collect();
        contracts(&borrowed(&texts))
    };
    let column = |contracts: &Contracts| {
        let columns = &contracts.relation("shop", "tombstone").unwrap().newest().columns;
        columns.first().map(|column| (column.ty, column.nullable))
    };
    let symbols = r#"{"type":"enum","name":"E","symbols":["A"]}"#;
    assert_eq!(column(&of(&[UUID])), Some((ColumnType::Uuid, true)));
    assert_eq!(column(&of(&[r#""string""#, symbols])), Some((ColumnType::Text, true)));
    let torn = of(&[r#""int""#, r#""long""#]);
    assert_eq!(column(&torn), None);
    let why = torn.why_absent("shop", "tombstone", "id").unwrap();
    assert_eq!(why, "`id` is int4 in shop.e0 and int8 in shop.e1");
    assert_eq!(torn.why_absent("shop", "tombstone", "ids"), None);
    assert_eq!(column(&of(&[])), None);
}
