//! In which order rows come. Invariant: a table is only ever read in an order that one of its indexes walks, and the
//! order is total: the key ends it, or of a SQL view, which has none, all of its columns do. Rows of a view that are equal
//! in this order are the same in every column.

use crate::catalogue::{Column, Index, Indexed, View};
use crate::problem::{Kind, Problem};

use super::column::column;
use super::name;

const WAYS: &str =
    "`a`, `a.asc` or `a.desc`, each with `.nullsfirst` or `.nullslast` after it if need be";

/// One column of an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Term<'v> {
    pub(crate) column: &'v Column,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
    /// Whether the column is compared by its text: its type has no order, or one that takes different values for equal.
    by_text: bool,
}

impl<'v> Term<'v> {
    /// In a direction, NULLs where Postgres puts them: last, or first when descending.
    fn new(column: &'v Column, descending: bool) -> Self {
        Self { column, descending, nulls_first: descending, by_text: false }
    }

    fn parse(view: &'v View, name: &str, ways: &str) -> Result<Self, Problem> {
        let column = column(view, "order", name)?;
        let (descending, nulls) = match ways.strip_prefix(".desc") {
            Some(nulls) => (true, nulls),
            None => (false, ways.strip_prefix(".asc").unwrap_or(ways)),
        };
        let nulls_first = match nulls {
            "" => descending,
            ".nullsfirst" => true,
            ".nullslast" => false,
            _ if nulls.starts_with(name::ARROW) => {
                let detail =
                    format!("`order` has `{name}{ways}`: only whole columns are ordered by.");
                return Err(Problem::of(Kind::BadValue, "order", detail, None::<String>));
            }
            _ => {
                let detail = format!("`order` has `{name}{ways}`: write {WAYS}.");
                return Err(Problem::of(
                    Kind::BadValue,
                    "order",
                    detail,
                    ["asc", "desc", "nullsfirst", "nullslast"],
                ));
            }
        };
        Ok(Self { column, descending, nulls_first, by_text: false })
    }

    /// As `CREATE INDEX` writes it.
    pub(crate) fn sql(&self) -> String {
        format!("{}{}", self.column.quoted, self.way())
    }

    /// As `ORDER BY` over a relation named `t` writes it.
    pub(crate) fn order_by(&self) -> String {
        format!("{}{}", self.value(), self.way())
    }

    /// What is compared, of a relation named `t`.
    pub(crate) fn value(&self) -> String {
        let text = if self.by_text { "::text COLLATE \"C\"" } else { "" };
        format!("t.{}{text}", self.column.quoted)
    }

    /// Whether comparing two of its values may fail.
    pub(crate) fn may_fail(&self) -> bool {
        self.column.fallible && !self.by_text
    }

    /// The type of what is compared.
    pub(crate) fn cast(&self) -> &'v str {
        if self.by_text { "text" } else { &self.column.cast }
    }

    fn way(&self) -> String {
        let direction = if self.descending { " DESC" } else { "" };
        let nulls = match (self.nulls_first, self.descending) {
            (true, false) => " NULLS FIRST",
            (false, true) => " NULLS LAST",
            _ => "",
        };
        format!("{direction}{nulls}")
    }
}

/// What the caller asked for, in their words.
fn parse<'v>(view: &'v View, order: &str) -> Result<Vec<Term<'v>>, Problem> {
    let mut terms: Vec<Term<'v>> = Vec::new();
    for (name, ways) in name::list("order", order)? {
        let term = Term::parse(view, &name, ways)?;
        if terms.iter().any(|earlier| earlier.column.name == name) {
            let detail = format!("`order` names `{name}` twice: name each column once.");
            return Err(Problem::of(Kind::BadValue, "order", detail, None::<String>));
        }
        terms.push(term);
    }
    Ok(terms)
}

