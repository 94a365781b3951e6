//! A select list item by item, each at the bytes where the user wrote it.

use std::ops::Range;

use sqlparser::ast::{Expr, Insert, SelectItem, Value};
use sqlparser::tokenizer::Token;

use crate::names::name::single;
use crate::objects::table::Table;
use crate::text::{Fragment, Lexeme, Text};

/// One item's bytes.
pub(crate) struct Place {
    pub(crate) whole: Range<usize>,
    /// Without the alias.
    pub(crate) value: Range<usize>,
}

/// The items of a query's outermost list, which the parser read as `items`; `None` where they cannot be told apart.
pub(crate) fn places(query: &Fragment<'_>, items: &[SelectItem]) -> Option<Vec<Place>> {
    let words: Vec<&Lexeme> = query.significant().collect();
    let opening = outside(&words, |word, _| word == "SELECT")?;
    let opening = opening + usize::from(words.get(opening + 1)?.keyword() == "ALL");
    // `a IS DISTINCT FROM b` is not where the list ends.
    let closing = outside(&words, |word, before| word == "FROM" && before != "DISTINCT")?;
    let list =
        query.part(&(words.get(opening + 1)?.bytes.start..words.get(closing)?.bytes.start))?;
    let fragments = list.split(|lexeme| lexeme.is(&Token::Comma));
    if fragments.len() != items.len() {
        return None;
    }
    fragments.iter().zip(items).map(|(fragment, item)| place(fragment, item)).collect()
}

/// The first word outside of parentheses that `found` likes, given the one before it.
fn outside(words: &[&Lexeme], found: impl Fn(&str, &str) -> bool) -> Option<usize> {
    let mut depth = 0usize;
    let mut before = String::new();
    for (index, word) in words.iter().enumerate() {
        match word.token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        let keyword = word.keyword();
        if depth == 0 && found(&keyword, &before) {
            return Some(index);
        }
        before = keyword;
    }
    None
}

fn place(fragment: &Fragment<'_>, item: &SelectItem) -> Option<Place> {
    let words: Vec<&Lexeme> = fragment.significant().collect();
    let mut end = words.len();
    if let SelectItem::ExprWithAlias { .. } = item {
        end = end.checked_sub(1)?;
        end -= usize::from(words.get(end.checked_sub(1)?)?.keyword() == "AS");
    }
    let start = words.first()?.bytes.start;
    let value = start..words.get(end.checked_sub(1)?)?.bytes.end;
    Some(Place { whole: start..words.last()?.bytes.end, value })
}

/// Edits that give each bare literal of an INSERT's list the type of its column. Postgres does so by itself only where
/// the list is the INSERT's own, not where it stands in a sub-select.
pub(crate) fn typed(
    sql: &str,
    query: &Range<usize>,
    insert: &Insert,
    table: &Table,
) -> Vec<(Range<usize>, String)> {
    let found = || {
        let select = insert
            .source
            .as_deref()?
            .body
            .as_select()
            .filter(|select| select.distinct.is_none())?;
        let text = Text::new(sql).ok()?;
        let places = places(&text.statements().first()?.part(query)?, &select.projection)?;
        let columns: Option<Vec<String>> = insert.columns.iter().map(single).collect();
        let columns = columns.filter(|columns| !columns.is_empty());
        let columns = columns
            .unwrap_or_else(|| table.columns.iter().map(|column| column.name.clone()).collect());
        let items = select.projection.iter().zip(places).zip(columns);
        // What a star brings is not counted here.
        let counted = items.take_while(|((item, _), _)| value(item).is_some());
        let untyped = counted.filter(|((item, _), _)| value(item).is_some_and(is_untyped));
        let edits = untyped.filter_map(|((_, place), name)| {
            let column = table.columns.iter().find(|column| column.name == name)?;
            let cast = format!("({})::{}", &sql[place.value.clone()], unlimited(&column.ty)?);
            Some((place.value, cast))
        });
        Some(edits.collect())
    };
    found().unwrap_or_default()
}

fn value(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

fn is_untyped(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_untyped(inner),
        Expr::Value(value) => {
            matches!(value.value, Value::Null) || value.value.clone().into_string().is_some()
        }
        _ => false,
    }
}

/// The type without its length or precision: storing applies those, where a cast would cut a text that is too long.
/// `None`: a text is stored there as it is.
fn unlimited(ty: &str) -> Option<String> {
    let (base, rest) = ty.split_once('(').map_or((ty, ""), |(base, rest)| (base, rest));
    let textual = ["text", "char", "varchar", "bpchar", "bit", "name"];
    if textual.iter().any(|textual| base.trim_start_matches("pg_catalog.").starts_with(textual)) {
        return None;
    }
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    Some(format!("{}{after}", base.trim_end()))
}
