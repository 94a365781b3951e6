//! Why Postgres refused a query. Invariant: a caller learns which parameter, what was found and what would do, and of
//! Postgres nothing but its own words about the value.

use crate::catalogue::{Column, Failure, View};
use crate::database::{Database, DatabaseError};
use crate::problem::{Kind, Problem};
use crate::query::{Filter, Page, create_index, mismatch};

/// The answer to a list query that failed.
pub(crate) async fn of_page(database: &Database, page: &Page<'_>, error: DatabaseError) -> Failure {
    match error {
        DatabaseError::TimedOut => too_expensive(page).into(),
        DatabaseError::Value(_) => match of_filters(database, &page.filters).await {
            Ok(Some(problem)) => problem.into(),
            // The filters are fine, so it is the cursor's values: somebody wrote it by hand.
            Ok(None) if page.has_cursor() => mismatch().into(),
            Ok(None) => page_refused(page, error),
            Err(failure) => failure,
        },
        other => other.into(),
    }
}

/// The answer to a row's address that failed.
pub(crate) async fn of_key(
    database: &Database,
    key: &[Filter<'_>],
    error: DatabaseError,
) -> Failure {
    match error {
        DatabaseError::Value(_) => match of_filters(database, key).await {
            Ok(Some(problem)) => problem.into(),
            Ok(None) => error.into(),
            Err(failure) => failure,
        },
        other => other.into(),
    }
}

/// The first filter that Postgres refuses by itself, if any does.
async fn of_filters(
    database: &Database,
    filters: &[Filter<'_>],
) -> Result<Option<Problem>, Failure> {
    for filter in filters {
        match database.first(filter.probe()).await {
            Ok(_) => {}
            Err(DatabaseError::Value(message)) => {
                let Column { name, display, .. } = filter.column;
                let detail = format!(
                    "`{name}` is of type {display}, and Postgres says of what is given: {message}"
                );
                return Ok(Some(Problem::of(Kind::BadValue, &filter.parameter, detail, [display])));
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(None)
}

/// A type without an order, in a view that is ordered by it; or a view that cannot compute its rows.
fn page_refused(page: &Page<'_>, error: DatabaseError) -> Failure {
    match (page.order.is_empty(), &error) {
        (false, DatabaseError::Value(message)) if page.view.is_view => {
            let detail = format!(
                "`{}` cannot be read in this order; Postgres says: {message}",
                page.view.name
            );
            Problem::of(Kind::BadValue, "order", detail, None::<String>).into()
        }
        _ => error.into(),
    }
}

fn too_expensive(page: &Page<'_>) -> Problem {
    let mut columns = page.constant();
    if columns.is_empty() {
        columns.extend(page.filters.first().map(|filter| filter.column));
    }
    let terms: Vec<_> =
        page.order.iter().filter(|term| !named(&columns, term.column)).copied().collect();
    let View { name, is_view, .. } = page.view;
    let way = match (*is_view, columns.is_empty() && terms.is_empty()) {
        (false, _) => format!("An index would help: {}", create_index(page.view, &columns, &terms)),
        (true, true) => {
            "Ask for fewer rows with filters, or add indexes to the tables that it reads."
                .to_owned()
        }
        (true, false) => {
            let columns: Vec<_> =
                columns.into_iter().chain(terms.iter().map(|term| term.column)).collect();
            let columns: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            format!("An index on ({}) of the tables that it reads would help.", columns.join(", "))
        }
    };
    Problem::new(
        Kind::TooExpensive,
        format!("`{name}` could not be read within the time for one query. {way}"),
    )
}

fn named(columns: &[&Column], column: &Column) -> bool {
    columns.iter().any(|other| other.name == column.name)
}
