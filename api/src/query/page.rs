//! One page of a list. Invariant: following the cursors gives every row once, in the order of one unpaged `ORDER BY`.

use crate::catalogue::{Column, Freshness, View};
use crate::database::{Binds, Statement};
use crate::problem::{Kind, Problem};

use super::column::selected;
use super::cursor::{After, Cursor};
use super::filter::Filter;
use super::order::{self, Term};
use super::parameter::Parameters;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

/// A list query, checked.
#[derive(Debug)]
pub(crate) struct Page<'v> {
    pub(crate) view: &'v View,
    pub(crate) filters: Vec<Filter<'v>>,
    /// What an index is to walk.
    pub(crate) order: Vec<Term<'v>>,
    pub(crate) limit: u32,
    /// What the caller is told about it, where it is not what was asked.
    pub(crate) note: Option<String>,
    /// The order with all that makes it total.
    total: Vec<Term<'v>>,
    select: Vec<&'v Column>,
    /// The last row of the page before.
    after: Option<After>,
}

impl<'v> Page<'v> {
    pub(crate) fn parse(view: &'v View, parameters: &Parameters) -> Result<Self, Problem> {
        let filters = parameters.filters(view)?;
        let select = selected(view, parameters.get("select"))?;
        let order = order::plan(view, parameters.get("order"), &constant(&filters))?;
        let asked = parameters.get("limit");
        let limit = asked.map_or(Ok(DEFAULT_LIMIT), limit)?;
        let note = asked.filter(|_| limit > MAX_LIMIT).map(|asked| {
            format!(
                "A page has at most {MAX_LIMIT} rows, so `limit={asked}` was taken as {MAX_LIMIT}."
            )
        });
        let limit = limit.min(MAX_LIMIT);
        let total = order::total(view, &order);
        let resume = |cursor| Cursor::resume(cursor, view, &total, &filters);
        let after = parameters.get("cursor").map(resume).transpose()?;
        Ok(Self { view, filters, order, limit, note, total, select, after })
    }

    /// The columns that all rows of the list have one value in.
    pub(crate) fn constant(&self) -> Vec<&'v Column> {
        constant(&self.filters)
    }

    pub(crate) fn has_cursor(&self) -> bool {
        self.after.is_some()
    }

    /// The cursor after a row of the page: `last`, the order's values of its last row, and how many of the page's rows
    /// are the same as that one, where the next page begins with another.
    pub(crate) fn cursor(&self, last: Vec<Option<String>>, same: u64) -> Cursor {
        let before = self.after.as_ref().filter(|after| same > 0 && after.last == last);
        let same = same.saturating_add(before.and_then(|after| after.same).unwrap_or(0));
        Cursor::new(self.view, &self.total, &self.filters, last, same)
    }

    /// `rows`: the JSON texts of one row more than the page holds; `last`: the order's values of the page's last row;
    /// `same`: how many of the page's rows are equal to the last one in them, 0 where the row after is not.
    pub(crate) fn statement(&self) -> Statement {
        let mut binds = Binds::default();
        let filters: Vec<_> =
            self.filters.iter().map(|filter| filter.condition(&mut binds)).collect();
        let end = format!("{} LIMIT {}", self.order_by(), self.limit + 1);
        let range = |Range { conditions, offset }: &Range| {
            let conditions: Vec<_> = filters.iter().chain(conditions).map(String::as_str).collect();
            let conditions =
                if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
            let offset = offset.map(|rows| format!(" OFFSET {rows}")).unwrap_or_default();
            format!("(SELECT t.* FROM {} t WHERE {conditions}{end}{offset})", self.view.relation)
        };
        let ranges: Vec<_> = self.ranges(&mut binds).iter().map(range).collect();
        let values: Vec<_> =
            self.total.iter().map(|term| format!("{}::text", term.value())).collect();
        // An array, because a SQL view may be ordered by more columns than a function takes arguments.
        let page = format!(
            " CROSS JOIN (SELECT rows, keys[{limit}] AS last,
                CASE WHEN keys[{limit}] = keys[{limit} + 1] THEN (SELECT count(*) FROM unnest(keys[:{limit}]) k WHERE k = keys[{limit}]) ELSE 0 END AS same
              FROM (SELECT array_agg(data) AS rows, array_agg(key) AS keys
                FROM (SELECT {data} AS data, to_json(ARRAY[{values}]::text[])::text AS key FROM ({ranges}) t{end}) t) page) page",
            limit = self.limit,
            data = row_json(&self.select),
            values = values.join(", "),
            ranges = ranges.join(" UNION ALL "),
        );
        let columns = ", page.rows, page.last, page.same";
        let text = Freshness::select(self.view, columns, &page, &mut binds);
        Statement::free(text, binds)
    }

    fn order_by(&self) -> String {
        let terms: Vec<_> = self.total.iter().map(Term::order_by).collect();
        if terms.is_empty() { String::new() } else { format!(" ORDER BY {}", terms.join(", ")) }
    }

    /// The rows after the cursor.
    fn ranges(&self, binds: &mut Binds) -> Vec<Range> {
        let Some(after) = &self.after else { return vec![Range::default()] };
        let mut bounds = Vec::new();
        for (term, last) in self.total.iter().zip(&after.last) {
            bounds.push(Bound::new(term, last.as_deref(), binds));
        }
        let mut ranges =
            if self.view.is_view { of_view(&bounds, after.same) } else { of_table(&bounds) };
        if ranges.is_empty() {
            ranges.push(Range::of(vec!["false".to_owned()]));
        }
        ranges
    }
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

/// An expression that makes the JSON text of a row of `t`: the columns in the order asked, each as `to_jsonb` writes it.
pub(crate) fn row_json(columns: &[&Column]) -> String {
    let columns: Vec<_> =
        columns.iter().map(|column| format!("to_jsonb(t.{0}) AS {0}", column.quoted)).collect();
    // `d.*`, not `d`: a column may be named d.
    format!("(SELECT row_to_json(d.*)::text FROM (SELECT {}) d)", columns.join(", "))
}

fn constant<'v>(filters: &[Filter<'v>]) -> Vec<&'v Column> {
    let mut columns: Vec<&'v Column> = Vec::new();
    for filter in filters.iter().filter(|filter| filter.is_constant()) {
        if !columns.iter().any(|column| column.name == filter.column.name) {
            columns.push(filter.column);
        }
    }
    columns
}

fn limit(text: &str) -> Result<u32, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // All digits and no u32: only too large.
    match digits.then(|| text.parse().unwrap_or(u32::MAX)) {
        Some(limit @ 1..) => Ok(limit),
        _ => {
            let detail =
                format!("`limit` is `{text}`: write a whole number from 1 to {MAX_LIMIT}.");
            Err(Problem::of(Kind::BadValue, "limit", detail, [format!("1 to {MAX_LIMIT}")]))
        }
    }
}
