//! Reads a rule and decides how it may run over many events. What cannot be told to make each event's rows alone is
//! run event by event, and where even that is not possible it is refused.

pub(crate) mod from;
pub(crate) mod list;
pub(crate) mod pin;
pub(crate) mod rule;
pub(crate) mod unordered;
pub(crate) mod written;

use std::collections::BTreeSet;
use std::ops::Range;

use sqlparser::ast::{
    Delete, FromTable, GroupByExpr, Ident, Insert, ObjectName, OnConflictAction, OnInsert, Query,
    Select, SetExpr, Statement, TableFactor, TableObject, TableWithJoins, Update,
    UpdateTableFromKind,
};
use sqlparser::tokenizer::Token;

use crate::finding::report::Report;
use crate::names::functions;
use crate::names::name::{fold, parts, single};
use crate::names::survey::{NamedRelation, Survey};
use crate::objects::scope::{EventName, Scope};
use crate::text::Fragment;
use crate::text::literal::Literal;
use crate::text::statement::CONTENTS;
use from::{Item, Join};
use rule::{Mention, Rule, RuleKind, Shape};
use unordered::Unordered;

/// A rule under the reader: what the findings need.
struct Reading<'a, 'b> {
    fragment: &'a Fragment<'a>,
    scope: &'a Scope<'a>,
    report: &'b mut Report,
}

/// What the three kinds of rules differ in, once read.
struct Form {
    target: String,
    kind: RuleKind,
    shape: Shape,
    query: Range<usize>,
    needs: BTreeSet<String>,
}

/// Reads one rule; `None` where it is refused so far that nothing more can be said of it.
pub(crate) fn read(
    ast: Statement,
    fragment: &Fragment<'_>,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Option<Rule> {
    let survey = survey(&ast);
    survey.report(fragment.place(), false, report);
    let resolved = scope.resolve(&survey, report);
    if let Some(view) = scope.clock_view(&resolved.reads) {
        let help = "compute it from the event's time, `_time`, over the tables that the view reads";
        report.error(
            fragment.place(),
            format!("view `{view}` reads the clock, so a rule may not read it"),
            help,
        );
    }
    let mut reading = Reading { fragment, scope, report };
    let event = reading
        .one_event(&resolved.events, !survey.relations.iter().any(|named| named.name.len() > 1));
    let columns = event
        .and_then(|event| scope.relations.columns(&event.context, &event.event))
        .unwrap_or_default();
    let form = match &ast {
        Statement::Insert(insert) => reading.insert(insert, resolved.events.len()),
        Statement::Update(update) => reading.update(update, resolved.events.len(), &columns),
        Statement::Delete(delete) => reading.delete(delete, resolved.events.len()),
        _ => reading.error("this is not a rule", CONTENTS),
    }?;
    if let Some(table) = scope.tables.get(&form.target) {
        written::check(&ast, table, fragment.place(), report);
    }
    for open in Unordered::all(&ast, scope.tables, scope.unique) {
        open.report(fragment.place(), report);
    }
    let event = event?;
    let mentions = resolved.events.iter().filter_map(|event| mention(event, fragment)).collect();
    let typed = match (&ast, scope.tables.get(&form.target)) {
        (Statement::Insert(insert), Some(table)) => {
            list::typed(fragment.text(), &form.query, insert, table)
        }
        _ => Vec::new(),
    };
    Some(Rule {
        at: fragment.place(),
        sql: fragment.text().to_owned(),
        context: event.context.clone(),
        event: event.event.clone(),
        target: form.target,
        kind: form.kind,
        shape: form.shape,
        columns: used_columns(fragment, &survey, &resolved.events, columns),
        reads: resolved.reads,
        needs: form.needs,
        mentions,
        query: form.query,
        typed,
        literals: Literal::all(fragment),
        ast,
    })
}

