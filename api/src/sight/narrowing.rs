//! What one reader sees of one view. Invariant: the view that comes out knows no column that may not be read, under whatever
//! name, and no index or key by one; so nothing that is made of it can tell of any.

use std::sync::Arc;

use vitrina_sql::{Predicate, RelationRights, Role, RowPolicy};

use crate::access::Reader;
use crate::catalogue::{Index, Seal, Secret, View, fingerprint};

/// The view as `reader` sees it; none where nothing of it may be read.
pub(super) fn narrowed(view: &View, reader: &Reader, secret: &Secret) -> Option<View> {
    // By the file that was proposed last, and by the text that the generation runs.
    let Some([proposed, own]) = view.rights.as_deref() else { return None };
    let mut seen = view.clone();
    let mut settled = Vec::new();
    for rights in if proposed == own { vec![own] } else { vec![proposed, own] } {
        let rights = rights.as_ref()?;
        seen.columns.retain(|column| is_granted(rights, reader, &column.name));
        let policies = policies(view, rights, reader);
        if rights.policies.is_empty() || policies.iter().any(|policy| policy.is_true()) {
            continue;
        }
        if let [only] = policies[..] {
            settled.extend(only.constant.iter().map(String::as_str));
        }
        seen.rows.only(&policies, |name| reader.claims.get(name));
    }
    if seen.columns.is_empty() {
        return None;
    }
    seen.indexes = indexes(view, &seen, &settled);
    seen.scope = scope(&seen);
    if seen.columns.len() < view.columns.len() {
        let bearer = format!("{:?}", reader.bearer);
        seen.seal = Some(Arc::new(Seal::new(secret, [&*bearer, &seen.scope])));
    }
    Some(seen)
}

fn is_granted(rights: &RelationRights, reader: &Reader, column: &str) -> bool {
    let mut grants = rights.grants.iter().filter(|grant| has(reader, &grant.roles));
    grants.any(|grant| {
        grant.columns.as_ref().is_none_or(|columns| columns.iter().any(|known| known == column))
    })
}

/// The conditions of the reader's policies. One that names a column which this generation does not have meets no row of it.
fn policies<'r>(view: &View, rights: &'r RelationRights, reader: &Reader) -> Vec<&'r Predicate> {
    let applies = |policy: &&RowPolicy| {
        let known = |column: &String| view.column(column).is_some();
        has(reader, &policy.roles) && policy.using.columns.iter().all(known)
    };
    rights.policies.iter().filter(applies).map(|policy| &policy.using).collect()
}

fn has(reader: &Reader, roles: &[Role]) -> bool {
    roles.iter().any(|role| match role {
        Role::Public => true,
        Role::Named(name) => reader.roles.contains(name),
    })
}

/// The indexes of `view` as far as they go by columns of `seen`. A column that has one value in all rows that may be read is
/// passed over: an index walks what stands behind it as if it were not there.
fn indexes(view: &View, seen: &View, settled: &[&str]) -> Vec<Index> {
    let mut indexes: Vec<Index> = Vec::new();
    let is_seen = |column: &str| seen.column(column).is_some();
    for index in &view.indexes {
        let is_whole = index.columns.iter().all(|indexed| is_seen(&indexed.column));
        let without = |passed: &dyn Fn(&str) -> bool| {
            let others = index.columns.iter().filter(|indexed| !passed(&indexed.column));
            others.take_while(|indexed| is_seen(&indexed.column)).cloned().collect::<Vec<_>>()
        };
        let is_settled = |column: &str| settled.contains(&column);
        let narrowed = without(&|column| is_settled(column) && !is_seen(column));
        let shorter = without(&is_settled);
        for (columns, primary) in [(narrowed, index.primary && is_whole), (shorter, false)] {
            let is_known = indexes.iter().any(|known| known.columns == columns);
            if !columns.is_empty() && (primary || !is_known) {
                indexes.push(Index { primary, columns });
            }
        }
    }
    indexes
}

/// What tells apart what readers see of a view.
fn scope(seen: &View) -> String {
    let rows = format!("{:?}", seen.rows);
    fingerprint(seen.column_names().chain([rows.as_str()]))
}
