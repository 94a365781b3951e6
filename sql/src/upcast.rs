//! An upcast is a select list over the version before and nothing else, so each row gives exactly one row, by itself.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{Expr, Ident, Select, SelectItem, Statement, TableFactor};
use sqlparser::tokenizer::Token;

use crate::Finding;
use crate::finding::place::Place;
use crate::finding::report::Report;
use crate::names::lexicon;
use crate::names::name::{fold, single};
use crate::names::nearest::did_you_mean;
use crate::names::survey::Survey;
use crate::shape::is_grouped;
use crate::shape::unordered::Unordered;
use crate::text::literal::Literal;
use crate::text::{Fragment, Lexeme, Text};

/// An upcast file, read.
#[derive(Debug, Clone)]
pub struct Upcast {
    pub items: Vec<UpcastItem>,
}

/// One item of the select list.
#[derive(Debug, Clone)]
pub struct UpcastItem {
    /// The field that it makes: its alias, or the bare column's own name, folded.
    pub name: String,
    /// The column that it is, where it is no more than one.
    pub column: Option<String>,
    /// The user's text, to be placed in `SELECT … FROM (…) AS v1`.
    pub expr: String,
    pub at: Place,
    /// Columns of the version before that it may use.
    pub columns: BTreeSet<String>,
    /// Literals in `expr` that read the clock if they are times.
    pub literals: Vec<Literal>,
}

impl Upcast {
    /// Reads the upcast from version `from` (`v1`), which has these `columns` (folded, metadata included). All findings
    /// at once; an upcast comes back only if none of them is an error.
    pub fn parse(
        file: &str,
        text: &str,
        from: &str,
        columns: &[String],
    ) -> (Option<Self>, Vec<Finding>) {
        let mut report = Report::new(file);
        let upcast = Reading { from, columns, report: &mut report }.file(text);
        let (accepted, findings) = report.finish();
        (upcast.filter(|_| accepted), findings)
    }
}

struct Reading<'a> {
    from: &'a str,
    columns: &'a [String],
    report: &'a mut Report,
}