/// Everything but the target's name, which is written and not read.
fn survey(ast: &Statement) -> Survey {
    let mut survey = Survey::of(ast);
    survey.target = match ast {
        Statement::Update(_) | Statement::Delete(_) if !survey.relations.is_empty() => {
            Some(survey.relations.remove(0))
        }
        Statement::Insert(Insert { table: TableObject::TableName(name), table_alias, .. }) => {
            let name = parts(name).into_iter().cloned().collect();
            let alias = table_alias.as_ref().map(|alias| alias.alias.clone());
            Some(NamedRelation { name, alias, renames_columns: false })
        }
        _ => None,
    };
    survey
}

fn mention(event: &EventName, fragment: &Fragment<'_>) -> Option<Mention> {
    let [context, name] = &event.named.name[..] else { return None };
    let (first, last) = (fragment.at(context.span.start)?, fragment.at(name.span.start)?);
    let span = fragment.within(&(first.bytes.start..last.bytes.end));
    Some(Mention { span, name: event.named.alias.is_none().then(|| event.event.clone()) })
}

/// Every word of the text that is a column's name counts as a use, so that none is missed.
fn used_columns(
    fragment: &Fragment<'_>,
    survey: &Survey,
    events: &[EventName],
    all: Vec<String>,
) -> Option<BTreeSet<String>> {
    let rows: BTreeSet<_> = events
        .iter()
        .map(|event| event.named.called())
        .chain(survey.joins.iter().cloned())
        .collect();
    let whole_row = survey.bare.iter().any(|name| rows.contains(&fold(name)));
    let lexemes: Vec<_> = fragment.significant().collect();
    let star = lexemes.windows(2).any(|pair| pair[0].is(&Token::Period) && pair[1].is(&Token::Mul));
    let natural = lexemes.iter().any(|lexeme| lexeme.keyword() == "NATURAL");
    if survey.stars || star || whole_row || natural {
        return None;
    }
    let words = fragment.names();
    Some(all.into_iter().filter(|column| words.contains(column)).collect())
}

