//! A schema that nobody writes with yet. Whoever asks of one wants an answer, so what would be parked is an error here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use vitrina_avro::{Contract, Outlook, Schema, Unfit, field_place};
use vitrina_projectors::Definitions;
use vitrina_sql::{Finding, Place};

use super::{Told, WriterLine, by, readers};
use crate::failure::Failure;

/// Of a schema in a file, on whatever topic a contract knows its records.
///
/// # Errors
/// The file cannot be read.
pub(in crate::check) fn planned(file: &Path, loaded: &Definitions) -> Result<Told, Failure> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("--writer {shown}: {error}")))?;
    let mut told = Told::default();
    let schema = match Schema::of_writer(&text, &[]) {
        Ok(schema) => Arc::new(schema),
        Err(error) => {
            let at = error.at.unwrap_or(Place::START);
            let help = "correct it: what it refers to stands in the same file";
            told.findings.push(Finding::error(&shown, at, error.what, help));
            return Ok(told);
        }
    };
    let contracts = &loaded.contracts;
    let topics: BTreeSet<&String> = contracts.contexts.values().map(|one| &one.topic).collect();
    let mut known = BTreeSet::new();
    let mut strange = BTreeMap::new();
    for topic in topics {
        for (record, outlook) in contracts.outlook(topic, &schema) {
            if let Outlook::Ignored { nearest } = outlook {
                let hint: &mut Option<String> = strange.entry(record).or_default();
                *hint = hint.take().or(nearest);
                continue;
            }
            known.insert(record.clone());
            if let Outlook::Parked { contract, unfit } = &outlook {
                told.findings.push(refused(&shown, &text, contract, unfit, loaded));
            }
            let line = WriterLine::new(Some(topic), &record, outlook);
            told.lines.push(WriterLine { file: Some(shown.clone()), ..line });
        }
    }
    for (record, nearest) in strange.into_iter().filter(|(record, _)| !known.contains(record)) {
        let near = nearest.iter().map(|name| format!(", did you mean `{name}`?"));
        let what = format!("no contract knows the record {record}{}", near.collect::<String>());
        let help = "its records would be ignored: name it as the contract does, or write a contract for it";
        told.findings.push(Finding::warning(&shown, Place::START, what, help));
        let line = WriterLine::new(None, &record, Outlook::Ignored { nearest });
        told.lines.push(WriterLine { file: Some(shown.clone()), ..line });
    }
    Ok(told)
}

/// The answer to whoever asks of one schema is no, where a model would park what it writes.
fn refused(
    file: &str,
    text: &str,
    contract: &Contract,
    unfit: &Unfit,
    loaded: &Definitions,
) -> Finding {
    let readers = readers(contract, loaded);
    let at = unfit.obstacles.first().map_or(Place::START, |one| field_place(text, &one.field));
    let what = format!("{} would be parked{}: {unfit}", unfit.record, by(&readers));
    let next = contract.newest().number + 1;
    let help = format!(
        "write it so that one of them fits, or add it as v{next}.avsc with a v{next}.sql before a producer writes so"
    );
    match readers.is_empty() {
        true => Finding::warning(file, at, what, help),
        false => Finding::error(file, at, what, help),
    }
}
