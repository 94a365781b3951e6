//! Names of views where a document wants simple ones. Invariant: no two views have one name, and a name is as the
//! specification wants it, whatever the view's is.

use std::collections::BTreeSet;

use crate::catalogue::View;

/// What components are called that are no view's row.
pub(super) const OWN: [&str; 4] = ["Catalogue", "Meta", "Page", "Problem"];

/// A view with a name of letters, digits, `_` and `.`.
pub(super) struct Named<'v> {
    pub(super) view: &'v View,
    /// Of the component that holds its row.
    pub(super) component: String,
    /// What comes after `list_` and `get_`.
    pub(super) operation: String,
}

pub(super) fn named<'v>(views: &[&'v View]) -> Vec<Named<'v>> {
    let mut components: BTreeSet<String> = OWN.into_iter().map(str::to_owned).collect();
    let mut operations = BTreeSet::new();
    let name = |view: &&'v View| Named {
        view,
        component: unique(&mut components, simple(&view.name, "._")),
        operation: unique(&mut operations, simple(&view.name, "_")),
    };
    views.iter().map(name).collect()
}

/// The names of a key's parts in an address.
pub(super) fn of_key(view: &View) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let name = |column: &str| unique(&mut taken, simple(column, "_"));
    view.key().into_iter().map(|column| column.name.as_str()).map(name).collect()
}

fn simple(name: &str, kept: &str) -> String {
    let simple = |c: char| if c.is_ascii_alphanumeric() || kept.contains(c) { c } else { '_' };
    name.chars().map(simple).collect()
}

fn unique(taken: &mut BTreeSet<String>, name: String) -> String {
    let mut unique = name.clone();
    let mut number = 2;
    while !taken.insert(unique.clone()) {
        unique = format!("{name}_{number}");
        number += 1;
    }
    unique
}
