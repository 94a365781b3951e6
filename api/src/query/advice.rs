//! What would make a query cheap enough. Invariant: what is named is an index that a model's file may hold, and that Postgres
//! finds the rows of this query by.

use crate::catalogue::View;
use crate::problem::{Kind, Problem};

use super::filter::Filter;
use super::group::Condition;
use super::operand::Operand;
use super::order::{Term, create_index};
use super::page::Page;

/// Indexes that one answer names.
const MOST: usize = 4;

/// The answer to a query that ran into the time-out.
pub(crate) fn too_expensive(page: &Page<'_>) -> Problem {
    let indexes = helpful(page);
    let way = match (page.view.is_view, indexes.as_slice()) {
        (false, [one]) => format!("An index would help: {one}"),
        (false, several) => format!("Indexes would help: {}", several.join(" ")),
        (true, []) => {
            "Ask for fewer rows with filters, or add indexes to the tables that it reads."
                .to_owned()
        }
        (true, several) => {
            format!(
                "An index on {} of the tables that it reads would help.",
                several.join(" and on ")
            )
        }
    };
    let detail =
        format!("`{}` could not be read within the time for one query. {way}", page.view.name);
    Problem::new(Kind::TooExpensive, detail)
}

/// Statements for a table; of a SQL view, which has no indexes of its own, lists of columns.
fn helpful(page: &Page<'_>) -> Vec<String> {
    let Page { view, conditions, order, .. } = page;
    let alone = conditions.iter().filter(|condition| matches!(condition, Condition::One(_)));
    let filters: Vec<&Filter<'_>> = alone.flat_map(Condition::filters).collect();
    let mut first: Vec<&Operand<'_>> = filters
        .iter()
        .filter(|filter| filter.is_constant())
        .map(|filter| &filter.operand)
        .collect();
    if first.is_empty() {
        let indexable = filters.iter().find(|filter| filter.is_indexable());
        first.extend(indexable.map(|filter| &filter.operand));
    }
    if first.is_empty()
        && let Some(group) = conditions.iter().find_map(of_group)
    {
        // Found by one index each, and then together; in no order of theirs.
        return group.into_iter().take(MOST).map(|operand| index(view, &[operand], &[])).collect();
    }
    let rest = |term: &&Term<'_>| !first.iter().any(|operand| operand.is(term.column));
    let terms: Vec<_> = order.iter().filter(rest).copied().collect();
    match view.is_view && first.is_empty() && terms.is_empty() {
        true => Vec::new(),
        false => vec![index(view, &first, &terms)],
    }
}

/// What the members of a group are found by, if each of them is found by an index.
fn of_group<'p, 'v>(condition: &'p Condition<'v>) -> Option<Vec<&'p Operand<'v>>> {
    let Condition::Group { negated: false, .. } = condition else { return None };
    let filters = condition.filters();
    let mut operands: Vec<&Operand<'v>> = Vec::new();
    for filter in &filters {
        if !filter.is_indexable() {
            return None;
        }
        if !operands.iter().any(|operand| operand.canonical() == filter.operand.canonical()) {
            operands.push(&filter.operand);
        }
    }
    Some(operands)
}

fn index(view: &View, first: &[&Operand<'_>], terms: &[Term<'_>]) -> String {
    if !view.is_view {
        return create_index(view, first.iter().map(|operand| operand.indexed()).collect(), terms);
    }
    let first = first.iter().map(|operand| operand.to_string());
    let columns: Vec<_> = first.chain(terms.iter().map(|term| term.column.name.clone())).collect();
    format!("({})", columns.join(", "))
}
