//! Random `INSERT` rules: over one event's row, joined, and in the forms that can only be computed event by event.

use super::dice::Dice;
use super::models::Rule;
use super::tables::{Column, Table, Ty};
use super::values::{self, Place, key_value, step, value};

/// The text that stands after `INSERT INTO … (columns)`.
struct Source {
    /// Values of the columns, without the key's.
    values: Vec<String>,
    key: Vec<String>,
    from: String,
    group: String,
    tags: Vec<&'static str>,
}

pub(super) fn draw(dice: &mut Dice, table: &Table, relation: &str, place: Place<'_>) -> Rule {
    let columns = dice.some(&table.others_written(), 60);
    let source = source(dice, table, &columns, relation, place);
    let mut tags = source.tags;
    let (conflict, more) = on_conflict(dice, table, &columns, place);
    tags.extend(more);
    let names: Vec<&str> = table.keys().iter().chain(&columns).map(|column| column.name).collect();
    let values: Vec<String> = source.key.into_iter().chain(source.values).collect();
    let select = match dice.below(100) {
        // The list stands inside, where literals have no column's type.
        0..5 if source.group.is_empty() => {
            tags.push("insert: common table expression");
            let list: Vec<String> =
                values.iter().enumerate().map(|(at, value)| format!("{value} AS c{at}")).collect();
            let all: Vec<String> = (0..values.len()).map(|at| format!("w.c{at}")).collect();
            let literal =
                list.iter().any(|item| item.starts_with('\'') || item.starts_with("NULL"));
            if literal {
                format!("SELECT {}{}", values.join(", "), source.from)
            } else {
                format!(
                    "WITH w AS (SELECT {}{}) SELECT {} FROM w",
                    list.join(", "),
                    source.from,
                    all.join(", ")
                )
            }
        }
        5..10 if source.group.is_empty() => {
            tags.push("insert: ordered and limited");
            format!("SELECT {}{} ORDER BY e.k LIMIT 1", values.join(", "), source.from)
        }
        10..14 if source.group.is_empty() => {
            tags.push("insert: several mentions");
            let own = format!("(SELECT count(*) FROM {relation}) = 1");
            let joint = if source.from.contains(" WHERE ") { "AND" } else { "WHERE" };
            format!("SELECT {}{} {joint} {own}", values.join(", "), source.from)
        }
        _ => format!("SELECT {}{}{}", values.join(", "), source.from, source.group),
    };
    let sql =
        format!("INSERT INTO {} AS t ({})\n{select}\n{conflict}", table.name, names.join(", "));
    Rule { sql: sql.trim_end().to_owned(), tags }
}

fn source(
    dice: &mut Dice,
    table: &Table,
    columns: &[Column],
    relation: &str,
    place: Place<'_>,
) -> Source {
    let several = table.key == 2;
    let mut tags = Vec::new();
    let first = key_value(dice, table);
    let mut key = vec![first.clone()];
    let (mut from, mut group, mut joined) = (format!(" FROM {relation} e"), String::new(), None);
    if several && dice.chance(55) {
        match dice.below(4) {
            0 => {
                tags.push("insert: unnested rows");
                from.push_str(", jsonb_array_elements_text(e.items) WITH ORDINALITY AS i(v, p)");
                key.push("i.p".into());
            }
            1 => {
                tags.push("insert: grouped");
                from.push_str(", generate_series(1, least(e.n % 3, 2)) AS i(p)");
                key.push("i.p % 2".into());
                group = format!(" GROUP BY {first}, i.p % 2");
            }
            2 => {
                tags.push("insert: rows made in the list");
                key.push("generate_series(1, least(e.n % 3, 2))".into());
            }
            _ => match product(dice, place) {
                Some(other) => {
                    tags.push("insert: cross join");
                    from.push_str(dice.pick(&[", ", " CROSS JOIN "]));
                    from.push_str(&format!("{} AS j", other.name));
                    key.push("j.k".into());
                    joined = Some(other);
                }
                None => key.push(values::field(dice, Ty::Int8).to_owned()),
            },
        }
    } else {
        if several {
            let second = if place.keyed { "e.n" } else { values::field(dice, Ty::Int8) };
            key.push(second.to_owned());
        }
        if let Some((text, tag, other)) = join(dice, place) {
            tags.push(tag);
            from.push_str(&text);
            joined = Some(other);
        }
    }
    let values = listed(dice, columns, !group.is_empty(), Place { joined, ..place }, &mut tags);
    if dice.chance(12) && !from.contains(" WHERE ") {
        from.push_str(dice.pick(&[" WHERE e.n < 4", " WHERE e.ok", " WHERE e.big IS NOT NULL"]));
    }
    Source { values, key, from, group, tags }
}

