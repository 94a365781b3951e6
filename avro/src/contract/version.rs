//! One version of a contract from its `vN.avsc` and `vN.sql`: a record whose fields can be columns, and a source for
//! each of them in the version before.

use std::collections::BTreeMap;
use std::sync::Arc;

use vitrina_sql::{Finding, Place};

use crate::contract::Version;
use crate::contract::literal;
use crate::contract::upcast::VersionStep;
use crate::schema::Schema;
use crate::schema::node::Node;
use crate::value::column::Column;

/// Bytes of a name in Postgres.
pub(crate) const MAX_NAME: usize = 63;
/// Digits that Postgres's `numeric(p,s)` can hold.
const MAX_PRECISION: usize = 1000;

#[derive(Clone, Copy)]
pub(crate) struct VersionFile<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
}

impl VersionFile<'_> {
    fn refuse(&self, at: Place, what: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding::error(self.path, at, what, help)
    }

    /// The field's name where it is defined; the file's beginning where that cannot be found.
    fn place_of(&self, field: &str) -> Place {
        place_of(self.text, field)
    }
}

/// Where a schema's text defines a field, by the last name of its path; its beginning where that cannot be found.
pub fn field_place(text: &str, path: &str) -> Place {
    place_of(text, path.rsplit('.').next().unwrap_or_default())
}

/// Where a schema's text defines the field; its beginning where that cannot be found.
pub(crate) fn place_of(text: &str, field: &str) -> Place {
    let quoted = format!("\"{field}\"");
    let named = |at: &usize| {
        let before = text[..*at].trim_end().strip_suffix(':');
        before.is_some_and(|before| before.trim_end().ends_with("\"name\""))
    };
    let found = text.match_indices(&quoted).map(|(at, _)| at).find(named);
    found.map_or(Place::START, |at| Place::of(text, at))
}

/// Reads a schema; its upcast is not there yet.
pub(crate) fn read(
    number: u32,
    file: &VersionFile<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Version> {
    let schema = match Schema::parse(file.text) {
        Ok(schema) => Arc::new(schema),
        Err(error) => {
            let help = "correct it: an .avsc is one Avro record in JSON";
            findings.push(file.refuse(error.at.unwrap_or(Place::START), error.what, help));
            return None;
        }
    };
    let Some(record) = schema.record(schema.root()) else {
        let what = format!("the schema is {}, not a record", schema.node(schema.root()).describe());
        findings.push(file.refuse(
            Place::START,
            what,
            "an event is a record: put the fields into one",
        ));
        return None;
    };
    let columns: Vec<Column> = record.fields.iter().map(|field| schema.column(field)).collect();
    let version = Version {
        number,
        json: file.text.to_owned(),
        columns,
        upcast_file: String::new(),
        written: Vec::new(),
        upcast: Vec::new(),
        schema: Arc::clone(&schema),
    };
    check_names(&version, file, findings);
    check_types(&version, file, findings);
    Some(version)
}

/// Fields become columns, so their names must be names of columns, each its own.
fn check_names(version: &Version, file: &VersionFile<'_>, findings: &mut Vec<Finding>) {
    for (place, (field, column)) in version.fields().iter().zip(&version.columns).enumerate() {
        let name = &field.name;
        let refuse = |what: String, help: &str| file.refuse(file.place_of(name), what, help);
        if name.starts_with('_') {
            let what = format!("the field `{name}` begins with `_`");
            findings.push(refuse(what, "such names are the metadata's: choose another"));
        }
        if name.len() > MAX_NAME {
            let what = format!("the field `{name}` has more than {MAX_NAME} bytes");
            findings.push(refuse(what, "Postgres cannot hold a longer name: choose a shorter one"));
        }
        let twin = version.columns[..place].iter().position(|other| other.name == column.name);
        if let Some(twin) = twin {
            let other = &version.fields()[twin].name;
            let what = format!(
                "the fields `{other}` and `{name}` are both the column {} in SQL",
                column.name
            );
            findings.push(refuse(what, "Postgres folds names to lower case: rename one of them"));
        }
    }
}

fn check_types(version: &Version, file: &VersionFile<'_>, findings: &mut Vec<Finding>) {
    for node in version.schema.nodes() {
        if matches!(node, Node::Decimal { precision, .. } if *precision > MAX_PRECISION) {
            let what = format!("{} has more than {MAX_PRECISION} digits", node.describe());
            findings.push(file.refuse(
                Place::START,
                what,
                "Postgres cannot declare such a numeric: lower the precision",
            ));
        }
    }
    for field in version.fields().iter().filter(|field| field.default.is_some()) {
        if let Err(why) = literal::sql(&version.schema, field) {
            let what =
                format!("the default of the field `{}` is not of its type: {why}", field.name);
            findings.push(file.refuse(file.place_of(&field.name), what, "correct the default"));
        }
    }
}

/// Finds the sources of each version's columns in the version before.
pub(crate) fn upcast(
    relation: &str,
    versions: &mut [Version],
    files: &BTreeMap<u32, VersionFile<'_>>,
    findings: &mut Vec<Finding>,
) {
    for newer in 1..versions.len() {
        let (older, newer) = (&versions[newer - 1], &versions[newer]);
        let Some(file) = files.get(&newer.number) else { continue };
        let step = VersionStep { relation, file: file.path, older, newer };
        let (sources, written, found) = step.sources(file.text);
        findings.extend(found);
        let place = newer.number as usize - 1;
        let version = &mut versions[place];
        version.upcast_file = file.path.to_owned();
        version.written = written;
        version.upcast = sources;
    }
}
