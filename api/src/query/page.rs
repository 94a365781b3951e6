//! One page of a list, or all of it. Invariant: following the cursors gives every row once, in the order of one unpaged
//! `ORDER BY`.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::catalogue::{Below, Column, Freshness, View};
use crate::database::{Binds, DatabaseError, Statement, texts};
use crate::format::{Format, Shape};
use crate::problem::{Kind, Problem};

use super::count::Count;
use super::cursor::{After, Cursor};
use super::filter::Filter;
use super::group::Condition;
use super::order::{self, Term};
use super::parameter::Parameters;
use super::select::{Selected, row_texts, selected, shape};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

/// A list query, checked.
#[derive(Debug)]
pub(crate) struct Page<'v> {
    pub(crate) view: &'v View,
    /// What all of its rows meet.
    pub(crate) conditions: Vec<Condition<'v>>,
    /// What an index is to walk.
    pub(crate) order: Vec<Term<'v>>,
    /// Whether the caller has asked for an order, which an index that begins with all that is constant walks.
    is_ordered: bool,
    /// How many rows it has at most; `None`: all.
    pub(crate) limit: Option<u32>,
    /// What the caller is told about it, where it is not what was asked.
    pub(crate) note: Option<String>,
    /// The order with all that makes it total.
    total: Vec<Term<'v>>,
    select: Vec<Selected<'v>>,
    format: Format,
    /// The last row of the page before.
    after: Option<After>,
}

impl<'v> Page<'v> {
    pub(crate) fn parse(
        view: &'v View,
        parameters: &Parameters,
        format: Format,
    ) -> Result<Self, Problem> {
        let conditions = parameters.conditions(view)?;
        let select = selected(view, parameters.get("select"))?;
        let order = order::plan(view, parameters.get("order"), &constant(&conditions))?;
        let is_ordered = parameters.get("order").is_some();
        let asked = parameters.get("limit");
        let limit = asked.map_or(Ok(Some(DEFAULT_LIMIT)), |text| limit(text, format))?;
        let note = asked.filter(|_| limit.is_some_and(|limit| limit > MAX_LIMIT)).map(|asked| {
            format!(
                "A page has at most {MAX_LIMIT} rows, so `limit={asked}` was taken as {MAX_LIMIT}."
            )
        });
        let limit = limit.map(|limit| limit.min(MAX_LIMIT));
        let total = order::total(view, &order);
        let resume = |cursor| Cursor::resume(cursor, view, &total, &conditions);
        let after = parameters.get("cursor").map(resume).transpose()?;
        Ok(Self { view, conditions, order, is_ordered, limit, note, total, select, format, after })
    }

