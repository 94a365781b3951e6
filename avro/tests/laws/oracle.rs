//! Random schemas and values: apache-avro writes the bytes, and an independent rendering of the same value says what
//! must be read. One oracle for columns, in the layout that Postgres's `*_recv` functions read, and one for nested
//! JSON.

use std::fmt::Write;

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Days, Decimal, Duration, Millis, Months, Schema};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::common::Bench;

/// A type: its schema, a value of it, and the value's JSON.
#[derive(Debug, Clone)]
struct Sample {
    schema: Json,
    value: Value,
    json: String,
}

fn sample(schema: Json, value: Value, json: impl Into<String>) -> Sample {
    Sample { schema, value, json: json.into() }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Counts days one year after the other; slow and plain.
fn date(mut days: i64) -> String {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut year = 1970;
    while days < 0 {
        year -= 1;
        days += 365 + i64::from(leap(year));
    }
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, days + 1)
}

fn clock(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let text = format!(
        "{:02}:{:02}:{:02}.{:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        micros % 1_000_000
    );
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn moment(micros: i64, zone: &str) -> String {
    let day = 86_400_000_000;
    format!("\"{}T{}{zone}\"", date(micros.div_euclid(day)), clock(micros.rem_euclid(day)))
}

fn logical(ty: &str, logical: &str) -> Json {
    json!({"type": ty, "logicalType": logical})
}

/// `unscaled` with its point, from the text of an integer.
fn decimal(unscaled: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale > 0 { "." } else { "" };
    format!("{}{whole}{point}{fraction}", if unscaled < 0 { "-" } else { "" })
}

fn float(value: f64, shown: String) -> String {
    if value.is_finite() { shown } else { quoted(&shown.replace("inf", "Infinity")) }
}

fn scalars() -> impl Strategy<Value = Sample> {
    let micros = -5_000_000_000_000_000i64..10_000_000_000_000_000;
    prop_oneof![
        any::<bool>().prop_map(|v| sample(json!("boolean"), Value::Boolean(v), v.to_string())),
        any::<i32>().prop_map(|v| sample(json!("int"), Value::Int(v), v.to_string())),
        any::<i64>().prop_map(|v| sample(json!("long"), Value::Long(v), v.to_string())),
        any::<f32>().prop_map(|v| sample(
            json!("float"),
            Value::Float(v),
            float(f64::from(v), v.to_string())
        )),
        any::<f64>().prop_map(|v| sample(
            json!("double"),
            Value::Double(v),
            float(v, v.to_string())
        )),
        any::<String>().prop_map(|v| sample(json!("string"), Value::String(v.clone()), quoted(&v))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|v| {
            let hex = v.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            sample(json!("bytes"), Value::Bytes(v), format!("\"\\\\x{hex}\""))
        }),
        (any::<i64>(), 0usize..9).prop_map(|(v, scale)| {
            let schema =
                json!({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": scale});
            sample(
                schema,
                Value::Decimal(Decimal::from(v.to_be_bytes())),
                decimal(i128::from(v), scale),
            )
        }),
        any::<u128>().prop_map(|v| {
            let uuid = uuid::Uuid::from_u128(v);
            sample(logical("string", "uuid"), Value::Uuid(uuid), quoted(&uuid.to_string()))
        }),
        (-50_000i32..100_000).prop_map(|v| sample(
            logical("int", "date"),
            Value::Date(v),
            quoted(&date(v.into()))
        )),
        (0i32..86_400_000).prop_map(|v| {
            sample(
                logical("int", "time-millis"),
                Value::TimeMillis(v),
                quoted(&clock(i64::from(v) * 1000)),
            )
        }),
        (0i64..86_400_000_000).prop_map(|v| sample(
            logical("long", "time-micros"),
            Value::TimeMicros(v),
            quoted(&clock(v))
        )),
        micros.clone().prop_map(|v| {
            let millis = v / 1000;
            sample(
                logical("long", "timestamp-millis"),
                Value::TimestampMillis(millis),
                moment(millis * 1000, "+00:00"),
            )
        }),
        micros.clone().prop_map(|v| {
            sample(
                logical("long", "timestamp-micros"),
                Value::TimestampMicros(v),
                moment(v, "+00:00"),
            )
        }),
        any::<i64>().prop_map(|v| {
            sample(
                logical("long", "timestamp-nanos"),
                Value::TimestampNanos(v),
                moment(v.div_euclid(1000), "+00:00"),
            )
        }),
        micros.prop_map(|v| {
            sample(
                logical("long", "local-timestamp-micros"),
                Value::LocalTimestampMicros(v),
                moment(v, ""),
            )
        }),
    ]
}

/// Named types take their names from a counter that `number` fills in, as one name may stand once in a schema.
fn named() -> impl Strategy<Value = Sample> {
    prop_oneof![
        (0usize..3).prop_map(|v| {
            let symbols = ["A", "B", "C"];
            let schema = json!({"type": "enum", "name": "N", "symbols": symbols});
            sample(schema, Value::Enum(v as u32, symbols[v].to_owned()), quoted(symbols[v]))
        }),
        (0u32..40, 0u32..60, 0u32..2).prop_map(|(months, days, seconds)| {
            let duration =
                Duration::new(Months::new(months), Days::new(days), Millis::new(seconds * 1000));
            let schema =
                json!({"type": "fixed", "name": "N", "size": 12, "logicalType": "duration"});
            let unit = |count: u32, name: &str| match count {
                0 => String::new(),
                1 => format!("1 {name} "),
                many => format!("{many} {name}s "),
            };
            let text =
                [unit(months / 12, "year"), unit(months % 12, "mon"), unit(days, "day")].concat();
            let time = if seconds > 0 || text.is_empty() {
                format!("00:00:0{seconds}")
            } else {
                String::new()
            };
            sample(schema, Value::Duration(duration), quoted(format!("{text}{time}").trim()))
        }),
    ]
}

fn values() -> impl Strategy<Value = Sample> {
    prop_oneof![4 => scalars(), 1 => named()].prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0usize..3).prop_map(|(item, count)| {
                let json = vec![item.json; count].join(",");
                sample(
                    json!({"type": "array", "items": item.schema}),
                    Value::Array(vec![item.value; count]),
                    format!("[{json}]"),
                )
            }),
            (inner.clone(), any::<String>()).prop_map(|(item, key)| {
                let json = format!("{{{}:{}}}", quoted(&key), item.json);
                sample(
                    json!({"type": "map", "values": item.schema}),
                    Value::Map([(key, item.value)].into()),
                    json,
                )
            }),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|fields| {
                let name = |place: usize| format!("f{place}");
                let schema = fields
                    .iter()
                    .enumerate()
                    .map(|(place, field)| json!({"name": name(place), "type": field.schema}));
                let json: Vec<String> = fields
                    .iter()
                    .enumerate()
                    .map(|(place, field)| format!("\"f{place}\":{}", field.json))
                    .collect();
                sample(
                    json!({"type": "record", "name": "N", "fields": schema.collect::<Vec<_>>()}),
                    Value::Record(
                        fields
                            .iter()
                            .enumerate()
                            .map(|(place, field)| (name(place), field.value.clone()))
                            .collect(),
                    ),
                    format!("{{{}}}", json.join(",")),
                )
            }),
            (inner, any::<bool>(), any::<bool>()).prop_filter_map(
                "unions hold no unions",
                |(item, first, null)| {
                    let place = usize::from(first);
                    let mut branches = vec![item.schema.clone()];
                    branches.insert(place ^ 1, json!("null"));
                    let value = if null { Value::Null } else { item.value };
                    let branch = if null { place ^ 1 } else { place };
                    let json = if null { "null".to_owned() } else { item.json };
                    let schema = Json::Array(branches);
                    (!item.schema.is_array())
                        .then(|| sample(schema, Value::Union(branch as u32, Box::new(value)), json))
                }
            ),
        ]
    })
}

