//! What `USING` may say, and what becomes of it: only columns of its table, constants, claims and functions, so that the
//! condition of a row hangs on that row and on who asks. A claim that does not read as the type that it is cast to counts as
//! missing, and so does a text of a row: NULL, which meets nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, Ident, Query, Value, Visit, Visitor,
};
use sqlparser::tokenizer::{Location, Token};

use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::functions;
use crate::names::name::{fold, parts, quote_literal, quoted};
use crate::names::nearest::did_you_mean;
use crate::objects::table::Table;
use crate::rights::{Piece, Predicate};
use crate::text::{Fragment, Lexeme};

/// All rows.
pub(super) const TRUE: &str = "true";

/// The function of the control tables that gives a text, or NULL where it does not read as the type of that name.
const READABLE: &str = "vitrina.readable";

/// A piece for the claim of a name.
type OfName = fn(String) -> Piece;

/// The functions that give claims.
const CLAIMS: [(&str, OfName); 2] = [("claim", Piece::Claim), ("claims", Piece::Claims)];

const CAST: &str =
    "cast the claim itself, as in claim('level')::int: one that does not read so counts as missing";

/// The condition as the API runs it; none where it is refused.
pub(super) fn compile(
    condition: &Fragment<'_>,
    table: &Table,
    report: &mut Report,
) -> Option<Predicate> {
    let expr = match condition.parse_expression() {
        Ok(expr) => expr,
        Err(error) => {
            report.unreadable(error, None);
            return None;
        }
    };
    let mut using = Using {
        condition,
        table,
        casts: BTreeMap::new(),
        edits: Vec::new(),
        columns: BTreeSet::new(),
        refused: Vec::new(),
    };
    let _ = expr.visit(&mut using);
    if !using.refused.is_empty() {
        for (at, what, help) in using.refused {
            report.error(at.unwrap_or(condition.place()), what, help);
        }
        return None;
    }
    let pieces = match constant(&expr) {
        true => vec![Piece::Sql(TRUE.to_owned())],
        false => pieces(condition, using.edits),
    };
    let columns = using.columns.into_iter().collect();
    Some(Predicate { pieces, columns, constant: settled(&expr) })
}

/// Whether it is `true`.
fn constant(expr: &Expr) -> bool {
    matches!(bare(expr), Expr::Value(value) if value.value == Value::Boolean(true))
}

/// The user's text with its edits, in pieces.
fn pieces(condition: &Fragment<'_>, mut edits: Vec<(Range<usize>, Vec<Piece>)>) -> Vec<Piece> {
    edits.sort_by_key(|(range, _)| range.start);
    let text = condition.text();
    let mut open = vec![Piece::Sql("(".to_owned())];
    let mut done = 0;
    for (range, pieces) in edits {
        let range = condition.within(&range);
        open.push(Piece::Sql(text[done..range.start].to_owned()));
        open.extend(pieces);
        done = range.end;
    }
    open.push(Piece::Sql(format!("{})", &text[done..])));
    let mut joined: Vec<Piece> = Vec::new();
    for piece in open {
        match (joined.last_mut(), piece) {
            (Some(Piece::Sql(before)), Piece::Sql(more)) => before.push_str(&more),
            (_, piece) => joined.push(piece),
        }
    }
    joined
}

