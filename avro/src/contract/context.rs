//! `context.toml`: the topic of a bounded context, its key, and where its events' ids and times are found. Every key
//! is known, every field that it names is there and has a fitting type, or there is a finding.

use std::sync::Arc;

use toml::de::DeTable;
use vitrina_sql::{Finding, Place};

use crate::contract::{Context, Contract, Origin, Version};
use crate::hint::hint;
use crate::value::column::{Column, ColumnType};

const KEYS: [&str; 7] = [
    "topic",
    "key",
    "event_id",
    "time",
    "correlation_id",
    "causation_id",
    "compaction_loses_nothing",
];
/// Its place among them: the only one that is no text.
const COMPACTION: usize = 6;

/// What the file says, and where it says it.
pub(crate) struct ContextFile {
    pub(crate) path: String,
    /// One for each of [`KEYS`]; the beginning where the key is left out.
    places: [Place; 7],
}

/// Reads the file; the context has no events yet.
pub(crate) fn read(
    name: &str,
    path: &str,
    text: &str,
    findings: &mut Vec<Finding>,
) -> Option<(Context, ContextFile)> {
    let mut values: [Option<String>; 7] = Default::default();
    let mut file = ContextFile { path: path.to_owned(), places: [Place::START; 7] };
    let mut compaction_loses_nothing = false;
    let table = DeTable::parse(text).map_err(|error| {
        let at = Place::of(text, error.span().map_or(0, |span| span.start));
        findings.push(Finding::error(
            path,
            at,
            format!("not TOML: {}", error.message()),
            "correct the line",
        ));
    });
    for (key, value) in table.ok()?.get_ref() {
        let at = Place::of(text, key.span().start);
        let Some(place) = KEYS.iter().position(|known| known == key.get_ref()) else {
            let hint = hint(key.get_ref(), KEYS);
            let help = format!("the keys are {}", KEYS.join(", "));
            findings.push(Finding::error(
                path,
                at,
                format!("unknown key `{}`{hint}", key.get_ref()),
                help,
            ));
            continue;
        };
        file.places[place] = at;
        if place == COMPACTION {
            match value.get_ref().as_bool() {
                Some(value) => compaction_loses_nothing = value,
                None => findings.push(Finding::error(
                    path,
                    at,
                    "`compaction_loses_nothing` is neither true nor false",
                    "write true where a key's last event is enough to rebuild from, else leave it out",
                )),
            }
            continue;
        }
        match value.get_ref().as_str().filter(|text| !matches!(text.trim(), "" | "header:")) {
            Some(text) => values[place] = Some(text.to_owned()),
            None => {
                let help = if place == 0 {
                    "give a topic's name"
                } else {
                    "give a field's name, or `header:NAME`"
                };
                findings.push(Finding::error(
                    path,
                    at,
                    format!("`{}` names nothing", KEYS[place]),
                    help,
                ));
            }
        }
    }
    let mut required = |place: usize, help: &str| {
        let value = values[place].take();
        // A key that is there and names nothing is already a finding.
        if value.is_none()
            && !findings
                .iter()
                .any(|finding| finding.file == path && finding.what.contains(KEYS[place]))
        {
            findings.push(Finding::error(
                path,
                Place::START,
                format!("`{}` is missing", KEYS[place]),
                help,
            ));
        }
        value
    };
    let topic =
        required(0, "write the topic of the context's events, as topic = \"orders.events\"");
    let key = required(1, "write the field that is the record's key, as key = \"order_id\"");
    let [_, _, event_id, time, correlation_id, causation_id, _] =
        values.map(|value| value.map_or(Origin::Default, origin));
    let topic = topic.filter(|topic| check_topic(topic, &file, findings))?;
    let context = Context {
        name: name.to_owned(),
        topic,
        key: key?,
        event_id,
        time,
        correlation_id,
        causation_id,
        compaction_loses_nothing,
        events: Default::default(),
        tombstone: Arc::new(Contract::tombstone(name, None)),
    };
    Some((context, file))
}