/// The order that the rows of `view` are read in, given the columns that filters hold constant: as asked, the key last.
pub(crate) fn plan<'v>(
    view: &'v View,
    order: Option<&str>,
    constant: &[&'v Column],
) -> Result<Vec<Term<'v>>, Problem> {
    let asked = order.map(|order| parse(view, order)).transpose()?;
    if view.is_view {
        return Ok(asked.unwrap_or_default());
    }
    let mut terms = Vec::new();
    let asked_nothing = asked.is_none();
    if let Some(asked) = asked {
        let varying: Vec<_> =
            asked.into_iter().filter(|term| !among(constant, term.column)).collect();
        terms = view.indexes.iter().find_map(|index| walk(index, constant, &varying)).ok_or_else(|| {
            let constant = constant.iter().map(|column| column.quoted.clone());
            let index = create_index(view, constant.collect(), &varying);
            let detail = format!(
                "No index of `{}` gives this order: it would need to begin with the columns compared by `eq` and go on with those of `order`. Add to the model's file: {index}",
                view.name
            );
            Problem::of(Kind::OrderNeedsIndex, "order", detail, allowed(view))
        })?;
    }
    if asked_nothing && !view.is_keyed() {
        terms = view.indexes.first().map(|index| forwards(view, index)).unwrap_or_default();
    }
    let descending = terms.last().is_some_and(|term| term.descending);
    for column in view.key() {
        if !among(constant, column) && !terms.iter().any(|term| term.column.name == column.name) {
            terms.push(Term::new(column, descending));
        }
    }
    Ok(terms)
}

/// The order of an index's own.
fn forwards<'v>(view: &'v View, index: &Index) -> Vec<Term<'v>> {
    let term = |indexed: &Indexed| {
        let Indexed { descending, nulls_first, .. } = *indexed;
        Some(Term {
            column: view.column(&indexed.column)?,
            descending,
            nulls_first,
            by_text: false,
        })
    };
    index.columns.iter().filter_map(term).collect()
}

/// A planned order, of a view without a key followed by every column that it does not settle, so that only rows that are the same are
/// equal in it.
pub(crate) fn total<'v>(view: &'v View, planned: &[Term<'v>]) -> Vec<Term<'v>> {
    let is_settled = |column: &Column| {
        column.exact && planned.iter().any(|term| term.column.name == column.name)
    };
    let others = view.columns.iter().filter(|column| !view.is_keyed() && !is_settled(column));
    let others = others.map(|column| Term { by_text: !column.exact, ..Term::new(column, false) });
    planned.iter().copied().chain(others).collect()
}

/// The terms as `index` walks them forwards or backwards, if it does, once the constant columns are behind it.
fn walk<'v>(index: &Index, constant: &[&Column], terms: &[Term<'v>]) -> Option<Vec<Term<'v>>> {
    let (head, tail) = index.columns.split_at_checked(constant.len())?;
    let tail = tail.get(..terms.len())?;
    if !constant.iter().all(|column| head.iter().any(|indexed| indexed.column == column.name)) {
        return None;
    }
    let walked = |backwards: bool| {
        let term = |(indexed, term): (&Indexed, &Term<'v>)| {
            let nulls_first = indexed.nulls_first != backwards;
            let fits = indexed.column == term.column.name
                && (indexed.descending != backwards) == term.descending
                && (nulls_first == term.nulls_first || !term.column.nullable);
            // Postgres goes by the declared place of NULLs even where there are none.
            fits.then_some(Term { nulls_first, ..*term })
        };
        tail.iter().zip(terms).map(term).collect::<Option<Vec<_>>>()
    };
    walked(false).or_else(|| walked(true))
}

/// The statement that would add the index that begins with these expressions and goes on in this order.
pub(crate) fn create_index(view: &View, first: Vec<String>, terms: &[Term<'_>]) -> String {
    let columns: Vec<_> = first.into_iter().chain(terms.iter().map(Term::sql)).collect();
    format!("CREATE INDEX ON {} ({});", view.table, columns.join(", "))
}

/// Each index as `order` would spell it.
fn allowed(view: &View) -> Vec<String> {
    view.indexes.iter().map(|index| spelled(index).join(",")).collect()
}

/// The columns of an index in the words of `order`.
pub(crate) fn spelled(index: &Index) -> Vec<String> {
    let spell = |column: &Indexed| {
        let direction = if column.descending { ".desc" } else { "" };
        let nulls = match (column.nulls_first, column.descending) {
            (true, false) => ".nullsfirst",
            (false, true) => ".nullslast",
            _ => "",
        };
        format!("{}{direction}{nulls}", column.column)
    };
    index.columns.iter().map(spell).collect()
}

fn among(columns: &[&Column], column: &Column) -> bool {
    columns.iter().any(|other| other.name == column.name)
}