/// The columns that one of the conditions which must all hold compares with what is the same for all rows.
fn settled(expr: &Expr) -> Vec<String> {
    match bare(expr) {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            [settled(left), settled(right)].concat()
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let sides = [(left, right), (right, left)];
            let settled = sides.into_iter().find_map(|(column, value)| {
                column_name(bare(column)).filter(|_| !names_column(value))
            });
            settled.map(fold).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Without the parentheses around it.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

fn column_name(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    }
}

fn names_column(expr: &Expr) -> bool {
    let seek = |expr: &Expr| match column_name(expr) {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    };
    sqlparser::ast::visit_expressions(expr, seek).is_break()
}

fn names_claim(expr: &Expr) -> bool {
    let seek = |expr: &Expr| match claim(expr) {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    };
    sqlparser::ast::visit_expressions(expr, seek).is_break()
}

/// The name in a call of `claim` or `claims`, and which of them it is.
fn claim(expr: &Expr) -> Option<(&Ident, OfName)> {
    let Expr::Function(Function { name, .. }) = expr else { return None };
    let [name] = parts(name)[..] else { return None };
    let (_, piece) = CLAIMS.into_iter().find(|(known, _)| fold(name) == *known)?;
    Some((name, piece))
}

/// A condition as it is walked through.
struct Using<'c, 'f> {
    condition: &'c Fragment<'f>,
    table: &'c Table,
    /// The types that what begins here is cast to.
    casts: BTreeMap<Location, DataType>,
    /// Bytes of the file, and what stands there instead.
    edits: Vec<(Range<usize>, Vec<Piece>)>,
    columns: BTreeSet<String>,
    refused: Vec<(Option<Place>, String, String)>,
}

impl Using<'_, '_> {
    fn refuse(&mut self, at: Location, what: impl Into<String>, help: impl Into<String>) {
        self.refused.push((Place::known(at), what.into(), help.into()));
    }

    fn expression(&mut self, expr: &Expr) {
        match expr {
            Expr::Identifier(name) => self.column(&[name]),
            Expr::CompoundIdentifier(names) => self.column(&names.iter().collect::<Vec<_>>()),
            Expr::Function(function) => match claim(expr) {
                Some((name, piece)) => self.claim(name, piece),
                None => self.function(function),
            },
            Expr::Cast { expr: operand, data_type, .. } => self.cast(bare(operand), data_type),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                self.refused.push((
                    None,
                    "a star is not part of USING".to_owned(),
                    "name the columns".to_owned(),
                ));
            }
            _ => {}
        }
    }

    /// `column`, or `table.column`.
    fn column(&mut self, names: &[&Ident]) {
        let (Some(first), Some(last)) = (names.first(), names.last()) else { return };
        let (at, name) = (first.span.start, fold(last));
        let of_other = names.len() > 2 || names.len() == 2 && fold(first) != self.table.name;
        if of_other {
            let written: Vec<_> = names.iter().map(|name| name.value.as_str()).collect();
            let help =
                format!("a policy asks only for columns of its own table, `{}`", self.table.name);
            return self.refuse(at, format!("`{}` is no column of it", written.join(".")), help);
        }
        if names.len() == 1
            && first.quote_style.is_none()
            && let Some(refusal) = functions::refused_word(&name)
        {
            return self.refuse(at, format!("`{name}` {}", why(refusal)), IMMUTABLE);
        }
        if !self.table.has(&name) {
            let known = self.table.columns.iter().map(|column| column.name.as_str());
            let near = did_you_mean(&name, known.clone());
            let help = format!("{near}its columns are {}", known.collect::<Vec<_>>().join(", "));
            return self.refuse(at, format!("`{}` has no column `{name}`", self.table.name), help);
        }
        let (Some(begin), Some(end)) = (self.condition.at(at), self.condition.at(last.span.start))
        else {
            return self.unplaced(&name);
        };
        let bytes = begin.bytes.start..end.bytes.end;
        let read = self.readable(at, Piece::Sql(format!("t.{}", quoted(&name))));
        self.edits.push((bytes, read));
        self.columns.insert(name);
    }

    /// `claim('name')`
    fn claim(&mut self, name: &Ident, piece: OfName) {
        let at = name.span.start;
        let found = self.condition.at(at).and_then(|begin| {
            let mut tokens = self
                .condition
                .significant()
                .skip_while(|lexeme| lexeme.bytes.start <= begin.bytes.start);
            let open = tokens.next()?.is(&Token::LParen);
            let text = tokens.next().and_then(Lexeme::literal)?;
            let close = tokens.next().filter(|lexeme| open && lexeme.is(&Token::RParen))?;
            Some((begin.bytes.start..close.bytes.end, text.to_owned()))
        });
        let Some((bytes, text)) = found else {
            let help = format!("write {0}('sub')", fold(name));
            return self.refuse(
                at,
                format!("{} takes the claim's name as a text", fold(name)),
                help,
            );
        };
        let read = self.readable(at, piece(text));
        self.edits.push((bytes, read));
    }

    /// The value that begins here, or NULL where it does not read as the type that it is cast to.
    fn readable(&self, at: Location, value: Piece) -> Vec<Piece> {
        match self.casts.get(&at) {
            Some(ty) => vec![
                Piece::Sql(format!("{READABLE}(")),
                value,
                Piece::Sql(format!(", {})", quote_literal(&ty.to_string()))),
            ],
            None => vec![value],
        }
    }

    fn cast(&mut self, operand: &Expr, ty: &DataType) {
        if *ty == DataType::Text {
            return;
        }
        let begin = match (claim(operand), column_name(operand)) {
            (Some((name, _)), _) => Some(name),
            (None, Some(name)) if self.is_text(&fold(name)) => match operand {
                Expr::CompoundIdentifier(names) => names.first(),
                _ => Some(name),
            },
            _ => None,
        };
        match begin {
            Some(begin) => {
                self.casts.insert(begin.span.start, ty.clone());
            }
            None if names_claim(operand) => {
                let what = format!("what is cast to `{ty}` is made of a claim");
                self.refused.push((None, what, CAST.to_owned()));
            }
            None => {}
        }
    }

    /// Whether a column of the table is a text, whose values may not read as another type.
    fn is_text(&self, name: &str) -> bool {
        let column = self.table.columns.iter().find(|column| column.name == name);
        column.is_some_and(|column| {
            ["text", "varchar", "character varying"].iter().any(|text| column.ty.starts_with(text))
        })
    }

    fn function(&mut self, function: &Function) {
        let names = parts(&function.name);
        let Some(name) = names.last() else { return };
        let (at, folded) = (name.span.start, fold(name));
        let alone = names.len() == 1 || names.len() == 2 && fold(names[0]) == "pg_catalog";
        let arguments = match &function.args {
            sqlparser::ast::FunctionArguments::List(list) => list.args.len(),
            _ => 0,
        };
        if alone && let Some(refusal) = functions::refused_call(&folded, arguments) {
            return self.refuse(at, format!("`{folded}` {}", why(refusal)), IMMUTABLE);
        }
        let changes_rows = alone
            && (functions::is_aggregate(&folded) || functions::is_set_returning(&folded))
            || function.over.is_some()
            || function.filter.is_some()
            || !function.within_group.is_empty();
        if changes_rows {
            let what = format!("`{folded}` looks at more than one row, or makes many of one");
            self.refuse(
                at,
                what,
                "a policy asks for one row at a time: let a rule keep the value in a column",
            );
        }
    }

    fn unplaced(&mut self, name: &str) {
        let what = format!("where `{name}` stands cannot be told");
        self.refused.push((None, what, "write the condition more simply".to_owned()));
    }
}

const IMMUTABLE: &str =
    "a policy calls immutable functions only; what else it needs, let a rule keep in a column";

/// Why a function is refused here.
fn why(refusal: functions::Refusal) -> &'static str {
    match refusal.clock {
        true => "reads the clock, so what may be read would change by itself",
        false => "hangs on more than the row and who asks",
    }
}

impl Visitor for Using<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        let what = "a sub-select is not part of USING".to_owned();
        let help = "let a rule keep what it looks up in a column of this table".to_owned();
        self.refused.push((None, what, help));
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.expression(expr);
        ControlFlow::Continue(())
    }
}