fn origin(text: String) -> Origin {
    match text.strip_prefix("header:") {
        Some(name) => Origin::Header(name.trim().to_owned()),
        None => Origin::Field(text),
    }
}

fn check_topic(topic: &str, file: &ContextFile, findings: &mut Vec<Finding>) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let accepted = topic.len() <= 249 && topic.bytes().all(legal) && !matches!(topic, "." | "..");
    if !accepted {
        let help = "a topic's name has up to 249 letters, digits, dots, underscores and hyphens";
        findings.push(Finding::error(
            &file.path,
            file.places[0],
            format!("`{topic}` is no topic of Kafka"),
            help,
        ));
    }
    accepted
}

impl ContextFile {
    /// Checks the key against the events, and takes out those that lack it.
    pub(crate) fn check_keys(&self, context: &mut Context, findings: &mut Vec<Finding>) {
        let mut keyed = context.events.clone();
        keyed.retain(|_, event| {
            let before = findings.len();
            for version in &event.versions {
                self.check_key(context, &event.relation(), version, findings);
            }
            findings.len() == before
        });
        context.events = keyed;
    }

    /// Checks where ids and times are found against the events; `all`: none of them is missing for a reason of its own.
    pub(crate) fn check_origins(&self, context: &Context, all: bool, findings: &mut Vec<Finding>) {
        let origins =
            [&context.event_id, &context.time, &context.correlation_id, &context.causation_id];
        for (place, origin) in origins.into_iter().enumerate() {
            if let Origin::Field(field) = origin {
                self.check_field(context, (place + 2, field), all, findings);
            }
        }
    }

    fn check_key(
        &self,
        context: &Context,
        relation: &str,
        version: &Version,
        findings: &mut Vec<Finding>,
    ) {
        let (key, number) = (&context.key, version.number);
        let what = match version.place(key).map(|place| &version.columns[place]) {
            Some(column) if is_scalar(column) => return,
            Some(_) => format!("the key `{key}` is not a scalar in {relation} v{number}"),
            None => {
                let fields = version.fields().iter().map(|field| field.name.as_str());
                format!(
                    "the key `{key}` is not a field of {relation} v{number}{}",
                    hint(key, fields)
                )
            }
        };
        let help = "the key is a scalar field of every version of every event of the context: name another, or move \
                    the event to a context of its own";
        findings.push(Finding::error(&self.path, self.places[1], what, help));
    }

    /// An id or a time may be missing from some events, but not from all.
    fn check_field(
        &self,
        context: &Context,
        (place, field): (usize, &str),
        all: bool,
        findings: &mut Vec<Finding>,
    ) {
        let versions = || context.events.values().flat_map(|event| &event.versions);
        let holders: Vec<&Column> = versions()
            .filter_map(|version| Some(&version.columns[version.place(field)?]))
            .collect();
        let name = KEYS[place];
        if holders.is_empty() && all && !context.events.is_empty() {
            let fields = versions().flat_map(Version::fields).map(|field| field.name.as_str());
            let what =
                format!("no event of the context has the field `{field}`{}", hint(field, fields));
            let help =
                format!("name a field, or `header:{field}` for a header, or leave `{name}` out");
            findings.push(Finding::error(&self.path, self.places[place], what, help));
        }
        let fits = |column: &&&Column| match name {
            "time" => matches!(
                column.ty,
                ColumnType::Timestamptz | ColumnType::Timestamp | ColumnType::Text
            ),
            _ => is_scalar(column),
        };
        if let Some(unfit) = holders.iter().find(|column| !fits(column)) {
            let what = format!("the field `{field}` is {}, which is no {name}", unfit.ty.sql());
            let help = if name == "time" {
                "name a timestamp or an ISO 8601 string"
            } else {
                "name a scalar field"
            };
            findings.push(Finding::error(&self.path, self.places[place], what, help));
        }
    }
}

fn is_scalar(column: &Column) -> bool {
    column.ty != ColumnType::Jsonb
}
