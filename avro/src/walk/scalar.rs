//! How one writer's scalar becomes a value of one contract's scalar: the table of promotions, and the reading of each.
//! A value is read by the writer's logical type, and only where its meaning in SQL stays the same.

use uuid::Uuid;

use crate::schema::node::{Enumeration, Node, narrow};
use crate::value::Value;
use crate::value::ascii;
use crate::value::calendar;
use crate::value::calendar::Unit;
use crate::value::column::Values;
use crate::value::numeric::Decimal;
use crate::walk::cursor::Cursor;
use crate::walk::fault::Parse;

#[derive(Debug, Clone)]
#[repr(u8)]
pub(crate) enum Scalar {
    Boolean,
    Int(Number),
    Long(Number),
    Float(Number),
    Double,
    Text,
    Bytes,
    Fixed(usize),
    Symbols(Vec<Symbol>),
    Decimal { size: Option<usize>, precision: u16, scale: u16, shown: u16 },
    Uuid { fixed: bool, text: bool },
    Date,
    TimeMillis,
    TimeMicros,
    Timestamp { unit: Unit, zoned: bool },
    Duration,
}

/// What an integer or float becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Int4,
    Int8,
    Float4,
    Float8,
}

/// A writer's symbol, and the contract's symbol for it.
#[derive(Debug, Clone)]
pub(crate) struct Symbol {
    written: String,
    known: Option<String>,
}

impl Scalar {
    /// How a value of `writer` becomes one of `version`; `None` where it does not promote.
    pub(crate) fn promote(writer: &Node, version: &Node) -> Option<Self> {
        Some(match (writer, version) {
            (Node::Boolean, Node::Boolean) => Self::Boolean,
            (Node::Int, number) => Self::Int(Number::of(number)?),
            (Node::Long, number) => {
                Self::Long(Number::of(number).filter(|&number| number != Number::Int4)?)
            }
            (Node::Float, Node::Float) => Self::Float(Number::Float4),
            (Node::Float, Node::Double) => Self::Float(Number::Float8),
            (Node::Double, Node::Double) => Self::Double,
            (Node::String | Node::Bytes, Node::String) => Self::Text,
            (Node::String | Node::Bytes, Node::Bytes) => Self::Bytes,
            (Node::Fixed(writer, size), Node::Fixed(version, wanted))
                if size == wanted && version.accepts(writer) =>
            {
                Self::Fixed(*size)
            }
            (Node::Enum(writer), Node::Enum(version)) if version.name.accepts(&writer.name) => {
                Self::Symbols(symbols(writer, version))
            }
            (
                Node::Decimal { size, precision, scale },
                Node::Decimal { precision: wanted_precision, scale: wanted_scale, .. },
            ) if scale <= wanted_scale
                && precision.saturating_sub(*scale)
                    <= wanted_precision.saturating_sub(*wanted_scale) =>
            {
                Self::Decimal {
                    size: *size,
                    precision: narrow(*precision),
                    scale: narrow(*scale),
                    shown: narrow(*wanted_scale),
                }
            }
            (Node::Uuid { fixed }, Node::Uuid { .. }) => Self::Uuid { fixed: *fixed, text: false },
            (Node::Uuid { fixed }, Node::String) => Self::Uuid { fixed: *fixed, text: true },
            (Node::String, Node::Uuid { .. }) => Self::Uuid { fixed: false, text: false },
            (Node::Date, Node::Date) => Self::Date,
            (Node::TimeMillis, Node::TimeMillis | Node::TimeMicros) => Self::TimeMillis,
            (Node::TimeMicros, Node::TimeMillis | Node::TimeMicros) => Self::TimeMicros,
            (Node::Timestamp { unit, zoned }, Node::Timestamp { zoned: wanted, .. })
                if zoned == wanted =>
            {
                Self::Timestamp { unit: *unit, zoned: *zoned }
            }
            (Node::Duration, Node::Duration) => Self::Duration,
            _ => return None,
        })
    }

