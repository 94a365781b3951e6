//! Expressions of a wanted type: of the event, of the target's row, of other tables.

use super::dice::Dice;
use super::tables::{Column, Table, Ty};

/// What an expression may mention besides the event `e`.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) tables: &'a [Table],
    /// The table that is joined as `j`, where one is.
    pub(super) joined: Option<&'a Table>,
    /// Rows are told by the record key alone.
    pub(super) keyed: bool,
    /// Its rules are made to be merged.
    pub(super) merging: bool,
    /// It may touch all rows of a table.
    pub(super) wild: bool,
    /// The event can be mentioned.
    pub(super) event: bool,
}

/// A bare field of the event that fits the type.
pub(super) fn field(dice: &mut Dice, ty: Ty) -> &'static str {
    match ty {
        Ty::Int8 => dice.weigh(&[(10, "e.k"), (8, "e.g"), (1, "e.big"), (4, "e.n")]),
        Ty::Int4 => dice.weigh(&[(4, "e.n"), (1, "e.k"), (1, "e.g")]),
        Ty::Exact | Ty::Numeric => dice.weigh(&[(4, "e.amount"), (2, "e.n"), (2, "e.g")]),
        Ty::Float => dice.weigh(&[(5, "e.f"), (1, "e.amount"), (1, "e.g")]),
        Ty::Text | Ty::Blind | Ty::Char | Ty::Varchar => dice.weigh(&[(4, "e.tag"), (1, "e.word")]),
        Ty::Jsonb => "e.items",
    }
}

/// A value that the event alone gives.
pub(super) fn of_event(dice: &mut Dice, ty: Ty) -> String {
    if dice.chance(65) {
        return field(dice, ty).to_owned();
    }
    let made: &[&str] = match ty {
        Ty::Int8 => &[
            "e.k + 1",
            "e.n % 3",
            "coalesce(e.big, e.k)",
            "CASE WHEN e.ok THEN e.g END",
            "1",
            "NULL",
            "'2'",
            "e.amount::int8",
            "length(e.word)",
        ],
        Ty::Int4 => &["1", "2", "e.n % 4", "length(e.tag)", "'3'", "e.n - 2"],
        Ty::Exact => &["e.amount + 1", "1", "e.n", "e.amount / 3"],
        Ty::Numeric => &["1", "e.amount", "e.n", "1.00", "e.g"],
        Ty::Float => &["e.f + 1", "e.n", "1", "0.1"],
        Ty::Text => &[
            "upper(e.word)",
            "coalesce(e.word, 'none')",
            "e.k::text",
            "'a'",
            "NULL",
            "e.tag || e.k",
            "e.tag::char(2)",
        ],
        Ty::Blind => &["upper(e.tag)", "'a'", "'A'", "e.k::text"],
        Ty::Char | Ty::Varchar => &["'a'", "'a '", "e.k::text", "NULL", "lower(e.tag)"],
        Ty::Jsonb => &["to_jsonb(e.n)", "to_jsonb(e.amount)", "jsonb_build_object('a', e.ok)"],
    };
    dice.pick(made).to_owned()
}

/// A value to compare a column of the type with.
pub(super) fn compared(dice: &mut Dice, ty: Ty) -> String {
    match ty {
        Ty::Int8 if dice.chance(6) => dice.pick(&["e.big::float8", "e.f", "e.amount"]).to_owned(),
        Ty::Jsonb => of_event(dice, ty),
        _ if dice.chance(85) => field(dice, ty).to_owned(),
        _ => match of_event(dice, ty).as_str() {
            "NULL" => "NULL".to_owned(),
            other => format!("({other})"),
        },
    }
}

/// `column = value` for the key's first column, mostly by the table's favourite field.
pub(super) fn key_value(dice: &mut Dice, table: &Table) -> String {
    if table.field.is_empty() || dice.chance(8) {
        compared(dice, table.columns[0].ty)
    } else {
        table.field.to_owned()
    }
}

/// A column of a table that may stand where the type is wanted.
fn fitting(dice: &mut Dice, table: &Table, ty: Ty) -> Option<Column> {
    let fits = |column: &&Column| {
        (ty.is_number() && column.ty.is_number())
            || (ty.is_text() && column.ty.is_text())
            || ty == column.ty
    };
    let all: Vec<Column> = table.columns.iter().filter(fits).copied().collect();
    (!all.is_empty()).then(|| dice.pick(&all))
}

