//! What the rows of a model depend on, and nothing else: spacing, comments, indexes and views are no part of it, and a contract
//! counts as far as the rules use it.

use sha2::{Digest, Sha256};
use vitrina_avro::{Context, Contracts, Layout};
use vitrina_sql::{Files, MeaningPart, Model, Place};

/// SHA-256 of texts of which none can be taken for a piece of another.
pub(super) fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// What rows depend on: the model's statements, the contracts as far as the rules use them, and where a record says what
/// the rules use besides its fields.
pub(super) fn parts(
    model: &Model,
    layouts: &[Layout],
    contracts: &Contracts,
    files: &Files,
    contract_root: &str,
) -> Vec<MeaningPart> {
    let mut parts = model.meaning();
    for layout in layouts {
        parts.extend(layout.meaning());
        let every = layout.contract.is_every();
        let own = |context: &&Context| every || context.name == layout.contract.context;
        for context in contracts.contexts.values().filter(own) {
            let file = format!("{contract_root}/{}/context.toml", context.name);
            let text = files.0.get(&file).map_or("", String::as_str);
            for (setting, value) in sources(context, layout) {
                let sets = |line: &str| line.trim_start().starts_with(setting);
                let (relation, name) = (layout.contract.relation(), &context.name);
                parts.push(MeaningPart {
                    file: file.clone(),
                    at: Place { line: 1 + text.lines().position(sets).unwrap_or(0), column: 1 },
                    what: format!("{setting} of {name}"),
                    text: format!("{relation} {name} {setting} {value}"),
                });
            }
        }
    }
    parts
}

/// The settings of a context that a model depends on. Duplicates are told by the id, whether a rule reads it or not.
fn sources(context: &Context, layout: &Layout) -> Vec<(&'static str, String)> {
    let [id, time, correlation_id, causation_id] = context.origins(&layout.contract);
    let key = context.key.to_ascii_lowercase();
    let read = [
        ("time", layout.uses("_time"), format!("{time:?}")),
        ("correlation_id", layout.uses("_correlation_id"), format!("{correlation_id:?}")),
        ("causation_id", layout.uses("_causation_id"), format!("{causation_id:?}")),
        // Of every event the record key is a column; that a field is it, no rule sees.
        ("key", layout.uses(&key) && !layout.contract.is_every(), key),
    ];
    let always = [("topic", context.topic.clone()), ("event_id", format!("{id:?}"))];
    let read = read.into_iter().filter(|(_, used, _)| *used);
    always.into_iter().chain(read.map(|(setting, _, value)| (setting, value))).collect()
}

#[cfg(test)]
mod tests;