    /// All that its conditions compare.
    pub(crate) fn filters(&self) -> Vec<&Filter<'v>> {
        self.conditions.iter().flat_map(Condition::filters).collect()
    }

    pub(crate) fn has_cursor(&self) -> bool {
        self.after.is_some()
    }

    /// The names of a row's values, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.select.iter().map(|value| value.name.as_str())
    }

    /// The names of a row's values, with their types and whether they may be null.
    pub(crate) fn typed(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.select.iter().map(Selected::typed)
    }

    /// The page as one would write it for a person at the model's stable schema, without its cursor: values stand in it as
    /// literals. For reading, and for `psql`; nothing here runs it.
    pub(crate) fn written(&self) -> String {
        let mut binds = Binds::written();
        let values: Vec<_> = self.select.iter().map(|value| value.written(&mut binds)).collect();
        let table = vitrina_projectors::quote(self.view.table_name());
        let mut sql = format!(
            "SELECT {}\nFROM {}.{table} t",
            values.join(", "),
            vitrina_projectors::quote(&self.view.model)
        );
        let conditions = self.filtered(&mut binds);
        if !conditions.is_empty() {
            sql += &format!("\nWHERE {}", conditions.join("\n  AND "));
        }
        sql += &self.order_by().replacen(' ', "\n", 1);
        if let Some(limit) = self.limit {
            sql += &format!("\nLIMIT {limit}");
        }
        sql
    }

    /// What the texts of its rows are of.
    pub(crate) fn shape(&self) -> Result<Shape, Problem> {
        shape(&self.select)
    }

    /// The cursor after a row of the page: `last`, the order's values of its last row, and how many of the page's rows
    /// are the same as that one, where the next page begins with another.
    fn cursor(&self, last: Vec<Option<String>>, same: u64) -> Cursor {
        let before = self.after.as_ref().filter(|after| same > 0 && after.last == last);
        let same = same.saturating_add(before.and_then(|after| after.same).unwrap_or(0));
        Cursor::new(self.view, &self.total, &self.conditions, last, same)
    }

    /// The freshness, with how many rows the whole list has, where they are counted; below it one row more than the page
    /// holds: its texts, and the texts of what it is ordered by.
    pub(crate) fn statement(&self, limit: u32, count: Count) -> Statement {
        let mut binds = Binds::default();
        let conditions = self.filtered(&mut binds);
        let end = format!("{} LIMIT {}", self.order_by(), limit + 1);
        let texts = row_texts(&self.select, self.format, &mut binds).into_iter();
        let key: Vec<_> = self.total.iter().map(|term| format!("{}::text", term.value())).collect();
        // An array, because a SQL view may be ordered by all of its columns, and a row has not room for twice as many.
        let key = (format!("ARRAY[{}]::text[]", key.join(", ")), "text[]");
        let below = Below {
            values: texts.map(|text| (text, "text")).chain([key]).collect(),
            from: format!("({}) t{end}", self.ranges(&conditions, &end, &mut binds)),
        };
        let count = (count == Count::Exact)
            .then(|| format!("({}) AS count", self.counting(&conditions, &mut binds)));
        let text = Freshness::above(self.view, count.as_deref(), &below, &mut binds);
        match count.is_none() && self.walks() {
            true => Statement::walk(text, binds),
            false => Statement::free(text, binds),
        }
    }

    /// The texts of a row of that statement.
    pub(crate) fn texts<'r>(&self, row: &'r PgRow) -> Result<Vec<Option<&'r str>>, DatabaseError> {
        let end = row.len().saturating_sub(1);
        texts(row, end.saturating_sub(self.select.len())..end)
    }

    /// The cursor behind the page's rows, where `beyond` is the first one of the next page.
    pub(crate) fn next(&self, rows: &[PgRow], beyond: &PgRow) -> Result<Cursor, DatabaseError> {
        let last = rows.last().map(key).transpose()?.unwrap_or_default();
        let mut same = 0;
        if key(beyond)? == last {
            for row in rows.iter().rev() {
                if key(row)? != last {
                    break;
                }
                same += 1;
            }
        }
        Ok(self.cursor(last, same))
    }

    /// Whether its rows follow each other in an index, whatever is compared: it begins with what is constant, and goes on with
    /// the order, which may be bound where it begins.
    fn walks(&self) -> bool {
        let is_walked = |condition: &Condition<'_>| match condition {
            Condition::One(filter) if filter.is_constant() => {
                self.is_ordered && filter.operand.is_column()
            }
            Condition::One(filter) => {
                let first = self.order.first().is_some_and(|term| filter.operand.is(term.column));
                filter.is_bound() && first
            }
            Condition::Group { .. } => false,
        };
        self.view.is_keyed() && self.view.rows.is_all() && self.conditions.iter().all(is_walked)
    }

    /// The texts of all rows.
    pub(crate) fn whole(&self) -> Statement {
        let mut binds = Binds::default();
        let conditions = self.filtered(&mut binds);
        let texts = row_texts(&self.select, self.format, &mut binds).join(", ");
        let end = self.order_by();
        let ranges = self.ranges(&conditions, &end, &mut binds);
        Statement::free(format!("SELECT {texts} FROM ({ranges}) t{end}"), binds)
    }

    /// Fails where a value of the conditions does not fit, whatever rows there are.
    pub(crate) fn trial(&self) -> Statement {
        let mut binds = Binds::default();
        self.filtered(&mut binds);
        Statement::free(format!("SELECT {}", binds.tried()), binds)
    }

    /// How many rows the whole list has.
    pub(crate) fn count(&self) -> Statement {
        let mut binds = Binds::default();
        let conditions = self.filtered(&mut binds);
        let count = self.counting(&conditions, &mut binds);
        Statement::free(format!("SELECT ({count}) AS count, {} AS tried", binds.tried()), binds)
    }

    /// What Postgres's planner says of all rows of the list.
    pub(crate) fn estimate(&self) -> Statement {
        let mut binds = Binds::default();
        let conditions = self.filtered(&mut binds);
        let rows = self.view.only(&conditions, self.may_fail(), &mut binds);
        Statement::free(format!("EXPLAIN (FORMAT JSON) SELECT FROM {rows}"), binds)
    }

    fn filtered(&self, binds: &mut Binds) -> Vec<String> {
        let condition = |condition: &Condition<'_>| {
            let sql = condition.sql(binds);
            match condition.filters().iter().any(|filter| filter.is_pattern()) {
                true => self.view.readable_first(sql, binds),
                false => sql,
            }
        };
        self.conditions.iter().map(condition).collect()
    }

    /// Whether one of its conditions may fail on some row, or a comparison with the page before.
    fn may_fail(&self) -> bool {
        let terms = self.after.iter().flat_map(|_| &self.total);
        self.filters().iter().any(|filter| filter.operand.column.fallible)
            || terms.into_iter().any(Term::may_fail)
    }

    fn counting(&self, conditions: &[String], binds: &mut Binds) -> String {
        format!("SELECT count(*) FROM {}", self.view.only(conditions, self.may_fail(), binds))
    }

    fn order_by(&self) -> String {
        let terms: Vec<_> = self.total.iter().map(Term::order_by).collect();
        if terms.is_empty() { String::new() } else { format!(" ORDER BY {}", terms.join(", ")) }
    }

    /// A query for the rows after the cursor that meet the conditions; each part of it ends in `end`.
    fn ranges(&self, conditions: &[String], end: &str, binds: &mut Binds) -> String {
        let after = self.after_cursor(binds);
        let range = |Range { conditions: bounds, offset }: Range| {
            let rows = self.view.only(&[conditions, &bounds].concat(), self.may_fail(), binds);
            let offset = offset.map(|rows| format!(" OFFSET {rows}")).unwrap_or_default();
            format!("(SELECT {} FROM {rows}{end}{offset})", self.view.all_columns())
        };
        let ranges: Vec<_> = after.into_iter().map(range).collect();
        ranges.join(" UNION ALL ")
    }

    fn after_cursor(&self, binds: &mut Binds) -> Vec<Range> {
        let Some(after) = &self.after else { return vec![Range::default()] };
        let mut bounds = Vec::new();
        for (term, last) in self.total.iter().zip(&after.last) {
            bounds.push(Bound::new(term, last.as_deref(), binds));
        }
        let mut ranges =
            if self.view.is_keyed() { of_table(&bounds) } else { of_view(&bounds, after.same) };
        if ranges.is_empty() {
            ranges.push(Range::of(vec!["false".to_owned()]));
        }
        ranges
    }
}

