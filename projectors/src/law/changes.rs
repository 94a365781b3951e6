//! Random `UPDATE` and `DELETE` rules: by key, by other columns, by conditions that tell no key.

use super::dice::Dice;
use super::models::Rule;
use super::tables::{Column, Table, Ty};
use super::values::{Place, compared, key_value, of_event, step, value};

pub(super) fn update(dice: &mut Dice, table: &Table, relation: &str, place: Place<'_>) -> Rule {
    let mut tags = Vec::new();
    let (mut from, mut joined) = (format!("{relation} e"), None);
    let single: Vec<&Table> = place.tables.iter().filter(|other| other.key == 1).collect();
    let mut found = find(dice, table, place, &mut tags);
    if !single.is_empty() && !place.merging && dice.chance(15) {
        let other = dice.pick(&single);
        let key = if place.keyed { "e.k".to_owned() } else { key_value(dice, other) };
        tags.push("update: from another table");
        if dice.chance(50) {
            from.push_str(&format!(" JOIN {} AS j ON j.k = {key}", other.name));
        } else {
            from.push_str(&format!(", {} AS j", other.name));
            found = format!("{found} AND j.k = {key}");
        }
        joined = Some(other);
    }
    if dice.chance(12) {
        found.push_str(dice.pick(if place.merging {
            &[" AND e.ok"]
        } else {
            &[" AND e.n < 4", " AND e.ok", " AND t.n < 20"]
        }));
    }
    let set = settable(dice, table, place);
    let items = set.iter().map(|(column, tag)| {
        tags.extend(tag);
        if tag.is_some() || is_fragile(table, *column) {
            // Several rows may be met, in any order: they all get the same value.
            return format!("{} = {}", column.name, of_event(dice, column.ty));
        }
        let (new, kind) = value(dice, column.ty, Place { joined, ..place });
        let (text, how) = step(dice, table, *column, &new, place);
        tags.extend([kind, how]);
        format!("{} = {text}", column.name)
    });
    let items: Vec<String> = items.collect();
    let sql =
        format!("UPDATE {} AS t SET {}\nFROM {from}\nWHERE {found}", table.name, items.join(", "));
    Rule { sql, tags }
}

pub(super) fn delete(dice: &mut Dice, table: &Table, relation: &str, place: Place<'_>) -> Rule {
    let mut tags = vec!["delete"];
    let mut found = find(dice, table, place, &mut tags);
    if dice.chance(10) {
        let name = place.tables[dice.below(place.tables.len())].name;
        if place.wild {
            tags.push("delete: by what a table holds");
            found.push_str(&format!(" AND (SELECT count(*) FROM {name}) > 1"));
        }
    }
    Rule { sql: format!("DELETE FROM {} AS t USING {relation} e\nWHERE {found}", table.name), tags }
}

/// Columns of unique indexes besides the key: a value of the row's own might be in another row's way for a moment only.
fn is_fragile(table: &Table, column: Column) -> bool {
    column.name == "u" || (column.name == "x" && !table.indexes.is_empty())
}

/// Columns to set; a tag where rows are told by them.
fn settable(
    dice: &mut Dice,
    table: &Table,
    place: Place<'_>,
) -> Vec<(Column, Option<&'static str>)> {
    let moves = |column: &Column| match column.name {
        "o" => Some("update: moves a column"),
        "u" => Some("update: sets a unique column"),
        _ => None,
    };
    let others: Vec<Column> = table
        .others_written()
        .into_iter()
        .filter(|column| moves(column).is_none() || dice.chance(if place.wild { 45 } else { 12 }))
        .collect();
    let mut set: Vec<_> =
        dice.some(&others, 45).into_iter().map(|column| (column, moves(&column))).collect();
    if place.wild && dice.chance(8) {
        set.push((table.columns[0], Some("update: sets the key")));
    }
    set
}

/// A condition on the target `t`.
fn find(dice: &mut Dice, table: &Table, place: Place<'_>, tags: &mut Vec<&'static str>) -> String {
    let key = key_value(dice, table);
    let by_key = match table.key {
        2 if dice.chance(50) => {
            let second = if place.keyed { "e.n".to_owned() } else { compared(dice, Ty::Int8) };
            if dice.chance(30) {
                format!("(t.k, t.p) = ({key}, {second})")
            } else {
                format!("t.k = {key} AND {second} = t.p")
            }
        }
        _ => format!("t.k = {key}"),
    };
    let others: Vec<Column> =
        table.columns.iter().filter(|column| "ouxwzy".contains(column.name)).copied().collect();
    if place.keyed
        || place.merging
        || others.is_empty()
        || dice.chance(if place.wild { 45 } else { 70 })
    {
        tags.push("found by key");
        return by_key;
    }
    let other = dice.pick(&others);
    let by_other = format!("t.{} = {}", other.name, compared(dice, other.ty));
    match dice.below(if place.wild { 100 } else { 68 }) {
        0..68 => {
            tags.push("found by another column");
            by_other
        }
        68..76 => {
            tags.push("found by OR");
            format!("({by_key} OR {by_other})")
        }
        76..84 => {
            tags.push("found by a range");
            dice.pick(&["t.n > e.n", "t.n BETWEEN e.k AND e.k + 1"]).to_owned()
        }
        84..90 => {
            tags.push("found by an expression of the column");
            if table.columns[0].ty.is_number() {
                format!("t.k + 1 = {key}")
            } else {
                "length(t::text) = e.n".to_owned()
            }
        }
        90..95 => {
            tags.push("found by a sub-select");
            let name = place.tables[dice.below(place.tables.len())].name;
            format!("t.n IN (SELECT q.n FROM {name} AS q WHERE q.n <> e.n)")
        }
        _ => {
            tags.push("found by a constant");
            "t.n = 1".to_owned()
        }
    }
}
