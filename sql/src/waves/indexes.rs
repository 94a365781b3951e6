//! Which indexes rules look for rows by. Whatever cannot be told is looked for by every index of its table.

use super::access::Access;
use super::runs::Waves;
use crate::model::Model;
use crate::objects::index::Index;

impl Waves {
    /// Whether running a rule without this index could be slower: by the accesses of all rules, or because it refuses rows.
    pub fn look_by(&self, model: &Model, index: &Index) -> bool {
        let mut accesses = self.rules.iter().flat_map(|rule| &rule.accesses);
        index.unique || accesses.any(|access| looks_by(model, access, index))
    }
}

fn looks_by(model: &Model, access: &Access, index: &Index) -> bool {
    let table = &model.tables[access.table];
    if access.new_row || table.name != index.table {
        return false;
    }
    let parts = access.rows.parts().iter().map(|part| table.columns[part.column].name.as_str());
    let known: Vec<&str> = parts.collect();
    let unique = model.indexes.iter().filter(|other| other.unique && other.table == table.name);
    let mut keys = table.keys().chain(unique.filter_map(|other| other.columns.as_ref()));
    let all_known = |key: &Vec<String>| key.iter().all(|column| known.contains(&column.as_str()));
    if keys.any(all_known) {
        return false;
    }
    let names = |columns: &Vec<String>| columns.iter().any(|name| known.contains(&name.as_str()));
    known.is_empty() || index.columns.as_ref().is_none_or(names)
}