/// What a row of [`Page::statement`] is ordered by.
fn key(row: &PgRow) -> Result<Vec<Option<String>>, DatabaseError> {
    Ok(row.try_get(row.len().saturating_sub(1))?)
}

/// Conditions that hold together, and rows that are passed over.
#[derive(Debug, Default)]
struct Range {
    conditions: Vec<String>,
    offset: Option<u64>,
}

impl Range {
    fn of(conditions: Vec<String>) -> Self {
        Self { conditions, offset: None }
    }
}

/// What one column of the order says of rows, beside the last row of the page before.
struct Bound {
    here: String,
    /// After it in this column; each condition is one range of an index.
    beyond: Vec<String>,
    /// Here or after it, in ranges of an index likewise.
    from_here: Vec<String>,
}

impl Bound {
    fn new(term: &Term<'_>, last: Option<&str>, binds: &mut Binds) -> Self {
        let value = term.value();
        let null = format!("{value} IS NULL");
        let Some(last) = last else {
            let beyond: Vec<_> =
                term.nulls_first.then(|| format!("{value} IS NOT NULL")).into_iter().collect();
            let from_here = [vec![null.clone()], beyond.clone()].concat();
            return Self { here: null, beyond, from_here };
        };
        let bound = binds.add(last, term.cast());
        let comparison = if term.descending { "<" } else { ">" };
        let nulls: Vec<_> =
            (term.column.nullable && !term.nulls_first).then_some(null).into_iter().collect();
        let with_nulls = |condition| [vec![condition], nulls.clone()].concat();
        Self {
            here: format!("{value} = {bound}"),
            beyond: with_nulls(format!("{value} {comparison} {bound}")),
            from_here: with_nulls(format!("{value} {comparison}= {bound}")),
        }
    }
}

