//! One page of a list. Invariant: following the cursors gives every row once, in the order of one unpaged `ORDER BY`.

use crate::catalogue::{Column, Freshness, View};
use crate::database::{Binds, Statement};
use crate::problem::{Kind, Problem};

use super::column::selected;
use super::cursor::Cursor;
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
    pub(crate) order: Vec<Term<'v>>,
    pub(crate) limit: u32,
    select: Vec<&'v Column>,
    /// The last row of the page before.
    after: Option<Vec<Option<String>>>,
}

impl<'v> Page<'v> {
    pub(crate) fn parse(view: &'v View, parameters: &Parameters) -> Result<Self, Problem> {
        let filters = parameters.filters(view)?;
        let select = selected(view, parameters.get("select"))?;
        let order = order::plan(view, parameters.get("order"), &constant(&filters))?;
        let limit = parameters.get("limit").map_or(Ok(DEFAULT_LIMIT), limit)?;
        let after = match parameters.get("cursor") {
            Some(_) if view.is_view => {
                let detail =
                    format!("`{}` has no key and so no cursor: ask with `limit` alone.", view.name);
                return Err(Problem::of(
                    Kind::UnknownParameter,
                    "cursor",
                    detail,
                    ["select", "order", "limit"],
                ));
            }
            Some(cursor) => Some(Cursor::resume(cursor, view, &order, &filters)?),
            None => None,
        };
        Ok(Self { view, filters, order, limit, select, after })
    }

    /// The columns that all rows of the list have one value in.
    pub(crate) fn constant(&self) -> Vec<&'v Column> {
        constant(&self.filters)
    }

    pub(crate) fn has_cursor(&self) -> bool {
        self.after.is_some()
    }

    /// `rows`: the JSON texts of one row more than the page holds; `last`: the order's values of the page's last row.
    pub(crate) fn statement(&self) -> Statement {
        let mut binds = Binds::default();
        let filters: Vec<_> =
            self.filters.iter().map(|filter| filter.condition(&mut binds)).collect();
        let end = format!("{} LIMIT {}", self.order_by(), self.limit + 1);
        let range = |range: &Range| {
            let conditions: Vec<_> = filters.iter().chain(range).map(String::as_str).collect();
            let conditions =
                if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
            format!("(SELECT t.* FROM {} t WHERE {conditions}{end})", self.view.relation)
        };
        let ranges: Vec<_> = self.ranges(&mut binds).iter().map(range).collect();
        // A SQL view has no next page, and may be ordered by more columns than a function takes arguments.
        let terms = if self.view.is_view { &[] } else { self.order.as_slice() };
        let keys: Vec<_> =
            terms.iter().map(|term| format!("t.{}::text", term.column.quoted)).collect();
        let page = format!(
            " CROSS JOIN (SELECT array_agg(data) AS rows, (array_agg(key))[{}] AS last FROM (SELECT {} AS data, json_build_array({}) AS key FROM ({}) t{end}) t) page",
            self.limit,
            row_json(&self.select),
            keys.join(", "),
            ranges.join(" UNION ALL "),
        );
        let text = Freshness::select(self.view, ", page.rows, page.last::text", &page, &mut binds);
        Statement::free(text, binds)
    }

    fn order_by(&self) -> String {
        let terms: Vec<_> = self.order.iter().map(|term| format!("t.{}", term.sql())).collect();
        if terms.is_empty() { String::new() } else { format!(" ORDER BY {}", terms.join(", ")) }
    }

    /// The rows after the cursor, cut where one index range ends and the next begins: those equal to it in all but the
    /// last column, then in all but the last two, … So each range is found by the index, at any depth of the list,
    /// in mixed directions and among NULLs, which no single row comparison can do.
    fn ranges(&self, binds: &mut Binds) -> Vec<Range> {
        let Some(after) = &self.after else { return vec![Range::new()] };
        let mut equal = Range::new();
        let mut ranges = Vec::new();
        for (term, last) in self.order.iter().zip(after) {
            let Column { quoted, cast, nullable, .. } = term.column;
            let (here, mut beyond) = match last {
                Some(last) => {
                    let value = binds.add(last, cast);
                    let comparison = if term.descending { "<" } else { ">" };
                    (
                        format!("t.{quoted} = {value}"),
                        vec![format!("t.{quoted} {comparison} {value}")],
                    )
                }
                None => (format!("t.{quoted} IS NULL"), Vec::new()),
            };
            if *nullable && last.is_some() && !term.nulls_first {
                beyond.push(format!("t.{quoted} IS NULL"));
            }
            if last.is_none() && term.nulls_first {
                beyond.push(format!("t.{quoted} IS NOT NULL"));
            }
            ranges.extend(beyond.into_iter().map(|beyond| [equal.clone(), vec![beyond]].concat()));
            equal.push(here);
        }
        if ranges.is_empty() {
            ranges.push(vec!["false".to_owned()]);
        }
        ranges.reverse();
        ranges
    }
}

/// Conditions that hold together.
type Range = Vec<String>;

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
        Some(limit @ 1..) => Ok(limit.min(MAX_LIMIT)),
        _ => {
            let detail =
                format!("`limit` is `{text}`: write a whole number from 1 to {MAX_LIMIT}.");
            Err(Problem::of(Kind::BadValue, "limit", detail, [format!("1 to {MAX_LIMIT}")]))
        }
    }
}
