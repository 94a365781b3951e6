//! The text of a merged statement: the events of one key become one row before the target is touched. Whatever could
//! differ from running them one by one is made an error here, which sends the batch through event by event.

use sqlparser::ast::{Insert, SelectItem};

use crate::names::name::quoted;
use crate::objects::table::Table;
use crate::shape::from;
use crate::shape::list;
use crate::shape::rule::Rule;
use crate::text::{Text, splice};
use crate::waves::keys::ORDINAL;
use crate::waves::merge::fold::Fold;
use crate::waves::sabotage::{Line, left_out};
use crate::waves::types::SqlType;

/// One column that a merged statement brings.
pub(crate) struct Piece {
    pub(crate) column: usize,
    pub(crate) ty: SqlType,
    /// `None`: it belongs to the key.
    pub(crate) fold: Option<Fold>,
    /// The user's expression; empty for an INSERT, whose select list has it.
    pub(crate) value: String,
}

/// What both kinds of statement are made of.
pub(crate) struct Form<'a> {
    pub(crate) table: &'a Table,
    /// The target's name in the statement.
    pub(crate) called: &'a str,
    pub(crate) pieces: &'a [Piece],
    /// For each piece: what its sum of absolute values must leave room for, because other rules of a wave may add to
    /// the same column, in another order than the log's.
    pub(crate) factors: Vec<usize>,
}

/// The merged rows' name in a statement; users' names do not begin so.
const ROWS: &str = "_vitrina_rows";
const TARGET: &str = "_vitrina_target";

impl Form<'_> {
    fn column(&self, piece: &Piece) -> String {
        quoted(&self.table.columns[piece.column].name)
    }

    fn old(&self, piece: &Piece) -> String {
        format!("{}.{}", quoted(self.called), self.column(piece))
    }

    fn keys(&self) -> Vec<(usize, &Piece)> {
        self.pieces.iter().enumerate().filter(|(_, piece)| piece.fold.is_none()).collect()
    }

    /// Where every column takes its value from one and the same event of a key, the order in which that one comes first.
    /// Sorting the rows once costs a third of what an aggregate for each column does.
    fn one_event(&self) -> Option<&'static str> {
        let folds = || self.pieces.iter().filter_map(|piece| piece.fold);
        match folds().next()? {
            Fold::Last if folds().all(|fold| fold == Fold::Last) => Some(" DESC"),
            Fold::First if folds().all(|fold| fold == Fold::First) => Some(""),
            _ => None,
        }
    }

    /// One value for each piece and key, over rows whose columns are called c0, c1 … and o.
    fn one_value(&self, at: usize, piece: &Piece) -> String {
        let (value, ordinal) = (format!("{ROWS}.c{at}"), format!("{ROWS}.o"));
        match piece.fold.filter(|_| self.one_event().is_none()) {
            Some(fold) => fold.aggregate(&value, &ordinal, self.is_not_null(piece)),
            None => value,
        }
    }

    fn is_not_null(&self, piece: &Piece) -> bool {
        self.table.columns[piece.column].not_null
    }

    /// What stands before and after `values` and the rows that they are taken from, so that there is one row a key.
    fn one_row_a_key(&self, values: &[String]) -> (String, String) {
        let values = values.join(", ");
        let Some(order) = self.one_event() else {
            return (format!("SELECT {values}"), format!("GROUP BY {}", self.key_values("")));
        };
        let keys = self.key_values(" COLLATE \"C\"");
        (
            format!("SELECT DISTINCT ON ({keys}) {values}"),
            format!("ORDER BY {keys}{}, {ROWS}.o{order}", self.incomplete_first()),
        )
    }

    /// An event that lacks what may not be NULL is taken before all others of its key, so that Postgres refuses it.
    fn incomplete_first(&self) -> String {
        if left_out(Line::NotNull) {
            return String::new();
        }
        let needed = self
            .pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| piece.fold.is_some() && self.is_not_null(piece));
        let needed: Vec<String> =
            needed.map(|(at, _)| format!("{ROWS}.c{at} IS NOT NULL")).collect();
        if needed.is_empty() { String::new() } else { format!(", ({})", needed.join(" AND ")) }
    }

    /// The key's values, its texts in the order of `collation`: that of bytes costs less than a language's and tells the
    /// same ones apart.
    fn key_values(&self, collation: &str) -> String {
        let key = self.keys().into_iter().map(|(at, piece)| {
            let collation = if piece.ty.is_text() { collation } else { "" };
            format!("{ROWS}.c{at}{collation}")
        });
        key.collect::<Vec<_>>().join(", ")
    }

    /// An expression that fails where `old` and the absolute values of all that is added do not fit the column together:
    /// then some order of the additions could fail, too.
    fn room(&self, at: usize, old: &str, added: &str) -> String {
        if left_out(Line::Room) {
            return "true".to_owned();
        }
        format!("(({old} + {added}) * {})::{}", self.factors[at], self.pieces[at].ty.sql)
    }
}

/// `INSERT … ON CONFLICT`, merged.
pub(crate) struct Insertion<'a> {
    pub(crate) form: Form<'a>,
    pub(crate) rule: &'a Rule,
    /// It updates on a conflict.
    pub(crate) updates: bool,
}