impl Reading<'_, '_> {
    /// The one event relation that the rule names; says so where there is none (`unnamed`) or more than one.
    fn one_event<'e>(&mut self, events: &'e [EventName], unnamed: bool) -> Option<&'e EventName> {
        for event in events.iter().filter(|event| event.named.renames_columns) {
            let what = format!("the alias of `{}.{}` renames columns", event.context, event.event);
            self.report.error(
                event.named.place(),
                what,
                "give it a plain alias and rename where you select",
            );
        }
        let names: BTreeSet<_> =
            events.iter().map(|event| format!("{}.{}", event.context, event.event)).collect();
        if names.len() > 1 {
            let what = format!(
                "the rule names {} event relations: {}",
                names.len(),
                Vec::from_iter(names).join(", ")
            );
            let help =
                "write one rule for each, and keep in a helper table what one needs of the other";
            self.report.error(self.fragment.place(), what, help);
            return None;
        }
        if unnamed {
            let help = "name one in FROM (in DELETE: USING), such as `FROM context.event e`";
            self.report.error(self.fragment.place(), "the rule names no event relation", help);
        }
        events.first()
    }

    fn error<T>(&mut self, what: &str, help: &str) -> Option<T> {
        self.report.error(self.fragment.place(), what, help);
        None
    }

    /// The table that is written: a base table of this model.
    fn target(&mut self, name: &ObjectName) -> Option<String> {
        let Some(target) = single(name) else {
            return self.error(
                &format!("`{name}` cannot be written"),
                "a rule writes a table of its own model; what another model needs, that model's rules make",
            );
        };
        if self.scope.views.contains_key(&target) {
            return self
                .error(&format!("`{target}` is a view"), "write to the tables that it reads");
        }
        if self.scope.declared.contains(&target) {
            return Some(target);
        }
        let ident: Vec<&Ident> = parts(name);
        self.scope.unknown_table(ident[0], self.report);
        None
    }

    /// The single table that an UPDATE or DELETE names first.
    fn target_item<'t>(&mut self, item: &'t TableWithJoins) -> Option<(String, &'t TableFactor)> {
        match &item.relation {
            factor @ TableFactor::Table { name, args: None, .. } if item.joins.is_empty() => {
                Some((self.target(name)?, factor))
            }
            _ => self.error("this cannot be written", "write UPDATE table, or DELETE FROM table"),
        }
    }

    fn insert(&mut self, insert: &Insert, mentions: usize) -> Option<Form> {
        if insert.returning.is_some() {
            self.error::<()>("RETURNING is not part of a rule", "take it out");
        }
        let TableObject::TableName(name) = &insert.table else {
            return self.error("this cannot be written", "write INSERT INTO table");
        };
        let target = self.target(name);
        let query =
            insert.source.as_deref().filter(|query| !matches!(*query.body, SetExpr::Values(_)));
        let Some(query) = query else {
            return self.error(
                "the rule inserts fixed values",
                "write INSERT INTO … SELECT … FROM an event relation",
            );
        };
        let inside =
            Survey::of(query).relations.iter().filter(|named| named.name.len() == 2).count();
        if inside < mentions {
            let help = "insert the value, and write EXCLUDED.column";
            return self.error("ON CONFLICT mentions the event relation", help);
        }
        if updates_on_conflict(insert) && unnests(query) {
            self.report.warning(
                self.fragment.place(),
                "two unnested rows with one key are an error of ON CONFLICT DO UPDATE at run time",
                "add GROUP BY the key, and sum up what is unnested",
            );
        }
        Some(Form {
            target: target?,
            kind: RuleKind::Insert,
            shape: if is_inlined(query, mentions) { Shape::Inlined } else { Shape::PerEvent },
            query: self.insert_query(insert)?,
            needs: match query.body.as_select() {
                Some(select) => needed(&from::items(&select.from), self.scope),
                None => BTreeSet::new(),
            },
        })
    }

    /// Bytes of the query: what follows the target and its columns, up to ON CONFLICT.
    fn insert_query(&self, insert: &Insert) -> Option<Range<usize>> {
        let alias = insert.table_alias.as_ref().map_or(0, |alias| 1 + usize::from(alias.explicit));
        let lexemes: Vec<_> = self.fragment.significant().collect();
        let mut first = 3 + alias;
        if !insert.columns.is_empty() {
            first += 1 + lexemes[first..].iter().position(|lexeme| lexeme.is(&Token::RParen))?;
        }
        let last = if insert.on.is_some() {
            lexemes
                .windows(2)
                .rposition(|pair| pair[0].keyword() == "ON" && pair[1].keyword() == "CONFLICT")?
        } else {
            lexemes.len()
        };
        Some(self.fragment.within(
            &(lexemes.get(first)?.bytes.start..lexemes.get(last.checked_sub(1)?)?.bytes.end),
        ))
    }

    fn update(&mut self, update: &Update, mentions: usize, columns: &[String]) -> Option<Form> {
        let from = match &update.from {
            Some(UpdateTableFromKind::AfterSet(from)) => from.as_slice(),
            _ => &[],
        };
        if update.returning.is_some() || update.limit.is_some() || !update.order_by.is_empty() {
            self.error::<()>(
                "RETURNING, ORDER BY and LIMIT are not part of a rule",
                "take them out",
            );
        }
        let (target, factor) = self.target_item(&update.table)?;
        let items = from::items(from);
        if mentions > 0 {
            self.top_level(&items, mentions, "FROM")?;
        }
        let called = Item { factor, join: Join::Comma, chain: 0 }.called();
        // Without the event nothing can be compared with it.
        let loose = match mentions {
            0 => Vec::new(),
            _ => {
                let selection = update.selection.as_ref();
                pin::loose_items((&target, &called), from, selection, columns, self.scope)
            }
        };
        for loose in loose {
            self.error::<()>(
                &format!(
                    "several rows of `{loose}` may match one row of `{target}`, and Postgres would take any of them"
                ),
                &format!(
                    "compare a whole primary key or UNIQUE key of `{loose}` by `=` with fields of the event or of \
                          `{target}`, or use a sub-select that gives one value"
                ),
            );
        }
        Some(Form { needs: needed(&items, self.scope), ..Form::inlined(target, RuleKind::Update) })
    }

    fn delete(&mut self, delete: &Delete, mentions: usize) -> Option<Form> {
        if delete.returning.is_some() || delete.limit.is_some() || !delete.order_by.is_empty() {
            self.error::<()>(
                "RETURNING, ORDER BY and LIMIT are not part of a rule",
                "take them out",
            );
        }
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        let [item] = &tables[..] else {
            return self.error("DELETE names several tables", "write one rule for each table");
        };
        let (target, _) = self.target_item(item)?;
        let items = from::items(delete.using.as_deref().unwrap_or_default());
        if mentions > 0 {
            self.top_level(&items, mentions, "USING")?;
        }
        Some(Form { needs: needed(&items, self.scope), ..Form::inlined(target, RuleKind::Delete) })
    }

    /// The event is named once, where its rows are neither null-extended nor wrapped.
    fn top_level(&mut self, items: &[Item<'_>], mentions: usize, clause: &str) -> Option<()> {
        if mentions == 1 && from::holds_event(items) {
            return Some(());
        }
        let help = format!(
            "name it once, as an item of {clause} itself, joined by comma, CROSS, INNER or on the left of LEFT JOIN; \
             elsewhere refer to its columns"
        );
        self.error(&format!("the event relation is not a plain item of {clause}"), &help)
    }
}