/// Cut where one index range ends and the next begins: those equal to the last row in all but the last column, then in all
/// but the last two, … So each range is found by the index, at any depth of the list, in mixed directions and among NULLs,
/// which no single row comparison can do.
fn of_table(bounds: &[Bound]) -> Vec<Range> {
    let mut equal: Vec<String> = Vec::new();
    let mut ranges = Vec::new();
    for Bound { here, beyond, .. } in bounds {
        let range = |beyond: &String| Range::of([equal.clone(), vec![beyond.clone()]].concat());
        ranges.extend(beyond.iter().map(range));
        equal.push(here.clone());
    }
    ranges.reverse();
    ranges
}

/// A view is computed once for each range, and has as many columns in its order as it has at all: so one range, or two where
/// the first column, which an index below the view may be walked by, has NULLs after its values. Rows that are the same as
/// the last one are a range of their own, where there are more of them than were given.
fn of_view(bounds: &[Bound], same: Option<u64>) -> Vec<Range> {
    let mut after = "false".to_owned();
    for Bound { here, beyond, .. } in bounds.iter().rev() {
        let beyond: Vec<_> = beyond.iter().map(|beyond| format!("{beyond} OR ")).collect();
        after = format!("({}{here} AND {after})", beyond.concat());
    }
    let first = bounds.iter().take(1).flat_map(|first| &first.from_here);
    let ranges = first.map(|first| Range::of(vec![first.clone(), after.clone()]));
    let equal = same.map(|same| Range {
        conditions: bounds.iter().map(|bound| bound.here.clone()).collect(),
        offset: Some(same),
    });
    ranges.chain(equal).collect()
}

/// The columns that all rows of the list have one value in.
fn constant<'v>(conditions: &[Condition<'v>]) -> Vec<&'v Column> {
    let mut columns: Vec<&'v Column> = Vec::new();
    for condition in conditions {
        if let Condition::One(filter) = condition
            && filter.is_constant()
            && filter.operand.is_column()
            && !columns.iter().any(|column| filter.operand.is(column))
        {
            columns.push(filter.operand.column);
        }
    }
    columns
}

/// `None`: all rows, in the forms that are written while they are read.
fn limit(text: &str, format: Format) -> Result<Option<u32>, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // All digits and no u32: only too large.
    match digits.then(|| text.parse().unwrap_or(u32::MAX)) {
        Some(limit @ 1..) => return Ok(Some(limit)),
        None if text == "all" && format != Format::Json => return Ok(None),
        _ => {}
    }
    let detail = match text {
        "all" => {
            "`limit=all` gives a whole list as `Accept: application/x-ndjson` or `Accept: text/csv`; as JSON it comes in pages: follow `page.next`.".to_owned()
        }
        _ => format!("`limit` is `{text}`: write a whole number from 1 to {MAX_LIMIT}."),
    };
    Err(Problem::of(Kind::BadValue, "limit", detail, [format!("1 to {MAX_LIMIT}")]))
}