/// Values for the columns; of a group only what is the same in all its rows.
fn listed(
    dice: &mut Dice,
    columns: &[Column],
    grouped: bool,
    place: Place<'_>,
    tags: &mut Vec<&'static str>,
) -> Vec<String> {
    let mut list = Vec::new();
    for column in columns {
        list.push(if !grouped {
            let (text, tag) = value(dice, column.ty, place);
            tags.push(tag);
            text
        } else if column.ty.is_number() {
            "count(*)".into()
        } else if column.ty.is_text() {
            "'a'".into()
        } else {
            "NULL".into()
        });
    }
    list
}

/// A table whose single key numbers the second key column.
fn product<'a>(dice: &mut Dice, place: Place<'a>) -> Option<&'a Table> {
    let fitting: Vec<&Table> = place
        .tables
        .iter()
        .filter(|table| table.key == 1 && table.columns[0].ty == Ty::Int8 && place.wild)
        .collect();
    (!fitting.is_empty()).then(|| dice.pick(&fitting))
}

/// A join that finds at most one row.
fn join<'a>(dice: &mut Dice, place: Place<'a>) -> Option<(String, &'static str, &'a Table)> {
    let single: Vec<&Table> = place.tables.iter().filter(|table| table.key == 1).collect();
    if single.is_empty() || !dice.chance(40) {
        return None;
    }
    let other = dice.pick(&single);
    let name = other.name;
    let found = if place.keyed {
        "j.k = e.k".to_owned()
    } else {
        format!("j.k = {}", key_value(dice, other))
    };
    let (text, tag) = match dice.below(4) {
        0 | 1 => (format!(" LEFT JOIN {name} AS j ON {found}"), "insert: left join"),
        2 => (format!(" JOIN {name} AS j ON {found}"), "insert: inner join"),
        _ => (format!(", {name} AS j WHERE {found}"), "insert: comma join"),
    };
    Some((text, tag, other))
}

fn on_conflict(
    dice: &mut Dice,
    table: &Table,
    columns: &[Column],
    place: Place<'_>,
) -> (String, Vec<&'static str>) {
    let key: Vec<&str> = table.keys().iter().map(|column| column.name).collect();
    let target = key.join(", ");
    match dice.below(100) {
        0..4 if !place.merging => return (String::new(), vec!["conflict: refused"]),
        4..14 => return ("ON CONFLICT DO NOTHING".into(), vec!["conflict: nothing"]),
        14..25 => return (format!("ON CONFLICT ({target}) DO NOTHING"), vec!["conflict: nothing"]),
        _ => {}
    }
    let (mut tags, place) = (vec!["conflict: update"], Place { event: false, ..place });
    let written: Vec<Column> = dice.some(columns, 70);
    let set = written.iter().map(|column| {
        let new = format!("EXCLUDED.{}", column.name);
        let (text, tag) = step(dice, table, *column, &new, place);
        tags.push(tag);
        format!("{} = {text}", column.name)
    });
    let set: Vec<String> = set.collect();
    let mut conflict = format!("ON CONFLICT ({target}) DO UPDATE SET {}", set.join(", "));
    if dice.chance(12) {
        tags.push("conflict: update with a condition");
        conflict.push_str(dice.pick(&[
            " WHERE t.n < 5",
            " WHERE EXCLUDED.n > t.n",
            " WHERE t.k IS NOT NULL",
        ]));
    }
    (conflict, tags)
}