impl Form {
    fn inlined(target: String, kind: RuleKind) -> Self {
        Self { target, kind, shape: Shape::Inlined, query: 0..0, needs: BTreeSet::new() }
    }
}

/// Tables and views that are joined so that a missing row takes the event's effect away.
fn needed(items: &[Item<'_>], scope: &Scope<'_>) -> BTreeSet<String> {
    let inward = items.iter().filter(|item| !matches!(item.join, Join::Left(_)));
    inward.filter_map(Item::table).filter(|table| scope.declared.contains(table)).collect()
}

/// A plain SELECT in which each event makes its rows alone.
fn is_inlined(query: &Query, mentions: usize) -> bool {
    let Some(select) = query.body.as_select() else { return false };
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    let ungrouped =
        !is_grouped(select) && select.having.is_none() && select.named_window.is_empty();
    plain
        && ungrouped
        && mentions == 1
        && from::holds_event(&from::items(&select.from))
        && Survey::of(&select.projection).row_changing.is_empty()
}

pub(crate) fn is_grouped(select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(by, modifiers) if by.is_empty() && modifiers.is_empty());
    !ungrouped || select.distinct.is_some()
}

fn updates_on_conflict(insert: &Insert) -> bool {
    matches!(&insert.on, Some(OnInsert::OnConflict(on)) if matches!(on.action, OnConflictAction::DoUpdate(_)))
}

/// Whether one event makes many rows, unnumbered and ungrouped.
fn unnests(query: &Query) -> bool {
    let Some(select) = query.body.as_select() else { return false };
    let many = |item: &Item<'_>| match item.factor {
        TableFactor::UNNEST { with_ordinality, .. } => !with_ordinality,
        TableFactor::Table { name, args: Some(_), with_ordinality, .. }
        | TableFactor::Function { name, with_ordinality, .. } => {
            let function = parts(name).last().map(|name| fold(name)).unwrap_or_default();
            functions::is_set_returning(&function) && !with_ordinality
        }
        TableFactor::Derived { subquery, .. } => unnests(subquery),
        _ => false,
    };
    let in_list = Survey::of(&select.projection).row_changing;
    let listed = in_list.iter().any(|name| functions::is_set_returning(&fold(name)));
    !is_grouped(select) && (listed || from::items(&select.from).iter().any(many))
}
