//! How each version becomes the next: every column has exactly one source, written, carried over or the schema's
//! default, and a column without one is a finding.

use std::collections::BTreeSet;

use vitrina_sql::{Finding, Place, Upcast, UpcastItem};

use crate::contract::carry::Carry;
use crate::contract::literal::{self, quote};
use crate::contract::{ColumnSource, METADATA, Version};
use crate::hint::hint;
use crate::schema::node::Field;
use crate::value::column::Column;

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
            if !self.newer.columns.iter().any(|column| column.name == item.name) {
                findings.push(self.no_such_field(item));
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
                Err(finding) => findings.push(finding),
            }
        }
        (sources, upcast.items, findings)
    }

    fn written(&self, column: &Column, item: &UpcastItem) -> ColumnSource {
        let ty = column.ty.sql();
        let cast = format!("({})::{ty}", item.expr);
        let place = quote(&format!("{} v{}.{}", self.relation, self.newer.number, column.name));
        let sql = if column.nullable {
            cast
        } else {
            format!("COALESCE({cast}, vitrina.refuse_null(NULL::{ty}, {place}))")
        };
        ColumnSource { sql, reads: item.columns.clone() }
    }

    /// Carried over, or the default.
    fn unwritten(&self, column: &Column, field: &Field) -> Result<ColumnSource, Finding> {
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
        match sql {
            Ok(sql) => Ok(ColumnSource { sql, reads }),
            Err(why) => Err(self.no_source(column, &why)),
        }
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