/// Gives every named type a name of its own.
fn number(schema: &mut Json, next: &mut usize) {
    match schema {
        Json::Object(members) => {
            if members.get("name").is_some_and(|name| name == "N") {
                *next += 1;
                members.insert("name".to_owned(), json!(format!("N{next}")));
            }
            members.values_mut().for_each(|member| number(member, next));
        }
        Json::Array(items) => items.iter_mut().for_each(|item| number(item, next)),
        _ => {}
    }
}

/// A column's binary value as JSON, read as Postgres reads it; only the types whose reading needs no calendar.
fn read_column(schema: &Json, bytes: &[u8]) -> Option<String> {
    let four = || <[u8; 4]>::try_from(bytes).unwrap();
    let eight = || <[u8; 8]>::try_from(bytes).unwrap();
    let micros_2000 = 946_684_800_000_000;
    Some(match (schema.as_str(), schema.get("logicalType").and_then(Json::as_str)) {
        (Some("boolean"), _) => (bytes == [1]).to_string(),
        (Some("int"), _) => i32::from_be_bytes(four()).to_string(),
        (Some("long"), _) => i64::from_be_bytes(eight()).to_string(),
        (Some("float"), _) => {
            let value = f32::from_be_bytes(four());
            float(f64::from(value), value.to_string())
        }
        (Some("double"), _) => {
            let value = f64::from_be_bytes(eight());
            float(value, value.to_string())
        }
        (Some("string"), _) => quoted(std::str::from_utf8(bytes).unwrap()),
        (_, Some("uuid")) => quoted(&uuid::Uuid::from_slice(bytes).unwrap().to_string()),
        (_, Some("date")) => quoted(&date(i64::from(i32::from_be_bytes(four())) + 10_957)),
        (_, Some("time-millis" | "time-micros")) => quoted(&clock(i64::from_be_bytes(eight()))),
        (_, Some("local-timestamp-micros")) => {
            moment(i64::from_be_bytes(eight()) + micros_2000, "")
        }
        (_, Some(name)) if name.starts_with("timestamp") => {
            moment(i64::from_be_bytes(eight()) + micros_2000, "+00:00")
        }
        (_, Some("decimal" | "duration")) => return None,
        _ if schema.get("symbols").is_some() => quoted(std::str::from_utf8(bytes).unwrap()),
        (Some("bytes"), _) => return None,
        _ => std::str::from_utf8(bytes).unwrap().strip_prefix('\u{1}').unwrap().to_owned(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// The field stands alone, where it is a column, and within a record, where it is JSON.
    #[test]
    fn what_is_read_is_what_was_written(field in values()) {
        let mut schema = json!({"type": "record", "name": "Placed", "namespace": "shop", "fields": [
            {"name": "id", "type": "string"},
            {"name": "x", "type": field.schema},
            {"name": "y", "type": {"type": "record", "name": "Y", "fields": [{"name": "z", "type": field.schema}]}},
        ]});
        number(&mut schema, &mut 0);
        let text = schema.to_string();
        let parsed = Schema::parse_str(&text).unwrap();
        let value = Value::Record(vec![
            ("id".into(), Value::String("o".into())),
            ("x".into(), field.value.clone()),
            ("y".into(), Value::Record(vec![("z".into(), field.value.clone())])),
        ]);
        let datum = GenericDatumWriter::builder(&parsed).build().unwrap().write_value_to_vec(value).unwrap();
        let mut bench = Bench::of(&[&text], &[]);
        bench.writer(&text);
        let row = bench.decode(&datum).unwrap().unwrap();
        prop_assert_eq!(row.json("y").unwrap(), format!("{{\"z\":{}}}", field.json));
        let single = match &field.schema {
            Json::Array(branches) => branches.iter().find(|branch| **branch != "null").unwrap(),
            other => other,
        };
        match &row.columns["x"] {
            None => prop_assert_eq!("null", field.json),
            Some(bytes) => {
                if let Some(read) = read_column(single, bytes) {
                    prop_assert_eq!(read, field.json);
                }
            }
        }
        let mut narrow = Bench::of(&[r#"{"type":"record","name":"Placed","namespace":"shop","fields":[{"name":"id","type":"string"}]}"#], &[]);
        narrow.writer(&text);
        prop_assert!(narrow.decode(&datum).unwrap().is_some(), "what is not wanted is skipped to the last byte");
    }
}