/// A value for a column, and what kind of value it is.
pub(super) fn value(dice: &mut Dice, ty: Ty, place: Place<'_>) -> (String, &'static str) {
    if let Some(joined) = place.joined
        && dice.chance(45)
        && let Some(column) = fitting(dice, joined, ty)
    {
        let name = column.name;
        let text = if column.ty.is_number() && dice.chance(60) {
            format!("coalesce(j.{name}, 1)")
        } else {
            format!("j.{name}")
        };
        return (text, "value: of a joined table");
    }
    if ty.is_number() && ty != Ty::Float && !place.merging && dice.chance(7) {
        return sub_select(dice, place);
    }
    (of_event(dice, ty), "value: of the event")
}

/// A number that a query gives.
fn sub_select(dice: &mut Dice, place: Place<'_>) -> (String, &'static str) {
    let table = &place.tables[dice.below(place.tables.len())];
    let key = if place.keyed { "e.k".to_owned() } else { key_value(dice, table) };
    let (name, first) = (table.name, table.columns[0].name);
    if !place.event || (place.wild && !place.keyed && dice.chance(15)) {
        let all =
            ["(SELECT count(*) FROM v)".to_owned(), format!("(SELECT max(q.n) FROM {name} AS q)")];
        return (all[dice.below(2)].clone(), "value: of all rows");
    }
    let by_key = format!("FROM {name} AS q WHERE q.{first} = {key}");
    if place.keyed || !place.wild {
        let aggregate = dice.pick(&["count(*)", "coalesce(max(q.n), 0)", "sum(q.n)"]);
        return (format!("(SELECT {aggregate} {by_key})"), "value: sub-select by key");
    }
    match dice.below(5) {
        0 => (format!("(SELECT count(*) FROM {name})"), "value: of all rows"),
        1 => (format!("(SELECT max(q.n) {by_key})"), "value: sub-select by key"),
        2 => (format!("(SELECT count(*) {by_key})"), "value: sub-select by key"),
        3 => (
            format!("CASE WHEN NOT EXISTS (SELECT {by_key}) THEN 1 ELSE 2 END"),
            "value: not exists",
        ),
        _ => ("(SELECT count(*) FROM v)".to_owned(), "value: of a view"),
    }
}

/// What a `SET` gives a column, and what kind of step it is; `new` is what the event brings for this very column.
fn any_step(
    dice: &mut Dice,
    table: &Table,
    column: Column,
    new: &str,
    place: Place<'_>,
) -> (String, &'static str) {
    let old = format!("t.{}", column.name);
    let merged = dice.chance(70);
    if merged && column.ty.is_number() {
        return match dice.below(10) {
            0..4 => (format!("{old} + {new}"), "step: sum"),
            4 => (format!("GREATEST({old}, {new})"), "step: greatest"),
            5 => (format!("LEAST({new}, {old})"), "step: least"),
            6 => (format!("COALESCE({new}, {old})"), "step: coalesce"),
            7 => (format!("COALESCE({old}, {new})"), "step: coalesce"),
            _ => (new.to_owned(), "step: last"),
        };
    }
    if merged {
        return match dice.below(if column.ty.is_text() { 5 } else { 3 }) {
            0 => (format!("COALESCE({new}, {old})"), "step: coalesce"),
            1 => (format!("COALESCE({old}, {new})"), "step: coalesce"),
            2 => (new.to_owned(), "step: last"),
            3 => (format!("GREATEST({old}, {new})"), "step: greatest"),
            _ => (format!("LEAST({old}, {new})"), "step: least"),
        };
    }
    match dice.below(5) {
        0 if column.ty.is_number() => (format!("{old} * 2 + {new}"), "step: no merge"),
        1 if column.ty.is_number() => ("length(t::text)".to_owned(), "step: whole row"),
        2 => match fitting(dice, table, column.ty) {
            Some(other) => (format!("t.{}", other.name), "step: another column"),
            None => (new.to_owned(), "step: last"),
        },
        3 if column.ty.is_number() && column.ty != Ty::Float && (place.event || place.wild) => {
            sub_select(dice, place)
        }
        _ if column.ty == Ty::Text => (format!("concat({old}, {new})"), "step: no merge"),
        _ => (new.to_owned(), "step: last"),
    }
}

/// A step, or where rules are made to be merged, mostly one that is a merge.
pub(super) fn step(
    dice: &mut Dice,
    table: &Table,
    column: Column,
    new: &str,
    place: Place<'_>,
) -> (String, &'static str) {
    let only_merges = place.merging || dice.chance(50);
    loop {
        let (text, kind) = any_step(dice, table, column, new, place);
        let merges = !matches!(kind, "step: no merge") && text.contains(new);
        if merges || !only_merges || dice.chance(3) {
            return (text, kind);
        }
    }
}
