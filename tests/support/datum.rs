//! Plain JSON to Avro by an encoder that is not ours, so that a test's bytes are what other writers send.

use apache_avro::Schema;
use apache_avro::schema::{NamesRef, ResolvedSchema};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Days, Decimal, Duration, Millis, Months};
use serde_json::Value as Json;

/// The Avro datum of a plain JSON value: unions without a tag (the first branch that fits), decimals as strings or
/// numbers, timestamps as ISO 8601 in UTC or as the number on the wire, bytes as text, durations as
/// `[months, days, milliseconds]`; a missing field takes its default.
///
/// # Panics
/// Where the value does not fit.
pub fn datum(schema: &Schema, json: &Json) -> Vec<u8> {
    let resolved = ResolvedSchema::new(schema).unwrap();
    let value = value(schema, json, resolved.get_names()).unwrap_or_else(|wrong| panic!("{wrong}"));
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn value(schema: &Schema, json: &Json, names: &NamesRef<'_>) -> Result<Value, String> {
    let fits = match schema {
        Schema::Ref { name } => return value(names[name], json, names),
        Schema::Union(union) => return branch(union.variants(), json, names),
        Schema::Record(record) => return fields(record, json, names),
        Schema::Array(array) => {
            let items = json.as_array().ok_or_else(|| format!("{json} is no array"))?;
            Some(Value::Array(
                items
                    .iter()
                    .map(|item| value(&array.items, item, names))
                    .collect::<Result<_, _>>()?,
            ))
        }
        Schema::Map(map) => {
            let entries = json.as_object().ok_or_else(|| format!("{json} is no map"))?;
            let entry =
                |(key, item): (&String, &Json)| Ok((key.clone(), value(&map.types, item, names)?));
            Some(Value::Map(entries.iter().map(entry).collect::<Result<_, String>>()?))
        }
        _ => scalar(schema, json),
    };
    fits.ok_or_else(|| format!("{json} does not fit {schema:?}"))
}

fn branch(variants: &[Schema], json: &Json, names: &NamesRef<'_>) -> Result<Value, String> {
    let fitting =
        |(index, variant)| Some(Value::Union(index, Box::new(value(variant, json, names).ok()?)));
    (0..)
        .zip(variants)
        .find_map(fitting)
        .ok_or_else(|| format!("{json} fits no branch of {variants:?}"))
}

fn fields(
    record: &apache_avro::schema::RecordSchema,
    json: &Json,
    names: &NamesRef<'_>,
) -> Result<Value, String> {
    let given = json.as_object().ok_or_else(|| format!("{json} is no record {}", record.name))?;
    let unknown = given.keys().find(|key| !record.fields.iter().any(|field| field.name == **key));
    if let Some(key) = unknown {
        return Err(format!("{} has no field {key}", record.name));
    }
    let field = |field: &apache_avro::schema::RecordField| {
        let json = given
            .get(&field.name)
            .or(field.default.as_ref())
            .ok_or(format!("{} is missing", field.name))?;
        Ok((
            field.name.clone(),
            value(&field.schema, json, names)
                .map_err(|wrong| format!("{}: {wrong}", field.name))?,
        ))
    };
    Ok(Value::Record(record.fields.iter().map(field).collect::<Result<_, String>>()?))
}

fn scalar(schema: &Schema, json: &Json) -> Option<Value> {
    let bytes = || Some(json.as_str()?.as_bytes().to_vec());
    let moment = |per_second: i64| json.as_i64().or_else(|| ticks(json.as_str()?, per_second));
    Some(match schema {
        Schema::Null => json.as_null().map(|()| Value::Null)?,
        Schema::Boolean => Value::Boolean(json.as_bool()?),
        Schema::Int => Value::Int(json.as_i64()?.try_into().ok()?),
        Schema::Long => Value::Long(json.as_i64()?),
        Schema::Float => Value::Float(json.as_f64()? as f32),
        Schema::Double => Value::Double(json.as_f64()?),
        Schema::String => Value::String(json.as_str()?.to_owned()),
        Schema::Bytes => Value::Bytes(bytes()?),
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, bytes()?),
        Schema::Enum(symbols) => {
            let index =
                symbols.symbols.iter().position(|symbol| Some(symbol.as_str()) == json.as_str())?;
            Value::Enum(index.try_into().ok()?, symbols.symbols[index].clone())
        }
        Schema::Decimal(decimal) => Value::Decimal(unscaled(json, decimal.scale)?),
        Schema::Uuid(_) => Value::Uuid(json.as_str()?.parse().ok()?),
        Schema::Date => Value::Date(
            json.as_i64()
                .or_else(|| Some(ticks(&format!("{}T00:00:00Z", json.as_str()?), 1)? / 86_400))?
                as i32,
        ),
        Schema::TimeMillis => Value::TimeMillis(json.as_i64()?.try_into().ok()?),
        Schema::TimeMicros => Value::TimeMicros(json.as_i64()?),
        Schema::TimestampMillis => Value::TimestampMillis(moment(1_000)?),
        Schema::TimestampMicros => Value::TimestampMicros(moment(1_000_000)?),
        Schema::TimestampNanos => Value::TimestampNanos(moment(1_000_000_000)?),
        Schema::LocalTimestampMillis => Value::LocalTimestampMillis(moment(1_000)?),
        Schema::LocalTimestampMicros => Value::LocalTimestampMicros(moment(1_000_000)?),
        Schema::LocalTimestampNanos => Value::LocalTimestampNanos(moment(1_000_000_000)?),
        Schema::Duration(_) => {
            let part = |index: usize| json.get(index)?.as_u64()?.try_into().ok();
            Value::Duration(Duration::new(
                Months::new(part(0)?),
                Days::new(part(1)?),
                Millis::new(part(2)?),
            ))
        }
        _ => return None,
    })
}

/// `"12.5"` at scale 2 is 1250, in two's complement without needless bytes, as Java writes it.
fn unscaled(json: &Json, scale: usize) -> Option<Decimal> {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let number: i128 =
        (fraction.len() <= scale).then(|| format!("{whole}{fraction:0<scale$}").parse().ok())??;
    let bytes = number.to_be_bytes();
    let sign = if number < 0 { 0xff } else { 0 };
    let needless =
        bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) < 0x80).count();
    Some(Decimal::from(&bytes[needless..]))
}

/// `2026-01-02T03:04:05.678Z` in ticks since 1970.
fn ticks(text: &str, per_second: i64) -> Option<i64> {
    let (date, time) = text.trim_end_matches('Z').split_once('T')?;
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let days = days_since_1970(date.next()??, date.next()??, date.next()??);
    let second =
        seconds.split(':').try_fold(0, |sum, part| Some(sum * 60 + part.parse::<i64>().ok()?))?;
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    Some((days * 86_400 + second) * per_second + nanos / (1_000_000_000 / per_second))
}

/// Counted in years that begin on 1 March, so that the leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}