impl Reading<'_> {
    fn file(&mut self, text: &str) -> Option<Upcast> {
        let whole = Text::new(text).map_err(|error| self.report.unreadable(error, None)).ok()?;
        lexicon::check(&whole, self.report);
        if self.refuse_open(&whole) {
            return None;
        }
        let statements = whole.statements();
        let exactly = format!("write exactly one statement: SELECT list FROM {}", self.from);
        let [fragment] = statements[..] else {
            self.report.error(
                Place::START,
                format!("the file holds {} statements", statements.len()),
                exactly,
            );
            return None;
        };
        let statement =
            fragment.parse().map_err(|error| self.report.unreadable(error, None)).ok()?;
        let (Some(select), Some(list)) = (self.plain_select(&statement), self.list(&fragment))
        else {
            let help = format!("{exactly}, without alias or any other clause");
            self.report.error(
                fragment.place(),
                "an upcast is a select list over the version before, nothing else",
                help,
            );
            return None;
        };
        let mut items: Vec<UpcastItem> = Vec::new();
        for (item, fragment) in select.projection.iter().zip(list) {
            let Some(item) = self.item(item, &fragment) else { continue };
            if items.iter().any(|other| other.name == item.name) {
                self.report.error(
                    item.at,
                    format!("`{}` is written twice", item.name),
                    "keep one of them",
                );
            }
            items.push(item);
        }
        Some(Upcast { items })
    }

    /// A question mark where an item begins stands for what nobody has written yet.
    fn refuse_open(&mut self, whole: &Text<'_>) -> bool {
        let lexemes: Vec<&Lexeme> = whole.significant().collect();
        let begins = |lexeme: &Lexeme| lexeme.keyword() == "SELECT" || lexeme.is(&Token::Comma);
        let mut open = lexemes
            .windows(2)
            .filter(|pair| begins(pair[0]) && pair[1].is(&Token::Question))
            .peekable();
        let any = open.peek().is_some();
        for pair in open {
            let what = "here stands a question mark, for what this field is made of";
            let help = format!(
                "write an expression over the columns of {}, or give the field a default in the schema and take the item out",
                self.from
            );
            self.report.error(pair[1].place(), what, help);
        }
        any
    }

    /// The SELECT, where no clause stands before or beside its list.
    fn plain_select<'s>(&self, statement: &'s Statement) -> Option<&'s Select> {
        let Statement::Query(query) = statement else { return None };
        let select = query.body.as_select()?;
        let [source] = &select.from[..] else { return None };
        let TableFactor::Table { name, alias: None, args: None, .. } = &source.relation else {
            return None;
        };
        let over_version = source.joins.is_empty() && single(name)? == self.from;
        let no_clause =
            query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
        let no_condition =
            select.selection.is_none() && select.having.is_none() && !is_grouped(select);
        (over_version && no_clause && no_condition).then_some(select)
    }

    /// The items' texts: what stands between SELECT and the FROM with which the statement ends.
    fn list<'t>(&self, fragment: &Fragment<'t>) -> Option<Vec<Fragment<'t>>> {
        let lexemes: Vec<&Lexeme> = fragment.significant().collect();
        let [select, .., from, _] = lexemes[..] else { return None };
        if select.keyword() != "SELECT" || from.keyword() != "FROM" || lexemes[1].keyword() == "ALL"
        {
            return None;
        }
        let list = fragment.part(&(select.bytes.end..from.bytes.start));
        Some(list.map(|list| list.split(|lexeme| lexeme.is(&Token::Comma))).unwrap_or_default())
    }

    fn item(&mut self, item: &SelectItem, fragment: &Fragment<'_>) -> Option<UpcastItem> {
        let at = fragment.place();
        let (name, expr, text) = match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                (fold(alias), expr, without_alias(fragment)?)
            }
            SelectItem::UnnamedExpr(expr) => match own_name(expr) {
                Some(name) => (name, expr, *fragment),
                None => {
                    let what = format!("`{}` has no name", fragment.text());
                    self.report.error(at, what, "add AS field");
                    return None;
                }
            },
            _ => {
                let help =
                    "list only what changes: fields of the same name carry over by themselves";
                self.report.error(at, format!("`{}` is not a field", fragment.text()), help);
                return None;
            }
        };
        let survey = Survey::of(expr);
        self.check(&survey, at);
        for open in Unordered::all(expr, &BTreeMap::new(), &BTreeMap::new()) {
            open.report(at, self.report);
        }
        Some(UpcastItem {
            name,
            column: own_name(expr),
            expr: text.text().to_owned(),
            at,
            columns: self.used(&survey, &text),
            literals: Literal::all(&text),
        })
    }

    fn check(&mut self, survey: &Survey, at: Place) {
        survey.report(at, false, self.report);
        for named in &survey.relations {
            if !survey.ctes.contains(&named.called()) {
                let help = "an upcast sees its own row only; sub-selects may unnest its fields";
                self.report.error(named.place(), "an upcast reads no relation", help);
            }
        }
        if survey.queries == 0
            && let Some(call) = survey.row_changing.first()
        {
            let help = "put it into a sub-select over functions: (SELECT … FROM jsonb_array_elements(field) item)";
            self.report.error(
                at,
                format!("`{}` does not give one value for each row", call.value),
                help,
            );
        }
        for name in &survey.dotted {
            match &name[..] {
                [relation, column] if fold(relation) == self.from => self.check_column(column),
                [_, _] => {}
                _ => self.report.error(
                    at,
                    "a column's name has too many parts",
                    format!("write {}.column", self.from),
                ),
            }
        }
        if survey.queries == 0 {
            let whole_row = |name: &&Ident| fold(name) == self.from;
            let names: Vec<_> = survey.bare.iter().filter(|name| !whole_row(name)).collect();
            names.into_iter().for_each(|name| self.check_column(name));
        }
    }

    fn check_column(&mut self, column: &Ident) {
        let name = fold(column);
        if !self.columns.contains(&name) && crate::names::functions::refused_word(&name).is_none() {
            let near = did_you_mean(&name, self.columns.iter().map(String::as_str));
            let help = format!("{near}its columns are {}", self.columns.join(", "));
            self.report.error(
                Place::from(column.span.start),
                format!("{} has no column `{name}`", self.from),
                help,
            );
        }
    }

    /// Every word that is a column's name counts; a whole row or a star is all columns.
    fn used(&self, survey: &Survey, text: &Fragment<'_>) -> BTreeSet<String> {
        let words = text.names();
        let whole_row = survey.stars || survey.bare.iter().any(|name| fold(name) == self.from);
        let columns = self.columns.iter().filter(|column| whole_row || words.contains(*column));
        columns.cloned().collect()
    }
}

/// The name of a bare column, with or without its relation.
fn own_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(fold(name)),
        Expr::CompoundIdentifier(name) => name.last().map(fold),
        _ => None,
    }
}

/// `expression [AS] alias` without its end.
fn without_alias<'t>(item: &Fragment<'t>) -> Option<Fragment<'t>> {
    let lexemes: Vec<&Lexeme> = item.significant().collect();
    let [first, .., before, alias] = lexemes[..] else {
        return item.part(&(0..lexemes.last()?.bytes.start));
    };
    let end = if before.keyword() == "AS" { before.bytes.start } else { alias.bytes.start };
    item.part(&(first.bytes.start..end))
}