impl Insertion<'_> {
    /// The text before and after the derived table.
    pub(crate) fn sql(&self, insert: &Insert) -> Option<(String, String)> {
        let select = insert.source.as_deref()?.body.as_select()?;
        let called = from::items(&select.from).iter().find(|item| item.is_event())?.called();
        let form = &self.form;
        let columns: Vec<String> = (0..form.pieces.len()).map(|at| format!("c{at}")).collect();
        let values: Vec<String> =
            form.pieces.iter().enumerate().map(|(at, piece)| self.value(at, piece)).collect();
        let (opening, order) = form.one_row_a_key(&values);
        let closing = format!(
            ") AS {ROWS}({}, o) {order} ON CONFLICT {}",
            columns.join(", "),
            self.on_conflict()
        );
        let (sql, query) = (&self.rule.sql, &self.rule.query);
        let mut edits = vec![
            (query.start..query.start, format!("{opening} FROM (")),
            (query.end..sql.len(), closing),
        ];
        edits.extend(self.select_list(&select.projection, &called)?);
        split(|derived| {
            let mentions = self.rule.edits(derived);
            splice(sql, edits.iter().cloned().chain(mentions))
        })
    }

    /// Every item cast to its column's type, and the ordinal after the last.
    fn select_list(
        &self,
        items: &[SelectItem],
        event: &str,
    ) -> Option<Vec<(std::ops::Range<usize>, String)>> {
        let text = Text::new(&self.rule.sql).ok()?;
        let places = list::places(&text.statements().first()?.part(&self.rule.query)?, items)?;
        if items.len() != self.form.pieces.len() {
            return None;
        }
        let edits = places.into_iter().enumerate().map(|(at, place)| {
            let mut cast =
                format!("({})::{}", &self.rule.sql[place.value], self.form.pieces[at].ty.sql);
            if at + 1 == items.len() {
                cast.push_str(&format!(", {}.{}", quoted(event), quoted(ORDINAL)));
            }
            (place.whole, cast)
        });
        Some(edits.collect())
    }

    fn value(&self, at: usize, piece: &Piece) -> String {
        let merged = self.form.one_value(at, piece);
        if piece.fold != Some(Fold::Sum) {
            return merged;
        }
        let form = &self.form;
        let same = form
            .keys()
            .into_iter()
            .map(|(key, part)| format!("{TARGET}.{} = {ROWS}.c{key}", form.column(part)));
        let old = format!(
            "COALESCE((SELECT abs({TARGET}.{}::numeric) FROM {} AS {TARGET} WHERE {}), 0)",
            form.column(piece),
            quoted(&form.table.name),
            same.collect::<Vec<_>>().join(" AND ")
        );
        let room = form.room(at, &old, &format!("sum(abs({ROWS}.c{at}::numeric))"));
        format!("CASE WHEN {room} IS NOT NULL THEN {merged} END")
    }

    fn on_conflict(&self) -> String {
        if !self.updates {
            return "DO NOTHING".to_owned();
        }
        let key: Vec<String> =
            self.form.keys().iter().map(|(_, piece)| self.form.column(piece)).collect();
        let set = self.form.pieces.iter().filter_map(|piece| {
            let fold = piece.fold.filter(|fold| *fold != Fold::First)?;
            let column = self.form.column(piece);
            Some(format!(
                "{column} = {}",
                fold.step(&self.form.old(piece), &format!("EXCLUDED.{column}"))
            ))
        });
        format!("({}) DO UPDATE SET {}", key.join(", "), set.collect::<Vec<_>>().join(", "))
    }
}

/// `UPDATE`, merged.
pub(crate) struct Updating<'a> {
    pub(crate) form: Form<'a>,
    /// The event's name in the statement.
    pub(crate) event: String,
    /// Conditions on the event alone, as the user wrote them.
    pub(crate) conditions: Vec<String>,
}

impl Updating<'_> {
    /// The text before and after the derived table.
    pub(crate) fn sql(&self) -> Option<(String, String)> {
        let form = &self.form;
        let (mut set, mut same, mut rows, mut events) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (at, piece) in form.pieces.iter().enumerate() {
            let (old, new) = (form.old(piece), format!("_vitrina_merged.m{at}"));
            rows.push(format!("{} AS m{at}", form.one_value(at, piece)));
            events.push(format!("({})::{} AS c{at}", piece.value, piece.ty.sql));
            match piece.fold {
                None => same.push(format!("{old} = {new}")),
                Some(Fold::Sum) => {
                    rows.push(format!("sum(abs({ROWS}.c{at}::numeric)) AS a{at}"));
                    let room = form.room(
                        at,
                        &format!("abs({old}::numeric)"),
                        &format!("_vitrina_merged.a{at}"),
                    );
                    let sum = Fold::Sum.step(&old, &new);
                    set.push(format!(
                        "{} = CASE WHEN {room} IS NOT NULL THEN {sum} END",
                        form.column(piece)
                    ));
                }
                Some(fold) => {
                    set.push(format!("{} = {}", form.column(piece), fold.step(&old, &new)))
                }
            }
        }
        let conditions: String =
            self.conditions.iter().map(|condition| format!(" AND ({condition})")).collect();
        let event = quoted(&self.event);
        let (opening, order) = form.one_row_a_key(&rows);
        split(|derived| {
            format!(
                "UPDATE {} AS {} SET {} FROM ({opening} FROM (SELECT {}, {event}.{} AS o FROM {derived} AS {event} \
                 WHERE true{conditions}) AS {ROWS} {order}) AS _vitrina_merged WHERE {}",
                quoted(&form.table.name),
                quoted(form.called),
                set.join(", "),
                events.join(", "),
                quoted(ORDINAL),
                same.join(" AND ")
            )
        })
    }
}

/// A statement's text before and after its derived table, of which there is one.
pub(crate) fn split(statement: impl Fn(&str) -> String) -> Option<(String, String)> {
    // No statement holds this: Postgres takes no zero bytes.
    let (before, after) = statement("\0")
        .split_once('\0')
        .map(|(before, after)| (before.to_owned(), after.to_owned()))?;
    Some((before, after))
}
