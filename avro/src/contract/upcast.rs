//! How each version becomes the next: every column has exactly one source, written, carried over or the schema's
//! default, and a column without one is a finding.

use std::collections::BTreeSet;

use vitrina_sql::{Finding, Place, Upcast, UpcastItem, quote_literal};

use crate::contract::carry::Carry;
use crate::contract::literal;
use crate::contract::{ColumnSource, METADATA, Version};
use crate::hint::hint;
use crate::schema::node::Field;
use crate::value::column::Column;

/// A warning where a value of type `from` may lose something in the cast of an item to its field's type `to`: digits
/// after the point, or the time of a day.
pub fn lossy_cast(file: &str, item: &UpcastItem, from: &str, to: &str) -> Option<Finding> {
    let kind = |sql: &str| {
        let base = sql.split('(').next().unwrap_or_default().trim().to_lowercase();
        match base.as_str() {
            "numeric" => Kind::Numeric(scale(sql)),
            "float4" | "real" => Kind::Float(4),
            "float8" | "double precision" => Kind::Float(8),
            "int2" | "int4" | "int8" | "smallint" | "integer" | "bigint" => Kind::Whole,
            "date" => Kind::Date,
            "time" | "time without time zone" => Kind::Time,
            name if name.starts_with("timestamp") => Kind::Timestamp,
            _ => Kind::Other,
        }
    };
    let lossy = match (kind(from), kind(to)) {
        (Kind::Numeric(Some(from)), Kind::Numeric(Some(to))) => to < from,
        (Kind::Numeric(None) | Kind::Float(_), Kind::Numeric(Some(_))) => true,
        (Kind::Numeric(scale), Kind::Whole) => scale != Some(0),
        (Kind::Float(_), Kind::Whole) | (Kind::Numeric(_), Kind::Float(_)) => true,
        (Kind::Float(from), Kind::Float(to)) => to < from,
        (Kind::Timestamp, Kind::Date | Kind::Time) => true,
        _ => false,
    };
    lossy.then(|| {
        let what = format!("`{}` is {to} and is given {from}, which may lose a part", item.name);
        let help = format!("write ({})::{to} if that is meant", item.expr);
        Finding::warning(file, item.at, what, help)
    })
}

enum Kind {
    /// With its scale, where it has one.
    Numeric(Option<i32>),
    /// With its bytes.
    Float(u8),
    Whole,
    Timestamp,
    Date,
    Time,
    Other,
}

fn scale(numeric: &str) -> Option<i32> {
    let (_, inside) = numeric.split_once('(')?;
    let inside = inside.trim_end_matches(')');
    inside.split_once(',').map_or(Some(0), |(_, scale)| scale.trim().parse().ok())
}

/// One version and what the one before it is.
pub(crate) struct VersionStep<'a> {
    /// The event relation's name.
    pub(crate) relation: &'a str,
    pub(crate) file: &'a str,
    pub(crate) older: &'a Version,
    pub(crate) newer: &'a Version,
}

impl VersionStep<'_> {
    /// The sources of the newer version's columns, in their order, and the items that were written; all findings at
    /// once.
    pub(crate) fn sources(&self, text: &str) -> (Vec<ColumnSource>, Vec<UpcastItem>, Vec<Finding>) {
        let from = format!("v{}", self.older.number);
        let known: Vec<String> =
            self.older.columns.iter().map(|column| column.name.clone()).collect();
        let metadata = METADATA.iter().map(|(name, _)| (*name).to_owned());
        let readable: Vec<String> = known.into_iter().chain(metadata).collect();
        let (upcast, mut findings) = Upcast::parse(self.file, text, &from, &readable);
        let Some(upcast) = upcast else { return (Vec::new(), Vec::new(), findings) };
        for item in &upcast.items {
            match self.newer.columns.iter().find(|column| column.name == item.name) {
                Some(column) => findings.extend(self.lossy(column, item)),
                None => findings.push(self.no_such_field(item)),
            }
        }
        let mut sources = Vec::new();
        for (column, field) in self.newer.columns.iter().zip(self.newer.fields()) {
            let item = upcast.items.iter().find(|item| item.name == column.name);
            match item.map_or_else(
                || self.unwritten(column, field),
                |item| Ok(self.written(column, item)),
            ) {
                Ok(source) => sources.push(source),
                Err(why) => findings.push(self.no_source(column, &why)),
            }
        }
        (sources, upcast.items, findings)
    }

    fn written(&self, column: &Column, item: &UpcastItem) -> ColumnSource {
        let ty = column.ty.sql();
        let cast = format!("({})::{ty}", item.expr);
        let place =
            quote_literal(&format!("{} v{}.{}", self.relation, self.newer.number, column.name));
        let sql = if column.nullable {
            cast
        } else {
            format!("COALESCE({cast}, vitrina.refuse_null(NULL::{ty}, {place}))")
        };
        ColumnSource { sql, reads: item.columns.clone() }
    }

    /// Carried over, or the default.
    ///
    /// # Errors
    /// Why it must be written, as what is said of the field.
    pub(crate) fn unwritten(&self, column: &Column, field: &Field) -> Result<ColumnSource, String> {
        let older = self.older.place(&column.name).map(|place| &self.older.fields()[place]);
        let (sql, reads) = match older {
            Some(older) => {
                let carry = Carry { old: &self.older.schema, new: &self.newer.schema };
                (carry.column(older, field), BTreeSet::from([column.name.clone()]))
            }
            None => (
                literal::sql(&self.newer.schema, field)
                    .map_err(|why| format!("is not in v{}, and {why}", self.older.number)),
                BTreeSet::new(),
            ),
        };
        sql.map(|sql| ColumnSource { sql, reads })
    }

    /// A bare field that is cast to a type which may not hold all of it.
    fn lossy(&self, column: &Column, item: &UpcastItem) -> Option<Finding> {
        let field = item.column.as_ref()?;
        let metadata = METADATA.iter().find(|(name, _)| name == field).map(|(_, ty)| *ty);
        let own = self.older.columns.iter().find(|column| column.name == *field);
        let from = own.map(|column| column.ty).or(metadata)?;
        lossy_cast(self.file, item, &from.sql(), &column.ty.sql())
    }

    fn no_source(&self, column: &Column, why: &str) -> Finding {
        let (old, new, name) = (self.older.number, self.newer.number, &column.name);
        let help = format!(
            "write `… AS {name}` into {}, or give the field a default in v{new}.avsc if v{old} has no such field, \
             or give it a type that v{old}'s promotes to",
            self.file
        );
        Finding::error(
            self.file,
            Place::START,
            format!("v{new}'s field `{name}` has no source: it {why}"),
            help,
        )
    }

    fn no_such_field(&self, item: &UpcastItem) -> Finding {
        let new = self.newer.number;
        let hint = hint(&item.name, self.newer.columns.iter().map(|column| column.name.as_str()));
        let help = format!("name one of the fields of v{new}.avsc, or leave the item out");
        Finding::error(
            self.file,
            item.at,
            format!("v{new} has no field `{}`{hint}", item.name),
            help,
        )
    }
}