    /// Reads the next value and hands it on.
    pub(crate) fn read<'a>(&'a self, cursor: &mut Cursor<'a>, sink: impl Sink<'a>) -> Parse<()> {
        match self {
            Self::Boolean => sink.put(Value::Boolean(cursor.boolean()?)),
            Self::Int(Number::Int4) => sink.put(Value::Int4(cursor.int()?)),
            Self::Int(number) => sink.put(number.value(i64::from(cursor.int()?))),
            Self::Long(number) => sink.put(number.value(cursor.long()?)),
            Self::Float(Number::Float8) => {
                sink.put(Value::Float8(f64::from(f32::from_le_bytes(cursor.array()?))))
            }
            Self::Float(_) => sink.put(Value::Float4(f32::from_le_bytes(cursor.array()?))),
            Self::Double => sink.put(Value::Float8(f64::from_le_bytes(cursor.array()?))),
            Self::Text => {
                let bytes = cursor.bytes()?;
                sink.put_text(bytes, *cursor)?;
            }
            Self::Bytes => sink.put(Value::Bytea(cursor.bytes()?)),
            Self::Fixed(size) => sink.put(Value::Bytea(cursor.take(*size)?)),
            Self::Symbols(symbols) => sink.put(Value::Text(symbol(symbols, cursor)?)),
            Self::Decimal { size, precision, scale, shown } => {
                let bytes = match size {
                    None => cursor.bytes()?,
                    Some(size) => cursor.take(*size)?,
                };
                match Decimal::new(bytes, *precision, *scale, *shown) {
                    Some(decimal) => sink.put(Value::Numeric(decimal)),
                    None => {
                        let length = bytes.len();
                        return Err(cursor.fault(format!(
                            "a decimal of more than its {precision} digits ({length} bytes)"
                        )));
                    }
                }
            }
            Self::Uuid { fixed, text } => {
                let uuid =
                    if *fixed { Uuid::from_bytes(cursor.array()?) } else { parse_uuid(cursor)? };
                sink.put(if *text { Value::UuidText(uuid) } else { Value::Uuid(uuid) });
            }
            Self::Duration => sink.put(duration(cursor)?),
            Self::Date => {
                let days = cursor.int()?;
                sink.put(Value::Date(possible(calendar::date(days), days, *cursor)?));
            }
            Self::TimeMillis => {
                let millis = cursor.int()?;
                sink.put(Value::Time(possible(
                    calendar::time(i64::from(millis) * 1000),
                    millis,
                    *cursor,
                )?));
            }
            Self::TimeMicros => {
                let micros = cursor.long()?;
                sink.put(Value::Time(possible(calendar::time(micros), micros, *cursor)?));
            }
            Self::Timestamp { unit, zoned } => {
                let raw = cursor.long()?;
                let micros = possible(calendar::timestamp(raw, *unit), raw, *cursor)?;
                sink.put(if *zoned {
                    Value::Timestamptz(micros)
                } else {
                    Value::Timestamp(micros)
                });
            }
        }
        Ok(())
    }
}

/// Where values go. The reader is compiled once for each, so that what it has read is written where it goes at once:
/// a `Value` in memory, stored in parts and loaded whole, cost as much as the reading.
pub(crate) trait Sink<'a> {
    fn put(self, value: Value<'a>);

    /// Takes the bytes just read, which should be UTF-8.
    fn put_text(self, bytes: &'a [u8], cursor: Cursor<'a>) -> Parse<()>;
}

impl<'a> Sink<'a> for &mut Value<'a> {
    fn put(self, value: Value<'a>) {
        *self = value;
    }

    fn put_text(self, bytes: &'a [u8], cursor: Cursor<'a>) -> Parse<()> {
        *self = Value::Text(cursor.utf8(bytes)?);
        Ok(())
    }
}

impl<'a> Sink<'a> for &mut Values {
    #[inline(always)]
    fn put(self, value: Value<'a>) {
        value.push(self);
    }

    #[inline(always)]
    fn put_text(self, bytes: &'a [u8], cursor: Cursor<'a>) -> Parse<()> {
        // Most texts are ASCII, which is told sooner.
        if !ascii::is_ascii(bytes) {
            cursor.utf8(bytes)?;
        }
        self.push_bytes(bytes);
        Ok(())
    }
}

/// A moment of the calendar, made from `raw`.
fn possible<T>(moment: Option<T>, raw: impl std::fmt::Display, cursor: Cursor<'_>) -> Parse<T> {
    moment.ok_or_else(|| cursor.fault(format!("{raw} is no date or time that Postgres can hold")))
}

impl Number {
    fn of(node: &Node) -> Option<Self> {
        match node {
            Node::Int => Some(Self::Int4),
            Node::Long => Some(Self::Int8),
            Node::Float => Some(Self::Float4),
            Node::Double => Some(Self::Float8),
            _ => None,
        }
    }

    /// An `Int4` is only made of an int, so nothing is cut off.
    fn value(self, value: i64) -> Value<'static> {
        match self {
            Self::Int4 => Value::Int4(value as i32),
            Self::Int8 => Value::Int8(value),
            Self::Float4 => Value::Float4(value as f32),
            Self::Float8 => Value::Float8(value as f64),
        }
    }
}

fn symbols(writer: &Enumeration, version: &Enumeration) -> Vec<Symbol> {
    let known = |symbol: &String| {
        let known = version.symbols.contains(symbol);
        if known { Some(symbol.clone()) } else { version.default.clone() }
    };
    writer
        .symbols
        .iter()
        .map(|symbol| Symbol { written: symbol.clone(), known: known(symbol) })
        .collect()
}

fn symbol<'a>(symbols: &'a [Symbol], cursor: &mut Cursor<'a>) -> Parse<&'a str> {
    let symbol = &symbols[cursor.index(symbols.len(), "symbol")?];
    let unknown = || {
        cursor.fault(format!(
            "the symbol {} is not one of the contract's, and its enum has no default",
            symbol.written
        ))
    };
    symbol.known.as_deref().ok_or_else(unknown)
}

fn parse_uuid(cursor: &mut Cursor<'_>) -> Parse<Uuid> {
    let text = cursor.text()?;
    Uuid::try_parse(text).map_err(|_| cursor.fault(format!("{:?} is not a uuid", shorten(text))))
}

/// Enough of a text to recognise it by.
fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

fn duration<'a>(cursor: &mut Cursor<'a>) -> Parse<Value<'a>> {
    let mut part = || cursor.array().map(u32::from_le_bytes);
    let (months, days, millis) = (part()?, part()?, part()?);
    let narrow = |count: u32| {
        i32::try_from(count)
            .map_err(|_| cursor.fault(format!("a duration of {count} months or days")))
    };
    Ok(Value::Interval {
        months: narrow(months)?,
        days: narrow(days)?,
        micros: i64::from(millis) * 1000,
    })
}
