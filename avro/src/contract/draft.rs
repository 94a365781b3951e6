//! The upcast that a person begins with. What carries over by itself is left out, a field that was renamed is taken by its
//! alias, a new one that may be null is null; for the rest stands a question mark, which nothing accepts until it is
//! answered.

use vitrina_sql::written;

use crate::contract::Version;
use crate::contract::upcast::VersionStep;
use crate::contract::version::{self, VersionFile};
use crate::schema::canonical::{self, Detail};
use crate::schema::node::Field;
use crate::value::column::{Column, ColumnType};
use crate::walk::pairing;

/// A `vN.sql` as far as the two schemas say what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub sql: String,
    /// The fields for which it holds a question mark.
    pub open: Vec<String>,
}

/// The upcast to version `number`, by the texts of its schema and of the one before.
///
/// # Errors
/// The first finding about one of the schemas.
pub fn draft_upcast(number: u32, older: &str, newer: &str) -> Result<Draft, String> {
    let (older, newer) = (read(number - 1, older)?, read(number, newer)?);
    let step = VersionStep { relation: "", file: "", older: &older, newer: &newer };
    let mut items = Vec::new();
    let mut open = Vec::new();
    for (column, field) in newer.columns.iter().zip(newer.fields()) {
        let Err(why) = step.unwritten(column, field) else { continue };
        let name = written(&column.name);
        items.push(match renamed(&step, column, field) {
            Some(old) => (format!("{} AS {name}", written(&old)), String::new()),
            None if column.nullable && older.place(&column.name).is_none() => {
                (format!("NULL AS {name}"), String::new())
            }
            None => {
                open.push(field.name.clone());
                (format!("? AS {name}"), format!("  -- it {}", why.replace('\n', " ")))
            }
        });
    }
    let last = items.len().saturating_sub(1);
    let lines = items.into_iter().enumerate().map(|(place, (item, why))| {
        let comma = if place < last { "," } else { "" };
        format!("\n  {item}{comma}{why}")
    });
    let list: String = lines.collect();
    let from = if list.is_empty() { " " } else { "\n" };
    Ok(Draft { sql: format!("SELECT{list}{from}FROM v{};\n", older.number), open })
}

fn read(number: u32, text: &str) -> Result<Version, String> {
    let mut findings = Vec::new();
    let file = VersionFile { path: "", text };
    version::read(number, &file, &mut findings)
        .ok_or_else(|| findings.first().map_or_else(String::new, |finding| finding.what.clone()))
}

/// The column that the field was before it got its name, where it has stayed the same in all else.
fn renamed(step: &VersionStep<'_>, column: &Column, field: &Field) -> Option<String> {
    let place = pairing::source(step.older.record()?, step.newer.record()?, field)?;
    let (old, was) = (&step.older.fields()[place], &step.older.columns[place]);
    let wire = |version: &Version, field: &Field| {
        canonical::text(&version.schema, field.node, Detail::Wire)
    };
    let alike = wire(step.older, old) == wire(step.newer, field);
    let wider = was.ty == column.ty && column.ty != ColumnType::Jsonb && !was.nullable;
    (old.name != field.name && (alike || wider)).then(|| was.name.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"E","fields":[{fields}]}}"#)
    }

    #[test]
    fn only_what_nobody_can_know_is_left_open() {
        let older = record(
            r#"{"name":"id","type":"string"},{"name":"total","type":"long"},{"name":"note","type":["null","string"]},
               {"name":"gone","type":"int"}"#,
        );
        let newer = record(
            r#"{"name":"id","type":"string"},{"name":"amount","type":["null","long"],"aliases":["total"]},
               {"name":"note","type":"string"},{"name":"user","type":["null","string"]},
               {"name":"unit","type":"string","default":"EUR"},{"name":"sort","type":"string"}"#,
        );
        let draft = draft_upcast(2, &older, &newer).unwrap();
        let expected = "SELECT\n  total AS amount,\n  \
                        ? AS note,  -- it may be null in the version before, and may not be null here\n  \
                        NULL AS \"user\",\n  \
                        ? AS sort  -- it is not in v1, and it has no default\nFROM v1;\n";
        assert_eq!(
            (draft.sql.as_str(), draft.open),
            (expected, vec!["note".to_owned(), "sort".to_owned()])
        );
    }

    #[test]
    fn what_carries_over_by_itself_is_not_written() {
        let (older, newer) = (r#"{"name":"id","type":"int"}"#, r#"{"name":"id","type":"long"}"#);
        let draft = draft_upcast(3, &record(older), &record(newer)).unwrap();
        assert_eq!(draft, Draft { sql: "SELECT FROM v2;\n".to_owned(), open: Vec::new() });
        assert!(draft_upcast(2, "{", &record(newer)).unwrap_err().contains("not JSON"));
    }
}
